"""What is in the picture of a pod, and where: a column for each process, a row for each kind of namespace. Pure."""

from collections.abc import Iterator

import msgspec

from minipod.kernel.process import NAMESPACES
from minipod.observe.context import Observation, Process, View, Volume
from minipod.observe.net import Interface, Network
from minipod.observe.svg import width

# Pixels. Margins of the page and of cards, where the first card begins, height of its head.
MARGIN, PAD, TOP, HEAD = 24.0, 12.0, 90.0, 54.0
# Widths: of the host, of the veth pair beside it, of pause, between cards.
HOST, CABLE, PAUSE, GUTTER = 190.0, 140.0, 206.0, 18.0
NARROW, BROAD = 150.0, 230.0  # a container's card
ROW, NET_ROW, GAP, VOLUME = 38.0, 74.0, 8.0, 44.0  # heights


class Column(msgspec.Struct, frozen=True):
    """A process and where its card is."""

    process: Process
    x: float
    w: float

    @property
    def right(self) -> float:
        return self.x + self.w

    @property
    def middle(self) -> float:
        return self.x + self.w / 2


class Row(msgspec.Struct, frozen=True):
    """One kind of namespace and where its line is."""

    kind: str
    y: float
    h: float


class Scene(msgspec.Struct, frozen=True):
    """The host, pause, the containers that run, and those that don't; below the namespaces a shelf for each volume."""

    seen: Observation
    network: Network | None
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @classmethod
    def of(cls, seen: Observation, network: Network | None) -> "Scene":
        return cls(seen, network, tuple(_columns(seen, network)), tuple(_rows(seen, network)))

    @property
    def host(self) -> Column:
        return self.columns[0]

    @property
    def pause(self) -> Column:
        return self.columns[1]

    @property
    def right(self) -> float:
        """The pod's edge."""
        return self.columns[-1].right + PAD

    @property
    def below(self) -> float:
        """Where the namespaces end and the volumes begin."""
        return self.rows[-1].y + self.rows[-1].h + PAD

    @property
    def bottom(self) -> float:
        """Where the cards of the containers end."""
        return self.shelf(len(self.seen.volumes)) if self.seen.volumes else self.below

    def shelf(self, number: int) -> float:
        """The top of a volume."""
        return self.below + GAP + number * (VOLUME + GAP)

    def column(self, name: str) -> Column:
        """A container's. (One may be called host or pause.)"""
        return next(each for each in self.columns[2:] if each.process.name == name)


def _columns(seen: Observation, network: Network | None) -> Iterator[Column]:
    host, pause, *containers = seen.processes
    yield Column(host, MARGIN, HOST)
    x = MARGIN + HOST + CABLE + PAD
    yield Column(pause, x, PAUSE)
    x += PAUSE + GUTTER
    for process in sorted(containers, key=lambda each: each.state != "running"):
        w = min(max(NARROW, *_needs(process, seen, network)), BROAD)
        yield Column(process, x, w)
        x += w + GUTTER


def _needs(process: Process, seen: Observation, network: Network | None) -> Iterator[float]:
    """How wide a container's card would like to be."""
    yield width(process.name, 15, bold=True) + 2 * PAD
    for volume in seen.volumes:
        paths = [view.path for view in volume.views if view.container == process.name]
        yield width(" ".join(paths), 11.5, mono=True) + 2 * PAD
    yield from (width(text, 10.5, mono=True) + 2 * PAD + 4 for text in ports(network, process.name))


def _rows(seen: Observation, network: Network | None) -> Iterator[Row]:
    """What the pod shares first, then what each has for itself, then what is the host's."""
    inside = [each.namespaces for each in seen.processes[1:] if each.namespaces]

    def rank(kind: str) -> int:
        whose = {namespaces[kind].whose for namespaces in inside}
        return 0 if "pod" in whose else 2 if whose == {"host"} else 1

    tall = uplink(network) or any(ports(network, each.name) for each in seen.processes[2:])
    y = TOP + PAD + HEAD
    for kind in sorted(NAMESPACES, key=rank):
        h = NET_ROW if kind == "net" and tall else ROW
        yield Row(kind, y, h)
        y += h + GAP


# --- what is told of the network and of volumes ----------------------------------------------------------------------


def uplink(network: Network | None) -> Interface | None:
    """The pod's end of its veth pair."""
    interfaces = network.interfaces if network and not network.host else ()
    return next((each for each in interfaces if each.bridge), None)


def ports(network: Network | None, container: str) -> list[str]:
    """What a container listens on."""
    found = [
        f"listens {each.local}"
        for each in (network.sockets if network else ())
        if each.state == "LISTEN" and any(holder.container == container for holder in each.holders)
    ]
    return list(dict.fromkeys(found))


def seen_first(volume: Volume) -> View | None:
    """The volume as the first one sees it who could be looked into."""
    return next((view for view in volume.views if not view.problem), None)


def is_same(volume: Volume, view: View) -> bool:
    """Whether `view` is the directory that the first one sees."""
    first = seen_first(volume)
    return bool(first and (view.device, view.inode, view.problem) == (first.device, first.inode, ""))
