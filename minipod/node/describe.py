"""`minipod describe`: kubectl's layout, line for line. Pure, but for the verb itself.

It works on the object as JSON: what is in it is shown, whichever part of minipod put it there. Order, texts and
indentation are those of kubectl's pkg/describe/describe.go (v1.35).
"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from minipod.errors import MinipodError
from minipod.node import gates, screen, selector, status
from minipod.node.console import Console
from minipod.node.describe_parts import NONE, Lines, Value, containers, date, optional, seccomp, source
from minipod.node.node import NODE, Node
from minipod.node.query import flag
from minipod.node.tables import age, event_age
from minipod.spec.qos import qos_class
from minipod.spec.types import Event, Pod

_ANNOTATION = 140  # characters on one line


async def describe(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/describe"""
    node, query = request.app[NODE], request.query
    if query.get("kind", "pods") not in ("pods", "pod", "po"):
        raise status.BadQuery("only pods can be described; for events: minipod events")
    pods, errors = _chosen(node, query)
    for number, pod in enumerate(pods):
        if number:
            console.out("\n\n")
        events = [each for each in node.objects.list_events(pod.metadata.namespace) if _about(each, pod)]
        lines = text(pod, events, time.time(), node)
        console.out("\n".join(painted(lines) if flag(query.get("colour")) else lines))
    for error in errors:
        console.err(status.as_text(error))
    if not pods and not errors:
        where = "" if flag(query.get("all")) else f" in {query.get('namespace') or 'default'} namespace"
        console.err(f"No resources found{where}.")
    return int(bool(errors))


def _chosen(node: Node, query: Any) -> tuple[list[Pod], list[MinipodError]]:
    """By name, by what a name begins with (as kubectl does), by labels, or all."""
    namespace = "" if flag(query.get("all")) else query.get("namespace") or "default"
    listed = node.objects.list_pods(namespace)
    names = query.getall("name", ())
    if not names:
        matches = selector.labels(query.get("selector", ""))
        return [pod for pod in listed if matches(pod.metadata.labels)], []
    found: list[Pod] = []
    errors: list[MinipodError] = []
    for name in names:
        exact = [pod for pod in listed if pod.metadata.name == name]
        near = exact or [pod for pod in listed if pod.metadata.name.startswith(name)]
        found += near
        if not near:
            errors.append(node.objects.missing(namespace, name))
    return found, errors


def _about(event: Event, pod: Pod) -> bool:
    return event.involved_object.uid == pod.metadata.uid


def text(pod: Pod, events: Sequence[Event], now: float, node: Node) -> list[str]:
    """The whole description, aligned."""
    value: Value = msgspec.to_builtins(pod)
    where = NONE if gates.gated(pod) else f"{node.facts.node_name}/{node.facts.host_ip}"
    tmpfs = node.facts.settings.emptydir_medium == "tmpfs"
    body = [
        *_head(value, now, where),
        *containers(value),
        *_tail(value, tmpfs),
        f"QoS Class:\t{qos_class(pod)}",
    ]
    body += [*_pairs("Node-Selectors", value["spec"].get("nodeSelector", {})), *_tolerations(value["spec"])]
    return [*screen.tabbed(body), *screen.tabbed([*_events(events, now)])]


def painted(lines: Sequence[str]) -> list[str]:
    """With colours for the words that say how it is."""
    return screen.highlight(lines, {"Status:": 1, "State:": 1, "Last State:": 2, "Reason:": 1, "Warning ": 0})


# --- the pod ---------------------------------------------------------------------------------------------------------


