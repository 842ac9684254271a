"""What is left of the node's verbs: observe, node status, node stop."""

import asyncio
import os
import time

import msgspec
from aiohttp import web

from minipod import __version__
from minipod.errors import MinipodError
from minipod.node import rest, status
from minipod.node.console import Console
from minipod.node.delete import delete_pod
from minipod.node.get import flag
from minipod.node.node import NODE, Node
from minipod.observe import context, render
from minipod.spec.types import Pod


async def observe(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/observe"""
    node, query = request.app[NODE], request.query
    form = query.get("output", "")
    if form not in ("", "json"):
        raise status.BadQuery(
            f'unable to match a printer suitable for the output format "{form}", allowed formats are: json'
        )
    pod = node.objects.pod(query.get("namespace") or "default", query.get("name", ""))
    seen = await asyncio.to_thread(_look, pod, await _pids(node, pod))
    if form == "json":
        console.out(render.as_json(seen))
    else:
        console.out(render.as_table(seen, int(query.get("width") or 1 << 16)))
    return 0


async def _pids(node: Node, pod: Pod) -> tuple[int, list[tuple[str, int]]]:
    """Of pause, and of each container's latest attempt, in the order of the manifest."""
    running = await node.pods.observe_pids(pod.metadata.uid)
    pause = next((each.pid for each in reversed(running.sandboxes) if each.state == "ready"), 0)
    latest: dict[str, int] = {}
    for each in sorted(running.containers, key=lambda info: info.attempt):
        latest[each.name] = each.pid if each.state == "running" else -1
    names = [each.name for each in (*pod.spec.init_containers, *pod.spec.containers)]
    return pause, [(name, latest.get(name, 0)) for name in names]


def _look(pod: Pod, pids: tuple[int, list[tuple[str, int]]]) -> context.Observation:
    pause, containers = pids
    mounts = [
        (mount.name, container.name, mount.mount_path)
        for container in (*pod.spec.init_containers, *pod.spec.containers)
        for mount in container.volume_mounts
    ]
    return context.shared_context(os.getpid(), pause, containers, mounts)


# --- the node itself -----------------------------------------------------------------------------------------------


async def node_status(request: web.Request) -> web.Response:
    """GET /minipod/v1/node"""
    node = request.app[NODE]
    layout, phases = node.layout, [pod.status.phase or "Pending" for pod in node.objects.pods()]
    return rest.reply(
        {
            "name": node.facts.node_name,
            "version": __version__,
            "pid": os.getpid(),
            "uptime": round(time.time() - node.started),
            "pods": {phase: phases.count(phase) for phase in sorted(set(phases))},
            "processes": await node.pods.status(),
            "paths": {
                "socket": layout.socket,
                "state": layout.lib,
                "run": layout.run,
                "logs": f"{layout.log}/pods",
                "settings": f"{layout.etc}/node.toml",
            },
            "network": {
                "bridge": layout.bridge,
                "subnets": [f"{layout.subnet4}.0/24", f"{layout.subnet6}::/64"],
                "table": f"inet {layout.table}",
                "mtu": node.facts.mtu,
            },
            "cgroup": layout.cgroup,
            "settings": msgspec.structs.asdict(node.facts.settings),
        }
    )


async def stop(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/node/stop: pods go on, or with `pods=true` end first, and the node's own things go too."""
    node = request.app[NODE]
    if flag(request.query.get("pods")):
        await _remove_pods(node, console)
        node.remove_all = True
    await console.flush()
    node.stopping.set()
    return 0


async def _remove_pods(node: Node, console: Console) -> None:
    with node.objects.watch(lambda change: change.object.kind == "Pod") as watch:
        for pod in node.objects.pods():
            try:
                await node.whole(delete_pod(node, pod, None))
            except MinipodError as error:
                console.err(status.as_text(error))
        while left := len(node.objects.pods()):
            console.progress(f"waiting for {left} pod{'s' if left > 1 else ''} to end")
            await console.flush()
            if await anext(watch, None) is None:
                raise MinipodError("the node is stopping already")
