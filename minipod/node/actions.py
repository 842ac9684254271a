"""What is left of the node's verbs: node status, node stop."""

import os
import time

import msgspec
from aiohttp import web

from minipod import __version__
from minipod.errors import MinipodError
from minipod.node import rest, status
from minipod.node.console import Console
from minipod.node.delete import end_pod
from minipod.node.node import NODE, Node
from minipod.node.query import flag


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
                "manifests": f"{layout.etc}/manifests",
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
        if node.static:
            node.static.cancel()  # or it would start them again
        await _remove_pods(node, console)
        node.remove_all = True
    await console.flush()
    node.stopping.set()
    return 0


async def _remove_pods(node: Node, console: Console) -> None:
    with node.objects.watch(lambda change: change.object.kind == "Pod") as watch:
        for pod in node.objects.pods():
            try:
                await node.whole(end_pod(node, pod, None))
            except MinipodError as error:
                console.err(status.as_text(error))
        while left := len(node.objects.pods()):
            console.progress(f"waiting for {left} pod{'s' if left > 1 else ''} to end")
            await console.flush()
            if await anext(watch, None) is None:
                raise MinipodError("the node is stopping already")
