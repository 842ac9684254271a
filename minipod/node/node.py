"""What every request handler needs: the node's parts, in one place."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from aiohttp import web

from minipod.api.cri import RuntimeStatus, Timing
from minipod.api.messages import Door, NodeFacts, WithSocket
from minipod.names import Layout
from minipod.node.objects import Objects
from minipod.spec.types import Pod


class PodManager(Protocol):
    """Who runs the pods (node/pods.py). It reports to Objects."""

    async def start(self, pod: Pod, door: Door | None = None, asked_at: int = 0) -> None:
        """Start the supervisor of a pod that is in the store; `asked_at` in ns of CLOCK_MONOTONIC."""

    async def update(self, pod: Pod) -> None:
        """Tell the supervisor of a change to the object; returns at once."""

    async def delete(self, uid: str, grace: float | None) -> None:
        """Ask the supervisor to stop and undo the pod; returns at once."""

    async def exec(self, uid: str, request: WithSocket, sock_fd: int) -> None:
        """Hand the client's socket to the supervisor; raises MinipodError if that isn't possible."""

    async def observe_pids(self, uid: str) -> RuntimeStatus:
        """The pod's sandboxes and containers with their pids."""

    async def trace(self, uid: str) -> tuple[Timing, ...]:
        """Every operation that was carried out for the pod, in the order in which their stages ended."""

    async def status(self) -> dict[str, Any]:
        """What `node status` shows of the node's other processes."""


class Node:
    """One node, running."""

    def __init__(self, layout: Layout, facts: NodeFacts, objects: Objects, pods: PodManager) -> None:
        self.layout, self.facts, self.objects, self.pods = layout, facts, objects, pods
        self.started = time.time()
        self.stopping = asyncio.Event()
        self.static: asyncio.Task[None] | None = None  # who follows the manifests of static pods
        self.remove_all = False  # whether the node's own things go when it stops
        self._tasks: set[asyncio.Task[Any]] = set()

    async def whole(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await `work`, which goes on to its end even if the client that asked for it goes away."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)


NODE = web.AppKey("node", Node)
