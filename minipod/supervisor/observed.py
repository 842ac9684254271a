"""What is known about one pod, and how each fact changes it. Pure: no I/O, no clock.

    journal ──facts──▶ apply() ──▶ Observed ──▶ lifecycle.decide()   what to do next
                                            └─▶ status.status()      what to tell

A supervisor appends a fact to its journal before it acts on it, and then applies it. So the journal, replayed, gives
the same Observed, to the last count: restarts, back-off and a terminal phase survive the supervisor.

All times are seconds since the epoch.
"""

import msgspec

from minipod.api.cri import ContainerInfo, SandboxInfo
from minipod.spec.types import Event
from minipod.supervisor.known import Failure, Known, Observed, Terminal

EVENTS_KEPT = 100  # of each pod; the node keeps them longer

# --- facts -------------------------------------------------------------------------------------------------------


class Fact(msgspec.Struct, frozen=True, tag=True, tag_field="fact", omit_defaults=True):
    """Base of the journal's records; the class name is the value of "fact"."""

    at: float


class SupervisorBegan(Fact, frozen=True):
    """A supervisor took the pod. `lost`: an earlier one died, and all it had was killed and undone."""

    lost: bool = False


class SandboxStarting(Fact, frozen=True):
    id: str
    attempt: int


class SandboxFailed(Fact, frozen=True):
    """It could not be made, and what there was of it was undone; or it is the current one and could not be undone."""

    id: str
    message: str


class SandboxIs(Fact, frozen=True):
    """It became ready, or (pause died) notready. In the latter case it has still to be stopped."""

    sandbox: SandboxInfo


class SandboxStopping(Fact, frozen=True):
    """Its containers have ended, and it is being undone."""

    id: str


class SandboxStopped(Fact, frozen=True):
    """Nothing of it is left but the record."""

    id: str


class ContainerStarting(Fact, frozen=True):
    """`backoff`: how many steps of the crash back-off have now been taken (from lifecycle.StartContainer)."""

    name: str
    id: str
    attempt: int
    backoff: int = 0


class StartFailed(Fact, frozen=True):
    """A container could not be started. If there was one (RunContainerError), its ContainerIs comes first."""

    name: str
    reason: str
    message: str


class ContainerIs(Fact, frozen=True):
    """A container was created, runs, or has ended."""

    container: ContainerInfo


class ContainerStopping(Fact, frozen=True):
    """It was asked to end, and is killed at `stop_by`. `alone`: the others go on."""

    name: str
    id: str
    stop_by: float
    alone: bool = False


class PostStarted(Fact, frozen=True):
    """Its postStart hook has succeeded. One that fails is a StartFailed, PostStartHookError."""

    name: str
    id: str


class ProbeIs(Fact, frozen=True):
    """A probe's result, after its threshold: the first, and then each time it changes."""

    name: str
    id: str
    probe: str  # startup | liveness | readiness
    success: bool


class AllRestarting(Fact, frozen=True):
    """A container's exit means that all are stopped and started over (RestartAllContainers)."""


class StartedOver(Fact, frozen=True):
    """All containers have ended: those of the manifest run again from the first on."""


class ShutdownRequested(Fact, frozen=True):
    """The machine goes down, or its pods' unit: the containers are stopped. The next supervisor starts them again."""


class DeletionRequested(Fact, frozen=True):
    """The pod shall be gone `grace` seconds from `at`. A second request can only shorten the time."""

    grace: float


class PodFinished(Fact, frozen=True):
    phase: str
    reason: str = ""
    message: str = ""


class EventRecorded(Fact, frozen=True):
    """An event, whole: a repeated one has the same name and a higher count."""

    event: Event


class Snapshot(Fact, frozen=True):
    """Everything before it in one record: the first line of a compacted journal."""

    observed: Observed


AnyFact = (
    SupervisorBegan
    | SandboxStarting
    | SandboxFailed
    | SandboxIs
    | SandboxStopping
    | SandboxStopped
    | ContainerStarting
    | StartFailed
    | ContainerIs
    | ContainerStopping
    | PostStarted
    | ProbeIs
    | AllRestarting
    | StartedOver
    | ShutdownRequested
    | DeletionRequested
    | PodFinished
    | EventRecorded
    | Snapshot
)

# --- how a fact changes what is known ----------------------------------------------------------------------------

replace = msgspec.structs.replace


def apply(observed: Observed, fact: AnyFact) -> Observed:
    """What is known after `fact`. A fact about a sandbox or container that is no longer the latest changes nothing
    but the sequence: such news may come late."""
    if isinstance(fact, Snapshot):
        return fact.observed
    return replace(_changed(observed, fact), sequence=observed.sequence + 1)


def _changed(observed: Observed, fact: AnyFact) -> Observed:
    match fact:
        case (
            ContainerStarting()
            | StartFailed()
            | ContainerIs()
            | ContainerStopping()
            | PostStarted()
            | ProbeIs()
        ):
            name = fact.container.name if isinstance(fact, ContainerIs) else fact.name
            known = _container_changed(observed.known(name), fact)
            observed = replace(observed, containers={**observed.containers, name: known})
            if isinstance(fact, ContainerStopping) and not fact.alone:
                return replace(observed, stopping_since=observed.stopping_since or fact.at)
            return observed
        case SandboxStarting() | SandboxFailed() | SandboxIs() | SandboxStopping() | SandboxStopped():
            return _sandbox_changed(observed, fact)
        case SupervisorBegan():
            start_time = observed.start_time or fact.at
            observed = _lost(observed, fact.at) if fact.lost else observed
            return replace(observed, start_time=start_time, shutdown_at=0)
        case AllRestarting():
            return replace(observed, restarting=True)
        case StartedOver():
            containers = {name: replace(known, again=True) for name, known in observed.containers.items()}
            return replace(observed, restarting=False, stopping_since=0, containers=containers)
        case ShutdownRequested():
            return replace(observed, shutdown_at=observed.shutdown_at or fact.at)
        case DeletionRequested():
            return _deletion_requested(observed, fact)
        case PodFinished():
            terminal = Terminal(phase=fact.phase, reason=fact.reason, message=fact.message, at=fact.at)
            return replace(observed, terminal=observed.terminal or terminal)
        case EventRecorded():
            others = [e for e in observed.events if e.metadata.name != fact.event.metadata.name]
            return replace(observed, events=(*others[-EVENTS_KEPT + 1 :], fact.event))
    return observed


