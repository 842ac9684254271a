"""cgroups of this host, whichever version it has."""

import errno
import mmap
import os
import secrets
import signal

import pytest

from minipod.errors import KernelError
from minipod.kernel import cgroups, files, syscalls
from tests.kernel.child import enter_v2, in_child, sleeper

HERE = cgroups.detect()


@pytest.fixture
def everywhere():
    """The name of a cgroup that exists in every hierarchy minipod uses."""
    name = f"minipod-test-{secrets.token_hex(4)}"
    for directory in HERE.directories(name):
        cgroups.mkdir(directory)
    yield name
    cgroups.kill(f"{HERE.v2}/{name}")
    assert cgroups.wait_empty(f"{HERE.v2}/{name}", 30)
    for directory in HERE.directories(name):
        cgroups.rmdir(directory)


def born_in(directory):
    """A fork into a cgroup2 cgroup, for sleeper() and in_child()."""

    def fork():
        fd = os.open(directory, os.O_DIRECTORY)
        try:
            return syscalls.clone3_fork(cgroup_fd=fd)[0]
        finally:
            os.close(fd)

    return fork


def enter_all(name):
    for mount in HERE.v1.values():
        cgroups.enter_v1(f"{mount}/{name}")
    enter_v2(f"{HERE.v2}/{name}")


def apply(name, limits):
    for controller, file, text in cgroups.settings(limits, HERE):
        cgroups.set_limit(HERE.directory(controller, name), file, text)


def test_every_controller_is_found_somewhere():
    assert all(HERE.directory(name, "x") for name in ("cpu", "memory", "pids"))


def test_making_a_cgroup_twice_is_an_error(cgroup):
    with pytest.raises(KernelError) as caught:
        cgroups.mkdir(cgroup)
    assert caught.value.errno == errno.EEXIST


def test_removing_a_cgroup_that_is_not_there_is_success(cgroup):
    cgroups.mkdir(f"{cgroup}/child")
    cgroups.rmdir(f"{cgroup}/child")
    cgroups.rmdir(f"{cgroup}/child")
    assert not os.path.exists(f"{cgroup}/child")


def test_a_cgroup_with_a_process_is_not_removed(cgroup):
    sleeper(born_in(cgroup))
    with pytest.raises(KernelError, match=f"rmdir cgroup {cgroup}") as caught:
        cgroups.rmdir(cgroup)
    assert caught.value.errno == errno.EBUSY


def test_a_new_cgroup_is_empty_and_a_process_populates_it(cgroup):
    assert cgroups.wait_empty(cgroup, 0)
    sleeper(born_in(cgroup))
    assert not cgroups.wait_empty(cgroup, 0)


def test_kill_ends_every_process_below(cgroup):
    cgroups.mkdir(f"{cgroup}/child")
    pids = [sleeper(born_in(cgroup)), sleeper(born_in(f"{cgroup}/child"))]
    cgroups.kill(cgroup)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [-signal.SIGKILL] * 2
    assert cgroups.wait_empty(cgroup, 30)
    cgroups.rmdir(f"{cgroup}/child")


def test_a_zombie_does_not_keep_a_cgroup_from_being_empty_and_removed(cgroup):
    cgroups.mkdir(f"{cgroup}/child")
    pid = sleeper(born_in(f"{cgroup}/child"))
    cgroups.kill(f"{cgroup}/child")
    assert cgroups.wait_empty(f"{cgroup}/child", 30)
    cgroups.rmdir(f"{cgroup}/child")
    os.waitpid(pid, 0)


def test_waiting_for_a_living_process_ends_with_false(cgroup):
    sleeper(born_in(cgroup))
    assert not cgroups.wait_empty(cgroup, 0.01)


def test_waiting_ends_as_soon_as_the_last_process_does(cgroup):
    pid = sleeper(born_in(cgroup))
    killer = os.fork()
    if killer == 0:
        os.kill(pid, signal.SIGKILL)
        os._exit(0)
    assert cgroups.wait_empty(cgroup, 30)
    os.waitpid(killer, 0)
    os.waitpid(pid, 0)


