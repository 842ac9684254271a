"""Whose a process is: the processes of a pod are those in the cgroups of pause and of its containers.

A cgroup is the one thing that a process can't leave by itself and that its children inherit, whatever they do to their
parent, session or name (cgroups(7)).
"""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from minipod.errors import KernelError
from minipod.kernel import cgroups, files
from minipod.observe.text import printable

Key = TypeVar("Key", bound=Hashable)


class Member(msgspec.Struct, frozen=True):
    """pause, or a container that runs. `cgroup` is its cgroup2 path, "" if it has none of its own."""

    name: str
    pid: int  # of its first process
    cgroup: str
    pids: tuple[int, ...]  # of all its processes, the first one first


class Holder(msgspec.Struct, frozen=True):
    """One process of a member that has something: a socket, a file, a mapping."""

    container: str
    pid: int
    command: str  # comm, at most 15 bytes

    def __str__(self) -> str:
        return f"{self.container}/{self.command}({self.pid})"


def open_namespace(members: Sequence[Member], kind: str) -> int:
    """A descriptor of a namespace of the first member that lives, `kind` as in /proc/PID/ns; -1 if nobody does."""
    for member in members:
        try:
            return os.open(f"/proc/{member.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # it has ended
            continue
    return -1


def of_pod(pause: int, containers: Sequence[tuple[str, int]]) -> tuple[Member, ...]:
    """pause and the containers, those of them that have a process. Needs to see their PIDs and cgroup2."""
    root = cgroups.detect().v2
    named = [("pause", pause), *containers]
    return tuple(member for name, pid in named if pid > 0 and (member := _member(root, name, pid)))


def _member(root: str, name: str, pid: int) -> Member | None:
    try:
        cgroup = cgroup_of(pid)
    except KernelError:  # it has ended
        return None
    pids = processes(f"{root}{cgroup}") if cgroup else []
    return Member(name, pid, cgroup, (pid, *(each for each in pids if each != pid)))


def cgroup_of(pid: int) -> str:
    """Its cgroup2 path as seen from our cgroup namespace; "" for the root or what is outside of it."""
    lines = files.read(f"/proc/{pid}/cgroup").splitlines()
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    return "" if path == "/" or path.startswith("/..") else path


def processes(directory: str) -> list[int]:
    """The PIDs in a cgroup2 cgroup and below it, by number."""
    found: list[int] = []
    for folder, _, _ in os.walk(directory):
        try:
            found += map(int, files.read(f"{folder}/cgroup.procs").split())
        except KernelError:  # removed meanwhile, or a threaded one, whose processes its parent shows
            continue
    return sorted(found)


# --- what a process has ----------------------------------------------------------------------------------------------


def holders(members: Iterable[Member], of: Callable[[int], Iterable[Key]]) -> dict[Key, tuple[Holder, ...]]:
    """Who has each of the things that `of` finds for a PID. A process that ends meanwhile has nothing."""
    found: dict[Key, list[Holder]] = {}
    for member in members:
        for pid in member.pids:
            try:
                holder = Holder(member.name, pid, printable(files.read(f"/proc/{pid}/comm")))
                things = set(of(pid))
            except (KernelError, OSError):
                continue
            for thing in things:
                found.setdefault(thing, []).append(holder)
    return {thing: tuple(each) for thing, each in found.items()}


def descriptors(pid: int) -> Iterator[str]:
    """The path in /proc of each descriptor that a process has open. Needs CAP_SYS_PTRACE. See proc_pid_fd(5)."""
    for number in os.listdir(f"/proc/{pid}/fd"):
        yield f"/proc/{pid}/fd/{number}"


def sockets(pid: int) -> Iterator[int]:
    """The inode of each socket that a process has open."""
    for path in descriptors(pid):
        target = _link(path)
        if target.startswith("socket:["):
            yield int(target[8:-1])


def open_files(pid: int) -> Iterator[tuple[int, int]]:
    """Device and inode of each file, directory or queue that a process has open."""
    for path in descriptors(pid):
        if _link(path).startswith("/"):
            try:
                status = os.stat(path)
            except OSError:  # closed meanwhile
                continue
            yield status.st_dev, status.st_ino


def mapped_files(pid: int) -> Iterator[tuple[int, int]]:
    """Device and inode of each file that a process has in its memory."""
    for device, inode, _ in _mappings(pid):
        major, _, minor = device.partition(":")
        yield os.makedev(int(major, 16), int(minor, 16)), int(inode)


def attached_segments(pid: int) -> Iterator[int]:
    """The id of each System V segment that a process has attached: its inode on a tmpfs (or hugetlbfs) of the kernel's.

    Source: newseg() in ipc/shm.c: the file is called SYSV and the key, and is in no directory.
    """
    for _, inode, path in _mappings(pid):
        if path.startswith("/SYSV") and path.endswith(" (deleted)"):
            yield int(inode)


def _mappings(pid: int) -> Iterator[tuple[str, str, str]]:
    """(device, inode, path) of each part of a process's memory that is a file's. See proc_pid_maps(5)."""
    # Not splitlines(): a name may hold any other line's end.
    for line in filter(None, files.read(f"/proc/{pid}/maps").split("\n")):
        _, _, _, device, inode, *path = line.split(maxsplit=5)
        if path and path[0].startswith("/"):  # the first System V segment has inode 0
            yield device, inode, path[0]


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""
