"""The tree of a pod's cgroups: limits, use, pressure and out-of-memory kills, on v1, v2 or both.

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, scheduler/sched-bwc.rst, accounting/psi.rst.
"""

import os
from collections.abc import Mapping, Sequence

import msgspec

from minipod.errors import KernelError
from minipod.kernel import cgroups, files
from minipod.observe import members as who
from minipod.observe.members import Member
from minipod.observe.text import Row, printable, size, table

_UNLIMITED = 1 << 60  # v1 writes the largest number of pages instead of "max"


class Limits(msgspec.Struct, frozen=True):
    """What a cgroup may use; None: no limit, or nobody here who could set one."""

    cpu_weight: int | None = None  # v2: 1..10000, 100 unless set
    cpu_shares: int | None = None  # v1: 2..262144, 1024 unless set
    cpu_quota: int | None = None  # microseconds in each period
    cpu_period: int | None = None  # microseconds
    memory: int | None = None  # bytes
    pids: int | None = None


class Stall(msgspec.Struct, frozen=True):
    """How much of the time somebody (or everybody) in the cgroup waited, in percent, and microseconds in all."""

    avg10: float
    avg60: float
    avg300: float
    total: int


class Pressure(msgspec.Struct, frozen=True):
    """One *.pressure file. `full`: nobody in the cgroup could do anything; None where the kernel doesn't tell."""

    some: Stall
    full: Stall | None = None


class Group(msgspec.Struct, frozen=True):
    """One cgroup."""

    path: str  # relative to each hierarchy's mount point
    name: str  # "pod", pause, a container; of another its own name
    depth: int  # 0 is the pod's
    processes: int  # in it and below
    limits: Limits
    usage: cgroups.Usage
    throttled_usec: int | None
    pressure: dict[str, Pressure]  # by cpu, memory, io; empty without PSI


class Tree(msgspec.Struct, frozen=True):
    """The pod's cgroup and all below it, parents before children. `hierarchies` says where each controller is."""

    hierarchies: cgroups.Hierarchies
    groups: tuple[Group, ...]


def look(
    members: Sequence[Member],
    ids: Mapping[str, str] | None = None,
    hierarchies: cgroups.Hierarchies | None = None,
) -> Tree:
    """The cgroup above those of the members, and everything below it.

    `ids` tells whose a cgroup of that name was: an empty one may be left of a container that has ended.
    """
    here = hierarchies or cgroups.detect()
    names = {member.cgroup: member.name for member in members if member.cgroup}
    groups: list[Group] = []
    if names:
        top = os.path.dirname(next(iter(names)))
        names.setdefault(top, "pod")
        for folder, below, _ in os.walk(f"{here.v2}{top}"):
            below.sort(key=lambda name: _order(list(names), f"{folder.removeprefix(here.v2)}/{name}"))
            path = folder.removeprefix(here.v2)
            try:
                name = names.get(path) or _left(os.path.basename(path), ids or {})
                groups.append(_group(here, path, name, path.count("/") - top.count("/")))
            except KernelError:  # removed meanwhile
                continue
    return Tree(here, tuple(groups))


def _order(known: list[str], path: str) -> tuple[int, str]:
    """Members in their order, then what nobody knows."""
    return known.index(path) if path in known else len(known), path


def _left(name: str, ids: Mapping[str, str]) -> str:
    return f"{ids[name]} (ended)" if name in ids else printable(name)


def _group(here: cgroups.Hierarchies, path: str, name: str, depth: int) -> Group:
    relative = path.strip("/")
    return Group(
        path=relative,
        name=name,
        depth=depth,
        processes=len(who.processes(f"{here.v2}{path}")),
        limits=_limits(here, relative),
        usage=cgroups.usage(here, relative),
        throttled_usec=_throttled(here, relative),
        pressure=_pressure(f"{here.v2}{path}"),
    )


