"""`minipod apply`: check every document, then create what isn't there yet.

Nothing is created while one document of one file is wrong. From the last check to the last write there is no await: of
several applies of one manifest exactly one creates, the others say unchanged. A client that goes away stops neither.
"""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from msgspec.structs import replace

from minipod.api.messages import Door, Settings
from minipod.errors import BadManifest, Invalid, MinipodError
from minipod.node import breakpoints, gates, mirror, status
from minipod.node.console import Console
from minipod.node.manifests import MARK, items, split
from minipod.node.node import NODE, Node
from minipod.node.query import flag
from minipod.node.waiting import wait_started
from minipod.spec.decode import Decoded
from minipod.spec.defaults import default
from minipod.spec.types import Pod, PodSpec
from minipod.spec.validate import manifest
from minipod.spec.yamlio import documents

# Bytes of a pod: what an apiserver takes (k8s.io/apiserver, MaxRequestBodyBytes), and a packet to the supervisor holds.
MAX_POD = 3 << 20
_FORBIDDEN = (
    "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_NOT_YET = "Forbidden: the image of a running pod can't be changed yet; delete the pod and apply it again"


class Applied(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a manifest said, defaults filled in: what the next apply of that pod is compared with."""

    spec: PodSpec
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @classmethod
    def of(cls, pod: Pod) -> "Applied":
        return cls(pod.spec, pod.metadata.labels, pod.metadata.annotations)


_decoder = msgspec.json.Decoder(Applied)


class _Step(NamedTuple):
    """What is to be done for one pod of the manifest; `word` is what is printed."""

    word: str
    pod: Pod
    begins: bool = False  # nothing holds it, and it has no supervisor


async def apply(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/apply"""
    node, query = request.app[NODE], request.query
    text = await body(request)
    asked_at = time.monotonic_ns()
    checked = check(text, query.get("source") or "-", query.get("namespace", ""))
    pods, place = [each.pod for each in checked], query.get("break", "")
    doors = breakpoints.doors(pods, place, node.facts) if place else _faults(pods, door(query))
    for each in checked:
        for note in (*each.notes, *tmpfs_warnings(each.pod, node.facts.settings)):
            console.err(f"Warning: {note}")
    with node.objects.watch(lambda _: True) as watch:
        pods, errors = await node.whole(_carry_out(node, pods, doors, asked_at, console))
        for error in errors:
            console.err(status.as_text(error))
        if place and not errors and not await breakpoints.wait_stopped(node, pods, watch, console):
            return 1
        if errors or not flag(query.get("wait")):
            return int(bool(errors))
        await console.flush()
        return await wait_started(node, pods, watch, console)


async def create(node: Node, pod: Pod, at: Door | None = None) -> Pod:
    """Create one checked pod. Raises AlreadyExists if its name is taken."""
    pod = node.objects.create(pod, msgspec.json.encode(Applied.of(pod)))
    if not gates.gated(pod):
        await node.pods.start(pod, at)
    return pod


async def body(request: web.Request) -> str:
    """The request's text; raises BadManifest for what isn't UTF-8."""
    return text_of(await request.read())


def text_of(raw: bytes) -> str:
    """Raises BadManifest for what isn't UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _, mark, before = raw[: error.start].rpartition(MARK.encode())
        name, _, before = before.partition(b"\n") if mark else (b"the manifest", b"", before)
        where = f"{error.reason} at byte {len(before)}"
        raise BadManifest(f"{name.decode()} isn't UTF-8 text: {where}") from None


def door(query: Any) -> Door | None:
    """`fault=STAGE:INDEX:ACTION` of a query string: where the pod's plan is to be disturbed."""
    text = query.get("fault", "")
    if not text:
        return None
    try:
        stage, index, action = text.rsplit(":", 2)
        return msgspec.convert({"stage": stage, "index": int(index), "action": action}, Door)
    except (ValueError, msgspec.ValidationError) as error:
        raise status.BadQuery(f"fault must be STAGE:INDEX:ACTION, not {text}: {error}") from None


def _faults(pods: list[Pod], at: Door | None) -> dict[breakpoints.Key, Door]:
    return {breakpoints.key(pod): at for pod in pods} if at else {}


# --- checking --------------------------------------------------------------------------------------------------------


def check(text: str, source: str, namespace: str) -> list[Decoded]:
    """Every pod in `text`, checked and with its defaults; raises one error with all that is wrong in all documents.

    `namespace` is the one asked for on the command line, or "".
    """
    found: list[Decoded] = []
    errors: list[MinipodError] = []
    for name, part in split(text, source):
        try:
            parsed = documents(part, name)
        except BadManifest as error:
            errors.append(error)
            continue
        for document in parsed:
            try:
                found += [_checked(item, document.source, namespace) for item in items(document)]
            except (BadManifest, Invalid, status.BadQuery) as error:
                errors.append(error)
    errors += _twice(found)
    if len(text) > MAX_POD:
        errors += _too_large(found)
    if len(errors) > 1:
        raise status.Several("\n".join(status.as_text(error) for error in errors))
    if errors:
        raise errors[0]
    if not found:
        raise status.BadQuery("no objects passed to apply")
    return found


def _checked(value: dict[str, Any], source: str, namespace: str) -> Decoded:
    decoded = manifest(value, source, namespace or "default")
    own = decoded.pod.metadata.namespace
    if namespace and own != namespace:
        raise status.BadQuery(
            f'the namespace from the provided object "{own}" does not match the namespace "{namespace}". '
            f"You must pass '--namespace={own}' to perform this operation."
        )
    return decoded


def _twice(found: list[Decoded]) -> list[MinipodError]:
    """Two documents for one pod: the second would silently win or lose."""
    seen: set[tuple[str, str]] = set()
    errors: list[MinipodError] = []
    for each in found:
        key = (each.pod.metadata.namespace, each.pod.metadata.name)
        if key in seen:
            errors.append(
                status.BadQuery(f'pod "{key[1]}" of namespace "{key[0]}" is in the manifests twice')
            )
        seen.add(key)
    return errors


def _too_large(found: list[Decoded]) -> Iterator[MinipodError]:
    for each in found:
        if len(msgspec.json.encode(each.pod)) > MAX_POD:
            name = each.pod.metadata.name
            yield status.BadQuery(f'pod "{name}": Request entity too large: limit is {MAX_POD}')


def tmpfs_warnings(pod: Pod, settings: Settings) -> Iterator[str]:
    """What is written to a tmpfs counts as memory of the writer: surprising where there is a limit."""
    if settings.emptydir_medium != "tmpfs":
        return
    volumes = {each.name for each in pod.spec.volumes if each.empty_dir and not each.empty_dir.medium}
    for container in (*pod.spec.init_containers, *pod.spec.containers):
        limit = container.resources.limits.get("memory")
        for mount in container.volume_mounts if limit else ():
            if mount.name in volumes:
                yield (
                    f'emptyDir "{mount.name}" is a tmpfs on this node: what container "{container.name}" writes there '
                    f"counts towards its memory limit of {limit}"
                )


# --- doing -----------------------------------------------------------------------------------------------------------


async def _carry_out(
    node: Node, pods: list[Pod], doors: dict[breakpoints.Key, Door], asked_at: int, console: Console
) -> tuple[list[Pod], list[MinipodError]]:
    """Create or update; returns the pods as they are in the store, and what went wrong when they were started."""
    done: list[Pod] = []
    begun: list[Pod] = []
    changed: list[Pod] = []
    for wanted, (word, pod, begins) in [(pod, _step(node, pod)) for pod in pods]:
        meta = pod.metadata
        if word == "created":
            pod = node.objects.create(pod, msgspec.json.encode(Applied.of(pod)))  # noqa: PLW2901
        elif word == "configured":
            pod = node.objects.update(pod, msgspec.json.encode(Applied.of(wanted)))  # noqa: PLW2901
            changed.append(pod)
        if begins:
            begun.append(pod)
        if meta.deletion_timestamp:
            console.err(f"Warning: pod/{meta.name} is being deleted: apply again when it is gone")
        console.out(f"pod/{meta.name} {word}")
        done.append(pod)
    errors: list[MinipodError] = []
    for pod in changed:
        await node.pods.update(pod)
    for pod in begun:
        try:
            await node.pods.start(pod, doors.get(breakpoints.key(pod)), asked_at)
        except MinipodError as error:
            errors.append(error)
    return done, errors


def _step(node: Node, pod: Pod) -> _Step:
    """Compare with what is there; raises Invalid for a change that isn't possible."""
    meta = pod.metadata
    there = node.objects.find_pod(meta.namespace, meta.name)
    mirror.refuse(pod, there)
    if there is None:
        return _Step("created", pod, begins=not gates.gated(pod))
    before, after = _before(node, there), Applied.of(pod)
    if before == after:
        return _Step("unchanged", there)
    all_but_gates = replace(after.spec, scheduling_gates=before.spec.scheduling_gates)
    problems = [*gates.added(before.spec, after.spec), *_forbidden(before.spec, all_but_gates)]
    if problems:
        raise Invalid("Pod", meta.name, problems)
    changed = replace(there.metadata, labels=after.labels, annotations=after.annotations)
    pod = gates.left(replace(there, metadata=changed), after.spec.scheduling_gates)
    return _Step("configured", pod, begins=gates.gated(there) and not gates.gated(pod))


def _before(node: Node, there: Pod) -> Applied:
    """What the pod was last applied from, with what has got a default since."""
    known = _decoder.decode(node.objects.applied(there.metadata.uid))
    return replace(known, spec=default(replace(there, spec=known.spec)).spec)


def _forbidden(before: PodSpec, after: PodSpec) -> list[tuple[str, str]]:
    """Which fields were changed, and that they may not be."""
    changed = list(_differences(msgspec.to_builtins(before), msgspec.to_builtins(after), "spec"))
    images = [path for path in changed if path.endswith("].image")]
    problems = [(path, _NOT_YET) for path in images]
    follows = [f"{path}PullPolicy" for path in images]  # its default depends on the tag
    others = [path for path in changed if path not in (*images, *follows)]
    if others:
        problems.append(("spec", f"{_FORBIDDEN}; changed here: {', '.join(others)}"))
    return problems


def _differences(before: Any, after: Any, path: str) -> list[str]:
    """Paths of the values that aren't equal, as deep as both have the same shape."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key in sorted(before.keys() | after.keys())
            for found in _differences(before.get(key), after.get(key), f"{path}.{key}")
        ]
    if isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [found for i, (old, new) in pairs for found in _differences(old, new, f"{path}[{i}]")]
    return [path]
