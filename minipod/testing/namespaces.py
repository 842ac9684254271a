"""Functions in other namespaces: in new ones, furnished like a freshly booted machine, or in those of a process.

    spawn(function)          run a function as PID 1 of new namespaces, as a process
    inside(pid, function)    run a function in the namespaces of a process and have its result, or its exception

Whatever is not undone in new namespaces goes when the PID namespace's init does: the kernel kills every process in it,
and the last process takes mounts, links and pins along (pid_namespaces(7)). Only cgroups and files need care.
"""

import os
import pickle
import select
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypeVar

from minipod.kernel import process, syscalls
from minipod.plan.ops.namespaces import FLAGS
from minipod.testing.wait import PATIENCE

T = TypeVar("T")

MACHINE = ("mnt", "net", "ipc", "uts", "pid")  # what makes a private machine
_LATE = 98  # exit code
_FLAGS = FLAGS | {"user": syscalls.CLONE_NEWUSER}


def spawn(main: Callable[[], object]) -> int:
    """Run `main` as PID 1 of new namespaces; the pid returned is of a parent that ends as it does, and that kills it.

    It dies with this process: no test leaves one behind, however it ends.
    """
    keeper = os.fork()
    if keeper:
        return keeper
    with _last_words():
        process.set_pdeathsig(signal.SIGKILL)
        syscalls.unshare(_flags(MACHINE))
        init = os.fork()
        if init == 0:
            process.set_pdeathsig(signal.SIGKILL)
            _furnish()
            main()
            os._exit(0)
        os._exit(_exit_code(init))


def _flags(kinds: Iterable[str]) -> int:
    flags = 0
    for kind in kinds:
        flags |= _FLAGS[kind]
    return flags


def _exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF


def _furnish() -> None:
    """As a machine that has just booted: /proc and /sys show what is new, /run is empty, nothing is forwarded."""
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
    # A new network namespace begins with the machine's IPv4 settings (net.core.devconf_inherit_init_net).
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write("0")


def inside(
    pid: int,
    function: Callable[..., T],
    *args: object,
    namespaces: Iterable[str] = MACHINE,
    seconds: float = 60,
) -> T:
    """Call `function` in a forked child, in these namespaces of process `pid`; its result must be picklable.

    `namespaces` are any of net, ipc, uts, mnt, pid, cgroup and user. Only root can join them (setns(2)). With mnt, what
    isn't imported yet can't be any more; with pid, only the child itself is in it, and /proc stays what it was unless
    mnt is joined, too. Its exception is raised here, with the traceback from there as its cause; KernelError if there
    is no such process, TimeoutError if it takes longer than `seconds`, RuntimeError if it ends without an answer.

    Trust: the child is root on the host, and what it wrote to a memfd of ours is unpickled. With pid, the processes of
    that namespace see it, and one with CAP_SYS_PTRACE can take it over (ptrace(2)); with mnt, modules would be looked
    for among that process's files. Join these only where you trust what runs there.
    """
    __tracebackhide__ = True  # pytest shows the caller's line instead
    kinds = set(namespaces)
    if unknown := kinds - _FLAGS.keys():
        raise ValueError(f"no kind of namespace: {', '.join(sorted(unknown))}; there are {', '.join(_FLAGS)}")
    # A process can't join the user namespace it is in (setns(2)); the others it needn't.
    others = [kind for kind in kinds if process.ns_inode(pid, kind) != process.ns_inode("self", kind)]
    pidfd = process.pidfd_open(pid)
    answer = os.memfd_create("answer")
    try:
        child = os.fork()
        if child == 0:
            with _last_words():
                process.set_pdeathsig(signal.SIGKILL)
                if others:
                    syscalls.setns(pidfd, _flags(others), f"namespaces {', '.join(others)} of process {pid}")
                    process.set_pdeathsig(signal.SIGKILL)  # new credentials have taken it away (prctl(2))
                _call(answer, function, args, seconds)
        if _exit_code(child) == _LATE:
            raise TimeoutError(f"{function} didn't return within {seconds} s")
        return _result(answer, function)  # type: ignore[no-any-return]  # what `function` returned
    finally:
        os.close(answer)
        os.close(pidfd)


def _call(fd: int, function: Callable[..., object], args: tuple[object, ...], seconds: float) -> NoReturn:
    """In a child: only children are in a PID namespace that was joined (setns(2)).

    We are still there to reap it, which is not to be the business of the container's PID 1.
    """
    if child := os.fork():
        os._exit(0 if finished(child, seconds) else _LATE)
    process.set_pdeathsig(signal.SIGKILL)
    called = os.getpid()
    try:
        answer: tuple[bool, Any, Any] = (True, function(*args), None)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is raised again by the caller
        # Without its lines: the files it came from may not be here, but they are where it is printed.
        trace = error.__traceback__ and error.__traceback__.tb_next
        story = traceback.TracebackException(type(error), error, trace, lookup_lines=False)
        answer = (False, error, story)
    if os.getpid() != called:
        os._exit(0)  # a child that `function` has forked, and that came back, too
    try:
        data = pickle.dumps(answer)
        pickle.loads(data)
    except Exception as problem:  # noqa: BLE001 - what can't be copied is told as text
        data = pickle.dumps((False, *_as_text(answer, problem)))
    os.write(fd, data)
    os._exit(0)


def _as_text(answer: tuple[bool, Any, Any], problem: Exception) -> tuple[Exception, str]:
    returned, value, story = answer
    if returned:
        return TypeError(f"the result can't be pickled: {problem}"), repr(value)
    return RuntimeError(f"{type(value).__name__}: {value}"), "".join(story.format())


class ThereError(Exception):
    """The traceback in the other process."""

    def __str__(self) -> str:
        return f"\n\n{self.args[0]}"


def _result(fd: int, function: Callable[..., object]) -> Any:
    __tracebackhide__ = True
    with open(fd, "rb", closefd=False) as file:
        file.seek(0)
        data = file.read()
    if not data:
        raise RuntimeError(f"{function} ended without an answer")
    returned, value, story = pickle.loads(data)
    if returned:
        return value
    raise value from ThereError(story if isinstance(story, str) else "".join(story.format()))


def finished(child: int, seconds: float) -> bool:
    """Wait for our child; False if it had to be killed."""
    pidfd = os.pidfd_open(child)
    try:
        in_time = bool(select.select([pidfd], [], [], seconds * PATIENCE)[0])
        if not in_time:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return in_time
    finally:
        os.close(pidfd)


def pid_here(init: int, pid: int) -> int:
    """The number that a process has in our PID namespace; `pid` is the one it has in that of `init`.

    A number that goes with a message over a socket is translated on its way (pid_namespaces(7)). ProcessLookupError: it
    has ended.
    """
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        inside(init, _send_pid, theirs, pid, namespaces=("pid",))
        _, [(_, _, credentials)], _, _ = ours.recvmsg(1, socket.CMSG_SPACE(_UCRED.size))
    return int(_UCRED.unpack(credentials)[0])


_UCRED = struct.Struct("=iII")  # struct ucred of unix(7): pid, uid, gid


def _send_pid(sock: socket.socket, pid: int) -> None:
    credentials = _UCRED.pack(pid, os.getuid(), os.getgid())
    sock.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])


class _last_words:
    """A forked process never returns into its caller: an exception is printed and ends it."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> NoReturn:
        if error is not None:
            os.write(2, "".join(traceback.format_exception(error)).encode())
        os._exit(99)
