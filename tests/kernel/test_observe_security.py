"""What a process may do, beside what it did to itself."""

import msgspec
import prctl
import pytest

from minipod.kernel import caps, process, syscalls
from minipod.observe import security
from minipod.observe.members import Member
from minipod.observe.security import IdRange


@pytest.fixture
def look(start):
    """What is seen of a process that has done something to itself."""

    def run(prepare) -> security.Security:
        pid = start(prepare)
        (found,) = security.look([Member("app", pid, "", (pid,))])
        return found

    return run


def test_capabilities_are_told_by_name_and_set(look):
    kept = caps.to_mask(["NET_RAW", "CHOWN"])

    def drop() -> None:
        caps.drop_bounding(kept | caps.to_mask(["KILL"]))
        caps.set_caps(kept, caps.to_mask(["CHOWN"]))

    assert look(drop).capabilities == {
        "effective": ("CAP_CHOWN",),
        "permitted": ("CAP_CHOWN", "CAP_NET_RAW"),
        "inheritable": (),
        "bounding": ("CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"),
        "ambient": (),
    }


def test_a_user_is_told_with_the_groups(look):
    found = look(lambda: caps.set_user(1000, 2000, [3000, 4000]))
    assert (found.uids, found.gids, found.groups) == ((1000,) * 4, (2000,) * 4, (3000, 4000))


def test_the_map_of_a_user_namespace_is_told(look):
    def enter() -> None:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        for name, text in (("setgroups", "deny"), ("uid_map", "5 0 1"), ("gid_map", "6 0 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)

    found = look(enter)
    assert (found.uid_map, found.gid_map) == ((IdRange(5, 0, 1),), (IdRange(6, 0, 1),))
    assert "uid map: 5 is 0 (1 ids)" in security.as_text([found], 80)


def test_no_new_privs_is_told(look):
    assert (look(process.set_no_new_privs).no_new_privs, look(lambda: None).no_new_privs) == (True, False)


def test_the_mode_of_seccomp_is_told(look):
    assert look(lambda: None).seccomp == "disabled"
    assert look(lambda: prctl.set_seccomp(True)).seccomp == "strict"


def test_a_process_that_has_ended_is_left_out():
    assert security.look([Member("gone", 1 << 22, "", ())]) == ()


def test_the_oom_score_is_told(look):
    def volunteer() -> None:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("500")

    assert look(volunteer).oom_score_adj == 500


@pytest.fixture
def rows(look):
    def run(prepare) -> dict[str, str]:
        text = security.as_text([look(prepare)], 200)
        return dict(line.strip().split(": ", 1) for line in text.splitlines() if ": " in line)

    return run


def test_a_person_reads_equal_sets_on_one_line(rows):
    def drop() -> None:
        caps.drop_bounding(caps.to_mask(["KILL"]))
        caps.set_caps(caps.to_mask(["KILL"]), caps.to_mask(["KILL"]))

    found = rows(drop)
    assert found["effective, permitted, bounding caps"] == "KILL"
    assert found["inheritable, ambient caps"] == "none"


def test_a_map_that_changes_nothing_is_the_hosts(look):
    found = msgspec.structs.replace(look(lambda: None), uid_map=(IdRange(0, 0, 0xFFFFFFFF),))
    assert "uid map: the host's" in security.as_text([found], 80)


def test_long_lists_are_folded_at_the_terminals_width(look):
    mask = caps.to_mask(caps.DEFAULT)
    found = look(lambda: caps.set_caps(mask, mask))
    assert max(map(len, security.as_text([found], 80).splitlines())) <= 80
