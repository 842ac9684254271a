"""How the stages of one pod are run, wherever that is: what they took is kept, and their door is watched."""

import functools
import os

from minipod.errors import PlanError
from minipod.plan.core import Stage, execute
from minipod.runtime.breakpoint import Breakpoint, Here
from minipod.runtime.history import History, Times
from minipod.runtime.netlink import Worker
from minipod.runtime.stage import Child, Ran


class Stages:
    """Runs them. `plan` is what their plan is called in the trace."""

    def __init__(self, worker: Worker, breakpoint_: Breakpoint) -> None:
        self.history = History()
        self._worker, self._breakpoint = worker, breakpoint_

    def here(self, plan: str, stage: Stage, fds: dict[str, int] | None = None) -> None:
        """In this process. Raises PlanError, and Stopped when told to give up."""
        context = Here(stage, fds, self._breakpoint)
        try:
            execute(stage, context)
        except PlanError as error:
            self._failed(plan, stage, error, os.getpid())
            raise
        self._ran(plan, stage, os.getpid(), tuple(context.timings))

    def in_child(self, plan: str, stage: Stage, fds: dict[str, int]) -> Ran:
        """In a child of this process, its exec included. Raises PlanError and Stopped."""
        return self.go(plan, stage, self.begin(stage, fds))

    def begin(self, stage: Stage, fds: dict[str, int]) -> Child:
        """In a child that goes up to its exec. Raises OSError and Stopped."""
        return Child(stage, fds, self._breakpoint.of(stage), self._breakpoint.wait)

    def go(self, plan: str, stage: Stage, child: Child) -> Ran:
        """Let it exec. Raises PlanError and Stopped."""
        try:
            ran = child.go()
        except PlanError as error:
            self._failed(plan, stage, error)
            raise
        self._ran(plan, stage, ran.pid, ran.timings)
        return ran

    def network(self, plan: str, stage: Stage, pid: int) -> None:
        """In the netlink worker, for the network namespace of process `pid`. Raises PlanError and Stopped."""
        netns = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stop = functools.partial(self._breakpoint.wait, stage)
            done = self._worker.run_stage(stage, netns, self._breakpoint.of(stage), stop)
        except PlanError as error:
            self._failed(plan, stage, error)
            raise
        finally:
            os.close(netns)
        self._ran(plan, stage, done.pid, done.timings)

    def _ran(self, plan: str, stage: Stage, pid: int, times: Times) -> None:
        self.history.ran(plan, stage, pid, times)
        self._breakpoint.passed(stage)

    def _failed(self, plan: str, stage: Stage, error: PlanError, pid: int = 0) -> None:
        self.history.failed(plan, stage, error, pid)
        self._breakpoint.failed(stage, error)
