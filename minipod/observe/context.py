"""What the host, pause and the containers of one pod share: namespaces and volumes.

Nothing is taken on trust from whoever built the pod: a namespace is known by the inode of /proc/PID/ns/KIND
(namespaces(7): two processes are in one namespace if device and inode are equal), a volume by the device and inode
that each container finds at its mount path.
"""

import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from minipod.errors import KernelError
from minipod.kernel.process import NAMESPACES
from minipod.observe import mounts

Whose = Literal[
    "host",  # the one the node itself is in
    "pod",  # held by pause, and shared
    "own",  # nobody else's
    "shared",  # not pause's, but another container is in it too
    "hidden",  # the kernel doesn't let us see it (ptrace(2): access mode checking)
]


class Namespace(msgspec.Struct, frozen=True):
    """One namespace as one process has it. `inode` is 0 when hidden."""

    inode: int
    whose: Whose


class Process(msgspec.Struct, frozen=True):
    """The host (the node itself), pause, or a container's first process, with a namespace per kind."""

    name: str
    role: Literal["host", "pause", "container"]
    pid: int  # in the node's PID namespace; 0: not started yet
    state: Literal["running", "ended", "waiting"]
    namespaces: dict[str, Namespace]  # empty unless running


class View(msgspec.Struct, frozen=True):
    """What one container finds at one mount path of a volume."""

    container: str
    path: str
    device: str = ""  # major:minor
    inode: int = 0
    fstype: str = ""
    size: int = 0  # bytes of the whole file system; for tmpfs its size= option
    used: int = 0  # bytes
    readonly: bool = False
    problem: str = ""  # why there is nothing to see


class Volume(msgspec.Struct, frozen=True):
    """A volume of the pod. `shared`: more than one container was looked into, and all found the same directory."""

    name: str
    shared: bool
    views: tuple[View, ...]


class Observation(msgspec.Struct, frozen=True):
    """One look at a pod; `processes` begins with the host and pause."""

    processes: tuple[Process, ...]
    volumes: tuple[Volume, ...]


def shared_context(
    host_pid: int,
    pause_pid: int,
    containers: Sequence[tuple[str, int]],
    volume_mounts: Sequence[tuple[str, str, str]] = (),
    ids: Mapping[str, str] | None = None,
) -> Observation:
    """Look at a pod through /proc, from the PID namespace that the pids are of. Needs CAP_SYS_PTRACE.

    `containers` are names with the pid of their first process, 0 if there has been none yet; `volume_mounts` are
    (volume, container, mount path); `ids` says of a container what its cgroup is called. A process that ends meanwhile
    is no error: it is reported as ended.
    """
    members = [("host", "host", host_pid), ("pause", "pause", pause_pid)]
    members += [("container", name, pid) for name, pid in containers]
    inodes = [_namespaces(pid) for _, _, pid in members]
    processes = tuple(
        Process(
            name=name,
            role=role,  # type: ignore[arg-type]  # one of the words above
            pid=pid,
            state="waiting" if pid == 0 else "running" if inodes[index] else "ended",
            namespaces={kind: _judge(kind, index, inodes) for kind in inodes[index]},
        )
        for index, (role, name, pid) in enumerate(members)
    )
    return Observation(processes, tuple(_volumes(dict(containers), ids or {}, volume_mounts)))


def _namespaces(pid: int) -> dict[str, int]:
    """The inode of each kind of namespace, 0 where hidden; nothing at all for a process that has ended."""
    if pid <= 0:
        return {}
    try:
        # Everything below is read through this descriptor: it means this process even if its number is used again.
        proc = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        inodes = {kind: _inode(proc, f"ns/{kind}") for kind in NAMESPACES}
        return {} if _is_dead(proc) else inodes
    finally:
        os.close(proc)


def _inode(proc: int, link: str) -> int:
    try:
        return os.stat(link, dir_fd=proc).st_ino
    except OSError:
        return 0


def _is_dead(proc: int) -> bool:
    """Gone, or a zombie: its namespaces are no longer its own (proc_pid_stat(5), field 3)."""
    try:
        fd = os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
        with open(fd, "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] in (b"Z", b"X")
    except OSError:
        return True


def _judge(kind: str, index: int, inodes: list[dict[str, int]]) -> Namespace:
    """Whose the namespace of process `index` is. The first two are the host and pause."""
    host, pause, *containers = [process.get(kind, 0) for process in inodes]
    inode = inodes[index][kind]
    whose: Whose
    if inode == 0:
        whose = "hidden"
    elif inode == host:
        whose = "host"
    elif inode == pause:
        whose = "pod" if inode in containers else "own"
    else:
        whose = "own" if containers.count(inode) == 1 else "shared"
    return Namespace(inode, whose)


def _volumes(
    pids: Mapping[str, int], ids: Mapping[str, str], volume_mounts: Sequence[tuple[str, str, str]]
) -> Iterator[Volume]:
    for name in dict.fromkeys(volume for volume, _, _ in volume_mounts):
        views = tuple(
            _view(container, pids.get(container, 0), ids.get(container, ""), path)
            for volume, container, path in volume_mounts
            if volume == name
        )
        seen = [view for view in views if not view.problem]
        places = {(view.device, view.inode) for view in seen}
        yield Volume(name, len({view.container for view in seen}) > 1 and len(places) == 1, views)


def _view(container: str, pid: int, cgroup: str, path: str) -> View:
    if pid == 0:
        return View(container, path, problem="not started")
    try:
        with mounts.inside(pid, cgroup, path) as fd:
            return _look(container, pid, path, fd)
    except KernelError as error:
        ended = error.errno == errno.ESRCH
        return View(container, path, problem="ended" if ended else os.strerror(error.errno))


def _look(container: str, pid: int, path: str, fd: int) -> View:
    """All of one descriptor: device and inode from fstat, room from fstatvfs, type from the container's mountinfo."""
    status, room, mount = os.fstat(fd), os.fstatvfs(fd), mounts.mount_of(pid, fd)
    return View(
        container=container,
        path=path,
        device=mounts.device_name(status.st_dev),
        inode=status.st_ino,
        fstype=mount.fstype if mount else "",
        size=room.f_blocks * room.f_frsize,
        used=(room.f_blocks - room.f_bfree) * room.f_frsize,
        readonly=bool(room.f_flag & os.ST_RDONLY),
    )
