import pytest
from msgspec.structs import replace

from minipod.errors import Conflict, NotFound
from minipod.node import objects as module
from minipod.node.hub import Hub
from minipod.node.objects import Objects
from minipod.node.store import Store
from minipod.spec.types import Event, ObjectMeta, ObjectReference, Pod, PodStatus


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.sqlite")


@pytest.fixture
def opened(path):
    store = Store(path)
    yield Objects(store, Hub())
    store.close()


def pod(name, namespace="default"):
    return Pod(metadata=ObjectMeta(name=name, namespace=namespace))


def event(message="hello", **fields):
    return Event(type="Normal", reason="Test", message=message, **fields)


def test_a_created_pod_has_uid_time_and_version_and_can_be_found_both_ways(opened):
    made = opened.create(pod("web"), b"applied")
    assert made.metadata.uid
    assert made.metadata.creation_timestamp.endswith("Z")
    assert made.metadata.resource_version == opened.version == "1"
    assert (made.status.phase, made.status.qos_class) == ("Pending", "BestEffort")
    assert opened.pod("default", "web") is opened.pod_by_uid(made.metadata.uid) is made


def test_a_name_is_given_once_in_a_namespace(opened):
    opened.create(pod("web"), b"")
    opened.create(pod("web", "other"), b"")
    with pytest.raises(Conflict, match='pods "web" already exists'):
        opened.create(pod("web"), b"")


def test_everything_is_there_when_the_store_is_opened_again(opened, path):
    made = opened.create(pod("web"), b"applied")
    opened.event_happened(made.metadata.uid, event())
    store = Store(path)
    again = Objects(store, Hub())
    assert again.list_pods() == opened.list_pods()
    assert again.list_events() == opened.list_events()
    assert again.applied(made.metadata.uid) == b"applied"
    store.close()


def test_a_status_that_says_nothing_new_is_no_write(opened):
    uid = opened.create(pod("web"), b"").metadata.uid
    opened.pod_changed(uid, PodStatus(phase="Running"))
    before = opened.version
    opened.pod_changed(uid, PodStatus(phase="Running"))
    assert opened.version == before


def test_news_of_a_pod_that_is_gone_are_dropped(opened):
    uid = opened.create(pod("web"), b"").metadata.uid
    opened.pod_gone(uid)
    opened.pod_changed(uid, PodStatus(phase="Running"))
    opened.event_happened(uid, event())
    opened.pod_gone(uid)
    assert opened.list_pods() == []
    assert opened.list_events() == []
    with pytest.raises(NotFound):
        opened.pod("default", "web")


def test_a_second_delete_can_only_shorten_the_grace(opened):
    made = opened.mark_deleted(opened.create(pod("web"), b""), 30)
    assert opened.mark_deleted(made, 60) is made
    assert opened.mark_deleted(made, 5).metadata.deletion_grace_period_seconds == 5


def test_the_same_event_again_is_counted(opened):
    uid = opened.create(pod("web"), b"").metadata.uid
    for _ in range(3):
        opened.event_happened(uid, event())
    opened.event_happened(uid, event("another"))
    assert sorted((each.message, each.count) for each in opened.list_events()) == [
        ("another", 1),
        ("hello", 3),
    ]


def test_a_supervisor_counts_for_itself_and_may_tell_again_what_it_told_before(opened):
    uid = opened.create(pod("web"), b"").metadata.uid
    named = event(metadata=ObjectMeta(name="web.123"), count=1, last_timestamp="2026-11-22T10:00:00Z")
    opened.event_happened(uid, named)
    opened.event_happened(uid, replace(named, count=2, last_timestamp="2026-11-22T10:00:05Z"))
    opened.event_happened(uid, named)
    (kept,) = opened.list_events()
    assert (kept.metadata.name, kept.count) == ("web.123", 2)
    assert kept.last_timestamp == "2026-11-22T10:00:05Z"


def test_an_event_says_what_it_is_about(opened):
    made = opened.create(pod("web"), b"")
    about = ObjectReference(field_path="spec.containers{app}")
    opened.event_happened(made.metadata.uid, event(involved_object=about))
    (kept,) = opened.list_events("default")
    assert (kept.involved_object.kind, kept.involved_object.name) == ("Pod", "web")
    assert (kept.involved_object.uid, kept.involved_object.field_path) == (
        made.metadata.uid,
        "spec.containers{app}",
    )


def test_old_events_and_those_beyond_the_bound_of_their_namespace_go(opened, monkeypatch):
    monkeypatch.setattr(module, "EVENTS_KEPT", 2)
    uid = opened.create(pod("web"), b"").metadata.uid
    other = opened.create(pod("web", "other"), b"").metadata.uid
    opened.event_happened(other, event("old", last_timestamp="2020-01-01T00:00:00Z"))
    for number in range(4):
        opened.event_happened(uid, event(f"n{number}", last_timestamp=f"2999-01-01T00:00:0{number}Z"))
    opened.trim_events()
    assert [each.message for each in opened.list_events()] == ["n2", "n3"]


def test_events_stay_when_their_pod_goes(opened):
    uid = opened.create(pod("web"), b"").metadata.uid
    opened.event_happened(uid, event())
    opened.pod_gone(uid)
    assert len(opened.list_events()) == 1
