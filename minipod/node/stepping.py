"""`minipod step`, `minipod continue` and `minipod enter`: what can be done with a pod whose build is stopped."""

import shutil
import struct
from collections.abc import Iterator

from aiohttp import web

from minipod.api import messages as m
from minipod.errors import Conflict, MinipodError
from minipod.image import store
from minipod.node import breakpoints, rest
from minipod.node.console import Console
from minipod.node.node import NODE, Node
from minipod.node.query import flag, number
from minipod.spec.types import Pod

_PT_INTERP = 3  # type of a program header (elf(5))


async def step(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/step"""
    pod = _pod(request)
    count = number(request.query.get("count"), "count")
    wish = m.Step(1 if count is None else count)
    return await _go_on(request.app[NODE], pod, wish, console)


async def continue_(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/continue"""
    return await _go_on(request.app[NODE], _pod(request), m.Continue(), console)


async def enter(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/namespaces/{ns}/pods/{name}/enter: as exec, where the build is stopped."""
    node, query, pod = request.app[NODE], request.query, rest.pod_of(request)
    wish = m.Enter(
        program=busybox(node.facts.layout.images),
        argv=tuple(query.getall("command", ())) or ("sh",),
        prompt=f"{pod.metadata.name}:\\w # ",
        stdin=flag(query.get("stdin")),
        tty=flag(query.get("tty")),
        rows=number(query.get("rows"), "rows") or 0,
        columns=number(query.get("columns"), "columns") or 0,
    )
    with rest.upgraded(request) as fd:
        await node.pods.exec(pod.metadata.uid, wish, fd)
    return web.Response()


def busybox(images: str) -> str:
    """Path of a busybox that runs in any root: the host's, or that of an image. Raises Conflict."""
    for path in _candidates(images):
        if _is_static(path):
            return path
    raise Conflict(
        "a static busybox is needed to enter a half-built pod: install the package busybox-static, "
        "or import the image busybox"
    )


async def _go_on(node: Node, pod: Pod, wish: m.Step | m.Continue, console: Console) -> int:
    """Say what is done, until the build is stopped again or isn't any more."""
    name = pod.metadata.name
    channel = await breakpoints.ask(node, pod, wish)
    try:
        while True:
            reply = await breakpoints.hear(channel)
            if not isinstance(reply, m.Done) or reply.build is None:
                raise Conflict(reply.error if isinstance(reply, m.Failed) else "the pod's supervisor died")
            build = reply.build
            if isinstance(wish, m.Step):
                for command in build.done:
                    console.out(f"done: {command}")
            if build.stage:
                breakpoints.show(console, pod, build)
                return 0
            if build.over:
                more = "; it stops again before its next operation" if build.armed else ""
                console.out(f"pod/{name} goes on{more}")
                return 0
            await console.flush()
    finally:
        channel.close()


def _pod(request: web.Request) -> Pod:
    query = request.query
    return request.app[NODE].objects.pod(query.get("namespace") or "default", query.get("name", ""))


def _candidates(images: str) -> Iterator[str]:
    if path := shutil.which("busybox"):
        yield path
    try:
        yield f"{store.find(images, 'busybox').rootfs}/bin/busybox"
    except MinipodError:
        pass


def _is_static(path: str) -> bool:
    """Whether an ELF program asks for no interpreter, which is the dynamic linker (elf(5), PT_INTERP)."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
            if head[:5] != b"\x7fELF\x02":  # 64 bits
                return False
            (table,) = struct.unpack_from("<Q", head, 32)
            size, count = struct.unpack_from("<HH", head, 54)
            file.seek(table)
            headers = file.read(size * count)
    except (OSError, struct.error):
        return False
    kinds = [struct.unpack_from("<I", headers, offset)[0] for offset in range(0, len(headers), size)]
    return _PT_INTERP not in kinds
