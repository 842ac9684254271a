import pytest

from minipod.errors import Conflict, MinipodError
from minipod.node import store
from minipod.node.store import Row, Store


def row(version, type_="ADDED", name="web", uid=None):
    return Row(version, type_, "Pod", "default", name, uid or f"uid-{name}", b"body %d" % version, b"applied")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "store.sqlite")


def test_what_was_written_is_there_after_opening_again(path):
    first = Store(path)
    first.write([row(1), row(2, name="db"), row(3, "MODIFIED")])
    first.close()
    again = Store(path)
    assert list(again.objects()) == [("Pod", b"body 2", b"applied"), ("Pod", b"body 3", b"applied")]
    assert again.version == 3
    again.close()


def test_versions_go_on_after_everything_was_deleted_and_the_store_opened_again(path):
    first = Store(path)
    first.write([row(1), row(2, "DELETED")])
    first.close()
    again = Store(path)
    assert list(again.objects()) == []
    assert again.version == 2
    again.close()


def test_a_name_that_is_taken_is_a_conflict_and_nothing_of_the_transaction_stays(path):
    opened = Store(path)
    opened.write([row(1)])
    with pytest.raises(Conflict):
        opened.write([row(2, name="db"), row(3, uid="another")])
    assert [body for _, body, _ in opened.objects()] == [b"body 1"]
    assert opened.version == 1
    opened.close()


def test_a_watch_can_go_on_from_any_version_that_is_kept(path):
    opened = Store(path)
    opened.write([row(1), row(2, "MODIFIED"), row(3, "DELETED")])
    assert [(version, type_) for version, type_, _, _ in opened.changes(1)] == [
        (2, "MODIFIED"),
        (3, "DELETED"),
    ]
    assert opened.changes(3) == []
    opened.close()


def test_a_version_of_the_future_or_of_a_past_that_is_forgotten_has_no_changes(path, monkeypatch):
    monkeypatch.setattr(store, "KEPT", 100)
    opened = Store(path)
    opened.write([row(1)])
    opened.write([row(version, "MODIFIED") for version in range(2, 257)])
    assert opened.changes(300) is None
    assert opened.changes(10) is None
    assert len(opened.changes(156)) == 100
    opened.close()


def test_a_file_that_is_no_database_is_named(tmp_path):
    (tmp_path / "store.sqlite").write_text("this is not a database, whatever its name says" * 20)
    with pytest.raises(MinipodError, match=r"store\.sqlite"):
        Store(str(tmp_path / "store.sqlite"))


def test_a_store_of_another_format_is_refused(path, monkeypatch):
    monkeypatch.setattr(store, "_CREATE", store._CREATE.replace("user_version = 1", "user_version = 7"))
    Store(path).close()
    with pytest.raises(MinipodError, match="format 7, not 1"):
        Store(path)
