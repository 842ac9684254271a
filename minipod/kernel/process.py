"""Processes: handles, what /proc says of them, how they end, and what a new one must leave behind before it execs."""

import errno
import os
import signal
from collections.abc import Callable, Iterable

import msgspec
import prctl

from minipod.errors import KernelError
from minipod.kernel import files, syscalls

NAMESPACES = ("net", "ipc", "uts", "pid", "mnt", "cgroup", "user")
_LAST_FD = 0xFFFFFFFF
_arguments: tuple[int, int] | None = None
# What Python ignores (SIGPIPE, SIGXFSZ), and what it found ignored when it started (nohup).
_IGNORED = tuple(number for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN)


def pidfd_open(pid: int) -> int:
    """A descriptor that means this very process for ever, also when its number is used again. ESRCH: it is gone."""
    try:
        return os.pidfd_open(pid)
    except OSError as error:
        raise KernelError(error.errno or 0, "pidfd_open", f"process {pid}") from None


def pidfd_kill(pidfd: int, number: int) -> bool:
    """Send a signal; False if the process has ended already."""
    try:
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    except OSError as error:
        raise KernelError(error.errno or 0, "pidfd_send_signal", f"signal {number}") from None
    return True


# --- what /proc says -------------------------------------------------------------------------------------------------


def ns_inode(pid: int | str, kind: str) -> int:
    """The inode that names a namespace of a process (or "self"); `kind` as in NAMESPACES. See namespaces(7)."""
    path = f"/proc/{pid}/ns/{kind}"
    try:
        return os.stat(path).st_ino
    except OSError as error:
        raise KernelError(error.errno or 0, "stat", path) from None


def status(pid: int | str) -> dict[str, str]:
    """The fields of /proc/PID/status (Name, PPid, NSpid, CapEff, NoNewPrivs ...), as text. See proc_pid_status(5)."""
    lines = files.read(f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def root(pid: int, cgroup: str) -> int:
    """A descriptor (O_PATH) of the root directory of a process that is in `cgroup`, a part of its path, or below it.

    The caller closes it. KernelError with ESRCH: it has ended, or the number is that of a process elsewhere by now.
    With "" as `cgroup` any process will do.
    """
    path = f"/proc/{pid}/root"
    try:
        # What is looked up below this descriptor is of one process, also when its number is used again.
        proc = os.open(f"/proc/{pid}", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if cgroup not in files.read(f"/proc/self/fd/{proc}/cgroup"):
                raise KernelError(errno.ESRCH, "open", path)
            return os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=proc)
        finally:
            os.close(proc)
    except (OSError, KernelError) as error:
        gone = error.errno == errno.ENOENT
        raise KernelError(errno.ESRCH if gone else error.errno or 0, "open", path) from None


# --- how processes end -----------------------------------------------------------------------------------------------


class Exit(msgspec.Struct, frozen=True):
    """How a child ended: `signal` is 0 or what killed it; `code` its exit code, 128 + signal for the killed."""

    pid: int
    code: int
    signal: int = 0


def _exit(result: "os.waitid_result") -> Exit:
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_pid, result.si_status)
    return Exit(result.si_pid, 128 + result.si_status, result.si_status)


def reap() -> list[Exit]:
    """Reap every child that has ended. SIGCHLD says only that there is at least one."""
    ended: list[Exit] = []
    while True:
        try:
            result = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
        except ChildProcessError:
            return ended
        if not result:
            return ended
        ended.append(_exit(result))


# --- what a process sets for itself ----------------------------------------------------------------------------------


def default_signals() -> None:
    """No signal ignored: once, in the process from which all are forked that will exec.

    Exec resets handlers, but what is ignored stays so (signal(7)), and Python ignores SIGPIPE and SIGXFSZ. They are
    blocked instead, which a child undoes with one cheap request: setting three signals costs it a third of a
    millisecond.
    """
    for number in _IGNORED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _IGNORED)


def unblock_signals() -> None:
    """No signal blocked."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def close_fds_except(keep: Iterable[int]) -> None:
    """Close every descriptor that is not in `keep`, 0 to 2 too."""
    first = 0
    for fd in sorted(set(keep)):
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first, _LAST_FD)


def set_dumpable(dumpable: bool) -> None:
    """Whether others of our user may read /proc/PID/{exe,root,fd,mem} and trace us. Any exec sets it back."""
    _prctl("PR_SET_DUMPABLE", prctl.set_dumpable, int(dumpable))


def set_pdeathsig(number: int) -> None:
    """The signal this process gets when the *thread* that forked it ends; call it first, then check getppid()."""
    _prctl("PR_SET_PDEATHSIG", prctl.set_pdeathsig, number)


def set_no_new_privs() -> None:
    """No exec gives this process or its children more privileges than it has; can't be undone."""
    _prctl("PR_SET_NO_NEW_PRIVS", prctl.set_no_new_privs, 1)


def set_title(text: str) -> None:
    """What ps(1) shows as this process's command line, cut to the length of the one it was started with.

    (comm, /proc/PID/comm, holds 15 bytes only. python-prctl's set_proctitle crashes when the environment is empty.)
    """
    global _arguments
    if (
        not _arguments
    ):  # where the command line is in memory (proc_pid_stat(5), fields 48 and 49): a child has it from us
        start, end = files.read("/proc/self/stat").rpartition(")")[2].split()[45:47]
        _arguments = (int(start), int(end))
    first, last = _arguments
    syscalls.overwrite(first, text.encode()[: last - first - 1].ljust(last - first, b"\0"))


def _prctl(name: str, call: Callable[[int], object], value: int) -> None:
    try:
        call(value)
    except OSError as error:
        raise KernelError(error.errno or 0, "prctl", f"{name} {value}") from None
    except ValueError:  # python-prctl looks at some arguments itself
        raise KernelError(errno.EINVAL, "prctl", f"{name} {value}") from None
