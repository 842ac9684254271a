"""What `wait --for` means."""

import pytest

from minipod.node.status import BadQuery
from minipod.node.wait import condition, duration
from minipod.spec.types import ObjectMeta, Pod, PodCondition, PodStatus

POD = Pod(
    metadata=ObjectMeta(name="web"),
    status=PodStatus(
        phase="Running", pod_ip="10.0.0.2", conditions=(PodCondition(type="Ready", status="False"),)
    ),
)


@pytest.mark.parametrize(
    ("what", "met"),
    [
        ("delete", False),
        ("create", True),
        ("condition=Ready", False),
        ("condition=ready=false", True),
        ("condition=Ready=Unknown", False),
        ("condition=Other", False),
        ("jsonpath={.status.podIP}", True),
        ("jsonpath='{.status.nothing}'".replace("'", ""), False),
        ("jsonpath={.status.phase}=Running", True),
        ("jsonpath=.status.phase=Running", True),
        ("jsonpath=.status.phase=Pending", False),
        ('jsonpath={.status.conditions[?(@.type=="Ready")].status}=False', True),
    ],
)
def test_a_condition_is_met_or_not(what, met):
    assert condition(what)(POD) is met


@pytest.mark.parametrize(
    ("what", "met"),
    [("delete", True), ("create", False), ("condition=Ready", False), ("jsonpath=.status", False)],
)
def test_of_a_pod_that_is_not_there_only_its_absence_is_met(what, met):
    assert condition(what)(None) is met


@pytest.mark.parametrize("what", ["", "ready", "jsonpath=.status.phase=", "jsonpath={.status"])
def test_a_condition_that_makes_no_sense_is_refused(what):
    with pytest.raises(BadQuery):
        condition(what)(POD)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 30),
        ("90s", 90),
        ("1m30s", 90),
        ("1.5h", 5400),
        ("500ms", 0.5),
        ("0", 0),
        ("0s", 0),
        ("-1s", 604800),
    ],
)
def test_a_duration_is_written_as_in_go(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["90", "s", "1 m", "soon"])
def test_a_duration_has_units(text):
    with pytest.raises(BadQuery, match="invalid duration"):
        duration(text)
