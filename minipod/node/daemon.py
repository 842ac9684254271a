"""The node from start to end: what comes up in which order, and goes down the other way round."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable

from aiohttp import web

from minipod.api.channel import short_path
from minipod.api.messages import NodeFacts
from minipod.errors import MinipodError
from minipod.image import store as images
from minipod.kernel.cgroups import Hierarchies
from minipod.names import Layout
from minipod.node import folders, network, server, settings
from minipod.node.hub import Hub
from minipod.node.node import Node
from minipod.node.objects import Objects
from minipod.node.pods import Pods
from minipod.node.static import Static
from minipod.node.store import Store

_log = logging.getLogger("minipod")


async def run(layout: Layout) -> None:
    """Be the node of `layout`, whose lock the caller holds, until somebody stops it. Raises MinipodError."""
    toml = settings.read(f"{layout.etc}/node.toml", dict(os.environ))
    facts = settings.facts(layout, toml)
    try:
        folders.ensure(layout, facts.cgroups)
        node, pods, store, hub = _make(layout, facts)
    except MinipodError:
        folders.remove_unused(layout, facts.cgroups)
        raise
    try:
        runner = await _begin(node, pods)
    except MinipodError:
        await _end(pods, store)
        await _remove_folders(layout, facts, folders.remove_unused)
        raise
    sweeping = asyncio.create_task(asyncio.to_thread(images.collect, layout.images))
    await node.stopping.wait()
    _tell_systemd("STOPPING=1")
    if node.static:
        node.static.cancel()
    hub.close()  # watches end, so that their connections do
    await runner.cleanup()
    os.unlink(layout.socket)
    await sweeping
    if node.remove_all:
        await network.remove(layout)
    await _end(pods, store)
    if node.remove_all:
        await _remove_folders(layout, facts, folders.remove)
    _log.info("node %s: stopped", facts.node_name)


def _make(layout: Layout, facts: NodeFacts) -> tuple[Node, Pods, Store, Hub]:
    store, hub = Store(layout.store), Hub()
    objects = Objects(store, hub)
    objects.trim_events()
    pods = Pods(facts, objects)
    node = Node(layout, facts, objects, pods)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, node.stopping.set)
    return node, pods, store, hub


async def _begin(node: Node, pods: Pods) -> web.AppRunner:
    await pods.start_helpers()
    # The bridge before the pods: those that come back need it at once.
    await network.ensure(node.layout)
    await pods.begin()
    node.static = asyncio.create_task(Static(node).follow())
    runner = await server.serve(node)
    _tell_systemd("READY=1")
    name, count = node.facts.node_name, len(node.objects.pods())
    _log.info("node %s: %d pods, listening on %s", name, count, node.layout.socket)
    return runner


async def _end(pods: Pods, store: Store) -> None:
    await pods.close()
    store.close()


async def _remove_folders(
    layout: Layout, facts: NodeFacts, remove: Callable[[Layout, Hierarchies], None]
) -> None:
    """The forge's last processes may be ending still, and a cgroup with a process in it can't go."""
    for attempt in range(50):
        try:
            remove(layout, facts.cgroups)
            return
        except (MinipodError, OSError):
            if attempt == 49:
                raise
        await asyncio.sleep(0.02)


def _tell_systemd(state: str) -> None:
    """sd_notify(3), where systemd wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock, short_path(address) as short:
        sock.connect("\0" + short[1:] if short.startswith("@") else short)
        sock.send(state.encode())
