"""The journal: what was appended is known to the next supervisor, however the last one ended."""

import os

import pytest

from minipod.api.cri import ContainerInfo
from minipod.errors import KernelError
from minipod.supervisor import journal as j
from minipod.supervisor.known import Observed
from minipod.supervisor.observed import ContainerIs, ContainerStarting, SupervisorBegan

BEGAN = SupervisorBegan(at=1)


def attempts(count):
    """The facts of a container that was started and ended so many times."""
    facts = []
    for number in range(count):
        info = ContainerInfo(id=f"c{number}", sandbox_id="s", name="a", attempt=number, state="exited")
        facts += [
            ContainerStarting(at=number, name="a", id=f"c{number}", attempt=number, backoff=number),
            ContainerIs(at=number, container=info),
        ]
    return facts


def known_at(path):
    """What the next supervisor will know."""
    return j.replay(path)[0]


@pytest.fixture
def path(tmp_path):
    return j.path_of(str(tmp_path))


@pytest.fixture
def journal(path):
    opened = []

    def open_journal(**options):
        opened.append(j.Journal(path, **options))
        return opened[-1]

    yield open_journal
    for one in opened:
        one.close()


def test_no_journal_is_nothing_known(path):
    assert known_at(path) == Observed()


def test_what_was_appended_is_replayed(path, journal):
    first = journal()
    for fact in [BEGAN, *attempts(3)]:
        known = first.append(fact)
    assert known.sequence == 7
    assert known_at(path) == known
    assert journal().observed == known


def test_a_fact_is_one_write_of_one_line(path, journal, monkeypatch):
    written = []
    real = os.write
    first = journal()
    monkeypatch.setattr(j.os, "write", lambda fd, data: written.append(data) or real(fd, data))
    first.append(BEGAN)
    assert written == [b'{"fact":"SupervisorBegan","at":1}\n']


@pytest.mark.parametrize("torn", [b"{", b'{"fact":"SupervisorBegan","at":2}', b"\0\0\0\0"])
def test_a_torn_last_line_is_dropped_and_the_next_fact_stands_alone(path, journal, torn):
    known = journal().append(BEGAN)
    with open(path, "ab") as file:
        file.write(torn)
    second = journal()
    assert second.observed == known
    known = second.append(SupervisorBegan(at=3))
    assert known_at(path) == known


def test_after_a_line_that_is_not_whole_nothing_is_believed(path, journal):
    known = journal().append(BEGAN)
    with open(path, "ab") as file:
        file.write(b'\0\0\0\n{"fact":"SupervisorBegan","at":2}\n')
    assert known_at(path) == known


def test_every_torn_end_gives_what_was_known_at_some_time(path, journal):
    first = journal()
    states = [Observed()] + [first.append(fact) for fact in attempts(2)]
    with open(path, "rb") as file:
        whole = file.read()
    for length in range(len(whole) + 1):
        with open(path, "wb") as file:
            file.write(whole[:length])
        assert known_at(path) == states[whole[:length].count(b"\n")]


def test_a_large_journal_is_compacted_and_still_says_the_same(path, journal):
    first = journal(compact_bytes=2000)
    for fact in attempts(200):
        known = first.append(fact)
        assert known_at(path) == known
    assert os.path.getsize(path) < 4000
    assert os.listdir(os.path.dirname(path)) == ["journal"]
    assert journal().observed == known


def test_a_compaction_that_fails_loses_nothing(path, journal, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(j.os, "rename", full)
    first = journal(compact_bytes=500)
    for fact in attempts(10):
        known = first.append(fact)
    assert known_at(path) == known


def test_on_a_full_disk_a_fact_has_not_happened(path, journal, monkeypatch):
    first = journal()
    known = first.append(BEGAN)
    real = os.write
    monkeypatch.setattr(j.os, "write", lambda fd, data: real(fd, data[:7]))
    with pytest.raises(KernelError, match="ENOSPC"):
        first.append(SupervisorBegan(at=2))
    monkeypatch.setattr(j.os, "write", real)
    assert first.observed == known
    assert known_at(path) == known
    assert first.append(SupervisorBegan(at=3)).sequence == 2
    assert known_at(path).sequence == 2


def test_others_cannot_read_it(path, journal):
    journal()
    assert os.stat(path).st_mode & 0o777 == 0o600
