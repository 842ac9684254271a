"""Whoever is attached to a container: reads what it writes, and may write what it reads.

The asker hands over one stream socket. The supervisor answers on it:

    streams NAMES\n   with a descriptor for each name, in that order:
                      terminal  our end of the container's terminal, for its size
                      stdin     what is written to it, the container reads
                      stdout    what the container writes from now on; with a terminal, all of it
                      stderr    likewise
    exit N\n          when the container has ended and all of it has been read; then the socket closes

Input goes straight into the container's pipe or terminal. Output passes through the supervisor: it is logged, too.
"""

import array
import os
import socket
from collections.abc import Callable

from minipod.runtime.loop import Loop


class Attachment:
    """One of them. Whatever can't be written at once waits here; `behind` tells how much that is."""

    def __init__(
        self, loop: Loop, client: socket.socket, names: tuple[str, ...], given: dict[str, int]
    ) -> None:
        """`names`: stdout and perhaps stderr; `given`: descriptors that are passed on beside them."""
        self._loop, self._client = loop, client
        self.drained: Callable[[], None] = lambda: None  # nothing waits any more
        self.gone: Callable[[], None] = lambda: None
        self._ends: dict[str, int] = {}
        self._pending: dict[str, bytes] = {}
        self._ended: int | None = None
        client.setblocking(False)
        loop.add_reader(client.fileno(), self._heard)
        self._introduce(names, given)

    def _introduce(self, names: tuple[str, ...], given: dict[str, int]) -> None:
        theirs = dict(given)
        pipes = []
        for name in names:
            theirs[name], self._ends[name] = os.pipe2(os.O_CLOEXEC)
            pipes.append(theirs[name])
            os.set_blocking(self._ends[name], False)
        self._say(f"streams {' '.join(theirs)}\n", list(theirs.values()))
        for fd in pipes:
            os.close(fd)

    @property
    def behind(self) -> int:
        """Bytes that the other side hasn't taken yet."""
        return sum(map(len, self._pending.values()))

    def write(self, name: str, chunk: bytes) -> None:
        """Pass something on, or keep it until there is room."""
        if name not in self._ends:  # it no longer reads that
            return
        if name in self._pending:
            self._pending[name] += chunk
            return
        left = self._try(name, chunk)
        if left:
            self._pending[name] = left
            self._loop.add_writer(self._ends[name], lambda: self._go_on(name))

    def end(self, code: int) -> None:
        """The container has ended: say so once everything has been taken."""
        self._ended = code
        if not self._pending:
            self._close()

    def _try(self, name: str, chunk: bytes) -> bytes:
        """What is left of the chunk."""
        try:
            return chunk[os.write(self._ends[name], chunk) :]
        except BlockingIOError:
            return chunk
        except BrokenPipeError:
            return b""

    def _go_on(self, name: str) -> None:
        left = self._pending[name] = self._try(name, self._pending[name])
        if left:
            return
        del self._pending[name]
        self._loop.remove_writer(self._ends[name])
        if not self._pending:
            self.drained()
            if self._ended is not None:
                self._close()

    def _heard(self) -> None:
        """It has nothing to say: either it has gone, or it makes no sense."""
        try:
            if self._client.recv(4096):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._close()

    def _close(self) -> None:
        for name in self._pending:
            self._loop.remove_writer(self._ends[name])
        self._pending = {}
        for fd in self._ends.values():
            os.close(fd)
        self._ends = {}
        if self._ended is not None:
            self._say(f"exit {self._ended}\n")
        self._loop.remove_reader(self._client.fileno())
        self._client.close()
        self.gone()

    def _say(self, text: str, fds: list[int] | None = None) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._client.sendmsg([text.encode()], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
        except OSError:
            pass  # gone already: its socket says so
