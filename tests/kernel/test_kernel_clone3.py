"""clone3_fork: a fork in every respect, and more than a fork."""

import ctypes
import os
import threading

import pytest

from minipod.errors import KernelError
from minipod.kernel import files, process, syscalls
from tests.kernel.child import in_child

PR_GET_TID_ADDRESS = 40


def forked(flags=0, cgroup_fd=-1):
    return lambda: syscalls.clone3_fork(flags, cgroup_fd)[0]


def test_the_child_runs_the_same_program_and_the_parent_has_its_pid():
    pid, pidfd = syscalls.clone3_fork()
    if pid == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert pidfd == -1


def test_the_pidfd_is_of_the_child():
    pid, pidfd = syscalls.clone3_fork(want_pidfd=True)
    if pid == 0:
        os._exit(3)
    ended = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    assert ended
    assert (ended.si_pid, ended.si_status) == (pid, 3)
    assert not os.get_inheritable(pidfd)
    os.close(pidfd)


def test_python_in_the_child_knows_that_it_is_another_process():
    assert in_child(lambda: os.getpid() == threading.get_native_id(), forked())


def test_glibc_in_the_child_knows_its_thread_id():
    """It keeps it where set_tid_address(2) said, and takes it for the owner of locks."""

    def cached():
        address = ctypes.c_void_p()
        assert ctypes.CDLL(None).prctl(PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) == 0
        return ctypes.c_int.from_address(address.value).value == threading.get_native_id() == os.getpid()

    assert in_child(cached, forked())
    assert in_child(cached, forked(syscalls.CLONE_NEWPID))


def test_hooks_of_a_fork_are_run_in_the_child():
    def register_and_fork():
        seen = []
        os.register_at_fork(after_in_child=lambda: seen.append("child"))
        return in_child(lambda: seen, forked())

    assert in_child(register_and_fork) == ["child"]


def test_the_first_child_of_a_pid_namespace_is_number_one():
    assert in_child(os.getpid, forked(syscalls.CLONE_NEWPID)) == 1


def test_namespaces_are_new_in_the_child_and_the_same_in_the_parent():
    before = process.ns_inode("self", "net")
    assert in_child(lambda: process.ns_inode("self", "net"), forked(syscalls.CLONE_NEWNET)) != before
    assert process.ns_inode("self", "net") == before


def test_with_clone_parent_our_parent_gets_the_child_and_its_exit_code():
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        pid, _ = syscalls.clone3_fork(syscalls.CLONE_PARENT)
        if pid == 0:
            os._exit(9)
        os.write(writer, str(pid).encode())
        os._exit(0)
    os.waitpid(middle, 0)
    grandchild = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]) == 9


def test_the_init_of_a_pid_namespace_may_not_use_clone_parent():
    def refused():
        with pytest.raises(KernelError, match=r"clone3 .*\(EINVAL\)"):
            syscalls.clone3_fork(syscalls.CLONE_PARENT)

    in_child(refused, forked(syscalls.CLONE_NEWPID))


def test_the_child_is_born_in_the_cgroup(cgroup):
    fd = os.open(cgroup, os.O_DIRECTORY)
    lines = in_child(lambda: files.read("/proc/self/cgroup").splitlines(), forked(0, fd))
    os.close(fd)
    assert f"0::/{os.path.basename(cgroup)}" in lines
    assert f"0::/{os.path.basename(cgroup)}" not in files.read("/proc/self/cgroup").splitlines()


def test_after_a_failed_clone_python_goes_on():
    with pytest.raises(KernelError, match=r"clone3 .* in a cgroup: .*\(EBADF\)"):
        syscalls.clone3_fork(cgroup_fd=12345)
    assert in_child(lambda: "fine", forked()) == "fine"
