"""When a probe asks, and what its answers come to: thresholds, delays, and what has to wait for what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.api.cri import ContainerInfo
from minipod.spec.handlers import Probe
from minipod.spec.types import Container, ContainerPort
from minipod.supervisor import questions
from minipod.supervisor.known import Known
from minipod.supervisor.probes import Count, answered, first, probe_of, wanted
from tests.unit.supervisor.simulation import HOOK

RUNNING = Known(
    latest=ContainerInfo(id="c", sandbox_id="s", name="a", attempt=0, state="running", started_at=100)
)


def known(**fields):
    return Known(latest=RUNNING.latest, **fields)


def ask_all(probe, answers):
    """The result after each answer, + for success, - for failure, ? for one that couldn't be put."""
    count, results = first(probe, 0, 0), ""
    for answer in answers:
        count = answered(probe, count, {"+": True, "-": False, "?": None}[answer], count.next_at)
        results += {True: "+", False: "-", None: "?"}[count.result]
    return results


@pytest.mark.parametrize(
    ("success", "failure", "answers", "results"),
    [
        (1, 3, "+", "+"),
        (1, 3, "--", "??"),
        (1, 3, "---", "??-"),
        (1, 3, "--+---", "??+++-"),
        (1, 3, "+--+--+", "+++++++"),
        (1, 1, "-+-", "-+-"),
        (2, 1, "+-++", "?--+"),
        (1, 3, "-?--", "???-"),
        (1, 3, "???", "???"),
    ],
)
def test_a_result_changes_after_its_threshold_of_equal_answers_in_a_row(success, failure, answers, results):
    assert ask_all(Probe(success_threshold=success, failure_threshold=failure), answers) == results


@given(st.text("+-?"), st.integers(1, 4), st.integers(1, 4))
def test_a_result_is_that_of_the_last_row_that_was_long_enough(answers, success, failure):
    counted = answers.replace("?", "")
    rows = [
        (counted[end - 1], end)
        for end in range(1, len(counted) + 1)
        for length in (success if counted[end - 1] == "+" else failure,)
        if counted[:end].endswith(counted[end - 1] * length)
    ]
    results = ask_all(Probe(success_threshold=success, failure_threshold=failure), answers)
    assert results[-1:] == (rows[-1][0] if rows else "?" if answers else "")


def test_the_first_question_is_put_at_once():
    assert first(Probe(), 100, 103).next_at == 103


def test_the_first_question_waits_for_the_initial_delay():
    assert first(Probe(initial_delay_seconds=20), 100, 103).next_at == 120


@pytest.mark.parametrize(("period", "now", "next_at"), [(5, 101, 105), (5, 109, 109), (0, 101, 110)])
def test_the_next_question_comes_a_period_after_the_one_before(period, now, next_at):
    assert answered(Probe(period_seconds=period), Count(next_at=100), True, now).next_at == next_at


def test_a_container_fails_its_liveness_probe_at_the_third_failure_by_default():
    assert ask_all(Probe(), "---") == "??-"


@pytest.mark.parametrize(
    ("kind", "fields", "deleted", "asks"),
    [
        ("startup", {}, False, True),
        ("startup", {"started": True}, False, False),
        ("startup", {"failed_probe": "startup"}, False, False),
        ("startup", {}, True, False),
        ("liveness", {}, False, False),
        ("liveness", {"started": True}, False, True),
        ("liveness", {"started": True, "failed_probe": "liveness"}, False, False),
        ("liveness", {"started": True, "stop_by": 130}, False, False),
        ("liveness", {"started": True}, True, False),
        ("readiness", {}, False, False),
        ("readiness", {"started": True}, False, True),
        ("readiness", {"started": True}, True, True),
    ],
)
def test_what_a_probe_waits_for_and_when_it_ends(kind, fields, deleted, asks):
    container = Container(name="a", startup_probe=Probe(), liveness_probe=Probe(), readiness_probe=Probe())
    assert wanted(kind, container, known(**fields), deleted) is asks
    assert probe_of(container, kind)


def test_only_a_running_container_is_probed():
    assert not wanted("readiness", Container(name="a"), Known(), False)


def test_no_probe_begins_before_post_start_is_done():
    container = Container(name="a", lifecycle=HOOK)
    assert not wanted("readiness", container, known(), False)
    assert wanted("readiness", container, known(post_started=True), False)


# --- what is asked


@pytest.mark.parametrize(("port", "number"), [(80, 80), ("80", 80), ("web", 8080)])
def test_a_port_is_found_by_number_or_name(port, number):
    container = Container(name="a", ports=(ContainerPort(name="web", container_port=8080),))
    assert questions.port_of(container, port) == number


def test_a_port_that_is_not_there_is_named():
    with pytest.raises(questions.Unaskable, match='invalid port "metrics"'):
        questions.port_of(Container(name="a"), "metrics")
