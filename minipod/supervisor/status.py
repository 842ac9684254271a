"""What Kubernetes' API says about a pod, told from what is known about it. Pure: no I/O, no clock.

The rules are the kubelet's: getPhase and convertToAPIContainerStatuses in pkg/kubelet/kubelet_pods.go, the conditions
in pkg/kubelet/status/generate.go.
"""

import time
from collections.abc import Iterator, Sequence

import msgspec

from minipod.api.cri import ContainerInfo
from minipod.spec.qos import qos_class
from minipod.spec.types import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    EphemeralContainer,
    IPAddress,
    Pod,
    PodCondition,
    PodStatus,
)
from minipod.supervisor.known import Failure, Known, Observed
from minipod.supervisor.lifecycle import PULL_FAILURES, backoff_delay, backoff_expired
from minipod.supervisor.wanted import (
    anything_running,
    anything_starting,
    containers_of,
    in_sandbox,
    init_failed,
    is_ready,
    is_sidecar,
    is_started,
    should_restart,
    startable,
)


def status(
    pod: Pod,
    observed: Observed,
    now: float,
    host_ip: str = "",
    previous: PodStatus | None = None,
    scale: float = 1.0,
    ended: str = "",
) -> PodStatus:
    """The pod's status. `previous` is the one told last (the pod's own, if none is given): a condition keeps its time
    as long as it doesn't change. `now` is in seconds since the epoch; `scale` multiplies the back-off that messages
    speak of. `ended` is a container that has only just ended: it is Terminated until it is decided that it waits."""
    inits = tuple(_container_status(pod, observed, c, scale, ended) for c in pod.spec.init_containers)
    apps, ephemeral = (
        tuple(_container_status(pod, observed, c, scale, ended) for c in sorted(group, key=lambda c: c.name))
        for group in (pod.spec.containers, pod.spec.ephemeral_containers)
    )
    phase_now = phase(pod, observed)
    over = observed.terminal if phase_now in ("Succeeded", "Failed") else None
    told = (previous or pod.status).conditions
    addresses = _addresses(pod, observed, host_ip)
    conditions = (*_conditions(pod, phase_now, observed, inits, apps), *_accidents(pod, phase_now, observed))
    return PodStatus(
        phase=phase_now,
        reason=over.reason if over else "",
        message=over.message if over else "",
        conditions=_since(conditions, told, timestamp(now)),
        host_ip=host_ip,
        host_ips=(IPAddress(ip=host_ip),) if host_ip else (),
        pod_ip=addresses[0] if addresses else "",
        pod_ips=tuple(IPAddress(ip=address) for address in addresses),
        start_time=timestamp(observed.start_time),
        init_container_statuses=inits,
        container_statuses=apps,
        ephemeral_container_statuses=ephemeral,
        qos_class=qos_class(pod),
    )


# --- phase -------------------------------------------------------------------------------------------------------


def phase(pod: Pod, observed: Observed) -> str:
    """Pending, Running, Succeeded or Failed; never another after one of the last two, which are not told as long as
    anything runs (pkg/kubelet/status/status_manager.go, mergePodStatus)."""
    quiet = not anything_running(observed) and not anything_starting(observed)
    if observed.terminal and quiet:
        return observed.terminal.phase
    if observed.restarting and not observed.terminal:  # how they end then says nothing about the pod
        return "Running" if anything_running(observed) else "Pending"
    return _init_phase(pod, observed, quiet) or _app_phase(pod, observed, quiet)


def _init_phase(pod: Pod, observed: Observed, quiet: bool) -> str:
    """Pending or Failed; "" if the init containers leave it to the others."""
    never = not any(observed.known(c.name).latest for c in pod.spec.containers)
    for container in pod.spec.init_containers:
        known = observed.known(container.name)
        old = _of_old_sandbox(known, observed)
        if is_sidecar(container):
            if old or (never and not is_started(container, known)):
                return "Pending"
        elif known.exited is None or known.starting or old:
            return "Pending"
        elif not known.succeeded:
            return "Failed" if quiet and init_failed(pod, container, known) else "Pending"
    return ""


def _app_phase(pod: Pod, observed: Observed, quiet: bool) -> str:
    apps = [(c, observed.known(c.name)) for c in pod.spec.containers]
    if any(known.exited is None and not known.running and not known.previous for _, known in apps):
        return "Pending"
    if not quiet:  # also by what isn't an app container: a phase that is told is never taken back
        return "Running"
    if not observed.deleted_at and any(should_restart(pod, c, known) for c, known in apps):
        return "Running"
    return "Succeeded" if all(known.succeeded for _, known in apps) else "Failed"


