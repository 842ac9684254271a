"""A node whose pods are imagined: the HTTP side for real, on a socket in a temporary folder."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from urllib.parse import urlencode

import aiohttp
import pytest

from minipod.api.channel import short_path
from minipod.api.cri import RuntimeStatus, Timing
from minipod.api.messages import NodeFacts, Settings
from minipod.kernel.cgroups import Hierarchies
from minipod.names import layout
from minipod.node import server
from minipod.node.hub import Hub
from minipod.node.node import Node
from minipod.node.objects import Objects
from minipod.node.store import Store
from minipod.spec.types import ContainerState, ContainerStateRunning, ContainerStatus, Pod, PodStatus

RUNNING = ContainerState(running=ContainerStateRunning(started_at="2026-11-22T10:00:00Z"))


class FakePods:
    """Remembers what it was asked; `on_start` and `on_delete` say what comes of it."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self.started: list[str] = []
        self.updated: list[Pod] = []
        self.deleted: list[tuple[str, float | None]] = []
        self.sockets: list[int] = []
        self.timings: tuple[Timing, ...] = ()
        self.on_start: Callable[[Any], Any] = lambda _: None
        self.on_delete: Callable[[str], Any] = objects.pod_gone
        self.on_exec: Callable[[Any, int], Any] = lambda *_: None

    async def start(self, pod, door=None, asked_at=0):
        self.started.append(pod.metadata.name)
        self.on_start(pod)

    async def update(self, pod):
        self.updated.append(pod)

    async def delete(self, uid, grace):
        self.deleted.append((uid, grace))
        self.on_delete(uid)

    async def exec(self, uid, request, sock_fd):
        self.on_exec(request, sock_fd)

    async def observe_pids(self, uid):
        return RuntimeStatus()

    async def trace(self, uid):
        return self.timings

    async def status(self):
        return {}

    def report(self, name: str, **states: ContainerState) -> None:
        """The pod's containers are now in these states."""
        pod = self.objects.pod("default", name)
        statuses = tuple(
            ContainerStatus(name=container, state=state, ready=state.running is not None)
            for container, state in states.items()
        )
        phase = "Running" if any(state.running for state in states.values()) else "Pending"
        self.objects.pod_changed(pod.metadata.uid, PodStatus(phase=phase, container_statuses=statuses))


class Answer(NamedTuple):
    """What a console verb printed."""

    code: int
    out: str
    err: str
    progress: str


class Client:
    """Requests over the node's socket."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    def url(self, path: str, query: dict[str, Any] | list[tuple[str, str]] | None = None) -> str:
        return f"http://node{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")

    async def json(self, method: str, path: str, body: str = "", **query: Any) -> tuple[int, Any]:
        async with self.session.request(method, self.url(path, query), data=body.encode()) as response:
            return response.status, json.loads(await response.read())

    async def verb(self, method: str, verb: str, body: str = "", **query: Any) -> Answer:
        """A console verb to its end."""
        async with self.session.request(
            method, self.url(f"/minipod/v1/{verb}", query), data=body.encode()
        ) as response:
            assert response.content_type == "application/vnd.minipod.console"
            return taken_apart(await response.text())

    async def apply(self, *documents: Any, **query: Any) -> Answer:
        return await self.verb("POST", "apply", text(*documents), **query)


def taken_apart(body: str) -> Answer:
    *lines, last = body.splitlines()
    assert last.startswith("x")
    streams = {letter: [line[1:] for line in lines if line[0] == letter] for letter in "12p"}
    return Answer(int(last[1:]), *("\n".join(streams[letter]) for letter in "12p"))


def text(*documents: Any) -> str:
    return "\n---\n".join(each if isinstance(each, str) else json.dumps(each) for each in documents)


def manifest(name: str, *containers: str, **spec: Any) -> dict[str, Any]:
    """A pod that is valid."""
    listed = [{"name": each, "image": "busybox"} for each in containers or ("app",)]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": listed, **spec},
    }


async def until(condition: Callable[[], Any]) -> None:
    """Let the others run until `condition` holds."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.002)


class World(NamedTuple):
    """Everything a test may look at or turn."""

    node: Node
    objects: Objects
    pods: FakePods
    client: Client
    connections: Callable[[], int]  # how many the server has


@asynccontextmanager
async def world(home: str) -> AsyncIterator[World]:
    here = layout(home)
    facts = NodeFacts(
        home=home,
        node_name="testnode",
        host_ip="192.0.2.1",
        memory_bytes=1 << 30,
        cgroups=Hierarchies("/none", (), {}),
        pause="/none",
        settings=Settings(),
    )
    hub = Hub()
    store = Store(here.store)
    objects = Objects(store, hub)
    pods = FakePods(objects)
    node = Node(here, facts, objects, pods)
    runner = await server.serve(node)
    try:
        with short_path(here.socket) as short:
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(short)) as session:
                yield World(node, objects, pods, Client(session), lambda: len(runner.server.connections))
    finally:
        hub.close()
        await runner.cleanup()
        store.close()


@pytest.fixture
def in_world(tmp_path) -> Callable[[Callable[[World], Coroutine[Any, Any, Any]]], Any]:
    """Runs a coroutine function with a World, for at most ten seconds; again with the same folder, if asked again."""
    for folder in ("lib/images/names", "run"):
        (tmp_path / folder).mkdir(parents=True)

    def run(test: Callable[[World], Coroutine[Any, Any, Any]]) -> Any:
        async def whole() -> Any:
            async with asyncio.timeout(10), world(str(tmp_path)) as it:
                return await test(it)

        return asyncio.run(whole())

    return run
