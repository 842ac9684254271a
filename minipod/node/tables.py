"""kubectl's tables. Pure. Columns and STATUS are those of printPod (pkg/printers/internalversion, v1.35)."""

import datetime as dt
from collections.abc import Sequence

from minipod.node import gates
from minipod.spec.types import ContainerState, ContainerStateTerminated, ContainerStatus, Event, Pod

_NONE = "<none>"


def align(rows: Sequence[Sequence[str]], widths: Sequence[int] = ()) -> str:
    """Columns three spaces apart, as kubectl's tab writer makes them; the last one has no padding."""
    widths = widths or [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "".join(cell.ljust(width + 3) for cell, width in zip(row[:-1], widths, strict=False)) + row[-1]
        for row in rows
    )


# --- ages ----------------------------------------------------------------------------------------------------------


def seconds(text: str) -> float:
    """Seconds since the epoch of an RFC 3339 time."""
    return dt.datetime.fromisoformat(text).timestamp()


def human_duration(total: float) -> str:
    """As k8s.io/apimachinery/pkg/util/duration.HumanDuration."""
    total = int(total)
    if total < -1:
        return "<invalid>"
    total = max(total, 0)
    minutes, hours, days = total // 60, total // 3600, total // 86400
    if total < 120:
        return f"{total}s"
    if minutes < 10:
        return _two(minutes, "m", total % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(days // 365, "y", days % 365, "d")
    return f"{days // 365}y"


def _two(big: int, big_unit: str, small: int, small_unit: str) -> str:
    return f"{big}{big_unit}{small}{small_unit}" if small else f"{big}{big_unit}"


def age(text: str, now: float) -> str:
    """How long ago; `now` in seconds since the epoch."""
    return human_duration(now - seconds(text)) if text else "<unknown>"


# --- pods ----------------------------------------------------------------------------------------------------------


class _Count:
    """READY and RESTARTS while the statuses are gone through."""

    def __init__(self) -> None:
        self.ready = self.restarts = 0
        self.last_restart = ""

    def add(self, status: ContainerStatus) -> None:
        self.restarts += status.restart_count
        terminated = status.last_state.terminated
        if terminated:
            self.last_restart = max(self.last_restart, terminated.finished_at)


def _ended(terminated: ContainerStateTerminated) -> str:
    """Why a container ended, in a word."""
    if terminated.reason:
        return terminated.reason
    return f"Signal:{terminated.signal}" if terminated.signal else f"ExitCode:{terminated.exit_code}"


def _init_word(pod: Pod, count: _Count) -> str:
    """Init:... while the first init container that isn't done keeps the pod from starting, else ""."""
    statuses = pod.status.init_container_statuses
    sidecars = _sidecars(pod)
    for index, status in enumerate(statuses):
        count.add(status)
        terminated, waiting = status.state.terminated, status.state.waiting
        if terminated and terminated.exit_code == 0 and status.name not in sidecars:
            continue
        if status.started and status.name in sidecars:
            count.ready += status.ready
            continue
        if terminated:
            return f"Init:{_ended(terminated)}"
        if waiting and waiting.reason and waiting.reason != "PodInitializing":
            return f"Init:{waiting.reason}"
        return f"Init:{index}/{len(pod.spec.init_containers)}"
    return ""


def _app_word(pod: Pod, word: str, count: _Count) -> str:
    """What the app containers say of the pod; the first in the list has the last word."""
    error, running = "", False
    for status in reversed(pod.status.container_statuses):
        count.add(status)
        state: ContainerState = status.state
        if state.waiting and state.waiting.reason:
            word = state.waiting.reason
        elif state.terminated:
            word = _ended(state.terminated)
            if state.terminated.exit_code:
                error = word
        elif state.running and status.ready:
            running = True
            count.ready += 1
    if word == "Completed":
        if running and _condition(pod, "Ready") == "True":
            return "Running"
        return error or ("NotReady" if running else word)
    return word


def _condition(pod: Pod, kind: str) -> str:
    return next((each.status for each in pod.status.conditions if each.type == kind), "")


def _summary(pod: Pod) -> tuple[str, _Count]:
    count = _Count()
    word = pod.status.reason or pod.status.phase or "Pending"
    if gates.gated(pod):
        word = gates.GATED.reason
    init = _init_word(pod, count)
    if init and _condition(pod, "Initialized") != "True":
        word = init
    else:
        count = _Count()  # what other init containers were restarted is over
        for status in pod.status.init_container_statuses:
            if status.name in _sidecars(pod):
                count.add(status)
                count.ready += bool(status.started and status.ready)
        word = _app_word(pod, word, count)
    if pod.metadata.deletion_timestamp and pod.status.phase not in ("Succeeded", "Failed"):
        word = "Terminating"
    return word, count


def _sidecars(pod: Pod) -> set[str]:
    return {each.name for each in pod.spec.init_containers if each.restart_policy == "Always"}


def pod_status(pod: Pod) -> str:
    """The STATUS word."""
    return _summary(pod)[0]


def pod_head(wide: bool, namespaces: bool) -> list[str]:
    more = ["IP", "NODE", "NOMINATED NODE", "READINESS GATES"] if wide else []
    return [*(["NAMESPACE"] if namespaces else []), "NAME", "READY", "STATUS", "RESTARTS", "AGE", *more]


def pod_row(pod: Pod, now: float, node: str, wide: bool, namespaces: bool) -> list[str]:
    """The cells under pod_head; `now` in seconds since the epoch, `node` the node's name."""
    meta, (word, count) = pod.metadata, _summary(pod)
    restarts = str(count.restarts)
    if count.restarts and count.last_restart:
        restarts += f" ({age(count.last_restart, now)} ago)"
    node = _NONE if gates.gated(pod) else node
    more = [pod.status.pod_ip or _NONE, node, _NONE, _gates(pod)] if wide else []
    ready = f"{count.ready}/{len(pod.spec.containers) + len(_sidecars(pod))}"
    cells = [meta.name, ready, word, restarts, age(meta.creation_timestamp, now), *more]
    return [meta.namespace, *cells] if namespaces else cells


def _gates(pod: Pod) -> str:
    """How many of the pod's readiness gates are open."""
    gates = [_condition(pod, gate.condition_type) for gate in pod.spec.readiness_gates]
    return f"{gates.count('True')}/{len(gates)}" if gates else _NONE


# --- events --------------------------------------------------------------------------------------------------------


def event_head(namespaces: bool) -> list[str]:
    return [*(["NAMESPACE"] if namespaces else []), "LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]


def event_row(event: Event, now: float, namespaces: bool) -> list[str]:
    """The cells under event_head."""
    about = event.involved_object
    cells = [
        event_age(event, now),
        event.type,
        event.reason,
        f"{about.kind.lower()}/{about.name}",
        event.message.strip(),
    ]
    return [event.metadata.namespace, *cells] if namespaces else cells


def event_age(event: Event, now: float) -> str:
    """How long ago it happened last and, if it was repeated, how often and since when."""
    seen = age(event.last_timestamp, now)
    return f"{seen} (x{event.count} over {age(event.first_timestamp, now)})" if event.count > 1 else seen


def labels(pairs: dict[str, str]) -> str:
    """The cell of --show-labels."""
    return ",".join(f"{key}={pairs[key]}" for key in sorted(pairs)) or _NONE
