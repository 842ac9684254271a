"""Processes: what is seen of them, how they end, what they set for themselves."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from minipod.errors import KernelError
from minipod.kernel import process
from tests.kernel.child import enter_v2, in_child, sleeper


def exited(code):
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return pid


def status_after_exec(prepare):
    """The fields of /proc/self/status that a program sees which is executed after `prepare`."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.dup2(writer, 1)
        prepare()
        os.execv("/bin/cat", ["cat", "/proc/self/status"])
    os.close(writer)
    with os.fdopen(reader) as file:
        lines = file.read().splitlines()
    os.waitpid(pid, 0)
    return dict(line.split(":\t", 1) for line in lines)


def test_processes_share_a_namespace_when_its_inode_is_the_same():
    pid = sleeper()
    same = [process.ns_inode(pid, kind) == process.ns_inode("self", kind) for kind in process.NAMESPACES]
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert all(same)


def test_a_namespace_of_a_process_that_is_gone_is_an_error():
    pid = exited(0)
    os.waitpid(pid, 0)
    with pytest.raises(KernelError, match=f"stat /proc/{pid}/ns/net"):
        process.ns_inode(pid, "net")


def test_the_status_is_of_that_process(start):
    pid = start(lambda: None)
    status = process.status(pid)
    assert (status["Pid"], status["PPid"]) == (str(pid), str(os.getpid()))


def test_the_root_is_that_of_the_process(start, tmp_path):
    root = process.root(start(lambda: os.chroot(tmp_path)), "")
    try:
        assert os.path.samestat(os.fstat(root), os.stat(tmp_path))
    finally:
        os.close(root)


def test_there_is_no_root_of_a_process_that_is_in_another_cgroup(start, cgroup):
    pid = start(lambda: enter_v2(cgroup))
    os.close(process.root(pid, os.path.basename(cgroup)))
    with pytest.raises(KernelError) as caught:
        process.root(pid, "another")
    assert caught.value.errno == errno.ESRCH


def test_there_is_no_root_of_a_process_that_has_ended():
    pid = exited(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    for is_reaped in (False, True):
        with pytest.raises(KernelError) as caught:
            process.root(pid, "")
        assert caught.value.errno == errno.ESRCH
        if not is_reaped:
            os.waitpid(pid, 0)


def test_a_signal_by_pidfd_is_for_a_process_that_lives():
    pid = sleeper()
    pidfd = process.pidfd_open(pid)
    assert process.pidfd_kill(pidfd, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    assert not process.pidfd_kill(pidfd, signal.SIGTERM)
    os.close(pidfd)


def test_a_pid_that_is_gone_can_not_be_opened():
    pid = exited(0)
    os.waitpid(pid, 0)
    with pytest.raises(KernelError, match=f"pidfd_open process {pid}"):
        process.pidfd_open(pid)


def test_reap_takes_all_that_ended_and_leaves_the_others():
    def reap():
        alive, pids = sleeper(), {exited(1), exited(2)}
        for pid in pids:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        first = {(ended.pid in pids, ended.code) for ended in process.reap()}
        second = process.reap()
        os.kill(alive, signal.SIGKILL)
        os.waitid(os.P_PID, alive, os.WEXITED | os.WNOWAIT)
        killed = [(ended.pid == alive, ended.code, ended.signal) for ended in process.reap()]
        return first, second, killed, process.reap()

    assert in_child(reap) == ({(True, 1), (True, 2)}, [], [(True, 128 + signal.SIGKILL, signal.SIGKILL)], [])


def test_signals_that_python_ignores_or_blocks_are_given_back_before_exec():
    def default_and_unblock():
        process.default_signals()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        process.unblock_signals()

    assert int(status_after_exec(lambda: None)["SigIgn"], 16), "nothing to give back"
    status = status_after_exec(default_and_unblock)
    assert (int(status["SigIgn"], 16), int(status["SigBlk"], 16)) == (0, 0)


def test_close_fds_leaves_exactly_those_to_keep():
    reader, writer = os.pipe()
    several = [os.dup(0) for _ in range(6)]  # unwanted, kept, unwanted, kept, and two unwanted
    pid = os.fork()
    if pid == 0:
        process.close_fds_except({0, several[1], writer, several[3]})
        left = [fd for fd in range(100) if os.path.exists(f"/proc/self/fd/{fd}")]
        os.write(writer, repr(left).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        left = file.read()
    os.waitpid(pid, 0)
    for fd in several:
        os.close(fd)
    assert left == repr(sorted([0, writer, several[1], several[3]]))


def test_no_new_privs_stays_across_exec():
    assert status_after_exec(lambda: None)["NoNewPrivs"] == "0"
    assert status_after_exec(process.set_no_new_privs)["NoNewPrivs"] == "1"


def test_a_process_dies_with_its_parent_when_it_asked_for_it():
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        ready, said = os.pipe()
        if os.fork() == 0:
            process.set_pdeathsig(signal.SIGKILL)
            os.write(said, b"!")
            signal.pause()
        os.read(ready, 1)
        os._exit(0)
    os.close(writer)
    # The pipe ends when its last holder, the grandchild, is dead.
    assert os.read(reader, 1) == b""
    os.close(reader)
    os.waitpid(middle, 0)


def test_what_is_not_dumpable_belongs_to_root_in_proc():
    def owners():
        os.setuid(1000)
        process.set_dumpable(True)
        before = os.stat("/proc/self/environ").st_uid
        process.set_dumpable(False)
        return before, os.stat("/proc/self/environ").st_uid

    assert in_child(owners) == (1000, 0)


def test_a_refused_prctl_is_named():
    with pytest.raises(KernelError, match=r"prctl PR_SET_PDEATHSIG 9999: .*\(EINVAL\)"):
        process.set_pdeathsig(9999)


TITLES = """
import sys
sys.path[:] = sys.argv[1].split(":")
from minipod.kernel import files, process
for title in ("minipod: pod default/web", "x" * 10000):
    process.set_title(title)
    print(files.read("/proc/self/cmdline").rstrip("\\0")[:30])
print(files.read("/proc/self/environ").strip("\\0"))
"""


@pytest.mark.parametrize("environment", [{}, {"NAME": "value"}], ids=["no environment", "an environment"])
def test_a_title_is_the_command_line_and_the_environment_stays(environment):
    command = [sys.executable, "-S", "-c", TITLES, ":".join(sys.path)]
    shown = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    variables = "".join(f"{name}={value}" for name, value in environment.items())
    assert shown.splitlines() == ["minipod: pod default/web", "x" * 30, variables]


@pytest.mark.parametrize(
    "heavy", ["pyroute2", "asyncio", "subprocess", "pathlib", "dataclasses", "json", "logging"]
)
def test_what_the_forge_imports_from_here_stays_light(heavy):
    code = (
        "import sys; from minipod.kernel import caps, cgroups, devices, files, process, syscalls; "
        f"sys.exit({heavy!r} in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    pid = os.posix_spawn(sys.executable, [sys.executable, "-S", "-c", code], environment)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
