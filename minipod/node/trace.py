"""`minipod trace`: what was done to make a pod."""

import asyncio
from collections.abc import Sequence

from aiohttp import web

from minipod.node import screen
from minipod.node.console import Console
from minipod.node.node import NODE
from minipod.node.printers import no_printer
from minipod.node.query import flag, number
from minipod.observe import trace as traces
from minipod.observe import waterfall
from minipod.observe.text import printable

_FORMS = ("chrome", "json", "svg")


async def trace(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/trace"""
    node, query = request.app[NODE], request.query
    form = query.get("output", "")
    if form and form not in _FORMS:
        raise no_printer(form, _FORMS)
    pod = node.objects.pod(query.get("namespace") or "default", query.get("name", ""))
    stages = traces.spans(await node.pods.trace(pod.metadata.uid))
    if form == "json":
        console.out(traces.as_json(stages))
    elif form == "chrome":
        console.out(traces.as_chrome(stages))
    elif form == "svg":
        title = f"How pod {pod.metadata.namespace}/{pod.metadata.name} was made"
        console.out(await asyncio.to_thread(waterfall.draw, title, stages))
    else:
        _print(console, stages, number(query.get("width"), "width") or 0, flag(query.get("colour")))
    return 0


def _print(console: Console, stages: Sequence[traces.Span], width: int, colours: bool) -> None:
    table = screen.Table(("START", "DURATION", "PROCESS", "PID", "STAGE", "RESULT", "COMMAND"), width=width)
    steps = [step for span in stages for step in span.steps]
    lines = table.text([_row(step) for step in steps]).split("\n")
    for line, step in zip(lines, [None, *steps], strict=True):
        console.out(screen.paint(line, screen.RED) if colours and step and step.error else line)
    if steps:
        processes = len({(step.process, step.pid) for step in steps})
        took = max(step.end for step in steps) / 1e6
        console.out(
            f"\n{len(steps)} operations by {processes} processes; the last one ended after {took:.1f} ms"
        )
    for failed in traces.failures(stages):
        text = (
            f"\nfailed: {failed.stage}, operation {failed.index}, after {failed.end / 1e6:.1f} ms"
            f" in {failed.process} (pid {failed.pid}): {failed.error}\nwhile doing: {printable(failed.command)}"
        )
        console.out(screen.paint(text, screen.RED) if colours else text)


def _row(step: traces.Step) -> Sequence[str]:
    return (
        f"{step.start / 1e6:.3f}",
        f"{step.duration / 1e6:.3f}",
        step.process,
        str(step.pid or "-"),
        f"{step.stage}:{step.index}",
        "failed" if step.error else "ok",
        printable(step.command),
    )
