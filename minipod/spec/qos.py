"""Quality of service: from requests and limits to the class of a pod and to the kernel's numbers.

Facts: kubelet's pkg/apis/core/v1/helper/qos, pkg/kubelet/cm/helpers_linux.go, pkg/kubelet/qos/policy.go. Pods here have
their defaults (a limit is requested too). CPU is in thousandths of a core, memory in bytes; shares are those of cgroup
v1's cpu.shares, quota is microseconds in each period of 100000 microseconds.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from minipod.spec import quantity
from minipod.spec.types import Container, Pod

QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

CPU_PERIOD = 100_000  # microseconds, of every quota
MIN_SHARES = 2  # the kernel's smallest; also for who requests nothing
MIN_QUOTA = 1_000  # microseconds, the kernel's smallest
SANDBOX_OOM_SCORE_ADJ = -998  # pause must outlive the containers


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
    return max(MIN_SHARES, milli * 1024 // 1000)


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
    """What the pod as a whole requests and may use, for its cgroup.

    Init containers run alone, one after another, app containers together: the larger of the two counts. A limit holds
    for the pod only if every container has one.
    """
    apps = [container_amounts(container) for container in pod.spec.containers]
    inits = [container_amounts(container) for container in pod.spec.init_containers]
    return Amounts(
        cpu_request=_effective((one.cpu_request for one in apps), (one.cpu_request for one in inits)),
        memory_request=_effective(
            (one.memory_request for one in apps), (one.memory_request for one in inits)
        ),
        cpu_limit=_effective((one.cpu_limit for one in apps), (one.cpu_limit for one in inits))
        if all(one.cpu_limit for one in (*apps, *inits))
        else 0,
        memory_limit=_effective((one.memory_limit for one in apps), (one.memory_limit for one in inits))
        if all(one.memory_limit for one in (*apps, *inits))
        else 0,
    )


def _effective(apps: Iterable[int], inits: Iterable[int]) -> int:
    return max(sum(apps), max(inits, default=0))


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


def oom_score_adj(qos: QosClass, memory_request: int, node_memory: int) -> int:
    """Who goes first when memory runs out, -1000 (never) to 1000: in proportion to what was not requested.

    `memory_request` is the container's, `node_memory` the machine's, both in bytes.
    """
    if qos == "Guaranteed":
        return -997
    if qos == "BestEffort":
        return 1000
    return min(max(1000 - 1000 * memory_request // node_memory, 3), 999)
