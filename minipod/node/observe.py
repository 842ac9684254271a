"""`minipod observe`: what the kernel shows of a pod, at once or again and again; or of two, side by side."""

import asyncio
from collections.abc import Iterator

import msgspec
from aiohttp import web

from minipod.node import status
from minipod.node.console import Console
from minipod.node.node import NODE, Node
from minipod.node.printers import no_printer
from minipod.node.query import flag, number
from minipod.observe import compare, picture, render, report
from minipod.observe.context import Observation
from minipod.observe.net import Network
from minipod.observe.report import Report, Subject
from minipod.observe.text import cut
from minipod.spec.types import Pod

_INTERVAL = 1.0  # seconds between two looks with --watch
_WIDE = 1 << 16  # columns where there is no terminal


class Wish(msgspec.Struct, frozen=True):
    """What was asked for."""

    names: tuple[str, ...]  # one pod, or two
    with_host: bool  # compare the pod with the host
    namespace: str
    sections: tuple[str, ...]
    output: str
    watch: bool
    redraw: bool  # on a terminal: over what was there
    width: int
    height: int  # of the terminal, 0 without one

    @classmethod
    def of(cls, request: web.Request) -> "Wish":
        """Raises BadQuery."""
        query = request.query
        names, with_host = tuple(query.getall("name", ())), flag(query.get("with-host"))
        sections, output = tuple(query.getall("show", ())), query.get("output", "")
        if unknown := set(sections) - set(report.SECTIONS):
            raise status.BadQuery(
                f"there is no {min(unknown)} to show; there are {', '.join(report.SECTIONS)}"
            )
        if output not in ("", "json", "svg"):
            raise no_printer(output, ("json", "svg"))
        if output == "svg" and (sections or flag(query.get("watch")) or len(names) + with_host != 1):
            raise status.BadQuery("a picture is of one pod, whole, and at one moment")
        if len(names) + with_host not in (1, 2) or not names:
            raise status.BadQuery("one pod is observed, or two are compared, or one and the host")
        if len(names) + with_host == 2 and sections:
            raise status.BadQuery(f"two are compared as a whole: --{sections[0]} is for one pod")
        return cls(
            names=names,
            with_host=with_host,
            namespace=query.get("namespace") or "default",
            sections=sections,
            output=output,
            watch=flag(query.get("watch")),
            redraw=bool(query.get("height")),
            width=number(query.get("width"), "width") or _WIDE,
            height=int(query.get("height") or 0),
        )


async def observe(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/observe"""
    node, wish = request.app[NODE], Wish.of(request)
    look = _one if len(wish.names) + wish.with_host == 1 else _two
    text = await look(node, wish)
    console.out(_frame(text, wish))
    while wish.watch:
        await console.flush()
        try:
            await asyncio.wait_for(node.stopping.wait(), _INTERVAL)
        except TimeoutError:
            text = await look(node, wish)
        else:
            console.err("error: the node is stopping: watch ended")
            return 1
        if not wish.redraw and not wish.output:
            console.out("---")
        console.out(_frame(text, wish))
    return 0


async def _one(node: Node, wish: Wish) -> str:
    """One pod's report as text, in the form that was asked for."""
    if wish.output == "svg":
        seen = await _report(node, wish.names[0], wish.namespace, ("net",))
        network = seen.net if isinstance(seen.net, Network) else None
        return picture.draw(wish.names[0], Observation(seen.processes, seen.volumes), network)
    seen = await _report(node, wish.names[0], wish.namespace, wish.sections)
    return render.as_json(seen) if wish.output else report.as_text(seen, wish.sections, wish.width)


async def _two(node: Node, wish: Wish) -> str:
    sides = [await _report(node, name, wish.namespace, ("mounts",)) for name in wish.names]
    host = compare.of_host(sides[0])
    first, *second = [compare.of_pod(name, seen) for name, seen in zip(wish.names, sides, strict=True)]
    seen = compare.compare(first, second[0] if second else host, host)
    return render.as_json(seen) if wish.output else compare.as_text(seen, wish.width)


async def _report(node: Node, name: str, namespace: str, sections: tuple[str, ...]) -> Report:
    """Raises NotFound."""
    subject = await _subject(node, name, namespace)
    return await asyncio.to_thread(report.look, subject, sections)


async def _subject(node: Node, name: str, namespace: str) -> Subject:
    """The pod's PIDs: of pause, and of each container's latest attempt, in the order of the manifest."""
    pod = node.objects.pod(namespace, name)
    running = await node.pods.observe_pids(pod.metadata.uid)
    attempts = sorted(running.containers, key=lambda info: info.attempt)
    # Of a pod that is over there may be no more than its status.
    latest = dict.fromkeys(_ended(pod), -1)
    for each in attempts:
        if each.state != "created":  # its process is on its way, or stopped at a breakpoint
            latest[each.name] = each.pid if each.state == "running" else -1
    ready = (each.pid for each in reversed(running.sandboxes) if each.state == "ready")
    pause = next(ready, -1 if latest else 0)
    containers = (*pod.spec.init_containers, *pod.spec.containers, *pod.spec.ephemeral_containers)
    return Subject(
        name=name,
        pause=pause,
        containers=tuple((each.name, latest.get(each.name, 0)) for each in containers),
        volume_mounts=tuple(
            (mount.name, each.name, mount.mount_path) for each in containers for mount in each.volume_mounts
        ),
        ids={each.id: each.name for each in attempts},
    )


def _ended(pod: Pod) -> Iterator[str]:
    """The containers that have ended, as the pod's status has it."""
    told = pod.status
    for each in (*told.init_container_statuses, *told.container_statuses, *told.ephemeral_container_statuses):
        if each.state.terminated:
            yield each.name


def _frame(text: str, wish: Wish) -> str:
    """On a terminal the text over what was there (ECMA-48: CUP, EL, ED), and no more of it than there is room for."""
    if not (wish.watch and wish.redraw):
        return text
    lines = [cut(line, wish.width) for line in text.split("\n")]
    if len(lines) >= wish.height:
        left = len(lines) - wish.height + 2
        lines = [
            *lines[: wish.height - 2],
            f"... {left} more lines: make the terminal higher, or ask for less",
        ]
    return "\x1b[H" + "\n".join(f"{line}\x1b[K" for line in lines) + "\x1b[J"
