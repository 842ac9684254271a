"""A pod as a picture. One shape is one kernel object: a bar that crosses several processes is shared by them. Pure.

┌ host ────┐      ┌ pod ────────────────────────────────────────────┐
│ net ─────│─veth─│─┌ pause ────┐─┌ web ───────┐─┌ client ──────┐   │
│          │      │ ▓ net ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓   │   held by pause, shared
│          │      │ │ mnt       │ │ mnt        │ │ mnt          │   │   one for each
░ user ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░   │   the host's
└──────────┘      │ [ volume ]━━▒ /www ▒▒▒▒▒▒▒▒━━▒ /data ▒▒▒▒▒▒▒▒   │
                  └─────────────────────────────────────────────────┘
"""

import itertools
from collections.abc import Sequence

from minipod.observe.context import Observation, View, Volume
from minipod.observe.net import Network
from minipod.observe.scene import (
    CABLE,
    MARGIN,
    PAD,
    TOP,
    VOLUME,
    Column,
    Row,
    Scene,
    is_same,
    ports,
    seen_first,
    uplink,
)
from minipod.observe.svg import FAINT, INK, PAPER, Drawing, width
from minipod.observe.text import size

_ABOUT = {  # what a namespace is of, in few words
    "net": "interfaces, ports",
    "ipc": "System V IPC, queues",
    "uts": "hostname",
    "pid": "process numbers",
    "mnt": "root, mounts",
    "cgroup": "root of its cgroups",
    "user": "user ids",
}
_HUES = {  # fill and edge of what is shared
    "net": ("#dbeafe", "#2563eb"),
    "ipc": ("#ccfbf1", "#0d9488"),
    "uts": ("#ede9fe", "#7c3aed"),
    "pid": ("#ffe4e6", "#e11d48"),
    "mnt": ("#e0f2fe", "#0284c7"),
    "cgroup": ("#dcfce7", "#16a34a"),
    "user": ("#fae8ff", "#c026d3"),
}
_HOSTS, _OWN, _VOLUME = ("#e5e7eb", "#9ca3af"), (PAPER, "#cbd5e1"), ("#fef3c7", "#d97706")
_BEHIND, _EDGE = "#f8fafc", "#94a3b8"


def draw(name: str, seen: Observation, network: Network | None = None) -> str:
    """The SVG document. `name` is the pod's; without `network` no addresses are shown."""
    scene, page = Scene.of(seen, network), Drawing()
    room = scene.right - MARGIN
    page.text(MARGIN, 34, f"Pod {name}", 20, bold=True, room=room)
    page.text(MARGIN, 56, _caption(seen), 12, fill=FAINT, room=room)
    left = scene.pause.x - PAD
    page.rect(
        left, TOP, scene.right - left, scene.bottom + PAD - TOP, fill=_BEHIND, stroke=INK, line=1.5, radius=14
    )
    page.rect(left + 20, TOP - 10, 42, 20, fill=INK, radius=6)
    page.text(left + 41, TOP + 4, "pod", 12, bold=True, fill=PAPER, anchor="middle")
    _pipes(page, scene, 7, None)
    for column in scene.columns:
        _card(page, scene, column)
    _pipes(page, scene, 1.5, "2 4")
    _cable(page, scene)
    for row in scene.rows:
        _namespaces(page, scene, row)
    _volumes(page, scene)
    return page.page(scene.right + MARGIN, _legend(page, scene), f"Pod {name}")


def _caption(seen: Observation) -> str:
    count = len(seen.processes) - 2
    running = sum(each.state == "running" for each in seen.processes[2:])
    return (
        f"{running} of {count} container{'s' * (count != 1)} running. "
        "Each shape is one kernel object; a bar across several processes is shared."
    )


# --- processes -------------------------------------------------------------------------------------------------------


def _card(page: Drawing, scene: Scene, column: Column) -> None:
    process = column.process
    runs = process.state == "running"
    y = TOP if process.role == "host" else TOP + PAD
    end = scene.bottom if process.role == "container" else scene.below
    fill, dash = (PAPER, None) if runs else (_BEHIND, "5 4")
    page.rect(column.x, y, column.w, end - y, fill=fill, stroke=_EDGE, radius=10, line=1.2, dash=dash)
    if process.role == "host":
        about = "this machine"
    elif not runs:
        about = "not started" if process.state == "waiting" else "has ended"
    else:
        held = [kind for kind, each in process.namespaces.items() if each.whose == "pod"]
        about = f"pid {process.pid}" + (
            f", holds {', '.join(held)}" if process.role == "pause" and held else ""
        )
    ink = INK if runs else FAINT
    page.text(column.x + PAD, y + 24, process.name, 15, bold=True, room=column.w - 2 * PAD, fill=ink)
    page.text(column.x + PAD, y + 41, about, 11, room=column.w - 2 * PAD, fill=FAINT)


