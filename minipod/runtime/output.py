"""A container's standard output and error: two pipes, read by the supervisor and written to its log."""

import functools
import os

from minipod.runtime.logs import LogWriter
from minipod.runtime.loop import Loop

_CHUNK = 65536


class Output:
    """The pipes of one container. `stdout` and `stderr` are the container's ends until close_child_ends()."""

    def __init__(self, loop: Loop, log: LogWriter | None) -> None:
        self._loop, self._log = loop, log
        self._streams: dict[int, str] = {}
        ours, self.stdout = os.pipe2(os.O_CLOEXEC)
        self._streams[ours] = "stdout"
        ours, self.stderr = os.pipe2(os.O_CLOEXEC)
        self._streams[ours] = "stderr"
        for fd in self._streams:
            os.set_blocking(fd, False)
            loop.add_reader(fd, functools.partial(self._read, fd))

    def close_child_ends(self) -> None:
        """Only the container shall hold them, so that its end is our end of file."""
        for fd in (self.stdout, self.stderr):
            if fd >= 0:
                os.close(fd)
        self.stdout = self.stderr = -1

    def close(self) -> None:
        """Take what is left in the pipes, then close everything. Nobody writes any more."""
        self.close_child_ends()
        for fd in list(self._streams):
            while self._read(fd):
                pass
        for fd in list(self._streams):
            self._forget(fd)
        if self._log:
            self._log.close()

    def _read(self, fd: int) -> bool:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._forget(fd)
            return False
        if self._log:
            self._log.write(self._streams[fd], chunk)
        return True

    def _forget(self, fd: int) -> None:
        self._loop.remove_reader(fd)
        del self._streams[fd]
        os.close(fd)
