"""A child that runs a stage may be disturbed by whoever shares its PID namespace."""

import os
import signal

import pytest

from minipod.errors import PlanError
from minipod.plan.core import Context, Op, Stage
from minipod.runtime.stage import run_child


class Stop(Op, frozen=True):
    """As if by a container: kill -STOP -1."""

    def run(self, context: Context) -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    def explain(self) -> str:
        return "kill -STOP $$"


def test_a_child_that_is_stopped_is_killed_rather_than_waited_for(cgroup):
    with pytest.raises(PlanError, match="the process was killed") as error:
        run_child(Stage("container/app", "child", (Stop(),), cgroup), {})
    assert os.waitstatus_to_exitcode(os.waitpid(error.value.pid, 0)[1]) == -signal.SIGKILL
