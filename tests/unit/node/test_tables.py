import msgspec
import pytest

from minipod.node import tables
from minipod.spec.types import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Event,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
)
from tests.unit.node.conftest import RUNNING

NOW = tables.seconds("2026-11-22T12:00:00Z")


def waiting(reason):
    return ContainerState(waiting=ContainerStateWaiting(reason=reason))


def ended(code, reason="", signal=0, at="2026-11-22T11:59:00Z"):
    terminated = ContainerStateTerminated(exit_code=code, reason=reason, signal=signal, finished_at=at)
    return ContainerState(terminated=terminated)


def container(state, ready=None, **fields):
    ready = state.running is not None if ready is None else ready
    return ContainerStatus(name="c", state=state, ready=ready, **fields)


def pod(*apps, init=(), phase="Running", conditions=(), deleted=False, **status):
    return Pod(
        metadata=ObjectMeta(
            name="web",
            namespace="default",
            creation_timestamp="2026-11-22T11:00:00Z",
            deletion_timestamp="2026-11-22T12:00:30Z" if deleted else "",
        ),
        spec=PodSpec(
            containers=tuple(Container(name=f"a{i}") for i in range(len(apps))),
            init_containers=tuple(Container(name=f"i{i}") for i in range(len(init))),
        ),
        status=PodStatus(
            phase=phase,
            conditions=tuple(PodCondition(type=kind, status="True") for kind in conditions),
            container_statuses=apps,
            init_container_statuses=tuple(init),
            **status,
        ),
    )


DONE, UP, DOWN = container(ended(0, "Completed")), container(RUNNING), container(ended(1, "Error"))


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("Running", pod(UP, UP)),
        ("Pending", pod(phase="")),
        ("ContainerCreating", pod(container(waiting("ContainerCreating")), phase="Pending")),
        ("Evicted", pod(phase="Failed", reason="Evicted")),
        ("Completed", pod(DONE, phase="Succeeded")),
        ("Error", pod(DOWN, phase="Failed")),
        ("Error", pod(DONE, DOWN, phase="Failed")),
        ("OOMKilled", pod(container(ended(137, "OOMKilled")), DOWN, phase="Failed")),
        ("ExitCode:3", pod(container(ended(3)), phase="Failed")),
        ("Signal:9", pod(container(ended(137, signal=9)), phase="Failed")),
        ("CrashLoopBackOff", pod(container(waiting("CrashLoopBackOff")), UP)),
        ("Running", pod(DONE, UP, conditions=["Ready"])),
        ("NotReady", pod(DONE, UP)),
        ("Init:0/2", pod(init=[container(RUNNING, ready=False), container(waiting("PodInitializing"))])),
        ("Init:1/2", pod(init=[DONE, container(RUNNING, ready=False)])),
        ("Init:Error", pod(init=[DOWN])),
        ("Init:ExitCode:3", pod(init=[container(ended(3))])),
        ("Init:CrashLoopBackOff", pod(init=[container(waiting("CrashLoopBackOff"))])),
        ("PodInitializing", pod(container(waiting("PodInitializing")), init=[DONE], phase="Pending")),
        ("Running", pod(UP, init=[DOWN], conditions=["Initialized"])),
        ("Terminating", pod(UP, deleted=True)),
        ("Completed", pod(DONE, phase="Succeeded", deleted=True)),
    ],
)
def test_status_is_kubectls_word(status, shown):
    assert tables.pod_status(shown) == status


def test_ready_counts_ready_app_containers():
    row = tables.pod_row(pod(UP, DOWN, container(RUNNING, ready=False)), NOW, "node", False, False)
    assert row[:3] == ["web", "1/3", "Error"]


def sidecars(*inits, apps=(UP,), **status):
    """A pod whose init containers are all sidecars."""
    made = pod(
        *apps, init=[msgspec.structs.replace(each, name=f"i{i}") for i, each in enumerate(inits)], **status
    )
    always = tuple(msgspec.structs.replace(c, restart_policy="Always") for c in made.spec.init_containers)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, init_containers=always))


@pytest.mark.parametrize(
    ("status", "ready", "word"),
    [
        (sidecars(container(RUNNING, started=True)), "2/2", "Running"),
        (sidecars(container(RUNNING, False, started=True)), "1/2", "Running"),
        (
            sidecars(
                container(RUNNING, started=True), container(RUNNING, False, started=False), phase="Pending"
            ),
            "1/3",
            "Init:1/2",
        ),
        (sidecars(DOWN, conditions=["Initialized"]), "1/2", "Running"),
        (sidecars(container(waiting("CrashLoopBackOff")), phase="Pending"), "0/2", "Init:CrashLoopBackOff"),
    ],
)
def test_sidecars_count_as_the_containers_they_stand_beside(status, ready, word):
    assert tables.pod_row(status, NOW, "n", False, False)[1:3] == [ready, word]


def test_restarts_of_sidecars_count_as_long_as_the_pod_lives():
    status = sidecars(
        container(RUNNING, started=True, restart_count=2), apps=[container(RUNNING, restart_count=1)]
    )
    assert tables.pod_row(status, NOW, "n", False, False)[3] == "3"


def test_restarts_tell_when_the_last_one_was():
    again = container(RUNNING, restart_count=2, last_state=ended(1, at="2026-11-22T11:58:00Z"))
    assert tables.pod_row(pod(again, UP), NOW, "node", False, False)[3] == "2 (2m ago)"


def test_restarts_are_those_of_init_containers_while_they_run():
    init = container(RUNNING, ready=False, restart_count=4)
    app = container(waiting("PodInitializing"), restart_count=1)
    assert tables.pod_row(pod(app, init=[init]), NOW, "node", False, False)[3] == "4"


def test_wide_and_all_namespaces_add_columns():
    head = tables.pod_head(wide=True, namespaces=True)
    row = tables.pod_row(pod(UP, pod_ip="10.0.0.2"), NOW, "thisnode", True, True)
    assert dict(zip(head, row, strict=True)) == {
        "NAMESPACE": "default",
        "NAME": "web",
        "READY": "1/1",
        "STATUS": "Running",
        "RESTARTS": "0",
        "AGE": "60m",
        "IP": "10.0.0.2",
        "NODE": "thisnode",
        "NOMINATED NODE": "<none>",
        "READINESS GATES": "<none>",
    }


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "<invalid>"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (125, "2m5s"),
        (599, "9m59s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (4 * 3600 + 60, "4h1m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (2 * 86400 + 3600, "2d1h"),
        (9 * 86400 + 3600, "9d"),
        (729 * 86400, "729d"),
        (730 * 86400, "2y"),
        (740 * 86400, "2y10d"),
        (9 * 365 * 86400, "9y"),
    ],
)
def test_ages_are_kubectls(seconds, shown):
    assert tables.human_duration(seconds) == shown


def test_repeated_events_tell_how_often_and_since_when():
    event = Event(
        metadata=ObjectMeta(namespace="default"),
        involved_object=ObjectReference(kind="Pod", name="web"),
        type="Warning",
        reason="BackOff",
        message="again\n",
        count=4,
        first_timestamp="2026-11-22T11:58:00Z",
        last_timestamp="2026-11-22T11:59:57Z",
    )
    assert tables.event_row(event, NOW, False) == [
        "3s (x4 over 2m)",
        "Warning",
        "BackOff",
        "pod/web",
        "again",
    ]


def test_columns_are_three_spaces_apart_and_the_last_isnt_padded():
    assert tables.align([["A", "LONGER", "C"], ["abc", "d", "e"]]) == "A     LONGER   C\nabc   d        e"
