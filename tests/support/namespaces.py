"""Private namespaces for tests: mount, network, IPC, UTS and PID, furnished like a freshly booted machine.

    @isolated                a test (with its fixtures) runs in namespaces of its own, and looks like any other test
    spawn(function)          the same for one function, as a process
    inside(pid, function)    run a function in the namespaces of a process and have its result, or its exception

Whatever a test forgets to undo there goes when the PID namespace's init does: the kernel kills every process in it,
and the last process takes mounts, links and pins along (pid_namespaces(7)). Only cgroups and files need care.
"""

import os
import pickle
import select
import signal
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from minipod.kernel import process, syscalls

isolated = pytest.mark.isolated

NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWPID
)


def spawn(main: Callable[[], object]) -> int:
    """Run `main` as PID 1 of new namespaces; the pid returned is of a parent that ends as it does, and that kills it.

    It dies with this process: no test leaves one behind, however it ends.
    """
    keeper = os.fork()
    if keeper:
        return keeper
    with _last_words():
        process.set_pdeathsig(signal.SIGKILL)
        syscalls.unshare(NAMESPACES)
        init = os.fork()
        if init == 0:
            process.set_pdeathsig(signal.SIGKILL)
            _furnish()
            main()
            os._exit(0)
        os._exit(os.waitstatus_to_exitcode(os.waitpid(init, 0)[1]) & 0xFF)


def _furnish() -> None:
    """Mounts that belong to the new namespaces: /proc and /sys show them, /run and /dev/shm are empty."""
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("proc", "/proc", "proc")
    # A sysfs mount shows the network namespace it was made in (sysfs(5)); the cgroups below it are carried over.
    cgroups = syscalls.open_tree(
        syscalls.AT_FDCWD, "/sys/fs/cgroup", syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
    )
    syscalls.umount2("/sys", syscalls.MNT_DETACH)
    syscalls.mount("sysfs", "/sys", "sysfs")
    syscalls.move_mount(cgroups, "", syscalls.AT_FDCWD, "/sys/fs/cgroup", syscalls.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(cgroups)
    for directory in ("/run", "/dev/shm"):
        syscalls.mount("tmpfs", directory, "tmpfs")


def reap_until(pid: int) -> int:
    """What init does: wait for everybody's orphans, until `pid` has ended; its exit code."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status) & 0xFF


def inside(pid: int, function: Callable[..., Any], *args: object, seconds: float = 60) -> Any:
    """Call `function` in the namespaces that process `pid` and its children are in; its result must be picklable.

    Its exception is raised here, with the traceback from there as its cause.
    """
    answer = os.memfd_create("answer")
    try:
        child = os.fork()
        if child == 0:
            with _last_words():
                _join(pid)
                _answer(answer, function, args)
        if not finished(child, seconds):
            raise TimeoutError(f"{function} didn't return within {seconds} s")
        return _result(answer, function)
    finally:
        os.close(answer)


def _join(pid: int) -> None:
    pidfd = process.pidfd_open(pid)
    syscalls.setns(pidfd, NAMESPACES, f"the namespaces of process {pid}")
    os.close(pidfd)
    os.chdir("/")
    child = os.fork()  # setns(2): only children are in the PID namespace
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    process.set_pdeathsig(signal.SIGKILL)


def _answer(fd: int, function: Callable[..., Any], args: tuple[object, ...]) -> NoReturn:
    try:
        answer = (True, function(*args), "")
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again by the caller
        answer = (False, error, traceback.format_exc())
    try:
        data = pickle.dumps(answer)
        pickle.loads(data)
    except Exception:  # noqa: BLE001 - an exception that can't be copied is told as text
        data = pickle.dumps((False, RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}"), answer[2]))
    os.write(fd, data)
    os._exit(0)


class ThereError(Exception):
    """The traceback in the other process."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _result(fd: int, function: Callable[..., Any]) -> Any:
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        data = file.read()
    if not data:
        raise RuntimeError(f"{function} ended without an answer")
    returned, value, text = pickle.loads(data)
    if returned:
        return value
    raise value from ThereError(text)


def finished(child: int, seconds: float) -> bool:
    """Wait for our child; False if it had to be killed."""
    pidfd = os.pidfd_open(child)
    try:
        in_time = bool(select.select([pidfd], [], [], seconds)[0])
        if not in_time:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return in_time
    finally:
        os.close(pidfd)


class _last_words:
    """A forked process never returns into pytest: an exception is printed and ends it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> NoReturn:
        if error is not None:
            os.write(2, "".join(traceback.format_exception(error)).encode())
        os._exit(99)
