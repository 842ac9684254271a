"""Everything that is asked about one pod, in one look."""

import os
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from minipod.observe import cgroup, context, ipc, members, mounts, net, processes, render, security
from minipod.observe.cgroup import Tree
from minipod.observe.context import Observation, Process, Volume
from minipod.observe.ipc import Ipc
from minipod.observe.mounts import Place
from minipod.observe.net import Network
from minipod.observe.processes import PodProcess
from minipod.observe.security import Security


class Subject(msgspec.Struct, frozen=True):
    """A pod, as whoever runs it knows it: PIDs in the node's PID namespace, 0 if there is none yet."""

    name: str
    pause: int
    containers: tuple[tuple[str, int], ...]
    volume_mounts: tuple[tuple[str, str, str], ...] = ()  # volume, container, mount path
    ids: dict[str, str] = {}  # each container's id (its cgroup's name) and its name; the latest one last


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was seen. What wasn't asked for is unset, and not in the JSON at all."""

    processes: tuple[Process, ...]
    volumes: tuple[Volume, ...]
    tree: tuple[PodProcess, ...] | UnsetType = UNSET
    net: Network | UnsetType | None = UNSET
    ipc: Ipc | UnsetType | None = UNSET
    mounts: tuple[Place, ...] | UnsetType = UNSET
    cgroup: Tree | UnsetType = UNSET
    security: tuple[Security, ...] | UnsetType = UNSET


# The section's name, as a flag and as a field of Report, and its text. In the order in which they are shown.
_TEXTS: dict[str, tuple[str, Callable[[Any, int], str]]] = {
    "processes": ("tree", processes.as_text),
    "net": ("net", net.as_text),
    "ipc": ("ipc", ipc.as_text),
    "mounts": ("mounts", mounts.as_text),
    "cgroup": ("cgroup", cgroup.as_text),
    "security": ("security", security.as_text),
}
SECTIONS = tuple(_TEXTS)


def look(subject: Subject, sections: Collection[str] = ()) -> Report:
    """Namespaces and volumes, and each of `sections`. Must run in the host's namespaces, as root; it may block."""
    latest = {name: cgroup for cgroup, name in subject.ids.items()}
    shared = context.shared_context(
        os.getpid(), subject.pause, subject.containers, subject.volume_mounts, latest
    )
    ours = members.of_pod(subject.pause, subject.containers) if sections else ()
    looks: dict[str, Callable[[], Any]] = {
        "processes": lambda: processes.look(ours),
        "net": lambda: net.look(ours),
        "ipc": lambda: ipc.look(ours),
        "mounts": lambda: mounts.look(ours, subject.volume_mounts),
        "cgroup": lambda: cgroup.look(ours, subject.ids),
        "security": lambda: security.look(ours),
    }
    seen = {_TEXTS[name][0]: look() for name, look in looks.items() if name in sections}
    return Report(shared.processes, shared.volumes, **seen)


def as_text(report: Report, sections: Collection[str], width: int) -> str:
    """The sections with an empty line between them; without any, and with all of them, namespaces and volumes."""
    texts = [
        show(getattr(report, field), width) for name, (field, show) in _TEXTS.items() if name in sections
    ]
    if len(texts) in (0, len(SECTIONS)):
        texts.insert(0, render.as_table(Observation(report.processes, report.volumes), width).rstrip("\n"))
    return "\n\n".join(texts)
