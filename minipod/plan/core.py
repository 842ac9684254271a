"""A pod is a plan: small operations in the order in which the kernel must see them.

    Op        one request to the kernel made inside namespaces; it dies with them: no undo
    HostOp    one request that leaves exactly one object on the host, under a name chosen beforehand
    Stage     an ordered list of operations run in one process; Join, Unshare and Fork are operations in it
    Plan      a tuple of stages: one plan for what a pod has, one per sandbox, one per container start

The same plan is executed, printed as the commands a person would type, and undone. It holds no run-time values:
namespaces and descriptors have symbolic names that the executing process looks up in its Context.
"""

import errno
import os
import signal
import time
from typing import Literal, NoReturn, Protocol

import msgspec

from minipod.api.messages import Door
from minipod.errors import KernelError, PlanError
from minipod.plan.undo import Undo


class Op(msgspec.Struct, frozen=True, tag=True, tag_field="op", omit_defaults=True):
    """One request to the kernel."""

    def run(self, context: "Context") -> None:
        """Make the request; raise KernelError or OSError if it is refused."""
        raise NotImplementedError

    def explain(self) -> str:
        """The one command a person would type; starts with # where there is none."""
        raise NotImplementedError


class HostOp(Op, frozen=True):
    """A request that leaves one object on the host."""

    def undo(self) -> Undo:
        """What removes that object, and succeeds if it is gone already or isn't ours."""
        raise NotImplementedError


class Stage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Operations for one process.

    `where` names the process: the supervisor itself, a child forked for it, or the netlink worker. A child is born in
    the cgroup2 directory `cgroup` (absolute path), so that nothing it does can escape the fence, and with `new_pid`
    as the first process of a new PID namespace: that saves a fork, which is what costs most in all of a pod's start.
    """

    name: str
    where: Literal["supervisor", "child", "netlink"]
    ops: tuple[Op, ...]
    cgroup: str = ""
    new_pid: bool = False


Plan = tuple[Stage, ...]
# Of each operation that was done: its index, start and duration in ns of CLOCK_MONOTONIC.
Times = tuple[tuple[int, int, int], ...]


class Netlink(Protocol):
    """What network operations need of the netlink worker (see kernel/netlink.py)."""

    def create_veth(self, name: str, bridge: str, netns: int, mtu: int) -> None: ...
    def configure(self, netns: int, kind: str, argument: str) -> None: ...


class Context:
    """What an executing process knows that a plan can't: descriptors by symbolic name, and whom to tell."""

    def __init__(self, fds: dict[str, int] | None = None, door: Door | None = None) -> None:
        self.fds = fds or {}
        self.door = door
        self.trees: dict[str, list[int]] = {}  # detached mounts, by the path they are copies of
        self.netlink: Netlink | None = None
        self.timings: list[tuple[int, int, int]] = []  # index, start and duration in ns of CLOCK_MONOTONIC
        self.notes: list[str] = []  # requests that this host can't grant and a pod can live without

    def fork(self) -> None:
        """Go on in a child whose parent is the supervisor (CLONE_PARENT); this process ends."""
        raise NotImplementedError

    def terminal(self, master: int) -> None:
        """Hand the master end of a new terminal to the supervisor."""
        raise NotImplementedError

    def unshared(self) -> None:
        """Called when the network namespace that this process has made can be configured by another."""

    def leaving(self) -> None:
        """Called right before exec: the last moment at which this process can say anything."""

    def stop(self, index: int) -> Door | None:
        """Wait before operation `index` until told to go on. Returns the next door in this stage, if it has one."""
        raise NotImplementedError

    def die(self, index: int) -> NoReturn:
        """SIGKILL this process at operation `index` (fault injection)."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("survived SIGKILL")


def execute(stage: Stage, context: Context, first: int = 0) -> None:
    """Run a stage's operations in this process. Raises PlanError naming the operation and its command.

    `first` is the number of its first operation, where `stage` is a part of a longer one.
    """
    door = context.door if context.door and context.door.stage == stage.name else None
    for index, op in enumerate(stage.ops, first):
        if door and door.index == index and door.action == "stop":
            door = context.stop(index)
        start = time.monotonic_ns()
        try:
            if door and door.index == index:
                _pass(door, context)
            op.run(context)
        except (OSError, KernelError) as error:
            context.timings.append((index, start, time.monotonic_ns() - start))
            raise PlanError(stage.name, index, op.explain(), str(error), tuple(context.timings)) from error
        context.timings.append((index, start, time.monotonic_ns() - start))
        if door and door.index == index and door.action == "kill-after":
            context.die(index)


def undo(plan: Plan) -> tuple[Undo, ...]:
    """What removes every object the plan could have made, last made first."""
    made = [op.undo() for stage in plan for op in stage.ops if isinstance(op, HostOp)]
    return tuple(reversed(made))


def in_the_way(plan: Plan) -> str:
    """The first object that the plan would make and that is there already; "" if there is none.

    Undo removes by name: a plan is saved only while all its names are free.
    """
    paths = (getattr(op, "path", "") for stage in plan for op in stage.ops if isinstance(op, HostOp))
    return next((path for path in paths if path and os.path.lexists(path)), "")


def _pass(door: Door, context: Context) -> None:
    if door.action == "kill-before":
        context.die(door.index)
    if door.action == "fail":
        raise KernelError(errno.EIO, "injected fault at operation", str(door.index))
