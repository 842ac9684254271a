"""When a probe asks and what its answers come to. Pure: no I/O, no clock.

    first() ▶ ask at `next_at` ▶ answered() ▶ ask at `next_at` ▶ …       one Count for each probe of each attempt

A result changes only after its threshold of equal answers in a row. A question that couldn't be put counts as none.
The rules are the kubelet's: pkg/kubelet/prober/worker.go.
"""

import msgspec

from minipod.spec.handlers import Probe
from minipod.spec.types import Container
from minipod.supervisor.known import Known
from minipod.supervisor.wanted import hook_pending, is_started

KINDS = ("startup", "liveness", "readiness")


class Count(msgspec.Struct, frozen=True):
    """How far a probe of one attempt has come."""

    next_at: float  # when it asks again, in seconds since the epoch
    result: bool | None = None  # after the threshold; None: not decided yet
    last: bool | None = None  # the last answer
    run: int = 0  # how many like it came in a row


def probe_of(container: Container, kind: str) -> Probe | None:
    if kind == "startup":
        return container.startup_probe
    return container.liveness_probe if kind == "liveness" else container.readiness_probe


def wanted(kind: str, container: Container, known: Known, deleted: bool) -> bool:
    """Whether the probe asks at all now. Liveness and readiness wait until the container has started; a pod that is
    being deleted is only asked whether it is ready; after a failure all wait for the next attempt."""
    if not known.running or hook_pending(container, known):
        return False
    if kind == "readiness":
        return is_started(container, known)
    if deleted or known.failed_probe or known.stop_by:
        return False
    return not known.started if kind == "startup" else is_started(container, known)


def first(probe: Probe, container_started_at: float, now: float) -> Count:
    """Of a new attempt: at once, but not before its initial delay is over."""
    return Count(next_at=max(container_started_at + probe.initial_delay_seconds, now))


def answered(probe: Probe, count: Count, success: bool | None, now: float) -> Count:
    """After an answer; None: the question couldn't be put."""
    period = probe.period_seconds or 10
    next_at = max(count.next_at + period, now)
    if success is None:
        return msgspec.structs.replace(count, next_at=next_at)
    run = count.run + 1 if success == count.last else 1
    threshold = (probe.success_threshold or 1) if success else (probe.failure_threshold or 3)
    return Count(next_at, success if run >= threshold else count.result, success, run)
