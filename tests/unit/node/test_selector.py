import pytest

from minipod.node import selector
from minipod.node.status import BadQuery
from minipod.spec.types import Event, ObjectReference


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web,tier=front", True),
        ("app=db", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app in (db, web)", True),
        ("app notin (db,web)", False),
        ("missing notin (a)", True),
        ("tier in (front),app=web", True),
        ("example.com/role=x", False),
    ],
)
def test_label_selectors_choose_as_kubernetes_does(text, matches):
    assert selector.labels(text)({"app": "web", "tier": "front"}) is matches


@pytest.mark.parametrize("text", ["app=web,", "a=b=c", "in (a)", "app in a", "=x", "a,,b"])
def test_a_label_selector_that_makes_no_sense_is_refused(text):
    with pytest.raises(BadQuery, match="unable to parse label selector"):
        selector.labels(text)


def test_events_are_selected_by_their_object():
    event = Event(involved_object=ObjectReference(kind="Pod", name="web"), type="Normal", reason="Started")
    assert selector.event_fields("involvedObject.name=web,type!=Warning")(event)
    assert not selector.event_fields("involvedObject.name=db")(event)
    with pytest.raises(BadQuery, match=r"involvedObject\.uid"):
        selector.event_fields("spec.nodeName=x")
