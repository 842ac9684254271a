"""Quality of service: from requests and limits to the class of a pod and to the kernel's numbers.

Facts: kubelet's pkg/apis/core/v1/helper/qos, pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go. Pods here have
their defaults (a limit is requested too). CPU is in thousandths of a core, memory in bytes; shares are those of cgroup
v1's cpu.shares, quota is microseconds in each period of 100000 microseconds.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from minipod.spec import quantity
from minipod.spec.types import Container, Pod

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

CPU_PERIOD = 100_000  # microseconds, of every quota
MIN_SHARES = 2  # the kernel's smallest; also for who requests nothing
MAX_SHARES = 1 << 18  # the kernel's largest; a number that doesn't fit its 64 bits it would refuse
MIN_QUOTA = 1_000  # microseconds, the kernel's smallest
STORAGE = "ephemeral-storage"  # the resource: writable layers, logs, and emptyDirs on disk


class Amounts(msgspec.Struct, frozen=True):
    """CPU and memory, requested and limited. 0: nothing requested, no limit."""

    cpu_request: int = 0  # thousandths of a core
    cpu_limit: int = 0  # thousandths of a core
    memory_request: int = 0  # bytes
    memory_limit: int = 0  # bytes

    @property
    def shares(self) -> int:
        """For cpu.shares."""
        return cpu_shares(self.cpu_request)

    @property
    def quota(self) -> int:
        """For cpu.cfs_quota_us or cpu.max; 0: no limit."""
        return cpu_quota(self.cpu_limit)


def cpu_shares(milli: int) -> int:
    """Weight of a request of so many thousandths of a core: 1024 a core."""
    return min(max(MIN_SHARES, milli * 1024 // 1000), MAX_SHARES)


def cpu_quota(milli: int) -> int:
    """Microseconds of CPU per period for a limit of so many thousandths of a core; 0 for none."""
    return max(MIN_QUOTA, milli * CPU_PERIOD // 1000) if milli > 0 else 0


def container_amounts(container: Container) -> Amounts:
    """What one container requests and may use."""
    requests, limits = container.resources.requests, container.resources.limits
    return Amounts(
        cpu_request=quantity.milli_value(requests.get("cpu", "0")),
        cpu_limit=quantity.milli_value(limits.get("cpu", "0")),
        memory_request=quantity.value(requests.get("memory", "0")),
        memory_limit=quantity.value(limits.get("memory", "0")),
    )


def pod_amounts(pod: Pod) -> Amounts:
    """What the pod as a whole requests and may use, for its cgroup. A limit holds for the pod only if every container
    has one."""
    every = {one.name: container_amounts(one) for one in (*pod.spec.init_containers, *pod.spec.containers)}
    amounts = every.values()

    def most(of: Callable[[Amounts], int]) -> int:
        return at_once(pod, lambda container: of(every[container.name]))

    return Amounts(
        cpu_request=most(lambda one: one.cpu_request),
        memory_request=most(lambda one: one.memory_request),
        cpu_limit=most(lambda one: one.cpu_limit) if all(one.cpu_limit for one in amounts) else 0,
        memory_limit=most(lambda one: one.memory_limit) if all(one.memory_limit for one in amounts) else 0,
    )


def at_once(pod: Pod, of: Callable[[Container], int]) -> int:
    """The most that a pod's containers need of something at one time.

    App containers and sidecars run together; another init container runs alone but for the sidecars before it
    (KEP-753, Resources calculation).
    """
    beside = peak = 0  # the sidecars so far, and the most that was needed before the app containers
    for container in pod.spec.init_containers:
        peak = max(peak, beside + of(container))
        beside += of(container) if container.restart_policy == "Always" else 0
    return max(peak, beside + sum(map(of, pod.spec.containers)))


def storage_limit(pod: Pod) -> quantity.Quantity | None:
    """Bytes that a pod as a whole may have on disk: there is a limit as soon as one container has one, and those that
    have none add nothing to it (k8s.io/component-helpers/resource, PodLimits)."""
    containers = (*pod.spec.containers, *pod.spec.init_containers)
    limits = [one.resources.limits[STORAGE] for one in containers if STORAGE in one.resources.limits]
    if not limits:
        return None
    milli = at_once(pod, lambda one: quantity.milli_value(one.resources.limits.get(STORAGE, "0")))
    return quantity.Quantity(milli, quantity.parse(limits[0]).family)


def qos_class(pod: Pod) -> QosClass:
    """Guaranteed: each container has limits for CPU and memory and requests just these. BestEffort: none has any."""
    all_amounts = [container_amounts(one) for one in (*pod.spec.containers, *pod.spec.init_containers)]
    if not any(msgspec.structs.astuple(one) != (0, 0, 0, 0) for one in all_amounts):
        return "BestEffort"
    guaranteed = all(
        one.cpu_limit and one.memory_limit
        and one.cpu_request == one.cpu_limit and one.memory_request == one.memory_limit
        for one in all_amounts
    )  # fmt: skip
    return "Guaranteed" if guaranteed else "Burstable"


def reserved_memory(pod: Pod, container: Container) -> int:
    """The memory request, in bytes, that a container's oom_score_adj is made of.

    A sidecar dies no sooner than the app containers it serves: it counts as much as the one that requests least
    (GetContainerOOMScoreAdjust in pkg/kubelet/qos/policy.go).
    """
    own = container_amounts(container).memory_request
    if container not in pod.spec.init_containers or container.restart_policy != "Always":
        return own
    return max(own, min(container_amounts(app).memory_request for app in pod.spec.containers))


def oom_score_adj(qos: QosClass, memory_request: int, node_memory: int) -> int:
    """Who goes first when memory runs out, -1000 (never) to 1000: in proportion to what was not requested.

    `memory_request` is the container's, `node_memory` the machine's, both in bytes.
    """
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    return min(max(1000 - 1000 * memory_request // node_memory, 3), 999)
