"""What a pod needs next: decide(specification, what is known, the time) -> actions. Pure: no I/O, no clock.

                    ┌─────────────── deleted ──────────────▶ stop containers ▶ stop sandbox ▶ RemovePod
    RunSandbox ▶ init containers, one by one ▶ app containers ▶ (restarts) ▶ all ended, none to be restarted
        ▲                                            │                            │
        └──────── the sandbox was lost ◀─────────────┘                            ▼
                  (restartPolicy Never: fails), the deadline has passed ───▶ FinishPod ▶ stop the rest, and the sandbox

    a rule says RestartAllContainers ───▶ RestartAll ▶ stop containers ▶ StartOver, in the same sandbox
    the supervisor is told to end ──────▶ stop containers ▶ stop sandbox ▶ Leave

The engine calls decide() after every fact and at `wake_at`; each action it turns into a fact, appends that to the
journal, and only then carries it out. What is under way is in Observed, so nothing is asked for twice; whatever
order the facts come in, the next call sees what is still missing. One thing is started at a time, because the kubelet
starts a pod's containers one after another, in the order of the specification; stops go in parallel.

The rules are the kubelet's: computePodActions and doBackOff in pkg/kubelet/kuberuntime/kuberuntime_manager.go.
"""

import msgspec

from minipod.spec.types import Container, Pod
from minipod.supervisor.known import Failure, Known, Observed
from minipod.supervisor.wanted import (
    anything_running,
    anything_starting,
    containers_of,
    hook_failed,
    hook_pending,
    init_failed,
    is_sidecar,
    restarts,
    restarts_all,
    sandbox_changed,
    should_restart,
    startable,
)

BACKOFF_FIRST, BACKOFF_MAX = 10.0, 300.0  # seconds; the kubelet's MaxContainerBackOff is 300
BACKOFF_RESET = 2 * BACKOFF_MAX  # a container that ended this long after its start begins anew
RETRY = 10.0  # the kubelet's backOffPeriod: when it tries again what failed to be created
SANDBOX_RETRY_FIRST, SANDBOX_RETRY_MAX = 1.0, 10.0
GRACE_MIN = 2.0  # what a container is always given between SIGTERM and SIGKILL (minimumGracePeriodInSeconds)
GRACE_DEFAULT = 30.0
EVICTION_GRACE = 1.0  # of a pod that takes too much of the disk (immediateEvictionGracePeriodSeconds)
# At most, however long a pod's own is: less than TimeoutStopSec= of minipod-pods.service.
SHUTDOWN_GRACE = 30.0
# An end that is earlier by less isn't worth another request: carrying one out takes time.
SAME_END = 0.5
PULL_FAILURES = ("ErrImagePull", "ImagePullBackOff", "RegistryUnavailable")

# --- actions -----------------------------------------------------------------------------------------------------


class Action(msgspec.Struct, frozen=True, tag=True, tag_field="action"):
    """Base of what decide() asks for."""


class RunSandbox(Action, frozen=True):
    attempt: int


class StartContainer(Action, frozen=True):
    """Create and start it. `backoff` goes into the ContainerStarting fact."""

    name: str
    attempt: int
    backoff: int


class StopContainer(Action, frozen=True):
    """preStop and the stop signal, and SIGKILL after `grace` seconds. Asked for again only with an earlier end."""

    name: str
    id: str
    grace: float
    message: str  # of the event Killing; empty when there has been one
    alone: bool = False  # the others go on


class StopSandbox(Action, frozen=True):
    """All containers have ended: release what the sandbox holds."""

    id: str


class RestartAll(Action, frozen=True):
    """From now on all containers are being stopped, to be started over."""


class StartOver(Action, frozen=True):
    """All have ended: begin again with the first of them."""


class Leave(Action, frozen=True):
    """The supervisor ends; everything the pod had running is stopped and undone. Its volumes and object stay."""


class FinishPod(Action, frozen=True):
    """The pod is over; its record stays until it is deleted. What still runs of it goes with the next decisions, and
    only then is its phase told."""

    phase: str  # Succeeded | Failed
    reason: str = ""
    message: str = ""


class RemovePod(Action, frozen=True):
    """Deletion is complete: nothing runs, nothing is held. The last action of a pod."""


AnyAction = (
    RunSandbox
    | StartContainer
    | StopContainer
    | StopSandbox
    | RestartAll
    | StartOver
    | Leave
    | FinishPod
    | RemovePod
)


class Decision(msgspec.Struct, frozen=True):
    """What to do now, and when to ask again if nothing happens before (seconds since the epoch; None: never)."""

    actions: tuple[AnyAction, ...] = ()
    wake_at: float | None = None


NOTHING = Decision()

# --- the decision ------------------------------------------------------------------------------------------------