def _cable(page: Drawing, scene: Scene) -> None:
    """The pod's veth pair: from its network namespace to a port of the bridge on the host."""
    eth0 = uplink(scene.network)
    if eth0 is None:
        return
    row = next(row for row in scene.rows if row.kind == "net")
    y, (_, blue), edge = row.y + 46, _HUES["net"], scene.pause.x - PAD
    middle = (scene.host.right + edge) / 2
    page.path([(scene.host.right - 8, y), (scene.pause.x + 8, y)], blue, 3)
    page.text(middle, y - 9, "veth pair", 11, fill=FAINT, anchor="middle")
    page.text(middle, y + 18, eth0.peer, 11, mono=True, fill=blue, anchor="middle", room=CABLE - 8)
    page.rect(edge - 5, y - 5, 10, 10, fill=blue, radius=2)


# --- namespaces ------------------------------------------------------------------------------------------------------


def _namespaces(page: Drawing, scene: Scene, row: Row) -> None:
    """Each namespace of one kind: a bar over all that are in it."""
    members: dict[int, list[int]] = {}
    for place, column in enumerate(scene.columns):
        if column.process.namespaces:
            inode = column.process.namespaces[row.kind].inode
            members.setdefault(inode or -1 - place, []).append(place)  # nobody shares what is hidden
    for places in members.values():
        _bar(page, scene, row, places)


def _bar(page: Drawing, scene: Scene, row: Row, places: Sequence[int]) -> None:
    columns = [scene.columns[place] for place in places]
    first, *others = columns
    is_host, inode = first.process.role == "host", first.process.namespaces[row.kind].inode
    fill, edge = _HOSTS if is_host else _HUES[row.kind] if others else _OWN
    for start, end in itertools.pairwise(columns):  # past those who aren't in it
        page.path([(start.middle, row.y + row.h / 2), (end.middle, row.y + row.h / 2)], edge, 3)
    note = f"{row.kind} namespace {inode}: " + ", ".join(each.process.name for each in columns)
    for run in _runs(places):
        x, right = scene.columns[run[0]].x + 6, scene.columns[run[-1]].right - 6
        page.rect(x, row.y, right - x, row.h, fill=fill, stroke=edge, radius=7, line=1.2, note=note)
    x = first.x + PAD + 2
    page.text(x, row.y + 16, row.kind, 12.5, bold=True)
    shown = str(inode) if inode else "hidden"
    page.text(first.right - PAD - 2, row.y + 16, shown, 11, mono=True, fill=FAINT, anchor="end")
    for column in others:
        text, ink = ("the host's", FAINT) if is_host else (row.kind, edge)
        page.text(column.x + PAD + 2, row.y + 16, text, 11.5, fill=ink)
    if is_host and others and row.kind == "user":
        page.text(others[0].x + PAD + 2, row.y + 31, "root in here is root out there", 10.5, fill=FAINT)
    if row.kind == "net" and uplink(scene.network) and first.process.role in ("host", "pause"):
        _ends(page, scene, row, first)
    else:
        page.text(x, row.y + 31, _ABOUT[row.kind], 10.5, fill=FAINT, room=first.w - 2 * PAD - 4)
    if row.kind == "net":
        for column in columns:
            _listening(page, scene, row, column)


def _runs(places: Sequence[int]) -> list[list[int]]:
    """Neighbours together: [1, 2, 4] becomes [1, 2], [4]."""
    runs: list[list[int]] = []
    for place in places:
        if runs and runs[-1][-1] == place - 1:
            runs[-1].append(place)
        else:
            runs.append([place])
    return runs


