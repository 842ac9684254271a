"""Control groups on v1, v2 and hybrid hosts.

A hierarchy is found where /proc/self/mountinfo says it is mounted. A controller is on one hierarchy at a time: on
cgroup2, or on a v1 hierarchy. Killing and waiting for emptiness use cgroup2 also where it has no controllers, so every
process is in a cgroup2 cgroup of its own and, for each controller on v1, in one of the same relative name there.

Sources: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/ of the kernel.
"""

import errno
import math
import os
import select
import time

import msgspec

from minipod.errors import KernelError
from minipod.kernel import files

_WANTED = ("cpu", "cpuacct", "memory", "pids")
# Only there with swap accounting, or with a newer kernel: doing without them changes no promise to the container.
_OPTIONAL = ("memory.swap.max", "memory.memsw.limit_in_bytes", "memory.oom.group")


class Hierarchies(msgspec.Struct, frozen=True):
    """Where the controllers minipod uses are: `v2` and the values of `v1` are mount points."""

    v2: str
    v2_controllers: tuple[str, ...]
    v1: dict[str, str]

    def directory(self, controller: str, cgroup: str) -> str:
        """The folder of `cgroup` (relative, as minipod/burstable/pod1) for `controller`; "" if the host has none."""
        mount = self.v2 if controller in self.v2_controllers else self.v1.get(controller, "")
        return f"{mount}/{cgroup}" if mount else ""

    def directories(self, cgroup: str) -> list[str]:
        """Every folder that makes up `cgroup`, cgroup2's first. (cpu and cpuacct are often one hierarchy.)"""
        mounts = [self.v2] if self.v2 else []
        return [f"{mount}/{cgroup}" for mount in dict.fromkeys(mounts + list(self.v1.values()))]


def detect(mountinfo: str | None = None, v2_controllers: str | None = None) -> Hierarchies:
    """Read the host's hierarchies. The texts of /proc/self/mountinfo and of v2's cgroup.controllers can be given."""
    v2 = ""
    v1: dict[str, str] = {}
    for line in (files.read("/proc/self/mountinfo") if mountinfo is None else mountinfo).splitlines():
        before, _, after = line.partition(" - ")
        fstype, _, options = after.split(" ", 2)
        if not fstype.startswith("cgroup"):
            continue
        place = files.unescape(before.split(" ")[4])
        if fstype == "cgroup2":
            v2 = v2 or place
        for controller in set(options.split(",")).intersection(_WANTED) if fstype == "cgroup" else ():
            v1.setdefault(controller, place)
    if v2_controllers is None:
        v2_controllers = files.read(f"{v2}/cgroup.controllers") if v2 else ""
    on_v2 = tuple(name for name in _WANTED if name in v2_controllers.split())
    # What cpuacct counts on v1 is in every cgroup's cpu.stat on v2.
    return Hierarchies(v2, on_v2, {name: v1[name] for name in _WANTED if name in v1 and name not in on_v2})


# --- one cgroup ------------------------------------------------------------------------------------------------------


def mkdir(directory: str) -> None:
    """Make one cgroup; its parent exists. EEXIST is an error: a cgroup of that name belongs to somebody else."""
    try:
        os.mkdir(directory, 0o755)
    except OSError as error:
        raise KernelError(error.errno or 0, "mkdir", f"cgroup {directory}") from None


def rmdir(directory: str) -> None:
    """Remove one cgroup; one that isn't there is success. EBUSY: processes or child cgroups are still in it."""
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise KernelError(error.errno or 0, "rmdir", f"cgroup {directory}") from None


def enable_controllers(directory: str, controllers: tuple[str, ...]) -> None:
    """Give the children of a cgroup2 cgroup these controllers. EBUSY: it has processes, which only leaves may."""
    if controllers:
        files.write(f"{directory}/cgroup.subtree_control", " ".join(f"+{name}" for name in controllers))


def kill(v2_directory: str) -> None:
    """SIGKILL every process in a cgroup2 cgroup and below, forks in flight included. A missing cgroup is success."""
    try:
        files.write(f"{v2_directory}/cgroup.kill", "1", "cgroup.kill needs Linux 5.14")
    except KernelError as error:
        if error.errno not in (errno.ENOENT, errno.ENODEV) or os.path.isdir(v2_directory):
            raise