def test_killing_and_waiting_for_a_missing_cgroup_is_success(cgroup):
    cgroups.kill(f"{cgroup}/nothing")
    assert cgroups.wait_empty(f"{cgroup}/nothing", 0)


def test_a_cgroup_that_is_removed_while_we_wait_is_empty(cgroup, monkeypatch):
    cgroups.mkdir(f"{cgroup}/child")
    sleeper(born_in(f"{cgroup}/child"))

    class Remover:
        """Stands in for poll(2): while it waits, somebody else removes the cgroup."""

        def register(self, fd, events):
            pass

        def poll(self, milliseconds):
            monkeypatch.undo()
            cgroups.kill(f"{cgroup}/child")
            assert cgroups.wait_empty(f"{cgroup}/child", 30)
            cgroups.rmdir(f"{cgroup}/child")

    monkeypatch.setattr(cgroups.select, "poll", Remover)
    assert cgroups.wait_empty(f"{cgroup}/child", 30)


def test_controllers_are_not_enabled_where_they_do_not_exist(cgroup):
    with pytest.raises(KernelError, match=r"\+nonsense to .*cgroup.subtree_control"):
        cgroups.enable_controllers(cgroup, ("nonsense",))


def test_a_process_enters_all_hierarchies_by_itself(everywhere):
    def enter():
        enter_all(everywhere)
        return files.read("/proc/self/cgroup").splitlines()

    lines = in_child(enter)
    for controller in HERE.v1:
        assert any(
            controller in line.split(":")[1].split(",") and line.endswith(everywhere) for line in lines
        )
    assert f"0::/{everywhere}" in lines


def test_limits_are_what_the_kernel_shows_afterwards(everywhere):
    limits = cgroups.Limits(cpu_shares=512, cpu_quota=25_000, memory=64 << 20, pids=30)
    for controller, file, text in cgroups.settings(limits, HERE):
        if cgroups.set_limit(HERE.directory(controller, everywhere), file, text):
            assert files.read(f"{HERE.directory(controller, everywhere)}/{file}") == text


def test_only_what_promises_nothing_may_be_missing(cgroup):
    assert not cgroups.set_limit(f"{cgroup}/nothing", "memory.swap.max", "0")
    with pytest.raises(KernelError):
        cgroups.set_limit(f"{cgroup}/nothing", "memory.max", "1")


def test_a_process_over_its_memory_limit_is_killed_and_counted(everywhere):
    apply(everywhere, cgroups.Limits(memory=16 << 20))
    pid = os.fork()
    if pid == 0:
        enter_all(everywhere)
        memory = mmap.mmap(-1, 64 << 20)
        for page in range(0, len(memory), mmap.PAGESIZE):
            memory[page] = 1
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert cgroups.usage(HERE, everywhere).oom_kills in (1, 2)  # 2: memory.oom.group, see usage()


def test_a_fork_over_the_pids_limit_is_refused(everywhere):
    apply(everywhere, cgroups.Limits(pids=1))

    def enter_and_fork():
        enter_all(everywhere)
        try:
            return os.fork()
        except BlockingIOError:
            return "refused"

    assert in_child(enter_and_fork) == "refused"


def test_usage_counts_a_process_and_its_memory_and_cpu_time(everywhere):
    before = cgroups.usage(HERE, everywhere)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        enter_all(everywhere)
        kept = bytearray(os.urandom(4 << 20))
        os.write(writer, b"!")
        signal.pause()
        os._exit(len(kept) & 1)
    os.read(reader, 1)
    now = cgroups.usage(HERE, everywhere)
    assert (before.pids, now.pids) == (0, 1)
    assert now.memory_bytes - before.memory_bytes >= 4 << 20
    assert now.cpu_usec > before.cpu_usec
    assert now.oom_kills == 0
    os.close(reader)
    os.close(writer)
