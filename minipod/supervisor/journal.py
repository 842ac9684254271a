"""What a supervisor has seen and is about to do, on disk: `<layout.pod_lib(uid)>/journal`, a fact in JSON a line.

    append(fact), then act        so that whoever comes next knows of everything that may have happened
    replay(path)                  by the next supervisor

One write(2) a record to a descriptor opened with O_APPEND: a supervisor killed in the middle leaves at most a torn
last line, which was never acted on and is dropped. No fsync: only a crash of the machine loses what the kernel has
accepted, and that takes the pod's processes, namespaces and cgroups with it. What is left of the file then is read
up to the first line that isn't whole.
"""

import errno
import os

import msgspec

from minipod.errors import KernelError
from minipod.supervisor.known import Observed
from minipod.supervisor.observed import AnyFact, Snapshot, apply

COMPACT_BYTES = 1 << 20  # a journal that has grown beyond this is rewritten as one Snapshot
HINT = "free some space on its file system; the pod goes on, but nothing new is started"

_decoder = msgspec.json.Decoder(AnyFact)


def path_of(pod_lib: str) -> str:
    return f"{pod_lib}/journal"


class Journal:
    """A pod's journal, open for appending. Its folder exists. Only the process that has the pod's lock may open it."""

    def __init__(self, path: str, compact_bytes: int = COMPACT_BYTES) -> None:
        """Open or make it and read what is there. Raises KernelError."""
        self.path = path
        self.observed, self._size = replay(path)
        self._compact_bytes = compact_bytes
        self._compact_at = max(compact_bytes, 2 * self._size)
        self._fd = _open(path, 0)
        os.ftruncate(self._fd, self._size)  # or a torn line would be the beginning of the next

    def append(self, fact: AnyFact) -> Observed:
        """Write `fact` down and give what is known now. After a KernelError (ENOSPC, EIO) it hasn't happened."""
        self._write(fact)
        self.observed = apply(self.observed, fact)
        if self._size > self._compact_at:
            self._compact(fact.at)
        return self.observed

    def close(self) -> None:
        os.close(self._fd)

    def _write(self, fact: AnyFact) -> None:
        line = msgspec.json.encode(fact) + b"\n"
        try:
            written = os.write(self._fd, line)
            if written < len(line):
                os.ftruncate(self._fd, self._size)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise KernelError(error.errno or 0, "write", self.path, HINT) from None
        self._size += written

    def _compact(self, at: float) -> None:
        """Put one record in the place of all. rename(2) is atomic: whoever reads finds the old or the new, whole.
        A compaction that fails (a full disk) loses nothing, and is tried again when the file has doubled."""
        line = msgspec.json.encode(Snapshot(at=at, observed=self.observed)) + b"\n"
        try:
            with os.fdopen(_open(f"{self.path}.new", os.O_TRUNC), "wb") as file:
                file.write(line)
            os.rename(f"{self.path}.new", self.path)
        except (OSError, KernelError):
            pass
        else:
            old, self._fd = self._fd, _open(self.path, 0)
            os.close(old)
            self._size = len(line)
        self._compact_at = max(self._compact_bytes, 2 * self._size)


def _open(path: str, flags: int) -> int:
    """Mode 0600: the journal holds what a pod's processes said when they failed."""
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | flags, 0o600)
    except OSError as error:
        raise KernelError(error.errno or 0, "open", path) from None


def replay(path: str) -> tuple[Observed, int]:
    """What the whole lines at the beginning of a journal say, and where they end; nothing if there is none.

    Raises KernelError if it can't be read.
    """
    observed, end = Observed(), 0
    try:
        with open(path, "rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                observed = apply(observed, _decoder.decode(line))
                end += len(line)
    except FileNotFoundError:
        pass
    except msgspec.MsgspecError:
        pass  # not whole: a hole left by a crash of the machine
    except OSError as error:
        raise KernelError(error.errno or 0, "read", path) from None
    return observed, end
