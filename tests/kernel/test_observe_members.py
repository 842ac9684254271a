"""Whose a process is, and the tree of a pod's processes, compared with cgroupfs and /proc."""

import mmap
import os
import subprocess
from pathlib import Path

import pytest

from minipod.kernel import cgroups, process, syscalls
from minipod.observe import members, processes
from minipod.observe.members import Member
from tests.kernel.child import enter_v2, resident
from tests.support.wait import wait_until


def inside(cgroup: str, prepare=lambda: None):
    """What a resident does that is to be in a cgroup."""

    def run():
        enter_v2(cgroup)
        return prepare()

    return run


def test_a_member_has_all_processes_of_its_cgroup_however_they_hid(start, cgroup):
    pids = os.pipe()

    def hide() -> None:
        if os.fork() == 0:  # an orphan in a session of its own, in a PID namespace of its own
            os.setsid()
            syscalls.unshare(syscalls.CLONE_NEWPID)
            os.write(pids[1], str(resident(lambda: None)).encode())
            os.read(os.pipe()[0], 1)

    pid = start(inside(cgroup, hide))
    os.read(pids[0], 16)
    (member,) = members.of_pod(0, [("app", pid)])
    with open(f"{cgroup}/cgroup.procs") as file:
        assert set(member.pids) == set(map(int, file.read().split()))
    assert (len(member.pids), member.pids[0]) == (3, pid)


def test_processes_in_a_cgroup_that_a_container_made_for_itself_are_its_own(start, cgroup):
    pid, below = start(inside(cgroup)), f"{cgroup}/below"
    cgroups.mkdir(below)
    try:
        child = start(inside(below))
        (member,) = members.of_pod(0, [("app", pid)])
        assert member.pids == (pid, child)
        subprocess.run(["sh", "-c", f"echo {child} > {cgroup}/cgroup.procs"], check=True)
    finally:
        cgroups.rmdir(below)


def test_a_member_without_a_cgroup_of_its_own_is_its_first_process_only(start):
    pid = start(lambda: enter_v2(cgroups.detect().v2))
    assert members.of_pod(0, [("app", pid)]) == (Member("app", pid, "", (pid,)),)


def test_who_has_not_started_or_has_ended_is_no_member():
    assert members.of_pod(0, [("waiting", 0), ("ended", -1), ("gone", 1 << 22)]) == ()


# --- the tree


def namespaced() -> None:
    """Have a child that is PID 1 of a namespace of its own, and that has a child as well."""
    syscalls.unshare(syscalls.CLONE_NEWPID)
    resident(lambda: resident(lambda: None))


def test_a_process_is_told_with_its_number_in_each_namespace(start, cgroup):
    pid = start(inside(cgroup, namespaced))
    (member,) = members.of_pod(0, [("app", pid)])
    _, first, init, child = processes.look([member])
    assert (first.pids, init.pids[1:], child.pids[1:]) == ((pid,), (1,), (2,))
    assert init.namespace == child.namespace != first.namespace
    assert init.namespace == os.stat(f"/proc/{init.pid}/ns/pid").st_ino


def test_children_follow_their_parents_and_the_parent_outside_comes_first(start, cgroup):
    pid = start(inside(cgroup, namespaced))
    found = processes.look(members.of_pod(0, [("app", pid)]))
    assert [each.container for each in found] == ["", "app", "app", "app"]
    assert found[0].pid == os.getpid()
    assert [each.parent for each in found[1:]] == [each.pid for each in found[:-1]]


def test_a_parent_in_another_container_is_still_the_parent(start):
    parent = start(lambda: resident(lambda: None))
    with open(f"/proc/{parent}/task/{parent}/children") as file:
        child = int(file.read())
    found = processes.look([Member("b", child, "", (child,)), Member("a", parent, "", (parent,))])
    assert [(each.container, each.pid) for each in found[1:]] == [("a", parent), ("b", child)]


def test_a_process_is_told_with_its_user_its_memory_and_its_command():
    with subprocess.Popen(["sleep", "1000"], user=65534) as sleeping:
        try:
            *_, found = processes.look([Member("app", sleeping.pid, "", (sleeping.pid,))])
        finally:
            sleeping.kill()
    assert (found.uid, found.command, found.threads) == (65534, "sleep 1000", 1)
    assert 0 < found.memory < 64 << 20


def test_an_escape_sequence_in_a_command_does_not_reach_the_terminal():
    with subprocess.Popen(
        ["sh", "-c", "echo; read x", "\x1b[31m"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as red:
        assert red.stdout
        red.stdout.readline()  # the shell runs
        text = processes.as_text(processes.look([Member("app", red.pid, "", (red.pid,))]), 200)
    assert "[31m" in text
    assert "\x1b" not in text


def test_an_escape_sequence_in_a_name_does_not_reach_the_terminal_either(start):
    """Who has taken its arguments away is told by its name, which prctl(2) sets."""

    def rename() -> None:
        with open("/proc/self/comm", "wb") as file:
            file.write(b"\x1b[31m\xff")
        process.set_title("")

    pid = start(rename)
    *_, found = processes.look([Member("app", pid, "", (pid,))])
    assert found.command == "[\ufffd[31m\ufffd]"


def test_of_a_long_command_only_the_beginning_is_read():
    with subprocess.Popen(["sleep", "1000", *["0" * 100_000] * 10]) as sleeping:
        try:
            # Popen returns when exec has closed its descriptors: a moment before the new command line is there.
            wait_until(lambda: Path(f"/proc/{sleeping.pid}/cmdline").read_bytes().startswith(b"sleep"))
            *_, found = processes.look([Member("app", sleeping.pid, "", (sleeping.pid,))])
        finally:
            sleeping.kill()
    assert found.command.startswith("sleep 1000 000")
    assert len(found.command) == 4096


def test_a_file_in_memory_may_have_a_name_with_the_end_of_a_line(start, tmp_path):
    path = tmp_path / "one\rtwo\x1cthree\u2028"
    path.write_text("x")

    def mapped() -> mmap.mmap:
        with path.open("r+b") as file:
            return mmap.mmap(file.fileno(), 1)

    assert (path.stat().st_dev, path.stat().st_ino) in members.mapped_files(start(mapped))


@pytest.mark.parametrize("width", [40, 80])
def test_a_line_is_no_wider_than_the_terminal(start, width):
    pid = start(lambda: None)
    text = processes.as_text(processes.look([Member("app", pid, "", (pid,))]), width)
    assert max(map(len, text.splitlines())) <= width


def test_a_person_is_told_that_nobody_runs():
    assert "nobody" in processes.as_text(processes.look([]), 80)
