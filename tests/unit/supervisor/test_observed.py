"""Facts and what is known after them."""

import msgspec
import pytest

from minipod.api.cri import ContainerInfo, SandboxInfo
from minipod.spec.types import Event, ObjectMeta
from minipod.supervisor import observed as o
from tests.unit.supervisor.simulation import replay


def sandbox(state="ready", sandbox_id="s"):
    return SandboxInfo(id=sandbox_id, state=state, created_at=1)


def container(state, container_id="c", attempt=0, **more):
    return ContainerInfo(id=container_id, sandbox_id="s", name="a", attempt=attempt, state=state, **more)


def starting(container_id="c", attempt=0):
    return o.ContainerStarting(at=1, name="a", id=container_id, attempt=attempt)


def event(name, count=1):
    return o.EventRecorded(at=1, event=Event(metadata=ObjectMeta(name=name), count=count))


FACTS = [
    o.SupervisorBegan(at=5, lost=True),
    o.SandboxStarting(at=5, id="s", attempt=1),
    o.SandboxFailed(at=5, id="s", message="no bridge"),
    o.SandboxIs(at=5, sandbox=sandbox()),
    o.SandboxStopping(at=5, id="s"),
    o.SandboxStopped(at=5, id="s"),
    starting(),
    o.StartFailed(at=5, name="a", reason="ErrImagePull", message="no such image"),
    o.ContainerIs(at=5, container=container("exited", exit_code=1)),
    o.ContainerStopping(at=5, name="a", id="c", stop_by=35),
    o.PostStarted(at=5, name="a", id="c"),
    o.ProbeIs(at=5, name="a", id="c", probe="liveness", success=False),
    o.AllRestarting(at=5),
    o.StartedOver(at=5),
    o.ShutdownRequested(at=5),
    o.DeletionRequested(at=5, grace=30),
    o.PodFinished(at=5, phase="Failed", reason="Evicted", message="too much"),
    event("e"),
    o.Snapshot(at=5, observed=replay([o.SupervisorBegan(at=5), starting()])),
]


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: type(fact).__name__)
def test_a_fact_is_the_same_after_the_journal(fact):
    assert msgspec.json.decode(msgspec.json.encode(fact), type=o.AnyFact) == fact


def test_every_kind_of_fact_is_tried_above():
    assert {type(fact) for fact in FACTS} == set(o.AnyFact.__args__)


def test_the_sequence_counts_all_facts_and_goes_on_after_a_snapshot():
    known = replay([o.SupervisorBegan(at=1), starting(), event("e")])
    assert known.sequence == 3
    assert replay([o.Snapshot(at=2, observed=known), event("f")]).sequence == 4


def test_the_start_time_is_that_of_the_first_supervisor():
    assert replay([o.SupervisorBegan(at=1), o.SupervisorBegan(at=2, lost=True)]).start_time == 1


def test_a_new_attempt_makes_the_one_before_the_previous():
    known = replay(
        [
            starting("c0"),
            o.ContainerIs(at=1, container=container("exited", "c0")),
            starting("c1", 1),
            o.ContainerIs(at=2, container=container("running", "c1", 1)),
        ]
    ).known("a")
    assert (known.latest.id, known.previous.id, known.next_attempt) == ("c1", "c0", 2)


def test_late_news_of_an_older_attempt_changes_nothing():
    before = replay(
        [
            starting("c0"),
            o.ContainerIs(at=1, container=container("exited", "c0")),
            starting("c1", 1),
            o.ContainerIs(at=2, container=container("running", "c1", 1)),
        ]
    )
    for late in (
        o.ContainerIs(at=3, container=container("exited", "c0", exit_code=9)),
        o.ContainerStopping(at=3, name="a", id="c0", stop_by=9),
    ):
        assert o.apply(before, late).known("a") == before.known("a")


def test_the_first_word_about_an_end_stands():
    known = replay(
        [
            starting(),
            o.ContainerIs(at=1, container=container("exited", exit_code=3)),
            o.ContainerIs(at=2, container=container("exited", exit_code=137)),
        ]
    )
    assert known.known("a").latest.exit_code == 3


def test_failures_are_counted_until_the_container_runs():
    failed = o.StartFailed(at=1, name="a", reason="ErrImagePull", message="")
    facts = [starting(), failed, starting(), failed]
    assert replay(facts).known("a").failure.count == 2
    facts += [starting(), o.ContainerIs(at=1, container=container("running"))]
    assert replay(facts).known("a").failure is None


@pytest.mark.parametrize("late", [o.SandboxStopping(at=3, id="old"), o.SandboxStopped(at=3, id="old")])
def test_late_news_of_an_older_sandbox_changes_nothing(late):
    before = replay([o.SandboxStarting(at=1, id="s", attempt=1), o.SandboxIs(at=2, sandbox=sandbox())])
    assert o.apply(before, late).sandbox == before.sandbox
    assert not o.apply(before, late).sandbox_stopping
    news = o.SandboxIs(at=3, sandbox=sandbox("notready", "old"))
    assert o.apply(before, news).sandbox_ready


@pytest.mark.parametrize(
    ("first", "second", "grace"),
    [((10, 30), (15, 60), 30), ((10, 30), (15, 5), 10), ((10, 30), (15, 0), 5), ((10, 0), (15, 0), 0)],
)
def test_a_second_deletion_can_only_hurry(first, second, grace):
    requests = [o.DeletionRequested(at=at, grace=given) for at, given in (first, second)]
    known = replay(requests)
    assert (known.deleted_at, known.grace) == (10, grace)


def test_a_terminal_phase_never_changes():
    known = replay(
        [o.PodFinished(at=1, phase="Failed", reason="Evicted"), o.PodFinished(at=2, phase="Succeeded")]
    )
    assert (known.terminal.phase, known.terminal.reason, known.terminal.at) == ("Failed", "Evicted", 1)


def test_a_repeated_event_takes_the_place_of_the_first():
    known = replay([event("x"), event("y"), event("x", 2)])
    assert [(e.metadata.name, e.count) for e in known.events] == [("y", 1), ("x", 2)]


def test_only_the_last_events_are_kept():
    known = replay([event(str(number)) for number in range(o.EVENTS_KEPT + 5)])
    assert len(known.events) == o.EVENTS_KEPT
    assert known.events[0].metadata.name == "5"


def test_with_its_supervisor_a_pod_loses_sandbox_and_running_containers():
    known = replay(
        [
            o.SandboxStarting(at=1, id="s", attempt=0),
            o.SandboxIs(at=1, sandbox=sandbox()),
            starting(),
            o.ContainerIs(at=1, container=container("running", pid=7)),
            o.ContainerStopping(at=1, name="a", id="c", stop_by=31),
            o.SupervisorBegan(at=9, lost=True),
        ]
    )
    ended = known.known("a").latest
    assert (known.lost, known.sandbox, known.sandbox_attempts) == (True, None, 1)
    assert (ended.state, ended.exit_code, ended.reason) == ("exited", 137, "ContainerStatusUnknown")
    assert (ended.finished_at, ended.pid, known.known("a").stop_by) == (9, 0, 0)


def test_what_had_ended_before_its_supervisor_is_remembered_as_it_was():
    known = replay(
        [
            starting(),
            o.ContainerIs(at=1, container=container("exited", exit_code=3, finished_at=1)),
            o.SupervisorBegan(at=9, lost=True),
        ]
    )
    assert known.known("a").latest.exit_code == 3
