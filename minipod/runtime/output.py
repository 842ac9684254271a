"""A container's standard input, output and error: pipes or a terminal, held by the supervisor.

What it writes goes into its log, and to everybody who is attached. Whoever is attached and doesn't read holds the
container up, as with containerd: nothing is lost that way, and a terminal's Ctrl-S does what it should.
"""

import collections
import errno
import functools
import os

from minipod.api.cri import ContainerConfig, SandboxConfig
from minipod.api.messages import Settings
from minipod.runtime.attach import Attachment
from minipod.runtime.logs import LogWriter
from minipod.runtime.loop import Loop

_CHUNK = 65536
_BACKLOG = 65536  # bytes written before the first attach that are kept for it: a prompt


def open_log(sandbox: SandboxConfig, container: ContainerConfig, settings: Settings) -> LogWriter | None:
    """Where the caller wants the container's log."""
    if not container.log_path:
        return None
    path = f"{sandbox.log_directory}/{container.log_path}"
    return LogWriter(path, settings.log_max_bytes, settings.log_max_files)


class Output:
    """The streams of one container. `child_fds` are the container's ends until close_child_ends()."""

    def __init__(self, loop: Loop, log: LogWriter | None, stdin: bool = False, tty: bool = False) -> None:
        self._loop, self._log, self.tty = loop, log, tty
        self._streams: dict[int, str] = {}
        self._attached: list[Attachment] = []
        self._backlog: collections.deque[tuple[str, bytes]] | None = (
            collections.deque() if stdin or tty else None
        )
        self._kept = 0  # bytes in it
        self._paused = False
        self.stdin = -1  # what is written here is read by the container
        self.child_fds: dict[str, int] = {}
        if not tty:
            self._make_pipes(stdin)

    def _make_pipes(self, stdin: bool) -> None:
        if stdin:
            self.child_fds["stdin"], self.stdin = os.pipe2(os.O_CLOEXEC)
        else:
            self.child_fds["stdin"] = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for name in ("stdout", "stderr"):
            ours, self.child_fds[name] = os.pipe2(os.O_CLOEXEC)
            self._listen(ours, name)

    def use_terminal(self, master: int, stdin: bool) -> None:
        """The container has a terminal: this is our end of it."""
        self.stdin = os.dup(master) if stdin else -1
        self._listen(master, "stdout")

    def _listen(self, fd: int, name: str) -> None:
        os.set_blocking(fd, False)
        self._streams[fd] = name
        self._loop.add_reader(fd, functools.partial(self._read, fd))

    def close_child_ends(self) -> None:
        """Only the container shall hold them, so that its end is our end of file."""
        for fd in self.child_fds.values():
            os.close(fd)
        self.child_fds = {}

    def terminal(self) -> int:
        """Our end of the terminal, -1 if there is none."""
        return next(iter(self._streams), -1) if self.tty else -1

    def attach(self, attachment: Attachment) -> None:
        """From now on tell this one, too; the first one hears what was written before."""
        attachment.drained = self._resume
        attachment.gone = lambda: self._detach(attachment)
        self._attached.append(attachment)
        backlog, self._backlog = self._backlog or (), None
        for name, chunk in backlog:
            attachment.write(name, chunk)

    def close_stdin(self) -> None:
        """The container reads the end of file as soon as those who have a copy of our end close theirs."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def reopen_log(self) -> None:
        """Go on in a new file: somebody has renamed the log."""
        if self._log:
            self._log.reopen()

    def close(self, code: int = 0) -> None:
        """Take what is left, tell those who are attached how it ended, and close everything. Nobody writes any more."""
        self.close_child_ends()
        self.close_stdin()
        for fd in list(self._streams):
            while self._read(fd):
                pass
        for fd in list(self._streams):
            self._forget(fd)
        for attachment in self._attached[:]:
            attachment.end(code)
        if self._log:
            self._log.close()

    def _read(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that nobody has open any more (pty(7))
                raise
            chunk = b""
        if not chunk:
            self._forget(fd)
            return False
        name = self._streams[fd]
        if self._log:
            self._log.write(name, chunk)
        self._remember(name, chunk)
        for attachment in self._attached[:]:
            attachment.write(name, chunk)
        if not self._paused and any(attachment.behind for attachment in self._attached):
            self._paused = True
            for paused in self._streams:
                self._loop.remove_reader(paused)
        return True

    def _remember(self, name: str, chunk: bytes) -> None:
        if self._backlog is not None:
            self._backlog.append((name, chunk))
            self._kept += len(chunk)
            while self._kept > _BACKLOG:
                self._kept -= len(self._backlog.popleft()[1])

    def _resume(self) -> None:
        if self._paused and not any(attachment.behind for attachment in self._attached):
            self._paused = False
            for fd in self._streams:
                self._loop.add_reader(fd, functools.partial(self._read, fd))

    def _detach(self, attachment: Attachment) -> None:
        self._attached.remove(attachment)
        self._resume()

    def _forget(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._streams[fd]
        os.close(fd)