def wait_empty(v2_directory: str, timeout: float) -> bool:
    """Wait up to `timeout` seconds until a cgroup2 cgroup and all below it is empty; False if it isn't by then.

    The kernel tells of a second change within 10 ms late (CGROUP_FILE_NOTIFY_MIN_INTV): so we look ourselves at first.
    """
    deadline = time.monotonic() + timeout
    pause = 0.001
    try:
        fd = os.open(f"{v2_directory}/cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        poll = select.poll()
        poll.register(fd, select.POLLPRI)
        while b"populated 0" not in os.pread(fd, 4096, 0):
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            poll.poll(math.ceil(min(left, pause) * 1000))
            pause *= 2
        return True
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed in between
            return True
        raise KernelError(error.errno or 0, "read", f"{v2_directory}/cgroup.events") from None
    finally:
        os.close(fd)


def enter_v1(directory: str) -> None:
    """Move the calling, single-threaded process into a v1 cgroup.

    Through `tasks`: cgroup.procs moves whole thread groups and waits for an RCU grace period, 7-23 ms when idle.
    """
    files.write(f"{directory}/tasks", "0")


# --- limits ----------------------------------------------------------------------------------------------------------


class Limits(msgspec.Struct, frozen=True):
    """What a cgroup may use; 0 means no limit. `memory` in bytes, quota and period in microseconds of CPU time."""

    cpu_shares: int = 0
    cpu_quota: int = 0
    cpu_period: int = 100_000
    memory: int = 0
    pids: int = 0
    oom_group: bool = True  # v2: over `memory` all processes die, not only the largest


def cpu_weight(shares: int) -> int:
    """cpu.weight (1..10000) for v1's cpu.shares (2..262144), 0 for 0. 1024 shares are 100: default is default.

    Source: ConvertCPUSharesToCgroupV2Value of opencontainers/cgroups, and crun, since 2025.
    """
    if shares == 0:
        return 0
    if shares <= 2:
        return 1
    if shares >= 262_144:
        return 10_000
    power = math.log2(shares)
    return math.ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def settings(limits: Limits, hierarchies: Hierarchies) -> list[tuple[str, str, str]]:
    """The files that set `limits` here: (controller, file name, text), in the order in which a new cgroup takes them.

    The folder is hierarchies.directory(controller, cgroup). Nothing for a controller that the host doesn't have.
    """
    found: list[tuple[str, str, str]] = []
    for controller in ("cpu", "memory", "pids"):
        if controller in hierarchies.v2_controllers:
            pairs = _v2_settings(controller, limits)
        elif controller in hierarchies.v1:
            pairs = _v1_settings(controller, limits)
        else:
            continue
        found += [(controller, name, text) for name, text in pairs]
    return found


def _v2_settings(controller: str, limits: Limits) -> list[tuple[str, str]]:
    pairs = []
    if controller == "cpu":
        if limits.cpu_shares:
            pairs.append(("cpu.weight", str(cpu_weight(limits.cpu_shares))))
        if limits.cpu_quota:
            pairs.append(("cpu.max", f"{limits.cpu_quota} {limits.cpu_period}"))
    if controller == "memory" and limits.memory:
        pairs.append(("memory.max", str(limits.memory)))
        pairs.append(("memory.swap.max", "0"))
        if limits.oom_group:
            pairs.append(("memory.oom.group", "1"))
    if controller == "pids" and limits.pids:
        pairs.append(("pids.max", str(limits.pids)))
    return pairs


def _v1_settings(controller: str, limits: Limits) -> list[tuple[str, str]]:
    pairs = []
    if controller == "cpu":
        if limits.cpu_shares:
            pairs.append(("cpu.shares", str(limits.cpu_shares)))
        if limits.cpu_quota:
            pairs.append(("cpu.cfs_period_us", str(limits.cpu_period)))
            pairs.append(("cpu.cfs_quota_us", str(limits.cpu_quota)))
    if controller == "memory" and limits.memory:
        # Memory and swap together may never be less than memory alone: in this order when limits shrink from none.
        pairs.append(("memory.limit_in_bytes", str(limits.memory)))
        pairs.append(("memory.memsw.limit_in_bytes", str(limits.memory)))
    if controller == "pids" and limits.pids:
        pairs.append(("pids.max", str(limits.pids)))
    return pairs


def set_limit(directory: str, name: str, text: str) -> bool:
    """Write one of settings(). False if this kernel lacks that file and no promise depends on it (swap, oom.group)."""
    try:
        files.write(f"{directory}/{name}", text)
    except KernelError as error:
        if name in _OPTIONAL and error.errno in (errno.ENOENT, errno.EACCES, errno.EOPNOTSUPP):
            return False
        raise
    return True


# --- what it uses ----------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True):
    """What a cgroup has used or uses; None where this host has no controller that counts it."""

    cpu_usec: int | None
    memory_bytes: int | None
    pids: int | None
    oom_kills: int | None


def working_set(hierarchies: Hierarchies, cgroup: str) -> int | None:
    """Bytes that couldn't be taken back at once: what is charged, less file pages not used lately. None without a
    memory controller.

    Source: setMemoryStats of cadvisor's container/libcontainer/handler.go, from which kubelet and kubectl top have it.
    """
    memory, on_v2 = hierarchies.directory("memory", cgroup), "memory" in hierarchies.v2_controllers
    charged = _number(f"{memory}/{'memory.current' if on_v2 else 'memory.usage_in_bytes'}")
    inactive = _number(f"{memory}/memory.stat", "inactive_file" if on_v2 else "total_inactive_file")
    return None if charged is None else max(0, charged - (inactive or 0))


def usage(hierarchies: Hierarchies, cgroup: str) -> Usage:
    """Read the counters of `cgroup`. `oom_kills` counts processes of it (v2: and below it) killed for memory.

    With memory.oom.group the kernel may count its first victim twice (mm/oom_kill.c: oom_kill_process kills it, then
    every member of the group): whether there were any is what the number tells.
    """
    memory, pids = hierarchies.directory("memory", cgroup), hierarchies.directory("pids", cgroup)
    cpuacct, on_v2 = hierarchies.v1.get("cpuacct"), "memory" in hierarchies.v2_controllers
    if cpuacct:
        nanoseconds = _number(f"{cpuacct}/{cgroup}/cpuacct.usage")
        cpu = None if nanoseconds is None else nanoseconds // 1000
    else:
        cpu = _number(f"{hierarchies.v2}/{cgroup}/cpu.stat", "usage_usec")
    return Usage(
        cpu_usec=cpu,
        memory_bytes=_number(f"{memory}/{'memory.current' if on_v2 else 'memory.usage_in_bytes'}"),
        pids=_number(f"{pids}/pids.current"),
        oom_kills=_number(f"{memory}/{'memory.events' if on_v2 else 'memory.oom_control'}", "oom_kill"),
    )


def _number(path: str, key: str = "") -> int | None:
    """The number in a file, or the one after `key` in a file of `key number` lines; None without file or key."""
    try:
        text = files.read(path)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV):
            return None
        raise
    if not key:
        return int(text)
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{key} ")), None)
