"""What a pod's status is made of: what its supervisor tells, what others have set, and what nobody can tell. Pure."""

from msgspec.structs import replace

from minipod.spec.types import PodStatus

# The supervisor's own: the kubelet's PodConditionByKubelet (pkg/kubelet/types/pod_status.go), and DisruptionTarget.
OWN = (
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "AllContainersRestarting",
    "DisruptionTarget",
)


def merge(told: PodStatus, kept: PodStatus) -> PodStatus:
    """What a supervisor tells, with what others have set before (status_manager.go, mergePodStatus)."""
    others = tuple(each for each in kept.conditions if each.type not in OWN)
    return replace(told, conditions=(*others, *told.conditions))


def unknown(status: PodStatus, reason: str, message: str, at: str, phase: str = "") -> PodStatus:
    """Nobody can tell whether the pod is ready. It keeps its phase, unless that is Unknown, too; an ended one stays
    as it is."""
    if status.phase in ("Succeeded", "Failed"):
        return status
    conditions = tuple(
        replace(each, status="Unknown", reason=reason, message=message, last_transition_time=at)
        if each.type in ("Ready", "ContainersReady") and each.status != "Unknown"
        else each
        for each in status.conditions
    )
    return replace(status, conditions=conditions, phase=phase or status.phase)
