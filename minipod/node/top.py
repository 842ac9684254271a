"""`minipod top pod`: what containers use, from their cgroups; with --processes what each process uses, from psutil.

CPU is measured over a moment: read, wait, read again. Numbers and columns are kubectl's: thousandths of a core, and the
working set (memory that couldn't be taken back at once) in MiB. A pod's are the sums of its containers': without pause.

Read here, and not asked of the supervisors (CRI's Stats): it takes as long (10 ms for 50 pods), and the numbers are
there also when a supervisor is stopped or slow, which is when one wants them. So does the kubelet, unless its feature
gate PodAndContainerStatsFromCRI is on.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import psutil
from aiohttp import web

from minipod.errors import KernelError, MinipodError
from minipod.kernel import cgroups, files
from minipod.node import selector, status
from minipod.node.console import Console
from minipod.node.node import NODE, Node
from minipod.node.query import flag, number
from minipod.node.screen import Table
from minipod.spec.qos import qos_class
from minipod.spec.types import Pod

_MOMENT = 0.5  # seconds between the two readings
_HEADS = {
    "pods": ("NAME", "CPU(cores)", "MEMORY(bytes)"),
    "containers": ("POD", "NAME", "CPU(cores)", "MEMORY(bytes)"),
    "processes": ("POD", "CONTAINER", "PID", "CPU(cores)", "RSS(bytes)", "COMMAND"),
}


class Place(NamedTuple):
    """A container that runs, and its cgroup, relative to each hierarchy."""

    namespace: str
    pod: str
    container: str = ""  # of a whole pod: none
    cgroup: str = ""


class Process(NamedTuple):
    """One process of it. The time it was started tells it from a later one of the same pid."""

    pid: int
    started: float
    command: str


class Used(NamedTuple):
    """Seconds of CPU up to now, or thousandths of a core in between; and bytes of memory now."""

    cpu: float
    memory: int


Key = tuple[Place, Process | None]


async def top(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/top"""
    node, query = request.app[NODE], request.query
    what, sort = query.get("what", "pods"), query.get("sort-by", "")
    if what not in _HEADS:
        raise status.BadQuery(f"there is no {what} to show; there are {', '.join(_HEADS)}")
    if sort not in ("", "cpu", "memory"):
        raise status.BadQuery(f'--sort-by accepts only cpu or memory, not "{sort}"')
    pods, errors = _chosen(node, query)
    places = list(_places(node, pods))
    used = await _measure(lambda: dict(_read(node, places, what == "processes")))
    if what == "pods":
        used = _sums(used)
    if query.get("name"):
        with_numbers = {place.pod for place, _ in used}
        errors += [_nothing(pod) for pod in pods if pod.metadata.name not in with_numbers]
    for error in errors:
        console.err(status.as_text(error))
    if sort:
        used = dict(sorted(used.items(), key=lambda item: getattr(item[1], sort), reverse=True))
    _print(console, what, used, query)
    if not used and not errors:
        everywhere = flag(query.get("all"))
        console.err("No resources found" + ("" if everywhere else f" in {_namespace(query)} namespace."))
    return int(bool(errors))


def _namespace(query: Mapping[str, str]) -> str:
    return "" if flag(query.get("all")) else query.get("namespace") or "default"


def _chosen(node: Node, query: Any) -> tuple[list[Pod], list[MinipodError]]:
    """The pods asked for, and an error for each name that isn't there."""
    namespace, names = _namespace(query), query.getall("name", ())
    if names and (query.get("selector") or not namespace):
        raise status.BadQuery("only one of NAME or --selector or --all-namespaces can be provided")
    matches = selector.labels(query.get("selector", ""))
    if not names:
        return [pod for pod in node.objects.list_pods(namespace) if matches(pod.metadata.labels)], []
    found = {name: node.objects.find_pod(namespace, name) for name in names}
    errors: list[MinipodError] = [
        node.objects.missing(namespace, name) for name, pod in found.items() if not pod
    ]
    return [pod for pod in found.values() if pod], errors


