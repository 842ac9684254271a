"""What a pod needs next: decide(specification, what is known, the time) -> actions. Pure: no I/O, no clock.

                    ┌─────────────── deleted ──────────────▶ stop containers ▶ stop sandbox ▶ RemovePod
    RunSandbox ▶ init containers, one by one ▶ app containers ▶ (restarts) ▶ all ended, none to be restarted
        ▲                                            │                            │
        └──────── the sandbox was lost ◀─────────────┘                            ▼
                  (restartPolicy Never: fails) ───────────────────────────▶ FinishPod ▶ stop sandbox

The engine calls decide() after every fact and at `wake_at`; each action it turns into a fact, appends that to the
journal, and only then carries it out. What is under way is in Observed, so nothing is asked for twice; whatever
order the facts come in, the next call sees what is still missing. One thing is started at a time, because the kubelet
starts a pod's containers one after another, in the order of the specification; stops go in parallel.

The rules are the kubelet's: computePodActions and doBackOff in pkg/kubelet/kuberuntime/kuberuntime_manager.go.
"""

import msgspec

from minipod.spec.types import Container, Pod
from minipod.supervisor.observed import Failure, Known, Observed

BACKOFF_FIRST, BACKOFF_MAX = 10.0, 300.0  # seconds; the kubelet's MaxContainerBackOff is 300
BACKOFF_RESET = 2 * BACKOFF_MAX  # a container that ended this long after its start begins anew
RETRY = 10.0  # the kubelet's backOffPeriod: when it tries again what failed to be created
SANDBOX_RETRY_FIRST, SANDBOX_RETRY_MAX = 1.0, 10.0
GRACE_MIN = 2.0  # what a container is always given between SIGTERM and SIGKILL (minimumGracePeriodInSeconds)
GRACE_DEFAULT = 30.0
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
    """SIGTERM, and SIGKILL after `grace` seconds. Asked for again only with an earlier end."""

    name: str
    id: str
    grace: float
    message: str  # of the event Killing; empty when there has been one


class StopSandbox(Action, frozen=True):
    """All containers have ended: release what the sandbox holds."""

    id: str


class FinishPod(Action, frozen=True):
    """The pod ended by itself; its record stays until it is deleted. Its sandbox goes with the next decision."""

    phase: str  # Succeeded | Failed
    reason: str = ""
    message: str = ""


class RemovePod(Action, frozen=True):
    """Deletion is complete: nothing runs, nothing is held. The last action of a pod."""


AnyAction = RunSandbox | StartContainer | StopContainer | StopSandbox | FinishPod | RemovePod


class Decision(msgspec.Struct, frozen=True):
    """What to do now, and when to ask again if nothing happens before (seconds since the epoch; None: never)."""

    actions: tuple[AnyAction, ...] = ()
    wake_at: float | None = None


NOTHING = Decision()

# --- the decision ------------------------------------------------------------------------------------------------


def decide(pod: Pod, observed: Observed, now: float, scale: float = 1.0) -> Decision:
    """What to do next. `scale` multiplies every back-off; 1 is the kubelet's."""
    # A pod that is over, and one whose sandbox was lost, first have to be quiet: stop what runs, then the rest.
    end = None if observed.deleted_at or observed.terminal else verdict(pod, observed)
    over = end or observed.deleted_at or observed.terminal
    if over or (observed.sandbox and sandbox_changed(observed)):
        if anything_running(observed) or anything_starting(observed):
            return Decision(
                _stop_all(pod, observed, now)
            )  # what is being started can be stopped when it runs
        if end:
            return Decision((end,))
        if observed.sandbox:
            return _stop_sandbox(observed, observed.sandbox.id, now, scale)
        return Decision((RemovePod(),)) if observed.deleted_at else NOTHING
    if anything_starting(observed):
        return NOTHING
    if sandbox_changed(observed):
        return _run_sandbox(observed, now, scale)
    return _start_next(pod, observed, now, scale)


def _stop_all(pod: Pod, observed: Observed, now: float) -> tuple[StopContainer, ...]:
    stops = []
    for container in containers_of(pod):
        known = observed.known(container.name)
        if known.latest is None or not known.running:
            continue
        stop_by = max(stop_time(pod, observed, now), now + GRACE_MIN)
        if known.stop_by and known.stop_by <= stop_by:
            continue
        message = "" if known.stop_by else f"Stopping container {container.name}"
        stops.append(StopContainer(container.name, known.latest.id, stop_by - now, message))
    return tuple(stops)


