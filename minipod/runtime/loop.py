"""The supervisor's event loop: descriptors, timers and children, in one thread."""

import functools
import heapq
import itertools
import os
import select
import signal
import time
from collections.abc import Callable

from minipod.kernel import process, syscalls

_LONGEST = 86400.0  # seconds of one wait; epoll_wait(2) counts milliseconds in an int


class Loop:
    """Readable descriptors, timers and ended children, each with a callback. Nothing runs in parallel.

    A callback may itself wait for something, by turn() in turn (runtime/breakpoint.py).
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Callable[[], object]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._children: dict[int, Callable[[process.Exit], None]] = {}
        self.running = True
        self._turns = 0
        # Blocked and read from a descriptor, so that a child's end is just one more event. Children unblock it.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD,))
        self._signals = syscalls.signalfd((signal.SIGCHLD,))
        self.add_reader(self._signals, self._reap)

    def add_reader(self, fd: int, callback: Callable[[], object]) -> None:
        """Call whenever there is something to read, or the other end has gone."""
        self._watched[fd] = callback
        self._epoll.register(fd, select.EPOLLIN)

    def add_writer(self, fd: int, callback: Callable[[], object]) -> None:
        """Call whenever something can be written, or nobody will read it. Not together with add_reader."""
        self._watched[fd] = callback
        self._epoll.register(fd, select.EPOLLOUT)

    def remove_reader(self, fd: int) -> None:
        if self._watched.pop(fd, None):
            self._epoll.unregister(fd)

    remove_writer = remove_reader

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        """Call once in `delay` seconds. There is no cancelling: a callback looks whether it is still wanted."""
        heapq.heappush(self._timers, (time.monotonic() + delay, next(self._order), callback))

    def on_signal(self, number: int, callback: Callable[[], None]) -> None:
        """Call when this process gets the signal. Children unblock it before they exec."""
        signal.pthread_sigmask(signal.SIG_BLOCK, (number,))
        fd = syscalls.signalfd((number,))

        def received() -> None:
            os.read(fd, 4096)
            callback()

        self.add_reader(fd, received)

    def on_exit(self, pid: int, callback: Callable[[process.Exit], None]) -> None:
        """Call when child `pid` has ended. Children that nobody asked about are reaped all the same."""
        self._children[pid] = callback

    def run(self) -> None:
        """Until stop()."""
        while self.running:
            self.turn()

    def stop(self) -> None:
        self.running = False

    def turn(self) -> None:
        """Wait for one event or timer and call back."""
        timeout = min(max(0.0, self._timers[0][0] - time.monotonic()), _LONGEST) if self._timers else None
        self._turns += 1
        turn = self._turns
        for fd, _ in self._epoll.poll(timeout):
            if callback := self._watched.get(fd):
                callback()
            if self._turns != turn:
                break  # other turns were taken in there: what is still to be done will be reported again
        while self._timers and self._timers[0][0] <= time.monotonic():
            heapq.heappop(self._timers)[2]()

    def _reap(self) -> None:
        try:
            os.read(self._signals, 4096)
        except BlockingIOError:
            pass
        for ended in process.reap():
            if callback := self._children.pop(ended.pid, None):
                # Not here: should it wait for something, the others have ended all the same.
                self.call_later(0, functools.partial(callback, ended))
