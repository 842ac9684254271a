"""The plan for what a pod has as long as it lives: its cgroup and its volumes. Pure.

In Kubernetes this is the kubelet's part, done before the container runtime is asked for a sandbox.
"""

from minipod.api.cri import Resources
from minipod.api.messages import NodeFacts
from minipod.kernel import cgroups
from minipod.plan.core import Op, Plan, Stage
from minipod.plan.ops.host import EnableControllers, MakeCgroup, MakeDirectory, MakeTree, MountTmpfs, SetLimit


class EmptyDir(Resources, frozen=True):
    """One emptyDir: `path` on the host, on tmpfs or on disk; `size` in bytes, 0 for no limit."""

    path: str = ""
    tmpfs: bool = True
    size: int = 0


def pod(facts: NodeFacts, uid: str, cgroup: str, resources: Resources, volumes: tuple[EmptyDir, ...]) -> Plan:
    """Make the pod's cgroup (`cgroup`, relative, below one that exists) with its limits, then its emptyDirs."""
    # A container out of memory dies whole (the kubelet's singleProcessOOMKill: false); a pod must not, with its pause.
    ops: list[Op] = [*make_cgroup(facts, cgroup, resources, oom_group=False)]
    if facts.cgroups.v2_controllers:
        ops.append(EnableControllers(f"{facts.cgroups.v2}/{cgroup}", facts.cgroups.v2_controllers))
    if any(volume.tmpfs for volume in volumes):
        ops.append(MakeDirectory(f"{facts.layout.pod_run(uid)}/volumes", 0o711))
    if not all(volume.tmpfs for volume in volumes):
        ops.append(MakeDirectory(f"{facts.layout.pod_lib(uid)}/volumes", 0o711, kept=True))
    for volume in volumes:
        if volume.tmpfs:
            size = f",size={volume.size}" if volume.size else ""
            ops += (MakeDirectory(volume.path), MountTmpfs(volume.path, f"mode=777{size}"))
        else:
            ops.append(MakeTree(volume.path, 0o777, kept=True))
    return (Stage("pod", "supervisor", tuple(ops)),)


def make_cgroup(facts: NodeFacts, cgroup: str, resources: Resources, oom_group: bool = True) -> list[Op]:
    """One directory in every hierarchy in use, then the limits. cgroup2's is always there: kill and wait use it."""
    ops: list[Op] = [MakeCgroup(path) for path in facts.cgroups.directories(cgroup)]
    return ops + _limits(facts, cgroup, resources, oom_group)


def update(facts: NodeFacts, cgroup: str, resources: Resources) -> Stage:
    """Other limits for a cgroup that has processes in it; 0 leaves what there is."""
    ops = _limits(facts, cgroup, resources, oom_group=True)
    if resources.memory_limit and "memory" in facts.cgroups.v1:
        # On v1, memory may never be more than memory and swap together: that must not stand in the way of a larger one.
        memory = facts.cgroups.directory("memory", cgroup)
        ops.insert(0, SetLimit(memory, "memory.memsw.limit_in_bytes", "-1"))
    return Stage("update", "supervisor", tuple(ops))


def _limits(facts: NodeFacts, cgroup: str, resources: Resources, oom_group: bool) -> list[Op]:
    limits = cgroups.Limits(
        cpu_shares=resources.cpu_shares,
        cpu_quota=resources.cpu_quota,
        memory=resources.memory_limit,
        pids=resources.pids_limit,
        oom_group=oom_group,
    )
    return [
        SetLimit(facts.cgroups.directory(controller, cgroup), name, text)
        for controller, name, text in cgroups.settings(limits, facts.cgroups)
    ]


def enter_cgroup(facts: NodeFacts, cgroup: str) -> tuple[list[str], str]:
    """The v1 directories a process must enter, and the cgroup2 directory in which it is to be born."""
    born = f"{facts.cgroups.v2}/{cgroup}"
    return [path for path in facts.cgroups.directories(cgroup) if path != born], born
