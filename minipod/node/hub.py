"""Every change, told to everyone who watches: `get -w`, `apply --wait`, `logs -f`, REST watches. In memory only."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple, Self

from minipod.spec.types import Event, Pod

AnyObject = Pod | Event
_PENDING = 4096  # changes a watcher may be behind


class Change(NamedTuple):
    """One write. `type` is ADDED, MODIFIED or DELETED; `body` is `object` as JSON, resourceVersion included."""

    type: str
    object: AnyObject
    body: bytes


class Watch:
    """The changes one watcher wants, in order. It ends when the hub closes or the watcher fell too far behind."""

    def __init__(self, hub: "Hub", wanted: Callable[[Change], bool]) -> None:
        self._hub, self._wanted = hub, wanted
        self._queue: asyncio.Queue[Change | None] = asyncio.Queue()

    def put(self, change: Change) -> None:
        if not self._wanted(change):
            return
        if self._queue.qsize() < _PENDING:
            self._queue.put_nowait(change)
        else:  # it must not take all memory, and must not miss one in the middle
            self.end()

    def end(self) -> None:
        self._hub.forget(self)
        self._queue.put_nowait(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._hub.forget(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        change = await self._queue.get()
        if change is None:
            raise StopAsyncIteration
        return change


class Hub:
    """Where changes come in."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self._closed = False

    def watch(self, wanted: Callable[[Change], bool]) -> Watch:
        """From now on collect the changes for which `wanted` is true. Use as a context manager."""
        watch = Watch(self, wanted)
        self._watches.add(watch)
        if self._closed:
            watch.end()
        return watch

    def forget(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def publish(self, change: Change) -> None:
        for watch in list(self._watches):
            watch.put(change)

    def close(self) -> None:
        """End every watch: the node is going down."""
        self._closed = True
        for watch in list(self._watches):
            watch.end()
