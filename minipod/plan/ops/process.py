"""The last operations of a stage: what the process is, may do and runs. All run in a forked child, inside its root."""

import contextlib
import errno
import fcntl
import os
import stat
import struct
import termios

from minipod.errors import KernelError
from minipod.kernel import caps, files, process
from minipod.plan.core import Context, Op
from minipod.plan.words import LOG, quote

_TIOCSPTLCK, _TIOCGPTPEER = 0x40045431, 0x5441  # asm-generic/ioctls.h; not in Python's termios


class SetOomScore(Op, frozen=True):
    """Who goes first when the machine is out of memory. Lowering it needs CAP_SYS_RESOURCE."""

    value: int

    def run(self, context: Context) -> None:
        try:
            files.write("/proc/self/oom_score_adj", str(self.value))
        except KernelError as error:
            if error.errno != errno.EACCES:
                raise
            context.notes.append(
                f"oom_score_adj {self.value} needs CAP_SYS_RESOURCE, which minipod doesn't have"
            )

    def explain(self) -> str:
        return f"echo {self.value} >/proc/self/oom_score_adj"


def _give(fd: int, uid: int) -> None:
    """Make the user its owner. Who may not, does without, as runc does."""
    with contextlib.suppress(PermissionError):
        os.fchown(fd, uid, -1)


class Stdio(Op, frozen=True):
    """Standard input, output and error: /dev/null or a pipe, and pipes to the supervisor.

    The pipes are the user's: who opens /dev/stdout anew is asked for its permissions (as runc's fixStdioPermissions).
    """

    uid: int = 0

    def run(self, context: Context) -> None:
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            os.dup2(context.fds[name], number, inheritable=True)
            if self.uid and stat.S_ISFIFO(os.fstat(number).st_mode):  # /dev/null is the host's
                _give(number, self.uid)

    def explain(self) -> str:
        owner = f"; chown {self.uid} {quote(LOG)}" if self.uid else ""
        return f"exec </dev/null >{quote(LOG)} 2>&1{owner}"


class Terminal(Op, frozen=True):
    """A new terminal in the container's own devpts: this process's controlling one, the other end for the supervisor.

    The slave is opened through the master (TIOCGPTPEER, ioctl_tty(2)), not by a name that the container could turn
    into another file. A process that leads a session without a terminal can take one.
    """

    rows: int = 0
    columns: int = 0
    uid: int = 0  # whose it is

    def run(self, context: Context) -> None:
        master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC)
        if os.fstat(master).st_rdev != os.makedev(5, 2):
            raise OSError(errno.ENOTTY, "not a terminal multiplexer", "/dev/pts/ptmx")
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        if self.rows and self.columns:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", self.rows, self.columns, 0, 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY)
        if os.getsid(0) != os.getpid():  # not yet a session's leader
            os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        if self.uid:
            _give(slave, self.uid)
        for number in range(3):
            os.dup2(slave, number, inheritable=True)
        context.terminal(master)
        os.close(master)
        if slave > 2:
            os.close(slave)

    def explain(self) -> str:
        return "# a terminal of the container's own (script -qc does it)"


class ChangeDirectory(Op, frozen=True):
    path: str

    def run(self, context: Context) -> None:
        os.chdir(self.path)

    def explain(self) -> str:
        return f"cd {quote(self.path)}"


class NoNewPrivileges(Op, frozen=True):
    """allowPrivilegeEscalation: false (prctl(2), PR_SET_NO_NEW_PRIVS)."""

    def run(self, context: Context) -> None:
        process.set_no_new_privs()

    def explain(self) -> str:
        return "setpriv --no-new-privs"


class LimitCapabilities(Op, frozen=True):
    """Leave only these capabilities in the bounding set, for this process and everything it will run."""

    names: tuple[str, ...]

    def run(self, context: Context) -> None:
        caps.drop_bounding(caps.to_mask(self.names))

    def explain(self) -> str:
        return "setpriv --bounding-set -all" + "".join(f",+{name.lower()}" for name in self.names)


class SetUser(Op, frozen=True):
    """Become the container's user. Another one than root keeps no capability (capabilities(7))."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()

    def run(self, context: Context) -> None:
        caps.set_user(self.uid, self.gid, self.groups)

    def explain(self) -> str:
        groups = "--groups=" + ",".join(map(str, self.groups)) if self.groups else "--clear-groups"
        return f"setpriv --reuid {self.uid} --regid {self.gid} {groups}"


class SetCapabilities(Op, frozen=True):
    """Permitted and effective: what the bounding set still allows, for root."""

    names: tuple[str, ...]

    def run(self, context: Context) -> None:
        mask = caps.to_mask(self.names)
        caps.set_caps(mask, mask)

    def explain(self) -> str:
        return "# exec gives root what is left in the bounding set"


class ExecDescriptor(Op, frozen=True):
    """Run a program of the host by an open descriptor: no name of the host is looked up any more."""

    name: str  # of the descriptor
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()

    def run(self, context: Context) -> None:
        environment = _environment(self.env)
        context.leaving()
        os.execve(context.fds[self.name], list(self.argv), environment)

    def explain(self) -> str:
        words = ("catatonit", *self.argv[1:]) if self.name == "pause" else (self.name, *self.argv)
        return " ".join(["exec", *map(quote, words)])


class Exec(Op, frozen=True):
    """Run the container's program, looked up in its own PATH (execvp(3))."""

    argv: tuple[str, ...]
    env: tuple[str, ...]

    def run(self, context: Context) -> None:
        environment, program = _environment(self.env), self.argv[0]
        context.leaving()
        if "/" in program:
            os.execve(program, list(self.argv), environment)
        missing = OSError(errno.ENOENT, "executable file not found in $PATH", program)
        for folder in environment.get("PATH", "/bin:/usr/bin").split(":"):
            path = f"{folder}/{program}" if folder else program
            try:
                os.execve(path, list(self.argv), environment)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except PermissionError as error:
                missing = OSError(error.errno, error.strerror, path)
        raise missing

    def explain(self) -> str:
        return " ".join(["exec env -i", *map(quote, self.env), *map(quote, self.argv)])


def _environment(entries: tuple[str, ...]) -> dict[str, str]:
    """As execve(2) of Python wants NAME=value."""
    return dict(entry.partition("=")[::2] for entry in entries)
