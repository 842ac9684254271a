"""The events of one pod: core/v1 Event objects, a repeated one counted instead of made again."""

import time
from collections.abc import Callable

import msgspec

from minipod.spec.types import (
    Container,
    ContainerStatus,
    EphemeralContainer,
    Event,
    EventSource,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodStatus,
)
from minipod.supervisor.observed import AnyFact, EventRecorded
from minipod.supervisor.status import timestamp
from minipod.supervisor.wanted import containers_of


class Recorder:
    """Makes events and hands each to the journal (`record`) and to `happened` (set by whoever wants to know).

    While `held`, they are only noted, until flush(): telling what was done takes as long as some of the doing.
    """

    def __init__(
        self,
        pod: Pod,
        node_name: str,
        known: Callable[[], tuple[Event, ...]],
        record: Callable[[AnyFact], None],
    ) -> None:
        self._pod, self._node, self._known, self._record = pod, node_name, known, record
        self.happened: Callable[[Event], None] = lambda _: None
        self.held = False
        self._noted: list[tuple[float, str, str, str, str]] = []

    def normal(self, reason: str, message: str, container: Container | None = None) -> None:
        self._happen("Normal", reason, message, container)

    def warning(self, reason: str, message: str, container: Container | None = None) -> None:
        self._happen("Warning", reason, message, container)

    def flush(self) -> None:
        """Make and tell the events noted so far."""
        noted, self._noted = self._noted, []
        for each in noted:
            self._tell(*each)

    def _happen(self, kind: str, reason: str, message: str, container: Container | None) -> None:
        self._noted.append((time.time(), kind, reason, message, self._field_path(container)))
        if not self.held:
            self.flush()

    def _tell(self, at: float, kind: str, reason: str, message: str, path: str) -> None:
        now = timestamp(at)
        for known in self._known():
            if (known.reason, known.message, known.involved_object.field_path) == (reason, message, path):
                event = msgspec.structs.replace(known, count=known.count + 1, last_timestamp=now)
                break
        else:
            event = self._new(kind, reason, message, path, at)
        self._record(EventRecorded(at=at, event=event))
        self.happened(event)

    def _field_path(self, container: Container | None) -> str:
        if container is None:
            return ""
        group = "initContainers" if container in self._pod.spec.init_containers else "containers"
        if isinstance(container, EphemeralContainer):
            group = "ephemeralContainers"
        return f"spec.{group}{{{container.name}}}"

    def _new(self, kind: str, reason: str, message: str, path: str, at: float) -> Event:
        meta, now = self._pod.metadata, timestamp(at)
        return Event(
            metadata=ObjectMeta(name=f"{meta.name}.{int(at * 1e9):x}", namespace=meta.namespace),
            involved_object=ObjectReference(
                kind="Pod",
                namespace=meta.namespace,
                name=meta.name,
                uid=meta.uid,
                api_version="v1",
                field_path=path,
            ),
            reason=reason,
            message=message,
            type=kind,
            source=EventSource(component="kubelet", host=self._node),
            first_timestamp=now,
            last_timestamp=now,
        )


def tell_backoff(events: Recorder, pod: Pod, before: PodStatus | None, now: PodStatus) -> None:
    """The event of each container that has just begun to wait for its next attempt; `before` was told last."""
    waited = {each.name: each.state.waiting for each in _container_statuses(before)}
    specs = {container.name: container for container in containers_of(pod)}
    for each in _container_statuses(now):
        reason = each.state.waiting.reason if each.state.waiting else ""
        was = waited.get(each.name)
        if not reason.endswith("BackOff") or (was and was.reason == reason):
            continue
        spec, meta = specs[each.name], pod.metadata
        text = (
            f"Back-off restarting failed container {each.name} in pod "
            f"{meta.name}_{meta.namespace}({meta.uid})"
        )
        if reason == "ImagePullBackOff":
            text = f'Back-off pulling image "{spec.image}"'
        events.warning("BackOff", text, spec)


def _container_statuses(status: PodStatus | None) -> tuple[ContainerStatus, ...]:
    if status is None:
        return ()
    return (
        *status.init_container_statuses,
        *status.container_statuses,
        *status.ephemeral_container_statuses,
    )