def _stop_sandbox(observed: Observed, sandbox_id: str, now: float, scale: float) -> Decision:
    if observed.sandbox_stopping:
        return NOTHING
    at = sandbox_retry_at(observed, scale)
    return Decision(wake_at=at) if now < at else Decision((StopSandbox(sandbox_id),))


def _run_sandbox(observed: Observed, now: float, scale: float) -> Decision:
    at = sandbox_retry_at(observed, scale)
    return Decision(wake_at=at) if now < at else Decision((RunSandbox(observed.sandbox_attempts),))


def _start_next(pod: Pod, observed: Observed, now: float, scale: float) -> Decision:
    """Start the first container that may be; if one has to wait, the ones after it don't."""
    wake_at = None
    for container in startable(pod, observed):
        known = observed.known(container.name)
        at = start_at(known, scale)
        if at <= now:
            return Decision((StartContainer(container.name, known.next_attempt, next_backoff(known, scale)),))
        wake_at = at if wake_at is None else min(at, wake_at)
    return Decision(wake_at=wake_at)


# --- predicates: what is wanted ----------------------------------------------------------------------------------


def startable(pod: Pod, observed: Observed) -> tuple[Container, ...]:
    """The containers that should run now and don't, back-off aside: one init container, or some of the others."""
    init = next_init(pod, observed)
    if init is not None:
        return () if observed.known(init.name).running else (init,)
    return tuple(c for c in pod.spec.containers if should_run(pod, observed.known(c.name)))


def next_init(pod: Pod, observed: Observed) -> Container | None:
    """The init container it is the turn of; None: all are done."""
    for container in pod.spec.init_containers:
        if not init_done(observed, container.name):
            return container
    return None


def init_done(observed: Observed, name: str) -> bool:
    """It exited 0 in this sandbox: a new one is initialized anew."""
    known = observed.known(name)
    return known.succeeded and in_sandbox(known, observed)


def in_sandbox(known: Known, observed: Observed) -> bool:
    """Its latest attempt belongs to the current sandbox."""
    return (
        known.latest is not None
        and observed.sandbox is not None
        and known.latest.sandbox_id == observed.sandbox.id
    )


def should_run(pod: Pod, known: Known) -> bool:
    """An app container that isn't running should be: it never was, or its policy restarts it."""
    if known.latest is None or known.latest.state == "created":
        return True
    return should_restart(pod, known)


def should_restart(pod: Pod, known: Known) -> bool:
    """It has ended, and restartPolicy wants it back."""
    if known.exited is None or pod.spec.restart_policy == "Never":
        return False
    return pod.spec.restart_policy != "OnFailure" or not known.succeeded


def sandbox_changed(observed: Observed) -> bool:
    """There is no usable sandbox: none was made yet, its pause died, or its supervisor did."""
    return not observed.sandbox_ready


def anything_running(observed: Observed) -> bool:
    return any(known.running for known in observed.containers.values())


def anything_starting(observed: Observed) -> bool:
    return bool(observed.sandbox_starting) or any(known.starting for known in observed.containers.values())


def containers_of(pod: Pod) -> tuple[Container, ...]:
    return pod.spec.init_containers + pod.spec.containers


# --- predicates: how it ends -------------------------------------------------------------------------------------


def verdict(pod: Pod, observed: Observed) -> FinishPod | None:
    """How the pod has ended, once nothing that could change that is left to do; None while there is."""
    apps = [observed.known(c.name) for c in pod.spec.containers]
    if all(known.exited and not should_restart(pod, known) for known in apps):
        return FinishPod("Succeeded" if all(known.succeeded for known in apps) else "Failed")
    if pod.spec.restart_policy != "Never":
        return None
    if sandbox_changed(observed) and any(known.latest for known in observed.containers.values()):
        return FinishPod("Failed", message="The pod's sandbox ended, and its restartPolicy is Never")
    failed = [c.name for c in pod.spec.init_containers if init_failed(observed.known(c.name))]
    return FinishPod("Failed") if failed else None


def init_failed(known: Known) -> bool:
    return known.exited is not None and not known.succeeded


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
    """When a container that is stopped now is killed: at the end of a deletion's grace, else of the pod's own."""
    if observed.deleted_at:
        return observed.deleted_at + observed.grace
    grace = pod.spec.termination_grace_period_seconds
    return now + (GRACE_DEFAULT if grace is None else grace)
