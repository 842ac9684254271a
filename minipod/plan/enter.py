"""The plan of a program of the host in the context of a process that is stopped at a breakpoint. Pure."""

from minipod.api.messages import Enter, NodeFacts
from minipod.plan.core import Op, Stage
from minipod.plan.ops.namespaces import EnterCgroup, EnterRoot, Fork, Join
from minipod.plan.ops.process import ExecDescriptor, Stdio, Terminal
from minipod.plan.pod import enter_cgroup

_PATH = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"


def enter(facts: NodeFacts, cgroup: str, request: Enter) -> Stage:
    """All namespaces of the stopped process, its root and its working directory; as root, with all capabilities.

    The terminal is one of the host's: where the program will be, there may be no devpts yet. So it is made between
    two joins: after the fork, as it belongs to a session, and before the mount namespace is another.
    """
    root = f"ROOT={facts.layout.mountpoint}"  # as the commands call it, for as long as it is mounted there
    enter_v1, born = enter_cgroup(facts, cgroup)
    ops: list[Op] = [EnterCgroup(path) for path in enter_v1]
    ops += [
        Join("stopped", ("pid",)),
        Fork(),
        Terminal(request.rows, request.columns) if request.tty else Stdio(),
        Join("stopped", ("mnt", "net", "ipc", "uts", "cgroup")),
        EnterRoot(),
        ExecDescriptor("busybox", request.argv, (_PATH, "TERM=xterm", f"PS1={request.prompt}", root)),
    ]
    return Stage("enter", "child", tuple(ops), born)
