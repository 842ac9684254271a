"""A runtime in memory: it does what decide() asks for, in simulated time, and checks what must always hold.

Time begins at T0. Starts, ends and accidents are events at a time; between them only decide() is asked.
"""

import functools
import heapq
import itertools
import math
from typing import NamedTuple

from minipod.api.cri import ContainerInfo, SandboxInfo
from minipod.spec.handlers import (
    ContainerRestartRule,
    ContainerRestartRuleOnExitCodes,
    Lifecycle,
    LifecycleHandler,
    SleepAction,
)
from minipod.spec.types import Container, EphemeralContainer, ObjectMeta, Pod, PodSpec
from minipod.supervisor import lifecycle, observed
from minipod.supervisor.known import Observed
from minipod.supervisor.observed import apply, replace
from minipod.supervisor.status import status
from tests.unit.supervisor.checks import OVER, SIDECARS, Checks

T0 = 1_000_000.0
FOREVER = math.inf


class Run(NamedTuple):
    """What a start comes to."""

    seconds: float = FOREVER  # from start to end
    exit_code: int = 0
    failure: str = ""  # a reason: it can't be started; RunContainerError leaves an ended container
    start_seconds: float = 0  # how long starting takes
    stop_seconds: float = 0  # from SIGTERM to its end
    hook_seconds: float = 1  # how long its postStart hook takes, if it has one
    hook_fails: bool = False
    started_after: float = FOREVER  # when its startup probe succeeds, if it has one
    unhealthy_after: float = FOREVER  # when its liveness probe has failed, if it has one


START_OVER = ContainerRestartRule(
    action="RestartAllContainers",
    exit_codes=ContainerRestartRuleOnExitCodes(operator="In", values=(OVER,)),
)
HOOK = Lifecycle(post_start=LifecycleHandler(sleep=SleepAction(seconds=1)))


def make_container(name, **fields):
    policy = {"restart_policy": "Always"} if name in SIDECARS else {}
    return Container(name=name, image=f"image-{name}", **(policy | fields))


def make_pod(apps="a", inits="", policy="Always", grace=30, fields=None, **spec):
    """A pod with a container for each letter; `fields` are more of a container's."""
    more = fields or {}
    return Pod(
        metadata=ObjectMeta(name="p", namespace="default", uid="u"),
        spec=PodSpec(
            containers=tuple(make_container(name, **more.get(name, {})) for name in apps),
            init_containers=tuple(make_container(name, **more.get(name, {})) for name in inits),
            restart_policy=policy,
            termination_grace_period_seconds=grace,
            **spec,
        ),
    )


def replay(facts):
    """What is known after all of them."""
    return functools.reduce(apply, facts, Observed())


