"""Operations on the process itself: which cgroups and namespaces it is in. All run in a forked child."""

from minipod.kernel import cgroups, files, syscalls
from minipod.plan.core import Context, Op

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
        return f"echo $$ >{self.path}/cgroup.procs"


class Join(Op, frozen=True):
    """Enter namespaces that pause (`of` "sandbox") or a container's first process (`of` "container") is in."""

    of: str
    kinds: tuple[str, ...]

    def run(self, context: Context) -> None:
        syscalls.setns(context.fds[self.of], _flags(self.kinds), f"{','.join(self.kinds)} of the {self.of}")

    def explain(self) -> str:
        return f"nsenter --target ${self.of.upper()} {_options(self.kinds)}"


class Unshare(Op, frozen=True):
    """Enter new namespaces. A new PID namespace is for the next child only: Fork follows."""

    kinds: tuple[str, ...]

    def run(self, context: Context) -> None:
        syscalls.unshare(_flags(self.kinds))

    def explain(self) -> str:
        return f"unshare {_options(self.kinds)}"


class Fork(Op, frozen=True):
    """Go on in a child, the first process of the PID namespace just unshared or one more in that just joined."""

    def run(self, context: Context) -> None:
        context.fork()

    def explain(self) -> str:
        return "# fork (unshare --fork does it)"


class SetHostname(Op, frozen=True):
    """The pod's hostname, in its UTS namespace."""

    name: str

    def run(self, context: Context) -> None:
        files.write("/proc/sys/kernel/hostname", self.name)

    def explain(self) -> str:
        return f"hostname {self.name}"


class SetSysctl(Op, frozen=True):
    """A setting of the namespaces this process is in: /proc/sys shows those of whoever opens it."""

    name: str  # with dots, as in sysctl(8)
    value: str

    def run(self, context: Context) -> None:
        files.write("/proc/sys/" + self.name.replace(".", "/"), self.value)

    def explain(self) -> str:
        return f"sysctl -w {self.name}={self.value}"
