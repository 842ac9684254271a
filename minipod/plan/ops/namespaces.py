"""Operations on the process itself: which cgroups and namespaces it is in. All run in a forked child."""

import os

from minipod.kernel import cgroups, files, syscalls
from minipod.plan.core import Context, Op
from minipod.plan.words import PIDS, quote

FLAGS = {
    "net": syscalls.CLONE_NEWNET,
    "ipc": syscalls.CLONE_NEWIPC,
    "uts": syscalls.CLONE_NEWUTS,
    "pid": syscalls.CLONE_NEWPID,
    "mnt": syscalls.CLONE_NEWNS,
    "cgroup": syscalls.CLONE_NEWCGROUP,
}

_LONG = {"mnt": "mount"}  # what unshare(1) and nsenter(1) call it


def _flags(kinds: tuple[str, ...]) -> int:
    flags = 0
    for kind in kinds:
        flags |= FLAGS[kind]
    return flags


def _options(kinds: tuple[str, ...]) -> str:
    return " ".join(f"--{_LONG.get(kind, kind)}" for kind in kinds)


class EnterCgroup(Op, frozen=True):
    """Move this process into a v1 cgroup. (Into a cgroup2 one it is born, see Stage.)

    Before the cgroup namespace is unshared: its root is the cgroup in which the process is at that moment.
    """

    path: str

    def run(self, context: Context) -> None:
        cgroups.enter_v1(self.path)

    def explain(self) -> str:
        return f"echo $$ >{quote(f'{self.path}/cgroup.procs')}"


class Join(Op, frozen=True):
    """Enter namespaces that pause (`of` "sandbox") or a container's first process is in (`of` "container" by a command
    in it, "target" by another container)."""

    of: str
    kinds: tuple[str, ...]

    def run(self, context: Context) -> None:
        syscalls.setns(context.fds[self.of], _flags(self.kinds), f"{','.join(self.kinds)} of the {self.of}")

    def explain(self) -> str:
        return f"nsenter --target {quote(PIDS[self.of])} {_options(self.kinds)}"


class JoinBase(Op, frozen=True):
    """Enter the mount namespace with little of the host's and nothing of pods (runtime/base.py): it is copied next."""

    def run(self, context: Context) -> None:
        syscalls.setns(context.fds["base"], syscalls.CLONE_NEWNS, "the base")

    def explain(self) -> str:
        return "# setns: into a mount namespace without the mounts of other pods, for there is less to copy"


class Unshare(Op, frozen=True):
    """Enter new namespaces. A new PID namespace is for the next child only: Fork follows."""

    kinds: tuple[str, ...]

    def run(self, context: Context) -> None:
        syscalls.unshare(_flags(self.kinds))

    def explain(self) -> str:
        # As the base is: what is mounted here is seen by nobody outside, what the host mounts still arrives.
        slave = " --propagation slave" if "mnt" in self.kinds else ""
        return f"unshare {_options(self.kinds)}{slave}"


class Announce(Op, frozen=True):
    """The network namespace is as it must be before it has interfaces: from here on another process configures it."""

    def run(self, context: Context) -> None:
        context.unshared()

    def explain(self) -> str:
        return "# the network is configured from here on, while this process goes on"


class Fork(Op, frozen=True):
    """Go on in a child, the first process of the PID namespace just unshared or one more in that just joined."""

    def run(self, context: Context) -> None:
        context.fork()

    def explain(self) -> str:
        return "# fork: a shell's & does it, or unshare --fork"


class SetHostname(Op, frozen=True):
    """The pod's hostname, in its UTS namespace."""

    name: str

    def run(self, context: Context) -> None:
        files.write("/proc/sys/kernel/hostname", self.name)

    def explain(self) -> str:
        return f"hostname {quote(self.name)}"


class SetSysctl(Op, frozen=True):
    """A setting of the namespaces this process is in: /proc/sys shows those of whoever opens it."""

    name: str  # with dots, as in sysctl(8)
    value: str

    def run(self, context: Context) -> None:
        files.write("/proc/sys/" + self.name.replace(".", "/"), self.value)

    def explain(self) -> str:
        return f"echo {quote(self.value)} >/proc/sys/{self.name.replace('.', '/')}"


class EnterRoot(Op, frozen=True):
    """The root and the working directory of a process whose mount namespace this one is in (chroot(2)).

    Joining a mount namespace leads to the top of its root, which between pivot_root and the umount after it is still
    the host's.
    """

    def run(self, context: Context) -> None:
        os.fchdir(context.fds["root"])
        os.chroot(".")
        os.fchdir(context.fds["cwd"])

    def explain(self) -> str:
        return f"nsenter --target {quote(PIDS['stopped'])} --root --wd"
