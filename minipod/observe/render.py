"""An Observation as text for a person, and whatever was seen as JSON for a program. Pure."""

from collections.abc import Sequence

import msgspec

from minipod.kernel.process import NAMESPACES
from minipod.observe.context import Observation, Process, View, Volume
from minipod.observe.text import align, size

_STATES = {"ended": "ended", "waiting": "not started"}


def as_json(seen: msgspec.Struct) -> str:
    """Indented JSON, with a newline at its end."""
    return msgspec.json.format(msgspec.json.encode(seen), indent=2).decode() + "\n"


def as_table(observation: Observation, width: int = 80) -> str:
    """Namespaces, then volumes. Containers that don't fit into `width` columns get a table of their own below."""
    text = _namespaces(observation.processes, width)
    if observation.volumes:
        text += "\n\n" + align(_volume_lines(observation.volumes))
        text += "\n\n" + "\n".join(map(_verdict, observation.volumes))
    return text + "\n"


def _namespaces(processes: Sequence[Process], width: int) -> str:
    """A line for each kind of namespace, a column for each process: as many as fit, at least one."""
    head = ["NAMESPACE", *NAMESPACES, "process"]
    tables: list[list[list[str]]] = []
    for column in map(_column, processes):
        if not tables or (len(tables[-1]) > 1 and _width([*tables[-1], column]) > width):
            tables.append([head])
        tables[-1].append(column)
    return "\n\n".join(align(list(zip(*columns, strict=True))) for columns in tables)


def _column(process: Process) -> list[str]:
    title = process.name.upper() if process.role != "container" else process.name
    if process.state != "running":
        return [title, *([_STATES[process.state]] * len(NAMESPACES)), "-"]
    return [title, *(_cell(process, kind) for kind in NAMESPACES), str(process.pid)]


def _cell(process: Process, kind: str) -> str:
    namespace = process.namespaces[kind]
    if namespace.whose == "hidden":
        return "hidden"
    return str(namespace.inode) if process.role == "host" else f"{namespace.inode} {namespace.whose}"


def _volume_lines(volumes: Sequence[Volume]) -> list[Sequence[str]]:
    lines: list[Sequence[str]] = [("VOLUME", "CONTAINER", "PATH", "DEVICE", "INODE", "TYPE", "SIZE", "USED")]
    for volume in volumes:
        for number, view in enumerate(volume.views):
            lines.append(("" if number else volume.name, view.container, view.path, *_view(view)))
    return lines


def _view(view: View) -> tuple[str, ...]:
    if view.problem:
        return (view.problem, "", "", "", "")
    fstype = f"{view.fstype},ro" if view.readonly else view.fstype
    return (view.device, str(view.inode), fstype, size(view.size), size(view.used))


def _verdict(volume: Volume) -> str:
    seen = list(dict.fromkeys(view.container for view in volume.views if not view.problem))
    if not seen:
        return f"{volume.name}: no running container to look into"
    if volume.shared:
        return f"{volume.name}: one directory, shared by {', '.join(seen)}"
    if len(seen) > 1:
        return f"{volume.name}: not the same directory in {', '.join(seen)}"
    return f"{volume.name}: only in {seen[0]}"


def _width(columns: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) for column in columns) + 3 * (len(columns) - 1)
