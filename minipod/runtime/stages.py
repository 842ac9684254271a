"""How the stages of one pod are run, wherever that is: what they took is kept, and their door is watched."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable

from minipod.errors import MinipodError, PlanError
from minipod.plan.core import Stage, Times, execute
from minipod.runtime.breakpoint import Breakpoint, Here
from minipod.runtime.history import History
from minipod.runtime.netlink import Asked, NetDone, Worker
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
            self.failed(plan, stage, error, os.getpid())
            raise
        self.ran(plan, stage, os.getpid(), tuple(context.timings))

    def in_child(
        self, plan: str, stage: Stage, fds: dict[str, int], unshared: Callable[[int], None] | None = None
    ) -> Ran:
        """In a child of this process, its exec included; see Child. Raises PlanError and Stopped."""
        return self.go(plan, stage, self.begin(stage, fds, unshared))

    def begin(
        self, stage: Stage, fds: dict[str, int], unshared: Callable[[int], None] | None = None
    ) -> Child:
        """In a child that goes up to its exec. Raises OSError and Stopped."""
        return Child(stage, fds, self._breakpoint.of(stage), self._breakpoint.wait, unshared)

    def go(self, plan: str, stage: Stage, child: Child) -> Ran:
        """Let it exec. Raises PlanError and Stopped."""
        try:
            ran = child.go()
        except PlanError as error:
            self.failed(plan, stage, error)
            raise
        self.ran(plan, stage, ran.pid, ran.timings)
        return ran

    def network(self, plan: str, stages: Iterable[Stage]) -> "Network":
        """For the one among `stages` that the netlink worker runs, if there is one."""
        stage = next((each for each in stages if each.where == "netlink"), None)
        return Network(self, plan, stage, self._worker, self._breakpoint)

    def ran(self, plan: str, stage: Stage, pid: int, times: Times) -> None:
        self.history.ran(plan, stage, pid, times)
        self._breakpoint.passed(stage)

    def failed(self, plan: str, stage: Stage, error: PlanError, pid: int = 0) -> None:
        self.history.failed(plan, stage, error, pid)
        self._breakpoint.failed(stage, error)


class Network:
    """A sandbox's network stage. It may begin as soon as pause has made the namespace, while pause goes on."""

    def __init__(
        self, stages: Stages, plan: str, stage: Stage | None, worker: Worker, breakpoint_: Breakpoint
    ) -> None:
        self._stages, self._plan, self._stage = stages, plan, stage
        self._worker, self._breakpoint = worker, breakpoint_
        self._asked: Asked | None = None

    def begin(self, pid: int) -> None:
        """Have it run in the network namespace of process `pid`, if there is nothing to be stopped at or to fail."""
        if self._stage and not self._breakpoint.armed:
            netns = _netns(pid)
            try:
                self._asked = self._worker.ask(self._stage, netns)
            finally:
                os.close(netns)

    def finish(self, pid: int) -> None:
        """Wait until it has run, all of it if it wasn't begun. Raises PlanError and Stopped."""
        stage, asked, self._asked = self._stage, self._asked, None
        assert stage, "the plan has a network stage"
        try:
            done = self._worker.answer(stage, asked) if asked else self._run(stage, pid)
        except PlanError as error:
            self._stages.failed(self._plan, stage, error)
            raise
        self._stages.ran(self._plan, stage, done.pid, done.timings)

    def _run(self, stage: Stage, pid: int) -> NetDone:
        netns = _netns(pid)
        try:
            stop = functools.partial(self._breakpoint.wait, stage)
            return self._worker.run_stage(stage, netns, self._breakpoint.of(stage), stop)
        finally:
            os.close(netns)

    def __enter__(self) -> "Network":
        return self

    def __exit__(self, *_: object) -> None:
        """After a failure elsewhere: what is to be undone must have been done."""
        if self._asked:
            with contextlib.suppress(MinipodError):
                self._asked.answer()


def _netns(pid: int) -> int:
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
