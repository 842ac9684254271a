"""The processes of a pod, whoever started them, with the PIDs that each PID namespace knows them by."""

import os
from collections.abc import Iterator, Sequence

import msgspec

from minipod.errors import KernelError
from minipod.kernel import process
from minipod.observe.members import Member
from minipod.observe.text import Row, printable, size, table

_LONGEST = 4096  # bytes of a command: what a thousand children share is read a thousand times


class PodProcess(msgspec.Struct, frozen=True):
    """One process. `pids` are its numbers from the node's PID namespace to its own (NSpid in proc_pid_status(5))."""

    pid: int
    parent: int
    container: str  # whose cgroup it is in; "" for a parent outside of the pod
    pids: tuple[int, ...]
    namespace: int  # inode of its PID namespace, 0 if hidden
    state: str  # R, S, D, T, t, Z, I: proc_pid_stat(5)
    uid: int
    threads: int
    memory: int  # bytes resident
    command: str  # its arguments; in brackets the name of one that has none


def look(members: Sequence[Member]) -> tuple[PodProcess, ...]:
    """Every process of the members, and before them the parents outside of the pod; parents before children."""
    found = {pid: each for member in members for pid in member.pids if (each := _process(pid, member.name))}
    outside = {each.parent for each in found.values()} - set(found)
    parents = [each for pid in sorted(outside) if (each := _process(pid, ""))]
    return tuple(_from_the_top([*parents, *found.values()]))


def _from_the_top(processes: Sequence[PodProcess]) -> Iterator[PodProcess]:
    """Depth first, siblings in their order."""
    children: dict[int, list[PodProcess]] = {}
    for each in processes:
        children.setdefault(each.parent, []).append(each)
    known = {each.pid for each in processes}
    waiting = [each for each in reversed(processes) if each.parent not in known]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += reversed(children.get(each.pid, []))


def _process(pid: int, container: str) -> PodProcess | None:
    """None if it has ended."""
    try:
        status = process.status(pid)
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            arguments = file.read(_LONGEST).rstrip(b"\0").replace(b"\0", b" ")
    except (KernelError, OSError):
        return None
    try:
        namespace = os.stat(f"/proc/{pid}/ns/pid").st_ino
    except OSError:
        namespace = 0
    return PodProcess(
        pid=pid,
        parent=int(status["PPid"]),
        container=container,
        pids=tuple(map(int, status["NSpid"].split())),
        namespace=namespace,
        state=status["State"][0],
        uid=int(status["Uid"].split()[1]),
        threads=int(status["Threads"]),
        memory=int(status.get("VmRSS", "0").split()[0]) << 10,
        command=printable(arguments.decode(errors="replace") or f"[{status['Name']}]"),
    )


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(processes: Sequence[PodProcess], width: int) -> str:
    """The tree as a table of at most `width` columns."""
    if not processes:
        return "PROCESSES\nnobody in the pod runs"
    depth: dict[int, int] = {}
    rows: list[Row] = []
    for each in processes:
        depth[each.pid] = depth.get(each.parent, -1) + 1
        inside = " ".join(map(str, each.pids[1:]))
        rows.append(
            (
                str(each.pid),
                inside or "-",
                str(each.namespace or "hidden"),
                each.container or "-",
                str(each.uid),
                each.state,
                size(each.memory),
                "  " * depth[each.pid] + each.command,
            )
        )
    return table(
        ("PID", "INSIDE", "PID NAMESPACE", "CONTAINER", "UID", "S", "MEMORY", "COMMAND"), rows, width
    )