def _ends(page: Drawing, scene: Scene, row: Row, column: Column) -> None:
    """What the veth pair leads to: the bridge on the host, the addresses in the pod."""
    eth0, network, x, room = uplink(scene.network), scene.network, column.x + PAD, column.w - 2 * PAD
    if eth0 is None or network is None:
        return
    if column.process.role == "host":
        page.rect(x, row.y + 25, room, 42, fill=PAPER, stroke=_HUES["net"][1], radius=5, line=1.2)
        page.text(x + 8, row.y + 42, f"bridge {eth0.bridge}", 11.5, bold=True, room=room - 16)
        gateways = [route.gateway for route in network.routes if route.destination == "default"]
        page.text(x + 8, row.y + 58, next(iter(gateways), ""), 10.5, mono=True, fill=FAINT, room=room - 16)
        return
    lines = [
        f"{eth0.name} {address}" if not number else address for number, address in enumerate(eth0.addresses)
    ]
    for number, line in enumerate(lines[:2]):
        page.text(x + 2, row.y + 41 + 17 * number, line, 11, mono=True, bold=not number, room=room - 4)


def _listening(page: Drawing, scene: Scene, row: Row, column: Column) -> None:
    found = ports(scene.network, column.process.name) if column.process.role == "container" else []
    if len(found) > 2:
        found = [found[0], f"and on {len(found) - 1} more"]
    for number, text in enumerate(found):
        page.text(
            column.x + PAD + 2, row.y + 41 + 17 * number, text, 10.5, mono=True, room=column.w - 2 * PAD - 2
        )


# --- volumes ---------------------------------------------------------------------------------------------------------


def _pipes(page: Drawing, scene: Scene, line: float, dash: str | None) -> None:
    """From each volume to the last one who sees it: thick behind the cards of those who don't, thin before them."""
    for number, volume in enumerate(scene.seen.volumes):
        ends = [scene.column(view.container).x for view in volume.views if is_same(volume, view)]
        if ends:
            y = scene.shelf(number) + VOLUME / 2
            page.path([(scene.pause.right - 8, y), (max(ends) + 8, y)], _VOLUME[1], line, dash)


def _volumes(page: Drawing, scene: Scene) -> None:
    pause, (fill, edge) = scene.pause, _VOLUME
    for number, volume in enumerate(scene.seen.volumes):
        y, room = scene.shelf(number), pause.w - 2 * PAD
        page.rect(pause.x, y, pause.w, VOLUME, fill=fill, stroke=edge, radius=12, line=1.6)
        page.text(pause.x + PAD, y + 18, f"volume {volume.name}", 12.5, bold=True, room=room)
        page.text(pause.x + PAD, y + 34, _contents(seen_first(volume)), 10.5, fill=FAINT, room=room)
        for container in dict.fromkeys(view.container for view in volume.views):
            views = [view for view in volume.views if view.container == container]
            _mounted(page, scene.column(container), y, volume, views)


def _contents(view: View | None) -> str:
    return (
        f"{view.fstype} {size(view.size)}, {view.device} inode {view.inode}"
        if view
        else "nobody has it mounted"
    )


def _mounted(page: Drawing, column: Column, y: float, volume: Volume, views: Sequence[View]) -> None:
    """Where one container has it."""
    first, room = views[0], column.w - 2 * PAD
    if is_same(volume, first):
        readonly = [view.path for view in views if view.readonly]
        where = "" if len(readonly) == len(views) else f" at {' '.join(readonly)}"
        about, fill, edge, ink, dash = f"read-only{where}" if readonly else "", *_VOLUME, INK, None
    else:  # another directory, or nothing to see
        about, fill, edge, ink, dash = first.problem or _contents(first), PAPER, _EDGE, FAINT, "5 4"
    page.rect(column.x, y + 4, column.w, VOLUME - 8, fill=fill, stroke=edge, line=1.2, dash=dash)
    paths = " ".join(view.path for view in views)
    page.text(column.x + PAD, y + (19 if about else 26), paths, 11.5, mono=True, room=room, fill=ink)
    page.text(column.x + PAD, y + 34, about, 10.5, fill=FAINT, room=room)


def _legend(page: Drawing, scene: Scene) -> float:
    """Below everything; returns where the page ends."""
    x, y = MARGIN, scene.bottom + PAD + 24
    shared = [_HUES[row.kind] for row in scene.rows[:3]]
    meant = [("held by pause, shared", shared), ("a container's own", [_OWN]), ("the host's", [_HOSTS])]
    if scene.seen.volumes:
        meant.append(("volume, and where it is mounted", [_VOLUME]))
    for text, hues in meant:
        for fill, edge in hues:
            page.rect(x, y, 16, 13, fill=fill, stroke=edge, radius=4, line=1.2)
            x += 19
        page.text(x + 4, y + 11, text, 11.5, fill=FAINT)
        x += width(text, 11.5) + 30
    return y + 34
