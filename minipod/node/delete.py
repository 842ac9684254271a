"""`minipod delete`: ask every pod's supervisor to end it, and wait until it is gone."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec
from aiohttp import web

from minipod.errors import BadManifest, MinipodError, NotFound
from minipod.node import apply, gates, selector, status
from minipod.node.console import Console
from minipod.node.manifests import items, read_sources
from minipod.node.mirror import is_mirror
from minipod.node.node import NODE, Node
from minipod.node.query import flag, number
from minipod.spec.types import Pod
from minipod.supervisor.lifecycle import grace_of

_KINDS = ("pod", "pods", "po")
_GRACE_MAX = 2**31 - 1  # seconds; a manifest may say more than a date can hold


class _Target(NamedTuple):
    namespace: str
    name: str
    source: str = ""  # the file that names it


class DeleteOptions(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """metav1.DeleteOptions, as far as it says anything of pods on one machine; the rest is refused."""

    kind: str = ""
    api_version: str = ""
    grace_period_seconds: int | None = None
    # Nothing depends on a pod: all of them come to the same.
    propagation_policy: Literal["Orphan", "Background", "Foreground"] | None = None


async def options(request: web.Request) -> DeleteOptions:
    """The request's body; of one without, its query (Kubernetes API reference, "delete a Pod"). Raises BadQuery."""
    body = await request.read()
    if not body:
        return DeleteOptions(
            grace_period_seconds=number(request.query.get("gracePeriodSeconds"), "gracePeriodSeconds")
        )
    try:
        return msgspec.json.decode(body, type=DeleteOptions)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise status.BadQuery(f"the body isn't a DeleteOptions that pods know: {error}") from None


async def delete_pod(node: Node, pod: Pod, grace: int | None) -> Pod:
    """End a pod. Of a static one only the object goes, and comes back: as in Kubernetes, its containers run on."""
    if is_mirror(pod) and not pod.metadata.deletion_timestamp:
        return node.objects.recreate(pod)
    return await end_pod(node, pod, grace)


async def end_pod(node: Node, pod: Pod, grace: int | None) -> Pod:
    """Mark the pod Terminating and tell its supervisor. Returns the object as it is now."""
    # As it is now: it may have lost its gates, and begun, while others were told to end.
    pod = node.objects.pod_by_uid(pod.metadata.uid) or pod
    if gates.gated(pod):  # there is nothing but the object
        node.objects.pod_gone(pod.metadata.uid)
        return pod
    if grace is None:
        grace = int(grace_of(pod))
    # As rest.BeforeDelete of k8s.io/apiserver: what is negative is a second.
    grace = 1 if grace < 0 else min(grace, _GRACE_MAX)
    # Written first: whoever finds the object after a crash finishes what was begun.
    pod = node.objects.mark_deleted(pod, grace)
    await node.pods.delete(pod.metadata.uid, float(grace))
    return pod


async def delete(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/delete"""
    node, query = request.app[NODE], request.query
    kind = query.get("kind", "pod")
    if kind not in _KINDS:
        raise status.BadQuery(f'the server doesn\'t have a resource type "{kind}"; pods can be deleted')
    grace, ignore = number(query.get("grace"), "grace"), flag(query.get("ignore-not-found"))
    namespace = query.get("namespace") or "default"
    targets = [_Target(namespace, name) for name in query.getall("name", ())]
    chosen = flag(query.get("all")) or bool(query.get("selector"))
    if chosen:
        targets = _chosen(node, query, namespace)
        if not targets:
            console.err("No resources found")
            return 0
    elif not targets:
        targets = list(_named_in(await apply.body(request), query.get("source") or "-", namespace))
    uids: set[str] = set()
    failed = False
    with node.objects.watch(lambda change: change.type == "DELETED") as watch:
        for target in targets:
            try:
                pod = node.objects.pod(target.namespace, target.name)
                await node.whole(delete_pod(node, pod, grace))
            except MinipodError as error:
                if not (ignore and isinstance(error, NotFound)):
                    failed = True
                    console.err(_explain(error, target))
                continue
            uids.add(pod.metadata.uid)
            console.out(f'pod "{target.name}" deleted')
        await console.flush()
        if not flag(query.get("wait", "true")):
            return int(failed)
        uids = {uid for uid in uids if node.objects.pod_by_uid(uid)}
        while uids:
            console.progress(f"waiting for {len(uids)} pod{'s' if len(uids) > 1 else ''} to end")
            await console.flush()
            change = await anext(watch, None)
            if change is None:
                raise MinipodError("the node is stopping; the pods go on ending")
            uids.discard(change.object.metadata.uid)
    return int(failed)


def _chosen(node: Node, query: Mapping[str, str], namespace: str) -> list[_Target]:
    """Those with the labels asked for, or all: of one namespace, or with -A of all."""
    matches = selector.labels(query.get("selector", ""))
    where = "" if flag(query.get("all-namespaces")) else namespace
    listed = [pod.metadata for pod in node.objects.list_pods(where) if matches(pod.metadata.labels)]
    return [_Target(meta.namespace, meta.name) for meta in listed]


def _explain(error: MinipodError, target: _Target) -> str:
    text = status.as_text(error)
    if isinstance(error, NotFound) and target.source:
        return text.replace(": ", f': error when deleting "{target.source}": ', 1)
    return text


def _named_in(body: str, source: str, namespace: str) -> list[_Target]:
    """The pods a manifest names; nothing else of it is looked at, so that what was valid once can still be deleted."""
    targets = []
    for document in read_sources(body, source):
        where = f"{document.source}:{document.line}"
        for item in items(document):
            if item.get("kind") != "Pod":
                raise BadManifest(
                    f"{where}: {item.get('kind')!r} is no kind that can be deleted; there are pods"
                )
            meta = item.get("metadata")
            if not isinstance(meta, dict) or not isinstance(meta.get("name"), str):
                raise BadManifest(f"{where}: metadata.name: Required value")
            targets.append(_Target(str(meta.get("namespace") or namespace), meta["name"], document.source))
    if not targets:
        raise BadManifest(f"{source}: no objects to delete")
    return targets
