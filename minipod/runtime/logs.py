"""Container logs in CRI's format, written by the supervisor and read by the node.

    /var/log/pods/<namespace>_<pod>_<uid>/<container>/<attempt>.log             written now
                                                      <attempt>.log.<time>      rotated; sorted by name, oldest first

    2026-11-22T10:37:26.123456789Z stdout F a whole line
    2026-11-22T10:37:26.123456789Z stderr P the part of a line longer than 16 KiB, or one that was never finished

Format: Kubernetes' design proposal kubelet-cri-logging; sizes and tags as containerd's (pkg/cri/io/logger.go).
The times have all nine digits, so that they sort as text.
"""

import errno
import os
import time
from collections.abc import Iterator
from typing import BinaryIO

from minipod.errors import KernelError

PART = 16 << 10  # longer lines are cut; containerd's max_container_log_line_size
BLOCK = 64 << 10  # what is read at once; also the size of a pipe
JOINED_MAX = 1 << 20  # a line longer than this is passed on in pieces

# --- writing -----------------------------------------------------------------------------------------------------


class LogWriter:
    """One attempt's log. Not for several processes at once.

    The file is rotated before it would grow beyond `max_bytes` (only a single batch can be longer); it and its
    predecessors are at most `max_files`. Output that can't be written is dropped: a full disk must not stop the pod.
    The next line that can be written tells how much is missing.
    """

    def __init__(self, path: str, max_bytes: int = 10 << 20, max_files: int = 5) -> None:
        """Open `path` for appending and make its folder. Raises KernelError."""
        self.path, self._max_bytes, self._max_files = path, max_bytes, max_files
        self._unfinished = {"stdout": b"", "stderr": b""}
        self._dropped, self._why = 0, ""
        try:
            os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        except OSError as error:
            raise KernelError(error.errno or 0, "mkdir", os.path.dirname(path)) from None
        self._open()

    def write(self, stream: str, chunk: bytes) -> None:
        """Log `chunk`, as it came from the pipe of `stream` (stdout or stderr). An unfinished line waits for more."""
        lines = (self._unfinished[stream] + chunk).replace(b"\r\n", b"\n").split(b"\n")
        *parts, self._unfinished[stream] = _cut(lines.pop())
        entries: list[tuple[bytes, bytes]] = []
        for line in lines:
            *beginning, end = _cut(line)
            entries += [(b"P", part) for part in beginning]
            entries.append((b"F", end))
        entries += [(b"P", part) for part in parts]
        self._append(stream, entries)

    def finish(self, stream: str) -> None:
        """The stream has ended: log what there is of a last line."""
        rest, self._unfinished[stream] = self._unfinished[stream], b""
        if rest:
            self._append(stream, [(b"P", rest)])

    def reopen(self) -> None:
        """Go on in a new file: somebody else has renamed this one (CRI's ReopenContainerLog). Raises KernelError."""
        old = self._fd
        self._open()
        os.close(old)

    def close(self) -> None:
        """Finish both streams and close the file."""
        for stream in self._unfinished:
            self.finish(stream)
        os.close(self._fd)

    def _append(self, stream: str, entries: list[tuple[bytes, bytes]]) -> None:
        """All in one write(2)."""
        if not entries:
            return
        now = stamp(time.time_ns())
        prefix = b"%s %s " % (now, stream.encode())
        batch = b"".join([b"%s%s %s\n" % (prefix, tag, text) for tag, text in entries])
        if self._dropped:
            told = f"minipod: {self._dropped} bytes of output were lost: {self._why}"
            batch = b"%s stderr F %s\n" % (now, told.encode()) + batch
        try:
            if self._size and self._size + len(batch) > self._max_bytes:
                self._rotate()
            self._write(batch)
            self._dropped = 0
        except (OSError, KernelError) as error:
            self._dropped += sum(len(text) for _, text in entries)
            self._why = str(error)

    def _write(self, batch: bytes) -> None:
        written = os.write(self._fd, batch)
        if written < len(batch):
            os.ftruncate(self._fd, self._size)  # half a line would spoil the next
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._size += written

    def _rotate(self) -> None:
        rotated = _rotated(self.path)
        for name in rotated[: max(0, len(rotated) - self._max_files + 2)]:
            os.unlink(name)
        try:
            if self._max_files > 1:
                os.rename(self.path, f"{self.path}.{_rotation_suffix(time.time_ns())}")
            else:
                os.unlink(self.path)
        except FileNotFoundError:
            pass  # somebody tidied up
        self.reopen()

    def _open(self) -> None:
        try:
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise KernelError(error.errno or 0, "open", self.path) from None
        self._size = os.fstat(self._fd).st_size


def _cut(line: bytes) -> list[bytes]:
    """In parts of at most 16 KiB."""
    if len(line) <= PART:
        return [line]
    return [line[i : i + PART] for i in range(0, len(line), PART)]


