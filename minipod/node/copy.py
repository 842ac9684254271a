"""Where `minipod cp` reads and writes: a file or folder of a container, found for the client and passed on to it.

A path inside a container is the container's: any part of it may be a link that says /etc/shadow, and change while we
look. So the node finds it with openat2(2) and RESOLVE_IN_ROOT below the container's own root, mounts and volumes
included, and passes on a descriptor (SCM_RIGHTS); the client goes on from there one name at a time, never through a
link. Nothing runs in the container, which needs no tar.
"""

import array
import asyncio
import errno
import os
import socket
from typing import NamedTuple

from aiohttp import web

from minipod.api.cri import ContainerInfo
from minipod.errors import Conflict, KernelError, MinipodError, NotFound
from minipod.kernel import process
from minipod.kernel.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2
from minipod.node import rest, status
from minipod.node.node import NODE
from minipod.supervisor import config
from minipod.supervisor.wanted import containers_of

_RESOLVE = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


class Found(NamedTuple):
    """An O_PATH descriptor of what is there; or of the folder in which it isn't, and the `name` it would have."""

    fd: int
    name: str = ""


async def find(request: web.Request) -> web.StreamResponse:
    """POST /minipod/v1/files?namespace=&name=&container=&path=: answers with a descriptor after

    found UID GID\\n            of the file or folder itself, and of the user whose files those of the container are
    missing UID GID NAME\\n     of the folder in which NAME isn't there yet
    """
    node, query = request.app[NODE], request.query
    pod = node.objects.pod(query.get("namespace") or "default", query.get("name", ""))
    name = rest.running_container(pod, query.get("container", ""), "copy files of")
    if not query.get("path"):
        raise status.BadRequest("filepath can not be empty")
    spec = next(each for each in containers_of(pod) if each.name == name)
    known = config.container(pod, spec, node.facts, 0)
    path, shown = os.path.join(known.cwd, query["path"]), f"{query['name']}:{query['path']}"
    with rest.upgraded(request) as fd:
        running = (await node.pods.observe_pids(pod.metadata.uid)).containers
        info = next(
            (each for each in reversed(running) if each.name == name and each.state == "running"), None
        )
        if info is None:
            raise NotFound("container", name)
        try:
            found = await asyncio.to_thread(_find, info, path)
        except KernelError as error:
            raise MinipodError(f"{shown}: {os.strerror(error.errno).lower()}") from None
        word = (
            f"missing {known.uid} {known.gid} {found.name}"
            if found.name
            else f"found {known.uid} {known.gid}"
        )
        _pass_on(fd, f"{word}\n".encode(errors="surrogateescape"), found.fd)
    return web.Response()


def _find(info: ContainerInfo, path: str) -> Found:
    """Raises NotFound, Conflict and KernelError."""
    try:
        root = process.root(info.pid, info.id)  # not of a process that has its pid by now
    except KernelError as error:
        if error.errno != errno.ESRCH:
            raise
        raise Conflict(f'container "{info.name}" has ended') from None
    try:
        return Found(openat2(root, path, os.O_PATH, resolve=_RESOLVE))
    except KernelError as error:
        folder, _, name = path.rstrip("/").rpartition("/")
        if error.errno != errno.ENOENT or name in ("", ".", ".."):
            raise
        return Found(openat2(root, folder or "/", os.O_PATH | os.O_DIRECTORY, resolve=_RESOLVE), name)
    finally:
        os.close(root)


def _pass_on(connection: int, text: bytes, fd: int) -> None:
    try:
        with socket.socket(fileno=os.dup(connection)) as sock:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
            sock.sendmsg([text], rights, socket.MSG_NOSIGNAL)
    finally:
        os.close(fd)
