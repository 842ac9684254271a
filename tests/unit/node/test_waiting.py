"""Whether a pod has come as far as `apply --wait` waits for."""

from minipod.node.waiting import started, why_not
from minipod.spec.types import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)

RUNS = ContainerState(running=ContainerStateRunning())
NO_PROGRAM = ContainerState(
    terminated=ContainerStateTerminated(exit_code=128, reason="StartError", message="no such program\n")
)


def pod(policy: str, **states: ContainerState) -> Pod:
    return Pod(
        metadata=ObjectMeta(name="web"),
        spec=PodSpec(
            containers=tuple(Container(name=name, image="busybox") for name in states),
            restart_policy=policy,
        ),
        status=PodStatus(
            phase="Running",
            container_statuses=tuple(
                ContainerStatus(name=name, state=state) for name, state in states.items()
            ),
        ),
    )


def test_a_pod_has_started_when_all_its_containers_run():
    assert started(pod("Always", a=RUNS, b=RUNS))
    assert why_not(pod("Always", a=RUNS, b=RUNS)) == ""


def test_a_container_that_is_never_tried_again_is_not_waited_for():
    there = pod("Never", a=RUNS, b=NO_PROGRAM)
    assert not started(there)
    assert why_not(there) == 'container "b" can\'t start: StartError: no such program'


def test_a_container_that_will_be_tried_again_is():
    assert why_not(pod("Always", a=RUNS, b=NO_PROGRAM)) == ""