def stamp(nanoseconds: int) -> bytes:
    """RFC 3339 in UTC, always with nine digits after the second."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return b"%s.%09dZ" % (time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode(), rest)


def _rotation_suffix(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y%m%d-%H%M%S", time.gmtime(seconds)) + f".{rest:09d}"


def _rotated(path: str) -> list[str]:
    """The rotated predecessors of `path`, oldest first."""
    folder, name = os.path.split(path)
    try:
        return sorted(f"{folder}/{entry}" for entry in os.listdir(folder) if entry.startswith(f"{name}."))
    except FileNotFoundError:
        return []


# --- reading -----------------------------------------------------------------------------------------------------


class LogReader:
    """Reads a log that still grows and is rotated: each read() gives what is new, so call it when there may be more.

    Both streams come in the order of the file; the parts of a long line are joined, also over files. It is blocking
    file I/O without waiting: in the node it belongs into a thread.
    """

    def __init__(
        self, path: str, tail: int | None = None, since: float = 0, timestamps: bool = False
    ) -> None:
        """Of the log at `path`, which need not be there yet: its rotated files first; the last `tail` lines; of these,
        those written at `since` (seconds since the epoch) or later; each with its time before it if `timestamps`."""
        self.path, self._timestamps = path, timestamps
        self._since = stamp(int(since * 1_000_000_000))
        self._file: BinaryIO | None = None
        self._torn = b""  # the beginning of an entry that is just being written
        self._parts: dict[bytes, bytes] = {}  # stream: the beginning of a line
        if tail is not None:
            self._file = _open_tail(path, tail)

    def read(self) -> Iterator[bytes]:
        """What came since the last call."""
        while True:
            # Looked for before reading: when there is a newer file, this one does not grow any more.
            newer = self._newer()
            while self._file and (block := self._file.read(BLOCK)):
                if text := self._text(block):
                    yield text
            if newer is None:
                return
            self.close()
            self._file = newer

    def finish(self) -> bytes:
        """The unfinished last lines: the container has ended and all was read."""
        rest = b"".join(self._parts.values())
        self._parts.clear()
        return rest

    def close(self) -> None:
        if self._file:
            self._file.close()
        self._file = None

    def _newer(self) -> BinaryIO | None:
        """The file written after the current one, if the log was rotated; the oldest if there was none yet."""
        while True:
            own = os.fstat(self._file.fileno()).st_ino if self._file else 0
            if own and _inode(self.path) == own:
                return None
            # Listed after the look at `path`: a file that was renamed in between is in the list.
            inodes = {_inode(name): name for name in (*_rotated(self.path), self.path)}
            inodes.pop(0, None)
            order = list(inodes)
            newer = order[order.index(own) + 1 :] if own in inodes else order
            if not newer:
                return None
            file = _open_if_there(inodes[newer[0]])
            if file and os.fstat(file.fileno()).st_ino == newer[0]:
                return file
            if file:
                file.close()  # rotated again in between

    def _text(self, block: bytes) -> bytes:
        """What the entries in `block` say."""
        entries = (self._torn + block).split(b"\n")
        self._torn = entries.pop()
        out = []
        for entry in entries:
            fields = entry.split(b" ", 3)
            if len(fields) != 4 or fields[0] < self._since:
                continue
            when, stream, tag, text = fields
            begun = self._parts.pop(stream, b"")
            line = begun + text if begun or not self._timestamps else b"%s %s" % (when, text)
            if tag == b"F":
                out.append(line + b"\n")
            elif len(line) > JOINED_MAX:
                out.append(line)
            else:
                self._parts[stream] = line
        return b"".join(out)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0


def _open_tail(path: str, wanted: int) -> BinaryIO | None:
    """The file in which the last `wanted` lines begin, at their beginning; None: there are no more than that.

    A line whose parts are mixed with the other stream's lines may lose its first parts.
    """
    missing = wanted
    last = True  # the very last entry ends a line even when it is a part
    for name in (path, *reversed(_rotated(path))):
        file = _open_if_there(name)
        if file is None:
            continue
        for end, entry in _backwards(file):
            if last or entry.split(b" ", 3)[2:3] != [b"P"]:
                if missing == 0:
                    file.seek(end)
                    return file
                missing -= 1
            last = False
        file.close()
    return None


def _open_if_there(path: str) -> BinaryIO | None:
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        return None


def _backwards(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """The file's entries, last first, each with the offset after it."""
    size = position = os.fstat(file.fileno()).st_size
    head = b""  # of the block read last: the end of an entry that begins further up
    while position > 0:
        step = min(BLOCK, position)
        position -= step
        data = os.pread(file.fileno(), step, position) + head
        end = position + len(data)
        head, *entries = data.split(b"\n")
        for entry in reversed(entries):
            if entry:
                yield min(end + 1, size), entry
            end -= len(entry) + 1
    if head:
        yield min(len(head) + 1, size), head