class Simulation(Checks):
    def __init__(self, pod, runs=None, scale=1.0, sandbox_seconds=0.0, sandbox_failures=0):
        """`runs(name, number)` says what the start with that number (from 0) of a container comes to."""
        self.pod, self.scale, self.now = pod, scale, T0
        self.runs = runs or (lambda *_: Run())
        self.sandbox_seconds, self.sandbox_failures = sandbox_seconds, sandbox_failures
        self.observed, self.facts, self.log = Observed(), [], []
        self.phases = []
        self.removed = False
        self._due, self._order, self._ids = [], itertools.count(), itertools.count()
        self._life = 0  # of the supervisor: what an earlier one waited for never comes
        self._starts = {}
        self._again = (
            set()
        )  # what the last StartOver made to run again, and no attempt has been made of since
        self._tables = {}
        self.record(observed.SupervisorBegan(at=self.now))

    def __repr__(self):
        lines = [f"{at - T0:9.3f}  {action}" for at, action in self.log]
        return "\n".join([f"{self.pod.spec.restart_policy}, scale {self.scale}", *lines])

    # --- what a test may do

    def at(self, seconds, callback, *args):
        """Call back `seconds` after T0."""
        self._push(T0 + seconds, callback, args, None)

    def run(self, seconds):
        """Live until `seconds` after T0, or until the pod is removed or nothing more can happen."""
        until = T0 + seconds
        while not self.removed:
            wake = self._step()
            if self.removed:
                break
            times = [wake] if wake is not None else []
            times += [self._due[0][0]] if self._due else []
            if not times or min(times) > until:
                self.now = until
                break
            self.now = max(self.now, min(times))
            while self._due and self._due[0][0] <= self.now:
                _, _, callback, args, life = heapq.heappop(self._due)
                if life in (None, self._life) and not self.removed:
                    callback(*args)
        return self

    def delete(self, grace):
        self.record(observed.DeletionRequested(at=self.now, grace=grace))

    def kill_pause(self):
        if self.observed.sandbox_ready:
            dead = replace(self.observed.sandbox, state="notready")
            self.record(observed.SandboxIs(at=self.now, sandbox=dead))

    def lose_supervisor(self):
        """The node has fenced and undone everything, and the next supervisor begins."""
        self._life += 1
        for name, known in self.observed.containers.items():
            if known.running or known.starting:
                self._table(name).ended = self.now
            if known.starting:  # nobody knows that it didn't run
                self._again.discard(name)
        self.record(observed.SupervisorBegan(at=self.now, lost=True))

    def shut_down(self):
        self.record(observed.ShutdownRequested(at=self.now))

    def evict(self):
        known = self.observed
        if not (known.deleted_at or known.terminal or known.shutdown_at):
            self.record(
                observed.PodFinished(at=self.now, phase="Failed", reason="Evicted", message="too much")
            )

    def debug(self, name):
        """Add an ephemeral container."""
        there = self.pod.spec.ephemeral_containers
        if name not in [container.name for container in there]:
            added = (*there, EphemeralContainer(name=name, image=f"image-{name}"))
            self.pod = replace(self.pod, spec=replace(self.pod.spec, ephemeral_containers=added))

    def status(self):
        return status(self.pod, self.observed, self.now, host_ip="192.0.2.1", scale=self.scale)

    def starts(self, name):
        """When it was started, in seconds after T0."""
        return [
            at - T0
            for at, action in self.log
            if isinstance(action, lifecycle.StartContainer) and action.name == name
        ]

    def actions(self, kind):
        return [action for _, action in self.log if isinstance(action, kind)]

    # --- the mechanism

    def record(self, fact):
        self.facts.append(fact)
        self.observed = apply(self.observed, fact)
        self._check_status()

    def _step(self):
        """Do what is asked for until nothing is; give when to ask again."""
        for _ in range(100):
            decision = lifecycle.decide(self.pod, self.observed, self.now, self.scale)
            if not decision.actions:
                assert decision.wake_at is None or decision.wake_at > self.now
                return decision.wake_at
            self._together = [each.name for each in decision.actions if hasattr(each, "backoff")]
            order = [c.name for c in lifecycle.containers_of(self.pod) if c.name in self._together]
            assert self._together == order, "several are started in the order of the specification"
            for action in decision.actions:
                self.log.append((self.now, action))
                getattr(self, f"_{type(action).__name__}")(action)
            if self.removed:
                return None
        raise AssertionError(f"asks for something for ever: {decision}")

    def _push(self, time, callback, args, life):
        heapq.heappush(self._due, (time, next(self._order), callback, args, life))

    def _later(self, seconds, callback, *args):
        if seconds == 0:
            callback(*args)
        elif seconds < FOREVER:
            self._push(self.now + seconds, callback, args, self._life)

    def _id(self):
        return f"id{next(self._ids)}"

    def _RunSandbox(self, action):  # noqa: N802
        self._check_alive()
        assert self.observed.sandbox is None
        assert not self._busy()
        assert action.attempt == len(self.actions(lifecycle.RunSandbox)) - 1
        sandbox_id = self._id()
        self.record(observed.SandboxStarting(at=self.now, id=sandbox_id, attempt=action.attempt))
        self._later(self.sandbox_seconds, self._sandbox_made, sandbox_id, action.attempt)

    def _sandbox_made(self, sandbox_id, attempt):
        if self.sandbox_failures:
            self.sandbox_failures -= 1
            self.record(observed.SandboxFailed(at=self.now, id=sandbox_id, message="no bridge"))
            return
        info = SandboxInfo(
            id=sandbox_id,
            state="ready",
            created_at=self.now,
            attempt=attempt,
            address4="10.0.0.2",
            address6="fd00::2",
        )
        self.record(observed.SandboxIs(at=self.now, sandbox=info))

    def _StopSandbox(self, action):  # noqa: N802
        assert not self._busy()
        assert action.id == self.observed.sandbox.id
        assert not self.observed.sandbox_stopping
        self.record(observed.SandboxStopping(at=self.now, id=action.id))
        self._later(
            self.sandbox_seconds, lambda: self.record(observed.SandboxStopped(at=self.now, id=action.id))
        )

    def _StartContainer(self, action):  # noqa: N802
        name, known = action.name, self.observed.known(action.name)
        self._check_alive()
        assert self.observed.sandbox_ready
        under_way = {each for each, what in self.observed.containers.items() if what.starting}
        assert not self.observed.sandbox_starting
        assert under_way <= set(self._together)
        assert not known.running
        self._check_order(name)
        self._check_policy(name, known)
        assert action.attempt == (known.latest.attempt + 1 if known.latest else 0)
        assert self.now >= self._table(name).earliest()
        self._table(name).started(self.now)
        container_id, number = self._id(), self._starts.get(name, 0)
        self._starts[name] = number + 1
        self.record(
            observed.ContainerStarting(
                at=self.now, name=name, id=container_id, attempt=action.attempt, backoff=action.backoff
            )
        )
        run = self.runs(name, number)
        self._later(run.start_seconds, self._started, action, container_id, run)

    def _started(self, action, container_id, run):
        if run.failure and run.failure != "RunContainerError":
            self.record(
                observed.StartFailed(at=self.now, name=action.name, reason=run.failure, message="why")
            )
            return
        self._again.discard(action.name)
        info = ContainerInfo(
            id=container_id,
            sandbox_id=self.observed.sandbox.id,
            name=action.name,
            attempt=action.attempt,
            state="running",
            started_at=self.now,
        )
        if run.failure:
            self._ended(replace(info, reason="StartError"), 128)
            self.record(
                observed.StartFailed(at=self.now, name=action.name, reason=run.failure, message="why")
            )
            return
        self.record(observed.ContainerIs(at=self.now, container=info))
        if run.seconds < FOREVER:
            self._push(self.now + run.seconds, self._ended, (info, run.exit_code), self._life)
        container = next(c for c in lifecycle.containers_of(self.pod) if c.name == action.name)
        if container.lifecycle:
            self._later(run.hook_seconds, self._hook_done, info, run.hook_fails)
        if container.startup_probe:
            self._later(run.started_after, self._probed, info, "startup", True)
        if container.liveness_probe:
            self._later(run.unhealthy_after, self._probed, info, "liveness", False)

    def _hook_done(self, info, fails):
        known = self.observed.known(info.name)
        if not known.running or known.latest.id != info.id:
            return
        if fails:
            fact = observed.StartFailed(
                at=self.now, name=info.name, reason="PostStartHookError", message="why"
            )
        else:
            fact = observed.PostStarted(at=self.now, name=info.name, id=info.id)
        self.record(fact)

    def _probed(self, info, probe, success):
        self.record(observed.ProbeIs(at=self.now, name=info.name, id=info.id, probe=probe, success=success))

    def _ended(self, info, exit_code):
        known = self.observed.known(info.name)
        alive = known.latest.id if known.running else ""
        if info.id not in (alive, known.starting):
            return  # it was stopped before
        self._table(info.name).ended = self.now
        reason = info.reason or ("Error" if exit_code else "Completed")
        ended = replace(info, state="exited", exit_code=exit_code, finished_at=self.now, reason=reason)
        self.record(observed.ContainerIs(at=self.now, container=ended))

    def _StopContainer(self, action):  # noqa: N802
        known = self.observed.known(action.name)
        assert known.running
        assert known.latest.id == action.id
        assert action.grace >= 2
        stop_by = self.now + action.grace
        assert not known.stop_by or stop_by < known.stop_by
        assert bool(action.message) == (not known.stop_by)
        self._check_stop_order(action, stop_by)
        self.record(
            observed.ContainerStopping(
                at=self.now, name=action.name, id=action.id, stop_by=stop_by, alone=action.alone
            )
        )
        needs = self.runs(action.name, self._starts[action.name] - 1).stop_seconds
        code = 143 if needs < action.grace else 137
        self._push(self.now + min(needs, action.grace), self._ended, (known.latest, code), self._life)

    def _RestartAll(self, _):  # noqa: N802
        self._check_alive()
        ended = [known.exited for known in self.observed.containers.values() if known.exited]
        assert OVER in [info.exit_code for info in ended]
        self.record(observed.AllRestarting(at=self.now))

    def _StartOver(self, _):  # noqa: N802
        self._check_alive()
        assert not self._busy()
        self._again = {container.name for container in lifecycle.containers_of(self.pod)}
        self.record(observed.StartedOver(at=self.now))

    def _Leave(self, _):  # noqa: N802
        assert self.observed.shutdown_at
        assert self.observed.sandbox is None
        assert not self._busy()
        self.lose_supervisor()

    def _FinishPod(self, action):  # noqa: N802
        self._check_alive()
        self.record(
            observed.PodFinished(
                at=self.now, phase=action.phase, reason=action.reason, message=action.message
            )
        )

    def _RemovePod(self, action):  # noqa: N802
        assert self.observed.deleted_at
        assert self.observed.sandbox is None
        assert not self._busy()
        self.removed = True