def _limits(here: cgroups.Hierarchies, cgroup: str) -> Limits:
    cpu, memory, pids = (here.directory(name, cgroup) for name in ("cpu", "memory", "pids"))
    if "cpu" in here.v2_controllers:
        quota, _, period = _text(f"{cpu}/cpu.max").partition(" ")
        weight, shares = _number(_text(f"{cpu}/cpu.weight")), None
    else:
        quota, period = _text(f"{cpu}/cpu.cfs_quota_us"), _text(f"{cpu}/cpu.cfs_period_us")
        weight, shares = None, _number(_text(f"{cpu}/cpu.shares"))
    on_v2 = "memory" in here.v2_controllers
    return Limits(
        cpu_weight=weight,
        cpu_shares=shares,
        cpu_quota=_number(quota),
        cpu_period=_number(period),
        memory=_number(_text(f"{memory}/{'memory.max' if on_v2 else 'memory.limit_in_bytes'}")),
        pids=_number(_text(f"{pids}/pids.max")),
    )


def _throttled(here: cgroups.Hierarchies, cgroup: str) -> int | None:
    """v2 counts microseconds, v1 nanoseconds; only where CPU quotas are known."""
    text = _text(f"{here.directory('cpu', cgroup)}/cpu.stat")
    fields = dict(line.split() for line in text.splitlines())
    if "throttled_usec" in fields:
        return int(fields["throttled_usec"])
    return int(fields["throttled_time"]) // 1000 if "throttled_time" in fields else None


def _pressure(v2_directory: str) -> dict[str, Pressure]:
    """PSI is cgroup2's, also where that has no controllers. Nothing without CONFIG_PSI, or with psi=0."""
    texts = {kind: _text(f"{v2_directory}/{kind}.pressure") for kind in ("cpu", "memory", "io")}
    return {kind: parse_pressure(text) for kind, text in texts.items() if text}


def parse_pressure(text: str) -> Pressure:
    """some avg10=0.00 avg60=0.00 avg300=0.00 total=0, and the same with full."""
    stalls: dict[str, Stall] = {}
    for line in text.splitlines():
        kind, *pairs = line.split()
        values = dict(pair.split("=") for pair in pairs)
        average = {name: float(values[name]) for name in ("avg10", "avg60", "avg300")}
        stalls[kind] = Stall(**average, total=int(values["total"]))
    return Pressure(stalls["some"], stalls.get("full"))


def _text(path: str) -> str:
    """Empty for a file that isn't there: a controller that this host, or this cgroup, hasn't got."""
    try:
        return files.read(path)
    except KernelError:
        return ""


def _number(text: str) -> int | None:
    """None for what the kernel calls no limit: max, -1, or more than there can be."""
    return int(text) if text.isdecimal() and int(text) < _UNLIMITED else None


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(tree: Tree, width: int) -> str:
    """The tree as a table of at most `width` columns, then where it is."""
    if not tree.groups:
        return "CGROUP\nnobody in the pod runs"
    head = ("CGROUP", "PROCS", "CPU", "WEIGHT", "MEMORY", "PIDS", "OOM KILLS", "PRESSURE cpu/memory/io")
    text = table(head, [_row(group) for group in tree.groups], width)
    places = [f"cgroup2 (pressure, killing): {tree.hierarchies.v2}"]
    places += [f"{name}: {tree.hierarchies.directory(name, '')}" for name in ("cpu", "memory", "pids")]
    return "\n".join(
        [text, "", f"{tree.groups[0].path} below", *(f"  {place.rstrip('/')}" for place in places)]
    )


def _row(group: Group) -> Row:
    limits, usage = group.limits, group.usage
    cpu = "-" if usage.cpu_usec is None else f"{usage.cpu_usec / 1e6:.2f}s"
    if limits.cpu_quota and limits.cpu_period:
        cpu += f" max {limits.cpu_quota / limits.cpu_period:g}"
    if group.throttled_usec:
        cpu += f" throttled {group.throttled_usec / 1e6:.2f}s"
    memory = "-" if usage.memory_bytes is None else size(usage.memory_bytes)
    pressure = [group.pressure.get(kind) for kind in ("cpu", "memory", "io")]
    return (
        "  " * group.depth + group.name,
        str(group.processes),
        cpu,
        _or_dash(limits.cpu_shares if limits.cpu_weight is None else limits.cpu_weight),
        memory + (f"/{size(limits.memory)}" if limits.memory is not None else ""),
        _or_dash(usage.pids) + (f"/{limits.pids}" if limits.pids is not None else ""),
        _or_dash(usage.oom_kills),
        " ".join("-" if each is None else f"{each.some.avg10:g}%" for each in pressure),
    )


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)