def _head(pod: Value, now: float, node: str) -> Lines:
    meta, spec, state = pod["metadata"], pod["spec"], pod.get("status", {})
    yield f"Name:\t{meta['name']}"
    yield f"Namespace:\t{meta['namespace']}"
    yield from optional(spec, ("Priority", "priority"), ("Priority Class Name", "priorityClassName"))
    yield from optional(spec, ("Service Account", "serviceAccountName"))
    yield f"Node:\t{node}"
    if state.get("startTime"):
        yield f"Start Time:\t{date(state['startTime'])}"
    yield from _pairs("Labels", meta.get("labels", {}))
    yield from _annotations(meta.get("annotations", {}))
    yield from _status(meta, state, now)
    yield from optional(state, ("Reason", "reason"), ("Message", "message"))
    yield from seccomp(spec.get("securityContext"))
    yield f"IP:\t{state.get('podIP', '')}"
    yield from (
        ["IPs:", *(f"  IP:\t{each['ip']}" for each in state["podIPs"])]
        if state.get("podIPs")
        else [f"IPs:\t{NONE}"]
    )
    for owner in meta.get("ownerReferences", ()):
        if owner.get("controller"):
            yield f"Controlled By:\t{owner['kind']}/{owner['name']}"


def _status(meta: Value, state: Value, now: float) -> Lines:
    phase = state.get("phase", "Pending")
    if meta.get("deletionTimestamp") and phase not in ("Succeeded", "Failed"):
        grace = meta.get("deletionGracePeriodSeconds", 0)
        # deletionTimestamp is when the grace is over; kubectl counts from there, and shows <invalid> until then.
        yield f"Status:\tTerminating (lasts {age(meta['deletionTimestamp'], now + grace)})"
        yield f"Termination Grace Period:\t{grace}s"
    else:
        yield f"Status:\t{phase}"


def _tail(pod: Value, tmpfs: bool) -> Lines:
    conditions = pod.get("status", {}).get("conditions", ())
    if gates := pod["spec"].get("readinessGates"):
        told = {each["type"]: each["status"] for each in conditions}
        yield from ["Readiness Gates:", "  Type\tStatus"]
        yield from (f"  {gate['conditionType']} \t{told.get(gate['conditionType'], NONE)} " for gate in gates)
    if conditions:
        yield from ["Conditions:", "  Type\tStatus"]
        yield from (f"  {each['type']} \t{each['status']} " for each in conditions)
    volumes = pod["spec"].get("volumes", ())
    yield "Volumes:" if volumes else f"Volumes:\t{NONE}"
    for volume in volumes:
        yield f"  {volume['name']}:"
        yield from (f"    {line}" for line in source(volume, tmpfs))


def _events(events: Sequence[Event], now: float) -> Lines:
    if not events:
        yield f"Events:\t{NONE}"
        return
    yield from ["Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------"]
    for each in events:
        cells = (each.type, each.reason, event_age(each, now), each.source.component, each.message.strip())
        yield "  " + "\t".join(cells)


# --- small things ----------------------------------------------------------------------------------------------------


def _pairs(title: str, pairs: dict[str, str]) -> Lines:
    return _column(title, (f"{key}={pairs[key]}" for key in sorted(pairs)))


def _annotations(pairs: dict[str, str]) -> Lines:
    shown: list[str] = []
    for key in sorted(pairs):
        value = pairs[key].removesuffix("\n")
        if len(key) + len(value) + 2 <= _ANNOTATION and "\n" not in value:
            shown.append(f"{key}: {value}")
        else:
            shown += [f"{key}:", *(f"  {_shorten(line)}" for line in value.split("\n"))]
    return _column("Annotations", shown)


def _shorten(line: str) -> str:
    return line if len(line) <= _ANNOTATION - 2 else f"{line[: _ANNOTATION - 2]}..."


def _tolerations(spec: Value) -> Lines:
    return _column("Tolerations", (_toleration(each) for each in spec.get("tolerations", ())))


def _toleration(toleration: Value) -> str:
    shown = str(toleration.get("key", ""))
    shown += f"={toleration['value']}" if toleration.get("value") else ""
    shown += f":{toleration['effect']}" if toleration.get("effect") else ""
    if toleration.get("operator") == "Exists" and not toleration.get("value"):
        shown += " op=Exists" if shown else "op=Exists"
    seconds = toleration.get("tolerationSeconds")
    return shown + (f" for {seconds}s" if seconds is not None else "")


def _column(title: str, values: Iterable[str]) -> Lines:
    """The title, and one value a line."""
    head = f"{title}:"
    for value in values:
        yield f"{head}\t{value}"
        head = ""
    if head:
        yield f"{head}\t{NONE}"
