"""Two pods, or a pod and the host: which namespaces and which directories are the same. Pure."""

from collections.abc import Sequence

import msgspec

from minipod.kernel.process import NAMESPACES
from minipod.observe.mounts import Place
from minipod.observe.report import Report
from minipod.observe.text import Row, table

HOST = "host"


Inodes = tuple[tuple[str, int], ...]  # of processes and their namespaces; a container may be called pause


class Side(msgspec.Struct, frozen=True):
    """One of the two: the inode of each process's namespace, by kind, and its volumes."""

    name: str
    namespaces: dict[str, Inodes]  # by kind
    places: tuple[Place, ...]


class Kind(msgspec.Struct, frozen=True):
    """One kind of namespace: which there are on each side, and who is in the same."""

    kind: str
    inodes: tuple[tuple[int, ...], tuple[int, ...]]
    shared: tuple[int, ...]  # the inodes that are on both sides
    by: tuple[tuple[str, ...], tuple[str, ...]]  # the processes of each side that are in these


class Common(msgspec.Struct, frozen=True):
    """One directory that both sides see, as CONTAINER:PATH, or the path on the host."""

    device: str
    inode: int
    fstype: str
    paths: tuple[tuple[str, ...], tuple[str, ...]]


class Comparison(msgspec.Struct, frozen=True):
    """What two sides share. `host` has the host's own inode of each kind."""

    names: tuple[str, str]
    host: dict[str, int]
    namespaces: tuple[Kind, ...]
    volumes: tuple[Common, ...]


def of_pod(name: str, report: Report) -> Side:
    """A side from a report with mounts."""
    called = f"pod/{HOST}" if name == HOST else name  # as on the command line
    return Side(called, _inodes(report, ("pause", "container")), report.mounts or ())


def of_host(report: Report) -> Side:
    """The other side of anybody's report: the host itself, which sees a volume wherever it has the same directory."""
    return Side(HOST, _inodes(report, ("host",)), ())


def _inodes(report: Report, roles: Sequence[str]) -> dict[str, Inodes]:
    running = [each for each in report.processes if each.role in roles and each.state == "running"]
    return {
        kind: tuple((each.name, inode) for each in running if (inode := each.namespaces[kind].inode))
        for kind in NAMESPACES
    }


def compare(first: Side, second: Side, host: Side) -> Comparison:
    """What `first` and `second` share; `host` is of_host() of either, and may be the second."""
    return Comparison(
        names=(first.name, second.name),
        host={kind: inodes[0][1] if inodes else 0 for kind, inodes in host.namespaces.items()},
        namespaces=tuple(_kind(kind, first.namespaces[kind], second.namespaces[kind]) for kind in NAMESPACES),
        volumes=_with_host(first) if second is host else _volumes(first, second),
    )


def _kind(kind: str, first: Inodes, second: Inodes) -> Kind:
    ours, theirs = ([inode for _, inode in side] for side in (first, second))
    shared = {*ours} & {*theirs}
    return Kind(
        kind=kind,
        inodes=(tuple(dict.fromkeys(ours)), tuple(dict.fromkeys(theirs))),
        shared=tuple(sorted(shared)),
        by=(
            tuple(name for name, inode in first if inode in shared),
            tuple(name for name, inode in second if inode in shared),
        ),
    )


def _volumes(first: Side, second: Side) -> tuple[Common, ...]:
    others = {(place.device, place.inode): place for place in second.places if place.volume}
    pairs = [
        (place, others[place.device, place.inode])
        for place in first.places
        if place.volume and (place.device, place.inode) in others
    ]
    return tuple(Common(one.device, one.inode, one.fstype, (_spots(one), _spots(two))) for one, two in pairs)


def _with_host(side: Side) -> tuple[Common, ...]:
    return tuple(
        Common(place.device, place.inode, place.fstype, (_spots(place), (place.host,)))
        for place in side.places
        if place.volume and place.host
    )


def _spots(place: Place) -> tuple[str, ...]:
    return tuple(f"{spot.container}:{spot.path}" for spot in place.spots)


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(seen: Comparison, width: int) -> str:
    """A table of the namespaces and one of the volumes, at most `width` columns wide."""
    first, second = seen.names
    rows = [(each.kind, *map(_cell, each.inodes), _verdict(each, seen)) for each in seen.namespaces]
    text = table(("NAMESPACE", first, second, "SHARED"), rows, width)
    if not seen.volumes:
        return f"{text}\n\nno volume in common"
    volumes: list[Row] = [
        (each.device, str(each.inode), each.fstype, *map(" ".join, each.paths)) for each in seen.volumes
    ]
    return text + "\n\n" + table(("DEVICE", "INODE", "TYPE", first, second), volumes, width)


def _cell(inodes: Sequence[int]) -> str:
    return str(inodes[0]) if len(inodes) == 1 else f"{len(inodes)} different" if inodes else "-"


def _verdict(each: Kind, seen: Comparison) -> str:
    if not each.shared:
        return "no"
    if all(len(inodes) == 1 for inodes in each.inodes):
        return (
            "yes, the host's" if each.shared == (seen.host[each.kind],) and HOST not in seen.names else "yes"
        )
    return f"only {', '.join(each.by[0])}, with {', '.join(each.by[1])}"
