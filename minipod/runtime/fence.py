"""Fence and undo: rollback, delete and recovery are this one function.

    1. kill the supervisor's cgroup, and wait until it is empty      nobody builds any more
    2. take the pod's lock                                           nobody will
    3. kill the pod's cgroup, and wait until it is empty             nobody runs any more
    4. undo the saved plans: containers, then sandboxes              nothing is held any more
       and, when the pod goes for good, its volumes and its cgroup

A supervisor lives in a cgroup of its own; what it forks is born there or in a container's cgroup: nothing escapes.
"""

import fcntl
import os

from minipod.errors import MinipodError
from minipod.kernel import cgroups
from minipod.kernel.cgroups import Hierarchies
from minipod.names import Layout
from minipod.plan.undo import RemoveTree, Tools, run_saved
from minipod.runtime.netlink import Worker

_DIES = 10.0  # seconds a killed cgroup may take to become empty


def plan_path(here: Layout, uid: str, name: str) -> str:
    """Where a plan's undo list is saved; `name` is pod, sandbox-<id> or container-<id>."""
    return f"{here.pod_run(uid)}/{name}.undo"


def tools(worker: Worker) -> Tools:
    return Tools(delete_link=worker.delete_link)


def lock(here: Layout, uid: str) -> int:
    """The pod's lock, for as long as the descriptor is open; -1 if another process has it.

    A POSIX lock: it belongs to the process, so that a child that inherits the descriptor doesn't hold it (fcntl(2)).
    """
    fd = os.open(f"{here.pod_run(uid)}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return -1
    return fd


def fence(
    here: Layout, hierarchies: Hierarchies, uid: str, pod_cgroup: str, supervisor_id: str, for_good: bool
) -> None:
    """Kill all of a pod and undo its containers and sandboxes; `for_good` its volumes, cgroup and folders too.

    `pod_cgroup` is relative; `supervisor_id` is the supervisor chosen last, "" if that isn't known: the one that has
    the lock is found by its own word. Blocks, up to some 100 ms. Raises MinipodError with everything that could not be
    undone.
    """
    for each in {supervisor_id, supervisor_of(here, uid)} - {""}:
        own = f"{hierarchies.v2}/{here.supervisor_cgroup(each)}"
        kill(own)
        cgroups.rmdir(own)
    if not os.path.isdir(here.pod_run(uid)):
        if for_good:
            retire(here, uid)
        return
    held = lock(here, uid)
    if held < 0:
        raise MinipodError(f"the lock of pod {uid} is held by a process outside its supervisor's cgroup")
    try:
        kill(f"{hierarchies.v2}/{pod_cgroup}")
        errors = _undo(here, uid, for_good)
    finally:
        os.close(held)
    if errors:
        raise MinipodError(f"could not undo pod {uid}: " + "; ".join(errors))
    if for_good:
        retire(here, uid)


def supervisor_of(here: Layout, uid: str) -> str:
    """The id of the supervisor that took the pod's lock last, "" if none did."""
    try:
        with open(f"{here.pod_run(uid)}/supervisor") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def retire(here: Layout, uid: str) -> None:
    """Remove a pod's folders, once everything in them is undone."""
    nobody = Tools(delete_link=lambda _: None)
    for folder in (here.pod_run(uid), here.pod_lib(uid)):
        RemoveTree(folder).run(nobody)


def kill(path: str) -> None:
    """Kill everything in a cgroup2 cgroup (absolute path) and wait until it is empty."""
    cgroups.kill(path)
    if not cgroups.wait_empty(path, _DIES):
        raise MinipodError(f"{path} still has processes {_DIES:.0f} s after they were killed")


def _undo(here: Layout, uid: str, for_good: bool) -> list[str]:
    names = [name.removesuffix(".undo") for name in os.listdir(here.pod_run(uid)) if name.endswith(".undo")]
    order = [name for kind in ("container-", "sandbox-") for name in names if name.startswith(kind)]
    if for_good and "pod" in names:
        order.append("pod")
    with_worker = tools(Worker(here))
    errors = []
    for name in order:
        errors += run_saved(plan_path(here, uid, name), with_worker)
    return errors