def _of_old_sandbox(known: Known, observed: Observed) -> bool:
    """A new sandbox was made since: an init container has to run again, unless the pod is to go."""
    return not observed.deleted_at and observed.sandbox is not None and not in_sandbox(known, observed)


# --- containers --------------------------------------------------------------------------------------------------


def _container_status(
    pod: Pod, observed: Observed, container: Container, scale: float, ended: str
) -> ContainerStatus:
    known = observed.known(container.name)
    latest = known.latest
    waiting = None if container.name == ended else _waiting(pod, observed, container, scale)
    last = known.exited if waiting and known.exited else known.previous
    if isinstance(container, EphemeralContainer):
        ready, started = False, None  # nobody asks
    else:
        runs_once = container in pod.spec.init_containers and not is_sidecar(container)
        ready = known.succeeded and not waiting if runs_once else is_ready(container, known)
        started = is_started(container, known)
    return ContainerStatus(
        name=container.name,
        state=ContainerState(waiting=waiting) if waiting else _state(latest),
        last_state=_state(last),
        ready=ready,
        started=started,
        restart_count=latest.attempt if latest else 0,
        image=container.image,
        image_id=latest.image_id if latest else "",
        container_id=_url(latest) if latest else "",
    )


def _state(info: ContainerInfo | None) -> ContainerState:
    """Of a container that runs or has ended."""
    if info is None or info.state == "created":
        return ContainerState()
    if info.state == "running":
        return ContainerState(running=ContainerStateRunning(started_at=timestamp(info.started_at)))
    return ContainerState(
        terminated=ContainerStateTerminated(
            exit_code=info.exit_code,
            reason=info.reason,
            message=info.message,
            started_at=timestamp(info.started_at),
            finished_at=timestamp(info.finished_at),
            container_id=_url(info),
        )
    )


def _waiting(
    pod: Pod, observed: Observed, container: Container, scale: float
) -> ContainerStateWaiting | None:
    """Why the container doesn't run although it should, or should later; None if it runs or has ended for good."""
    known = observed.known(container.name)
    if known.running:
        return None
    over = observed.deleted_at or observed.terminal
    first = ContainerStateWaiting(
        reason="PodInitializing" if pod.spec.init_containers else "ContainerCreating"
    )
    if known.exited is None or (container in pod.spec.init_containers and _of_old_sandbox(known, observed)):
        return _waiting_for(container, known.failure) if known.failure else first
    if over or not observed.sandbox_ready:
        return None
    if container not in startable(pod, observed):
        return first if known.again and not isinstance(container, EphemeralContainer) else None
    if known.failure and not known.failure.ended:
        return _waiting_for(container, known.failure)
    if known.backoff and not backoff_expired(known, scale):
        delay = duration(backoff_delay(known.backoff, scale))
        meta = pod.metadata
        message = (
            f"back-off {delay} restarting failed container={container.name} "
            f"pod={meta.name}_{meta.namespace}({meta.uid})"
        )
        return ContainerStateWaiting(reason="CrashLoopBackOff", message=message)
    if known.failure:
        return _waiting_for(container, known.failure)
    return first if known.again else None


def _waiting_for(container: Container, failure: Failure) -> ContainerStateWaiting:
    """An image is first missed, and then waited for; all else keeps the name of its failure."""
    if failure.reason in PULL_FAILURES and failure.count > 1:
        message = f'Back-off pulling image "{container.image}": {failure.reason}: {failure.message}'
        return ContainerStateWaiting(reason="ImagePullBackOff", message=message)
    return ContainerStateWaiting(reason=failure.reason, message=failure.message)


def _url(info: ContainerInfo) -> str:
    return f"minipod://{info.id}"


# --- conditions --------------------------------------------------------------------------------------------------


def _conditions(
    pod: Pod,
    phase_now: str,
    observed: Observed,
    inits: Sequence[ContainerStatus],
    apps: Sequence[ContainerStatus],
) -> tuple[PodCondition, ...]:
    """In the kubelet's order, without times."""
    sidecars = {c.name for c in pod.spec.init_containers if is_sidecar(c)}
    ready = _ready(phase_now, [*(s for s in inits if s.name in sidecars), *apps])
    return (
        PodCondition(type="PodReadyToStartContainers", status=_word(observed.sandbox_ready)),
        _initialized(phase_now, inits, apps, sidecars),
        _gated(pod, msgspec.structs.replace(ready, type="Ready")),
        ready,
        PodCondition(type="PodScheduled", status="True"),
    )