def decide(pod: Pod, observed: Observed, now: float, scale: float = 1.0) -> Decision:
    """What to do next. `scale` multiplies every back-off; 1 is the kubelet's."""
    if observed.deleted_at or observed.terminal or observed.shutdown_at:
        return _end(pod, observed, now, scale)
    if end := verdict(pod, observed, now):
        return Decision((end,))
    decision = _live(pod, observed, now, scale)
    at = deadline(pod, observed)
    if decision.actions or at is None:
        return decision
    return Decision(wake_at=at if decision.wake_at is None else min(at, decision.wake_at))


def _end(pod: Pod, observed: Observed, now: float, scale: float) -> Decision:
    """A pod that is over, and one whose sandbox was lost, first has to be quiet: stop what runs, then the rest."""
    if anything_running(observed) or anything_starting(observed):
        return _stop_all(pod, observed, now)  # what is being started can be stopped when it runs
    if observed.sandbox:
        return _stop_sandbox(observed, observed.sandbox.id, now, scale)
    if observed.deleted_at:
        return Decision((RemovePod(),))
    return Decision((Leave(),)) if observed.shutdown_at else NOTHING


def _live(pod: Pod, observed: Observed, now: float, scale: float) -> Decision:
    if observed.sandbox and sandbox_changed(observed):
        return _end(pod, observed, now, scale)
    if observed.restarting:
        busy = anything_running(observed) or anything_starting(observed)
        return _stop_all(pod, observed, now) if busy else Decision((StartOver(),))
    if restarts_all(pod, observed):
        return Decision((RestartAll(),))
    if kills := _kill_failed(pod, observed):
        return Decision(kills)
    hooks = any(hook_pending(c, observed.known(c.name)) for c in containers_of(pod))
    if hooks or anything_starting(observed):
        return NOTHING
    if sandbox_changed(observed):
        return _run_sandbox(observed, now, scale)
    return _start_next(pod, observed, now, scale)


def _kill_failed(pod: Pod, observed: Observed) -> tuple[StopContainer, ...]:
    """Containers whose startup or liveness probe, or whose postStart hook, has failed."""
    kills = []
    for container in containers_of(pod):
        known = observed.known(container.name)
        if known.latest is None or not known.running or known.stop_by:
            continue
        grace, message = grace_of(pod), "FailedPostStartHook"
        if known.failed_probe:
            probe = container.liveness_probe if known.failed_probe == "liveness" else container.startup_probe
            if probe and probe.termination_grace_period_seconds is not None:
                grace = probe.termination_grace_period_seconds
            again = ", will be restarted" if restarts(pod, container, 137) else ""
            message = f"Container {container.name} failed {known.failed_probe} probe{again}"
        elif not hook_failed(known):
            continue
        kills.append(
            StopContainer(container.name, known.latest.id, max(grace, GRACE_MIN), message, alone=True)
        )
    return tuple(kills)


def _stop_all(pod: Pod, observed: Observed, now: float) -> Decision:
    """Everything at once, but sidecars last, each after those behind it, as long as the grace lasts."""
    end = stop_time(pod, observed, now)
    stops = [_stop(c, observed, now, end) for c in containers_of(pod) if c not in sidecars(pod)]
    busy = any(observed.known(c.name).running or observed.known(c.name).starting for c in pod.spec.containers)
    held = False
    for container in reversed(sidecars(pod)):
        if observed.known(container.name).running:
            if busy and now < end:
                held = True
            else:
                stops.append(_stop(container, observed, now, end))
            busy = True
    return Decision(tuple(stop for stop in stops if stop), end if held else None)


def _stop(container: Container, observed: Observed, now: float, end: float) -> StopContainer | None:
    """None: it doesn't run, or was asked to end by then."""
    known, stop_by = observed.known(container.name), max(end, now + GRACE_MIN)
    if known.latest is None or not known.running or (known.stop_by and known.stop_by <= stop_by + SAME_END):
        return None
    message = "" if known.stop_by else f"Stopping container {container.name}"
    return StopContainer(container.name, known.latest.id, stop_by - now, message)


def sidecars(pod: Pod) -> tuple[Container, ...]:
    return tuple(c for c in pod.spec.init_containers if is_sidecar(c))


def _stop_sandbox(observed: Observed, sandbox_id: str, now: float, scale: float) -> Decision:
    if observed.sandbox_stopping:
        return NOTHING
    at = sandbox_retry_at(observed, scale)
    return Decision(wake_at=at) if now < at else Decision((StopSandbox(sandbox_id),))


def _run_sandbox(observed: Observed, now: float, scale: float) -> Decision:
    at = sandbox_retry_at(observed, scale)
    return Decision(wake_at=at) if now < at else Decision((RunSandbox(observed.sandbox_attempts),))


def _start_next(pod: Pod, observed: Observed, now: float, scale: float) -> Decision:
    """Start the containers that may be, in their order; if one has to wait, the ones after it don't.

    One with a postStart hook is the last for now: the next one waits for the hook.
    """
    starts: list[StartContainer] = []
    wake_at = None
    for container in startable(pod, observed):
        known = observed.known(container.name)
        at = start_at(known, scale)
        if at > now:
            wake_at = at if wake_at is None else min(at, wake_at)
            continue
        starts.append(StartContainer(container.name, known.next_attempt, next_backoff(known, scale)))
        if container.lifecycle and container.lifecycle.post_start:
            break
    return Decision(tuple(starts)) if starts else Decision(wake_at=wake_at)


