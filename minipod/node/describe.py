"""`minipod describe`: kubectl's layout, line for line. Pure, but for the verb itself.

It works on the object as JSON: what is in it is shown, whichever part of minipod put it there. Order, texts and
indentation are those of kubectl's pkg/describe/describe.go (v1.35).
"""

import datetime as dt
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import msgspec
from aiohttp import web

from minipod.errors import MinipodError
from minipod.node import screen, selector, status
from minipod.node.console import Console
from minipod.node.get import flag
from minipod.node.node import NODE, Node
from minipod.node.tables import age, event_age
from minipod.spec.qos import qos_class
from minipod.spec.types import Event, Pod

Value = dict[str, Any]
Lines = Iterator[str]

_NONE = "<none>"
_ANNOTATION = 140  # characters on one line


async def describe(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/describe"""
    node, query = request.app[NODE], request.query
    if query.get("kind", "pods") not in ("pods", "pod", "po"):
        raise status.BadQuery("only pods can be described; for events: minipod events")
    pods, errors = _chosen(node, query)
    for number, pod in enumerate(pods):
        if number:
            console.out("\n")
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
    where = f"{node.facts.node_name}/{node.facts.host_ip}"
    tmpfs = node.facts.settings.emptydir_medium == "tmpfs"
    body = [
        *_head(value, now, where),
        *_containers(value),
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
    yield from _optional(spec, ("Priority", "priority"), ("Priority Class Name", "priorityClassName"))
    yield from _optional(spec, ("Service Account", "serviceAccountName"))
    yield f"Node:\t{node}"
    if state.get("startTime"):
        yield f"Start Time:\t{_date(state['startTime'])}"
    yield from _pairs("Labels", meta.get("labels", {}))
    yield from _annotations(meta.get("annotations", {}))
    yield from _status(meta, state, now)
    yield from _optional(state, ("Reason", "reason"), ("Message", "message"))
    yield from _seccomp(spec.get("securityContext"), "")
    yield f"IP:\t{state.get('podIP', '')}"
    yield from (
        ["IPs:", *(f"  IP:\t{each['ip']}" for each in state["podIPs"])]
        if state.get("podIPs")
        else [f"IPs:\t{_NONE}"]
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
    if conditions:
        yield from ["Conditions:", "  Type\tStatus"]
        yield from (f"  {each['type']} \t{each['status']} " for each in conditions)
    volumes = pod["spec"].get("volumes", ())
    yield "Volumes:" if volumes else f"Volumes:\t{_NONE}"
    for volume in volumes:
        yield f"  {volume['name']}:"
        yield from (f"    {line}" for line in _volume(volume, tmpfs))


def _events(events: Sequence[Event], now: float) -> Lines:
    if not events:
        yield f"Events:\t{_NONE}"
        return
    yield from ["Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------"]
    for each in events:
        cells = (each.type, each.reason, event_age(each, now), each.source.component, each.message.strip())
        yield "  " + "\t".join(cells)


# --- containers ------------------------------------------------------------------------------------------------------


def _containers(pod: Value) -> Lines:
    spec, state = pod["spec"], pod.get("status", {})
    for title, containers, statuses in (
        ("Init Containers", "initContainers", "initContainerStatuses"),
        ("Containers", "containers", "containerStatuses"),
        ("Ephemeral Containers", "ephemeralContainers", "ephemeralContainerStatuses"),
    ):
        if not spec.get(containers):
            continue
        by_name = {each["name"]: each for each in state.get(statuses, ())}
        yield f"{title}:"
        for each in spec[containers]:
            yield f"  {each['name']}:"
            yield from (f"    {line}" for line in _container(each, by_name.get(each["name"])))


def _container(spec: Value, now: Value | None) -> Lines:
    if now:
        yield f"Container ID:\t{now.get('containerID', '')}"
    yield f"Image:\t{spec.get('image', '')}"
    if now:
        yield f"Image ID:\t{now.get('imageID', '')}"
    yield from _ports(spec.get("ports", ()))
    yield from _seccomp(spec.get("securityContext"), "")
    for title, words in (("Command", spec.get("command")), ("Args", spec.get("args"))):
        if words:
            yield f"{title}:"
            yield from (f"  {line}" for word in words for line in word.split("\n"))
    if now:
        yield from _state("State", now.get("state", {}))
        if now.get("lastState", {}).get("terminated"):
            yield from _state("Last State", now["lastState"])
        yield f"Ready:\t{now.get('ready', False)}"
        yield f"Restart Count:\t{now.get('restartCount', 0)}"
    for title, amounts in (("Limits", "limits"), ("Requests", "requests")):
        if listed := spec.get("resources", {}).get(amounts):
            yield f"{title}:"
            yield from (f"  {name}:\t{listed[name]}" for name in sorted(listed))
    for title, probe in (
        ("Liveness", "livenessProbe"),
        ("Readiness", "readinessProbe"),
        ("Startup", "startupProbe"),
    ):
        if spec.get(probe):
            yield f"{title}:\t{_probe(spec[probe])}"
    yield from _environment(spec)
    yield from _mounts(spec.get("volumeMounts", ()))


def _ports(ports: Sequence[Value]) -> Lines:
    shown = [
        f"{each['containerPort']}/{each.get('protocol', 'TCP')}"
        + (f" ({each['name']})" if each.get("name") else "")
        for each in ports
    ]
    host = [f"{each.get('hostPort', 0)}/{each.get('protocol', 'TCP')}" for each in ports]
    many = "s" if len(ports) > 1 else ""
    yield f"Port{many}:\t{', '.join(shown) or _NONE}"
    yield f"Host Port{many}:\t{', '.join(host) or _NONE}"


def _state(title: str, state: Value) -> Lines:
    if running := state.get("running"):
        yield f"{title}:\tRunning"
        yield f"  Started:\t{_date(running.get('startedAt', ''))}"
    elif ended := state.get("terminated"):
        yield f"{title}:\tTerminated"
        yield from (f"  {line}" for line in _optional(ended, ("Reason", "reason"), ("Message", "message")))
        yield f"  Exit Code:\t{ended.get('exitCode', 0)}"
        if ended.get("signal"):
            yield f"  Signal:\t{ended['signal']}"
        yield f"  Started:\t{_date(ended.get('startedAt', ''))}"
        yield f"  Finished:\t{_date(ended.get('finishedAt', ''))}"
    else:
        yield f"{title}:\tWaiting"
        yield from (f"  {line}" for line in _optional(state.get("waiting") or {}, ("Reason", "reason")))


def _probe(probe: Value) -> str:
    numbers = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 1)}s "
        f"period={probe.get('periodSeconds', 10)}s successThreshold={probe.get('successThreshold', 1)} "
        f"failureThreshold={probe.get('failureThreshold', 3)}"
    )
    return f"{_question(probe)} {numbers}"


def _question(probe: Value) -> str:
    if run := probe.get("exec"):
        return f"exec [{' '.join(run.get('command', ()))}]"
    if get := probe.get("httpGet"):
        scheme, host = get.get("scheme", "HTTP").lower(), get.get("host", "")
        return f"http-get {scheme}://{host}:{get['port']}/{get.get('path', '').removeprefix('/')}"
    if tcp := probe.get("tcpSocket"):
        return f"tcp-socket {tcp.get('host', '')}:{tcp['port']}"
    if grpc := probe.get("grpc"):
        return f"grpc <pod>:{grpc['port']} {grpc.get('service', '')}"
    return "unknown"


def _environment(spec: Value) -> Lines:
    if sources := spec.get("envFrom", ()):
        yield "Environment Variables from:"
        for each in sources:
            word, source = (
                ("ConfigMap", each["configMapRef"])
                if each.get("configMapRef")
                else ("Secret", each["secretRef"])
            )
            prefix = f" with prefix '{each['prefix']}'" if each.get("prefix") else ""
            yield f"  {source['name']}\t{word}{prefix}\tOptional: {_bool(source.get('optional'))}"
    variables = spec.get("env", ())
    yield "Environment:" if variables else f"Environment:\t{_NONE}"
    for each in variables:
        name = f"{each['name']}:"
        for line in _variable(each):
            yield f"  {name}\t{line}"
            name = ""


def _variable(variable: Value) -> list[str]:
    source = variable.get("valueFrom") or {}
    if field := source.get("fieldRef"):
        return [f" ({field.get('apiVersion', 'v1')}:{field['fieldPath']})"]
    if resource := source.get("resourceFieldRef"):
        return [f" ({resource['resource']})"]
    if secret := source.get("secretKeyRef"):
        optional = _bool(secret.get("optional"))
        return [f"<set to the key '{secret['key']}' in secret '{secret['name']}'>\tOptional: {optional}"]
    if entry := source.get("configMapKeyRef"):
        optional = _bool(entry.get("optional"))
        return [f"<set to the key '{entry['key']}' of config map '{entry['name']}'>\tOptional: {optional}"]
    return str(variable.get("value", "")).split("\n")


def _mounts(mounts: Sequence[Value]) -> Lines:
    yield "Mounts:" if mounts else f"Mounts:\t{_NONE}"
    for each in sorted(mounts, key=lambda mount: str(mount["mountPath"])):
        flags = "ro" if each.get("readOnly") else "rw"
        inside = f',path="{each["subPath"]}"' if each.get("subPath") else ""
        yield f"  {each['mountPath']} from {each['name']} ({flags}{inside})"


# --- volumes ---------------------------------------------------------------------------------------------------------


def _volume(volume: Value, tmpfs: bool) -> Lines:
    if (empty := volume.get("emptyDir")) is not None:
        medium = empty.get("medium", "")
        yield "Type:\tEmptyDir (a temporary directory that shares a pod's lifetime)"
        yield f"Medium:\t{medium}"
        yield f"SizeLimit:\t{empty.get('sizeLimit') or '<unset>'}"
        if tmpfs and not medium:
            yield "Note:\ta tmpfs on this node: what is in it counts as memory of the containers that wrote it"
    elif host := volume.get("hostPath"):
        yield "Type:\tHostPath (bare host directory volume)"
        yield f"Path:\t{host['path']}"
        yield f"HostPathType:\t{host.get('type') if host.get('type') is not None else _NONE}"
    else:
        yield from _other_volume({key: value for key, value in volume.items() if key != "name"})


def _other_volume(source: Value) -> Lines:
    """Any other source: its kind, and its fields under their own names."""
    kind, fields = next(iter(source.items()), ("unknown", {}))
    yield f"Type:\t{kind[:1].upper()}{kind[1:]}"
    for name, value in fields.items():
        shown = value if isinstance(value, str | int) else msgspec.json.encode(value).decode()
        yield f"{name[:1].upper()}{name[1:]}:\t{shown}"


# --- small things ----------------------------------------------------------------------------------------------------


def _optional(value: Value, *fields: tuple[str, str]) -> Lines:
    for title, field in fields:
        if value.get(field) not in (None, ""):
            yield f"{title}:\t{value[field]}"


def _seccomp(context: Value | None, indent: str) -> Lines:
    profile = (context or {}).get("seccompProfile")
    if profile:
        yield f"{indent}SeccompProfile:\t{profile['type']}"
        yield from _optional(profile, ("LocalhostProfile", "localhostProfile"))


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
        yield f"{head}\t{_NONE}"


def _date(text: str) -> str:
    """RFC 1123 with a numeric zone, as Go's time.RFC1123Z."""
    return dt.datetime.fromisoformat(text).strftime("%a, %d %b %Y %H:%M:%S %z") if text else ""


def _bool(value: object) -> str:
    return "true" if value else "false"