def _accidents(pod: Pod, phase_now: str, observed: Observed) -> Iterator[PodCondition]:
    """Conditions that a pod has only if its rules can start it over, or if it was evicted."""
    rules = (rule for c in containers_of(pod) for rule in c.restart_policy_rules)
    if any(rule.action == "RestartAllContainers" for rule in rules):
        over = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase_now, "")
        if observed.restarting and not over:
            yield PodCondition(
                type="AllContainersRestarting",
                status="True",
                reason="RestartAllContainersStarted",
                message="container exited with restart policy rule",
            )
        else:
            yield PodCondition(type="AllContainersRestarting", status="False", reason=over)
    if observed.terminal and observed.terminal.reason == "Evicted":
        yield PodCondition(
            type="DisruptionTarget",
            status="True",
            reason="TerminationByKubelet",
            message=observed.terminal.message,
        )


def _gated(pod: Pod, ready: PodCondition) -> PodCondition:
    """Ready, if what others have to say about it (spec.readinessGates) is True, too."""
    told = {condition.type: condition.status for condition in pod.status.conditions}
    closed = [gate.condition_type for gate in pod.spec.readiness_gates]
    closed = [kind for kind in closed if told.get(kind) != "True"]
    if ready.status != "True" or not closed:
        return ready
    texts = [
        f'the status of pod readiness gate "{kind}" is not "True", but {told[kind]}'
        if kind in told
        else f'corresponding condition of pod readiness gate "{kind}" does not exist.'
        for kind in closed
    ]
    return PodCondition(
        type="Ready", status="False", reason="ReadinessGatesNotReady", message=", ".join(texts)
    )


def _initialized(
    phase_now: str, inits: Sequence[ContainerStatus], apps: Sequence[ContainerStatus], sidecars: set[str]
) -> PodCondition:
    """All init containers exited 0 or, the sidecars, have started; or an app container did, which says the same."""
    if phase_now == "Succeeded":
        return PodCondition(type="Initialized", status="True", reason="PodCompleted")
    incomplete = [s.name for s in inits if not (s.started if s.name in sidecars else s.ready)]
    if not incomplete or any(s.state.running or s.state.terminated for s in apps):
        return PodCondition(type="Initialized", status="True")
    return PodCondition(
        type="Initialized",
        status="False",
        reason="ContainersNotInitialized",
        message=f"containers with incomplete status: [{' '.join(incomplete)}]",
    )


def _ready(phase_now: str, statuses: Sequence[ContainerStatus]) -> PodCondition:
    if phase_now in ("Succeeded", "Failed"):
        reason = "PodCompleted" if phase_now == "Succeeded" else "PodFailed"
        return PodCondition(type="ContainersReady", status="False", reason=reason)
    unready = [s.name for s in statuses if not s.ready]
    if not unready:
        return PodCondition(type="ContainersReady", status="True")
    return PodCondition(
        type="ContainersReady",
        status="False",
        reason="ContainersNotReady",
        message=f"containers with unready status: [{' '.join(unready)}]",
    )


def _since(
    conditions: Sequence[PodCondition], told: Sequence[PodCondition], now: str
) -> tuple[PodCondition, ...]:
    """Each with the time its status last changed."""
    times = {(c.type, c.status): c.last_transition_time for c in told}
    return tuple(
        PodCondition(
            type=c.type,
            status=c.status,
            reason=c.reason,
            message=c.message,
            last_transition_time=times.get((c.type, c.status), now),
        )
        for c in conditions
    )


# --- words -------------------------------------------------------------------------------------------------------


def timestamp(at: float) -> str:
    """RFC 3339 in UTC, to the second, as metav1.Time is written; "" for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)) if at else ""


def duration(seconds: float) -> str:
    """As Go writes a time.Duration: 10s, 1m20s, 5m0s, 500ms."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:g}s" if minutes else f"{rest:g}s"


def _word(value: bool) -> str:
    return "True" if value else "False"


def _addresses(pod: Pod, observed: Observed, host_ip: str) -> list[str]:
    """IPv4 first. A sandbox that is gone has given its addresses back."""
    if observed.sandbox is None:
        return []
    if pod.spec.host_network:
        return [host_ip] if host_ip else []
    return [a for a in (observed.sandbox.address4, observed.sandbox.address6) if a]