def _nothing(pod: Pod) -> MinipodError:
    meta = pod.metadata
    return MinipodError(
        f"Metrics not available for pod {meta.namespace}/{meta.name}: no container of it runs"
    )


def _places(node: Node, pods: list[Pod]) -> Iterator[Place]:
    for pod in pods:
        meta, seen = pod.metadata, pod.status
        parent = node.layout.pod_cgroup(qos_class(pod).lower(), meta.uid)
        for each in (
            *seen.init_container_statuses,
            *seen.container_statuses,
            *seen.ephemeral_container_statuses,
        ):
            if each.state.running:
                yield Place(
                    meta.namespace, meta.name, each.name, f"{parent}/{each.container_id.rpartition('/')[2]}"
                )


# --- measuring -----------------------------------------------------------------------------------------------------


async def _measure(read: Callable[[], dict[Key, Used]]) -> dict[Key, Used]:
    """What there was at both ends of a moment, with thousandths of a core."""
    first, began = await asyncio.to_thread(read), time.monotonic()
    await asyncio.sleep(_MOMENT if first else 0)
    second, ended = await asyncio.to_thread(read), time.monotonic()
    return {
        key: Used((now.cpu - first[key].cpu) * 1000 / (ended - began), now.memory)
        for key, now in second.items()
        if key in first
    }


def _read(node: Node, places: list[Place], processes: bool) -> Iterator[tuple[Key, Used]]:
    hierarchies = node.facts.cgroups
    for place in places:
        if processes:
            for process, used in _processes(f"{hierarchies.v2}/{place.cgroup}"):
                yield (place, process), used
            continue
        cpu, memory = (
            cgroups.usage(hierarchies, place.cgroup).cpu_usec,
            cgroups.working_set(hierarchies, place.cgroup),
        )
        if cpu is None or memory is None:  # it has ended, or this host doesn't count: then its processes do
            own = [used for _, used in _processes(f"{hierarchies.v2}/{place.cgroup}")]
            if not own:
                continue
            cpu = int(sum(used.cpu for used in own) * 1e6) if cpu is None else cpu
            memory = sum(used.memory for used in own) if memory is None else memory
        yield (place, None), Used(cpu / 1e6, memory)


def _processes(v2_directory: str) -> Iterator[tuple[Process, Used]]:
    """Those in a cgroup; one that ends just now is left out."""
    try:
        pids = [int(pid) for pid in files.read(f"{v2_directory}/cgroup.procs").split()]
    except KernelError:  # the container has ended
        return
    for pid in pids:
        try:
            process = psutil.Process(pid)
            with process.oneshot():
                cpu, command = process.cpu_times(), " ".join(process.cmdline()) or f"[{process.name()}]"
                memory = process.memory_info().rss
                yield Process(pid, process.create_time(), command), Used(cpu.user + cpu.system, memory)
        except psutil.NoSuchProcess:
            continue


def _sums(used: dict[Key, Used]) -> dict[Key, Used]:
    """A pod's, from its containers'."""
    sums: dict[Key, Used] = {}
    for (place, _), more in used.items():
        pod = (Place(place.namespace, place.pod), None)
        before = sums.get(pod, Used(0, 0))
        sums[pod] = Used(before.cpu + more.cpu, before.memory + more.memory)
    return sums


# --- showing -------------------------------------------------------------------------------------------------------


def _print(console: Console, what: str, used: dict[Key, Used], query: Mapping[str, str]) -> None:
    everywhere = flag(query.get("all"))
    head = ("NAMESPACE", *_HEADS[what]) if everywhere else _HEADS[what]
    table = Table(
        head, headers=not flag(query.get("no-headers")), width=number(query.get("width"), "width") or 0
    )
    rows = []
    for (place, process), (cpu, memory) in used.items():
        names = [place.pod] if what == "pods" else [place.pod, place.container]
        numbers = [f"{math.ceil(cpu)}m", f"{memory >> 20}Mi"]
        middle = [str(process.pid), *numbers, process.command] if process else numbers
        rows.append([*([place.namespace] if everywhere else []), *names, *middle])
    if rows:
        console.out(table.text(rows))
