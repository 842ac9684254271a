"""What was done so far, operation by operation: what a supervisor answers to Trace."""

import collections
import time
from collections.abc import Iterator

import msgspec

from minipod.api.cri import Timing
from minipod.errors import PlanError
from minipod.plan.core import Stage, Times
from minipod.plan.places import word

# Stages that are kept: how the pod came to be, and what was done last. (A pod can restart for ever.)
_FIRST, _LATEST = 64, 32


class _Ran(msgspec.Struct, frozen=True):
    """One stage, as far as it came. With a `cause`, the last operation failed; `command` is which that was."""

    plan: str
    stage: Stage
    pid: int
    times: Times
    cause: str = ""
    command: str = ""


class History:
    """The stages that were run for one pod, in the order in which they ended."""

    def __init__(self) -> None:
        self._first: list[_Ran] = []
        self._latest: collections.deque[_Ran] = collections.deque(maxlen=_LATEST)

    def ran(self, plan: str, stage: Stage, pid: int, times: Times) -> None:
        """All of a stage was done."""
        self._keep(_Ran(plan, stage, pid, times))

    def failed(self, plan: str, stage: Stage, error: PlanError, pid: int = 0) -> None:
        """It came as far as `error` says. Of a process that was killed nobody knows how far that is."""
        times = error.times or ((error.index, time.monotonic_ns(), 0),)
        # Not the error itself: its traceback would keep alive whatever the failed call had in hand.
        self._keep(_Ran(plan, stage, pid or error.pid, times, error.cause, error.command))

    def timings(self) -> tuple[Timing, ...]:
        """Every operation; one that failed has its error, and is the last of its stage."""
        return tuple(timing for ran in (*self._first, *self._latest) for timing in _timings(ran))

    def _keep(self, ran: _Ran) -> None:
        (self._first if len(self._first) < _FIRST else self._latest).append(ran)


def _timings(ran: _Ran) -> Iterator[Timing]:
    for number, (index, start, duration) in enumerate(ran.times, 1):
        op = ran.stage.ops[index] if index >= 0 else None
        yield Timing(
            plan=ran.plan,
            stage=ran.stage.name,
            index=index,
            command=op.explain() if op else ran.command,
            pid=ran.pid,
            start=start,
            duration=duration,
            error=ran.cause if number == len(ran.times) else "",
            where=ran.stage.where,
            op=f"{type(op).__module__}.{type(op).__name__}" if op else "",
            word=word(op) if op else "",
        )