# --- predicates: how it ends -------------------------------------------------------------------------------------


def verdict(pod: Pod, observed: Observed, now: float) -> FinishPod | None:
    """How the pod has ended, once nothing that could change that is left to do; None while there is."""
    apps = [(c, observed.known(c.name)) for c in pod.spec.containers]
    quiet = not observed.restarting  # else they were ended so that they can begin again
    if quiet and all(known.exited and not should_restart(pod, c, known) for c, known in apps):
        return FinishPod("Succeeded" if all(known.succeeded for _, known in apps) else "Failed")
    at = deadline(pod, observed)
    if at is not None and now >= at:
        message = "Pod was active on the node longer than the specified deadline"
        return FinishPod("Failed", "DeadlineExceeded", message)
    if quiet and any(init_failed(pod, c, observed.known(c.name)) for c in pod.spec.init_containers):
        return FinishPod("Failed")
    ran = any(known.latest for known in observed.containers.values())
    if pod.spec.restart_policy == "Never" and sandbox_changed(observed) and ran:
        return FinishPod("Failed", message="The pod's sandbox ended, and its restartPolicy is Never")
    return None


def deadline(pod: Pod, observed: Observed) -> float | None:
    """When activeDeadlineSeconds, counted from status.startTime, are over."""
    seconds = pod.spec.active_deadline_seconds
    return None if seconds is None or not observed.start_time else observed.start_time + seconds


# --- predicates: when --------------------------------------------------------------------------------------------


def start_at(known: Known, scale: float) -> float:
    """The earliest time for the next attempt."""
    return max(restart_at(known, scale), retry_at(known.failure, scale))


def restart_at(known: Known, scale: float) -> float:
    """When the crash back-off is over, counted from the end of the last attempt. 0: no back-off."""
    if known.exited is None or backoff_expired(known, scale):
        return 0
    return known.exited.finished_at + backoff_delay(known.backoff, scale)


def backoff_delay(backoff: int, scale: float) -> float:
    """Seconds to wait after `backoff` restarts: 0, 10, 20, 40, 80, 160, 300, 300 …, times `scale`."""
    if backoff == 0:
        return 0
    return min(BACKOFF_FIRST * 2.0 ** min(backoff - 1, 30), BACKOFF_MAX) * scale


def backoff_expired(known: Known, scale: float) -> bool:
    """It ran for so long that its history no longer counts."""
    return known.exited is not None and known.exited.finished_at - known.backoff_at > BACKOFF_RESET * scale


def next_backoff(known: Known, scale: float) -> int:
    """The step of the crash back-off that a start now is: none for the first, a new first after a long run."""
    if known.exited is None:
        return known.backoff
    return 1 if backoff_expired(known, scale) else known.backoff + 1


def retry_at(failure: Failure | None, scale: float) -> float:
    """When a start that failed is tried again. An image that is missing is asked for ever more rarely, as the kubelet
    pulls; all else is tried again at every sync. But if there was a container whose process couldn't be started
    (RunContainerError), it has ended, and the crash back-off has its say. 0: at once."""
    if failure is None or failure.ended:
        return 0
    delay = backoff_delay(failure.count, scale) if failure.reason in PULL_FAILURES else RETRY * scale
    return failure.at + delay


def sandbox_retry_at(observed: Observed, scale: float) -> float:
    """When a sandbox is tried again that couldn't be made (or undone): after 1, 2, 4, 8, 10, 10 … seconds, times
    `scale`. 0: at once."""
    failure = observed.sandbox_failure
    if failure is None:
        return 0
    delay = min(SANDBOX_RETRY_FIRST * 2.0 ** min(failure.count - 1, 30), SANDBOX_RETRY_MAX)
    return failure.at + delay * scale


def stop_time(pod: Pod, observed: Observed, now: float) -> float:
    """When what is stopped now is killed: at the end of a deletion's grace, else of the pod's own, counted from when
    the first container was stopped. Whoever starts all over doesn't wait (KEP-5532, Termination Grace Periods)."""
    if observed.deleted_at:
        end = observed.deleted_at + observed.grace
    elif observed.restarting and not observed.terminal and not observed.shutdown_at:
        return now
    else:
        evicted = observed.terminal is not None and observed.terminal.reason == "Evicted"
        end = (observed.stopping_since or now) + (EVICTION_GRACE if evicted else grace_of(pod))
    return min(end, observed.shutdown_at + SHUTDOWN_GRACE) if observed.shutdown_at else end


def grace_of(pod: Pod) -> float:
    grace = pod.spec.termination_grace_period_seconds
    return GRACE_DEFAULT if grace is None else grace
