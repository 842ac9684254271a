"""The node's objects: read from memory, kept in the store, every change told to the hub.

All methods run in the node's loop and none awaits: what is checked before a write is still true when it is made.
"""

import datetime as dt
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from minipod.errors import AlreadyExists, NotFound
from minipod.node import gates, pod_status
from minipod.node.hub import AnyObject, Change, Hub, Watch
from minipod.node.store import Row, Store
from minipod.spec.qos import qos_class
from minipod.spec.types import Event, EventSource, ObjectMeta, ObjectReference, Pod, PodStatus

EVENTS_KEPT = 1000  # a namespace
EVENT_SECONDS = 3600  # as kube-apiserver's --event-ttl
_TRIM_EVERY = 64  # events

Object = TypeVar("Object", Pod, Event)
_DECODERS: dict[str, msgspec.json.Decoder[AnyObject]] = {
    "Pod": msgspec.json.Decoder(Pod),
    "Event": msgspec.json.Decoder(Event),
}


def now() -> str:
    """The present time as Kubernetes writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Objects:
    """Pods and events by namespace and name. Also what the pod manager reports to: see the last section."""

    def __init__(self, store: Store, hub: Hub) -> None:
        self._store, self._hub = store, hub
        self._pods: dict[tuple[str, str], Pod] = {}
        self._events: dict[tuple[str, str], Event] = {}
        self._applied: dict[str, bytes] = {}
        self._by_uid: dict[str, tuple[str, str]] = {}
        self._new_events = 0
        for kind, body, applied in store.objects():
            self._remember(_DECODERS[kind].decode(body), applied)

    # --- reading
    @property
    def version(self) -> str:
        """The resourceVersion of the last write."""
        return str(self._store.version)

    def pod(self, namespace: str, name: str) -> Pod:
        """Raises NotFound."""
        try:
            return self._pods[namespace, name]
        except KeyError:
            raise self.missing(namespace, name) from None

    def missing(self, namespace: str, name: str) -> NotFound:
        """The error for a pod that isn't there, with what was probably meant."""
        here = [known for where, known in self._pods if where == namespace]
        elsewhere = sorted(where for where, known in self._pods if known == name)
        near = get_close_matches(name, here, 1, 0.6)
        if elsewhere:
            return NotFound("pods", name, f"there is one in namespace {elsewhere[0]}: -n {elsewhere[0]}")
        return NotFound("pods", name, f'did you mean "{near[0]}"?' if near else "")

    def find_pod(self, namespace: str, name: str) -> Pod | None:
        return self._pods.get((namespace, name))

    def pod_by_uid(self, uid: str) -> Pod | None:
        return self._pods.get(self._by_uid.get(uid, ("", "")))

    def list_pods(self, namespace: str = "") -> list[Pod]:
        """By namespace and name; `namespace` "" for all."""
        return self._list(self._pods, namespace)

    def list_events(self, namespace: str = "") -> list[Event]:
        """The one that happened last comes last."""
        return sorted(self._list(self._events, namespace), key=_happened)

    def applied(self, uid: str) -> bytes:
        """What Pod `uid` was last applied from."""
        return self._applied[uid]

    @staticmethod
    def _list(objects: dict[tuple[str, str], Object], namespace: str) -> list[Object]:
        return [objects[key] for key in sorted(objects) if namespace in ("", key[0])]

    # --- watching
    def watch(self, wanted: Callable[[Change], bool]) -> Watch:
        return self._hub.watch(wanted)

    def changes(self, after: int) -> list[Change] | None:
        """Every change since resourceVersion `after`, or None if that is too long ago."""
        rows = self._store.changes(after)
        if rows is None:
            return None
        return [Change(type_, _DECODERS[kind].decode(body), body) for _, type_, kind, body in rows]

    # --- writing
    def create(self, pod: Pod, applied: bytes) -> Pod:
        """Give the pod its uid and its first status, and remember it. Raises AlreadyExists if the name is taken."""
        meta = pod.metadata
        if (meta.namespace, meta.name) in self._pods:
            raise AlreadyExists(f'pods "{meta.name}" already exists')
        meta = replace(meta, uid=str(uuid.uuid4()), creation_timestamp=now(), generation=1)
        conditions = (gates.GATED,) if gates.gated(pod) else ()
        status = PodStatus(phase="Pending", conditions=conditions, qos_class=qos_class(pod))
        return self._write("ADDED", replace(pod, metadata=meta, status=status), applied)

    def update(self, pod: Pod, applied: bytes | None = None) -> Pod:
        """Replace the pod of that uid; `applied` None keeps what is known of the last apply."""
        return self._write("MODIFIED", pod, self._applied[pod.metadata.uid] if applied is None else applied)

    def mark_deleted(self, pod: Pod, grace: int) -> Pod:
        """From now on the pod is Terminating. A later delete can shorten the grace, never lengthen it."""
        meta = pod.metadata
        if meta.deletion_timestamp and grace >= (meta.deletion_grace_period_seconds or 0):
            return pod
        end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=grace)
        deadline = end.strftime("%Y-%m-%dT%H:%M:%SZ")
        meta = replace(meta, deletion_timestamp=deadline, deletion_grace_period_seconds=grace)
        return self.update(replace(pod, metadata=meta))

    def recreate(self, pod: Pod) -> Pod:
        """The object goes and comes back at once; what it is about is as it was."""
        applied = self._applied[pod.metadata.uid]
        self._write("DELETED", pod)
        return self._write(
            "ADDED", replace(pod, metadata=replace(pod.metadata, creation_timestamp=now())), applied
        )

    def _write(self, type_: str, obj: Object, applied: bytes = b"") -> Object:
        obj, row = self._row(type_, obj, self._store.version + 1, applied)
        self._store.write((row,))
        self._published(row, obj)
        return obj

    def _row(self, type_: str, obj: Object, version: int, applied: bytes = b"") -> tuple[Object, Row]:
        meta = replace(obj.metadata, resource_version=str(version))
        obj = replace(obj, metadata=meta)
        body = msgspec.json.encode(obj)
        return obj, Row(version, type_, obj.kind, meta.namespace, meta.name, meta.uid, body, applied)

    def _published(self, row: Row, obj: AnyObject) -> None:
        if row.type == "DELETED":
            self._forget(obj)
        else:
            self._remember(obj, row.applied)
        self._hub.publish(Change(row.type, obj, row.body))

    def _remember(self, obj: AnyObject, applied: bytes) -> None:
        key = (obj.metadata.namespace, obj.metadata.name)
        if isinstance(obj, Event):
            self._events[key] = obj
        else:
            self._pods[key] = obj
            self._by_uid[obj.metadata.uid] = key
            self._applied[obj.metadata.uid] = applied

    def _forget(self, obj: AnyObject) -> None:
        key = (obj.metadata.namespace, obj.metadata.name)
        if isinstance(obj, Event):
            del self._events[key]
        else:
            del self._pods[key], self._by_uid[obj.metadata.uid], self._applied[obj.metadata.uid]

    # --- what the pod manager reports to
    def pods(self) -> list[Pod]:
        """Every pod there should be: what a starting node looks for."""
        return list(self._pods.values())

    def pod_changed(self, uid: str, status: PodStatus) -> None:
        """The pod's status is now `status`, but for the conditions that others have set."""
        pod = self.pod_by_uid(uid)
        if pod:
            self._status_is(pod, pod_status.merge(status, pod.status))

    def pod_unknown(self, uid: str, reason: str, message: str, phase: str = "") -> None:
        """Nobody can tell at the moment how the pod is; with `phase` Unknown, not even that."""
        pod = self.pod_by_uid(uid)
        if pod:
            self._status_is(pod, pod_status.unknown(pod.status, reason, message, now(), phase))
            self.event_happened(uid, Event(reason=reason, message=message, type="Warning"))

    def _status_is(self, pod: Pod, status: PodStatus) -> None:
        if pod.status != status:
            self.update(replace(pod, status=status))

    def event_happened(self, uid: str, event: Event) -> None:
        """Keep an event about the pod.

        A supervisor names and counts its own events and may tell one again, after a restart of the node. One without a
        name is the node's own: the same type, reason and message again are counted here.
        """
        pod = self.pod_by_uid(uid)
        if not pod:
            return
        meta = event.metadata
        known = self._events.get((pod.metadata.namespace, meta.name or _event_name(pod, event)))
        if known is None:
            self._write("ADDED", _filled(event, pod))
            self._new_events += 1
            if self._new_events % _TRIM_EVERY == 0:
                self.trim_events()
        elif not meta.name:
            last = event.last_timestamp or now()
            self._write("MODIFIED", replace(known, count=known.count + event.count, last_timestamp=last))
        elif event.count > known.count:
            self._write("MODIFIED", replace(known, count=event.count, last_timestamp=event.last_timestamp))

    def pod_gone(self, uid: str) -> None:
        """Everything of the pod is undone: the object goes too."""
        pod = self.pod_by_uid(uid)
        if pod:
            self._write("DELETED", pod)

    # --- events don't stay
    def trim_events(self) -> None:
        """Drop events older than an hour, and of each namespace all but the last thousand."""
        since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=EVENT_SECONDS)
        stale = list(self._stale_events(since.strftime("%Y-%m-%dT%H:%M:%SZ")))
        pairs = [self._row("DELETED", event, self._store.version + 1 + i) for i, event in enumerate(stale)]
        if not pairs:
            return
        self._store.write([row for _, row in pairs])
        for event, row in pairs:
            self._published(row, event)

    def _stale_events(self, since: str) -> Iterator[Event]:
        kept: Counter[str] = Counter()
        for event in reversed(self.list_events()):
            kept[event.metadata.namespace] += 1
            if event.last_timestamp < since or kept[event.metadata.namespace] > EVENTS_KEPT:
                yield event


def _happened(event: Event) -> tuple[str, int]:
    """To sort by: times have whole seconds, so the order of the writes decides among equals."""
    return event.last_timestamp, int(event.metadata.resource_version)


def _event_name(pod: Pod, event: Event) -> str:
    """The same for events that are counted together."""
    identity = "\0".join((pod.metadata.uid, event.type, event.reason, event.message))
    return f"{pod.metadata.name}.{hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()}"


def _filled(event: Event, pod: Pod) -> Event:
    """With everything an Event object has."""
    about, last = pod.metadata, event.last_timestamp or now()
    name = event.metadata.name or _event_name(pod, event)
    reference = ObjectReference(
        api_version="v1",
        kind="Pod",
        namespace=about.namespace,
        name=about.name,
        uid=about.uid,
        resource_version=about.resource_version,
        field_path=event.involved_object.field_path,
    )
    return replace(
        event,
        metadata=ObjectMeta(
            name=name, namespace=about.namespace, uid=str(uuid.uuid4()), creation_timestamp=now()
        ),
        involved_object=reference,
        source=event.source if event.source.component else EventSource(component="minipod"),
        first_timestamp=event.first_timestamp or last,
        last_timestamp=last,
    )
