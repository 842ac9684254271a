"""Logs of containers: which file, and how long to read it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping

import msgspec
from aiohttp import web

from minipod.node import status
from minipod.node.console import Console
from minipod.node.gates import GATED, gated
from minipod.node.hub import Change, Watch
from minipod.node.node import NODE, Node
from minipod.node.query import flag, number
from minipod.runtime.logs import LogReader
from minipod.spec.types import ContainerStatus, Pod

_POLL = 0.15  # seconds between looks at a file that is followed
_DEFAULT = "kubectl.kubernetes.io/default-container"  # annotation: the container that is meant without -c
_WAITING = {"ErrImagePull": "image can't be pulled", "ImagePullBackOff": "trying and failing to pull image"}


class LogRequest(msgspec.Struct, frozen=True):
    """core/v1 PodLogOptions."""

    container: str = ""
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since_seconds: int | None = None
    limit_bytes: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "LogRequest":
        """Raises BadQuery."""
        return cls(
            container=query.get("container", ""),
            follow=flag(query.get("follow")),
            previous=flag(query.get("previous")),
            timestamps=flag(query.get("timestamps")),
            tail_lines=number(query.get("tailLines"), "tailLines"),
            since_seconds=number(query.get("sinceSeconds"), "sinceSeconds"),
            limit_bytes=number(query.get("limitBytes"), "limitBytes"),
        )


async def logs(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/logs"""
    node, query = request.app[NODE], request.query
    pod = node.objects.pod(query.get("namespace") or "default", query.get("name", ""))
    wish = LogRequest.of(query)
    container, notice = choose(pod, wish.container)
    pieces = read_log(node, pod, container, wish)
    if notice:
        console.err(notice)
    async for piece in pieces:
        console.raw(piece)
        await console.flush()
    return 0


def choose(pod: Pod, wanted: str) -> tuple[str, str]:
    """The container, and what to say about the choice if nobody made it; raises BadRequest for one that isn't there."""
    names = [each.name for each in pod.spec.containers]
    init = [each.name for each in pod.spec.init_containers]
    ephemeral = [each.name for each in pod.spec.ephemeral_containers]
    if wanted:
        if wanted not in (*names, *init, *ephemeral):
            raise status.BadRequest(f"container {wanted} is not valid for pod {pod.metadata.name}")
        return wanted, ""
    default = pod.metadata.annotations.get(_DEFAULT, "")
    if default in names:
        return default, ""
    if len(names) + len(init) + len(ephemeral) == 1:
        return names[0], ""
    marked = (*(f"{name} (init)" for name in init), *(f"{name} (ephem)" for name in ephemeral))
    listed = ", ".join((*names, *marked))
    return names[0], f'Defaulted container "{names[0]}" out of: {listed}'


def find_status(pod: Pod, container: str) -> ContainerStatus | None:
    told = pod.status
    statuses = (
        *told.container_statuses,
        *told.init_container_statuses,
        *told.ephemeral_container_statuses,
    )
    return next((each for each in statuses if each.name == container), None)


def _attempt(pod: Pod, container: str, previous: bool) -> int:
    """The number of the attempt whose log is meant; raises BadRequest where there is none."""
    found, name = find_status(pod, container), pod.metadata.name
    if previous:
        if not found or not found.last_state.terminated or not found.restart_count:
            raise status.BadRequest(f'previous terminated container "{container}" in pod "{name}" not found')
        return found.restart_count - 1
    if found and (found.state.running or found.state.terminated or found.last_state.terminated):
        return found.restart_count
    begins = GATED.reason if gated(pod) else "ContainerCreating"
    reason = found.state.waiting.reason if found and found.state.waiting else begins
    raise status.BadRequest(
        f'container "{container}" in pod "{name}" is waiting to start: {_WAITING.get(reason, reason)}'
    )


def read_log(node: Node, pod: Pod, container: str, wish: LogRequest) -> AsyncIterator[bytes]:
    """Pieces of whole lines. Raises BadRequest before the first of them if there is nothing to read."""
    attempt, meta = _attempt(pod, container, wish.previous), pod.metadata
    folder = node.layout.pod_log(meta.namespace, meta.name, meta.uid)
    since = 0.0 if wish.since_seconds is None else max(0.0, time.time() - wish.since_seconds)
    reader = LogReader(f"{folder}/{container}/{attempt}.log", wish.tail_lines, since, wish.timestamps)
    pieces = _follow(node, meta.uid, container, attempt, reader, wish.follow)
    return pieces if wish.limit_bytes is None else _limit(pieces, wish.limit_bytes)


async def _follow(
    node: Node, uid: str, container: str, attempt: int, reader: LogReader, follow: bool
) -> AsyncIterator[bytes]:
    """What is in the file and, if asked, what comes, until the attempt has ended (as kubectl does)."""

    def ended() -> bool:
        pod = node.objects.pod_by_uid(uid)
        found = find_status(pod, container) if pod else None
        return not found or found.restart_count != attempt or not found.state.running

    def wanted(change: Change) -> bool:
        return change.object.metadata.uid == uid

    with node.objects.watch(wanted) as watch:
        try:
            while True:
                over = (
                    not follow or ended()
                )  # asked before reading: what was written until then is in the file
                new = reader.read()
                while pieces := await asyncio.to_thread(_some, new):
                    yield pieces
                if over:
                    break
                await _news(watch)
            if rest := reader.finish():
                yield rest
        finally:
            reader.close()


async def _news(watch: Watch) -> None:
    """Until the pod changes, or it is time to look at the file again."""
    try:
        await asyncio.wait_for(anext(watch), _POLL)
    except TimeoutError:
        pass
    except StopAsyncIteration:  # the node is stopping
        raise status.BadRequest("the node is stopping: the log isn't followed any more") from None


def _some(pieces: Iterator[bytes]) -> bytes:
    """The next pieces, about a mebibyte; nothing when there are no more."""
    found: list[bytes] = []
    size = 0
    while size < 1 << 20 and (piece := next(pieces, b"")):
        found.append(piece)
        size += len(piece)
    return b"".join(found)


async def _limit(pieces: AsyncIterator[bytes], left: int) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return
