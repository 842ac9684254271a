"""Scheduling gates: a pod that has any isn't begun (KEP-3521, Pod Scheduling Readiness). Pure.

It is an object and nothing else: no supervisor, no folder, no cgroup. Whoever applies it without its gates starts it.
"""

from msgspec.structs import replace

from minipod.spec.types import Pod, PodCondition, PodSchedulingGate, PodSpec

GATED = PodCondition(
    type="PodScheduled",
    status="False",
    reason="SchedulingGated",
    message="Scheduling is blocked due to non-empty scheduling gates",
)  # of a new pod (pkg/registry/core/pod/strategy.go, applySchedulingGatedCondition)


def gated(pod: Pod) -> bool:
    return bool(pod.spec.scheduling_gates)


def left(pod: Pod, gates: tuple[PodSchedulingGate, ...]) -> Pod:
    """The pod when these gates are left of its own. The last one takes the condition with it."""
    kept = tuple(each for each in pod.status.conditions if gates or each != GATED)
    return replace(
        pod,
        spec=replace(pod.spec, scheduling_gates=gates),
        status=replace(pod.status, conditions=kept),
    )


def added(before: PodSpec, after: PodSpec) -> list[tuple[str, str]]:
    """What may not be: gates are only taken away (validation.go, ValidatePodUpdate)."""
    known = {gate.name for gate in before.scheduling_gates}
    return [
        (
            f"spec.schedulingGates[{index}].name",
            f"Forbidden: only deletion is allowed, but found new scheduling gate '{gate.name}'",
        )
        for index, gate in enumerate(after.scheduling_gates)
        if gate.name not in known
    ]


def why(pod: Pod) -> str:
    """Why the pod isn't begun, as the rest of a sentence; "" if no gate holds it."""
    names = ", ".join(gate.name for gate in pod.spec.scheduling_gates)
    return f"is held by its scheduling gates ({names}): apply it again without them" if names else ""
