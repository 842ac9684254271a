"""What `describe` says of containers and volumes: lines of cells with tabs between them. Pure (see describe.py)."""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

Value = dict[str, Any]
Lines = Iterator[str]

NONE = "<none>"


# --- containers ------------------------------------------------------------------------------------------------------


def containers(pod: Value) -> Lines:
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
            yield from (f"    {line}" for line in container(each, by_name.get(each["name"])))


def container(spec: Value, now: Value | None) -> Lines:
    if now:
        yield f"Container ID:\t{now.get('containerID', '')}"
    yield f"Image:\t{spec.get('image', '')}"
    if now:
        yield f"Image ID:\t{now.get('imageID', '')}"
    yield from _ports(spec.get("ports", ()))
    yield from seccomp(spec.get("securityContext"))
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
    yield from environment(spec)
    yield from _mounts(spec.get("volumeMounts", ()))


def _ports(ports: Sequence[Value]) -> Lines:
    shown = [
        f"{each['containerPort']}/{each.get('protocol', 'TCP')}"
        + (f" ({each['name']})" if each.get("name") else "")
        for each in ports
    ]
    host = [f"{each.get('hostPort', 0)}/{each.get('protocol', 'TCP')}" for each in ports]
    many = "s" if len(ports) > 1 else ""
    yield f"Port{many}:\t{', '.join(shown) or NONE}"
    yield f"Host Port{many}:\t{', '.join(host) or NONE}"


def _state(title: str, state: Value) -> Lines:
    if running := state.get("running"):
        yield f"{title}:\tRunning"
        yield f"  Started:\t{date(running.get('startedAt', ''))}"
    elif ended := state.get("terminated"):
        yield f"{title}:\tTerminated"
        yield from (f"  {line}" for line in optional(ended, ("Reason", "reason"), ("Message", "message")))
        yield f"  Exit Code:\t{ended.get('exitCode', 0)}"
        if ended.get("signal"):
            yield f"  Signal:\t{ended['signal']}"
        yield f"  Started:\t{date(ended.get('startedAt', ''))}"
        yield f"  Finished:\t{date(ended.get('finishedAt', ''))}"
    else:
        yield f"{title}:\tWaiting"
        yield from (f"  {line}" for line in optional(state.get("waiting") or {}, ("Reason", "reason")))


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


def environment(spec: Value) -> Lines:
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
    yield "Environment:" if variables else f"Environment:\t{NONE}"
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
    yield "Mounts:" if mounts else f"Mounts:\t{NONE}"
    for each in sorted(mounts, key=lambda mount: str(mount["mountPath"])):
        flags = "ro" if each.get("readOnly") else "rw"
        inside = f',path="{each["subPath"]}"' if each.get("subPath") else ""
        yield f"  {each['mountPath']} from {each['name']} ({flags}{inside})"


# --- volumes ---------------------------------------------------------------------------------------------------------


def source(volume: Value, tmpfs: bool) -> Lines:
    """Where a volume comes from."""
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
        yield f"HostPathType:\t{host.get('type') if host.get('type') is not None else NONE}"
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


def optional(value: Value, *fields: tuple[str, str]) -> Lines:
    for title, field in fields:
        if value.get(field) not in (None, ""):
            yield f"{title}:\t{value[field]}"


def seccomp(context: Value | None) -> Lines:
    profile = (context or {}).get("seccompProfile")
    if profile:
        yield f"SeccompProfile:\t{profile['type']}"
        yield from optional(profile, ("LocalhostProfile", "localhostProfile"))


def date(text: str) -> str:
    """RFC 1123 with a numeric zone, as Go's time.RFC1123Z."""
    return dt.datetime.fromisoformat(text).strftime("%a, %d %b %Y %H:%M:%S %z") if text else ""


def _bool(value: object) -> str:
    return "true" if value else "false"