def _sandbox_changed(
    observed: Observed, fact: SandboxStarting | SandboxFailed | SandboxIs | SandboxStopping | SandboxStopped
) -> Observed:
    match fact:
        case SandboxStarting():
            attempts = max(observed.sandbox_attempts, fact.attempt + 1)
            return replace(observed, sandbox_starting=fact.id, sandbox_attempts=attempts)
        case SandboxFailed():
            failure = _again(observed.sandbox_failure, "FailedCreatePodSandBox", fact.message, fact.at)
            return replace(observed, sandbox_starting="", sandbox_stopping=False, sandbox_failure=failure)
        case SandboxIs():
            current = observed.sandbox_starting or (observed.sandbox and observed.sandbox.id)
            if fact.sandbox.id != current:
                return observed
            return replace(observed, sandbox=fact.sandbox, sandbox_starting="", sandbox_failure=None)
        case SandboxStopping() | SandboxStopped():
            if observed.sandbox is None or observed.sandbox.id != fact.id:
                return observed
            if isinstance(fact, SandboxStopping):
                return replace(observed, sandbox_stopping=True)
            return replace(
                observed, sandbox=None, sandbox_stopping=False, sandbox_failure=None, stopping_since=0
            )


def _container_changed(
    known: Known,
    fact: ContainerStarting | StartFailed | ContainerIs | ContainerStopping | PostStarted | ProbeIs,
) -> Known:
    match fact:
        case ContainerStarting():
            return replace(
                known,
                starting=fact.id,
                starting_attempt=fact.attempt,
                backoff=fact.backoff,
                backoff_at=fact.at if fact.backoff else known.backoff_at,
            )
        case StartFailed():
            failure = _again(known.failure, fact.reason, fact.message, fact.at)
            return replace(known, starting="", failure=replace(failure, ended=not known.starting))
        case ContainerIs():
            return _attempt_changed(known, fact.container)
        case ContainerStopping() | PostStarted() | ProbeIs():
            latest = known.latest is not None and known.latest.id == fact.id
            return _latest_changed(known, fact) if latest else known


def _latest_changed(known: Known, fact: ContainerStopping | PostStarted | ProbeIs) -> Known:
    match fact:
        case ContainerStopping():
            return replace(known, stop_by=fact.stop_by)
        case PostStarted():
            return replace(known, post_started=True)
        case ProbeIs():
            if fact.probe == "readiness":
                return replace(known, ready=fact.success)
            if not fact.success:
                return replace(known, failed_probe=fact.probe)
            return replace(known, started=True) if fact.probe == "startup" else known


def _attempt_changed(known: Known, info: ContainerInfo) -> Known:
    if known.latest is not None and known.latest.id == info.id:
        if known.latest.state == "exited":
            return known  # the first word about its end stands
        known = replace(known, latest=info)
    elif info.id == known.starting:
        known = replace(
            known,
            latest=info,
            previous=known.latest,
            stop_by=0,
            again=False,
            post_started=False,
            started=False,
            ready=False,
            failed_probe="",
        )
    else:
        return known
    if info.state == "created":
        return known
    if info.state == "exited":
        known = replace(known, stop_by=0)
    else:
        known = replace(known, failure=None)
    return replace(known, starting="") if info.id == known.starting else known


def _again(before: Failure | None, reason: str, message: str, at: float) -> Failure:
    return Failure(reason=reason, message=message, at=at, count=before.count + 1 if before else 1)


def _deletion_requested(observed: Observed, fact: DeletionRequested) -> Observed:
    if observed.deleted_at:
        earlier = min(observed.deleted_at + observed.grace, fact.at + fact.grace)
        return replace(observed, grace=max(0.0, earlier - observed.deleted_at))
    return replace(observed, deleted_at=fact.at, grace=fact.grace)


def _lost(observed: Observed, at: float) -> Observed:
    """Nobody saw how it ended: what ran, and what was just being started, is ContainerStatusUnknown, exit code 137."""
    containers = {name: _container_lost(name, known, at) for name, known in observed.containers.items()}
    return replace(
        observed,
        lost=True,
        sandbox=None,
        sandbox_starting="",
        sandbox_stopping=False,
        sandbox_failure=None,
        stopping_since=0,
        containers=containers,
    )


def _container_lost(name: str, known: Known, at: float) -> Known:
    if known.starting and (known.latest is None or known.latest.id != known.starting):
        # It may have run: it counts as an attempt, so that under restartPolicy Never nothing runs twice.
        attempt = ContainerInfo(
            id=known.starting, sandbox_id="", name=name, attempt=known.starting_attempt, state="created"
        )
        known = replace(known, latest=attempt, previous=known.latest, again=False)
    if known.latest is None or known.latest.state == "exited":
        return replace(known, starting="")
    ended = replace(
        known.latest,
        state="exited",
        finished_at=at,
        exit_code=137,
        reason="ContainerStatusUnknown",
        message="The container could not be located when the pod was terminated",
        pid=0,
    )
    return replace(known, latest=ended, starting="", stop_by=0)
