"""Ephemeral containers: added to a pod that is there, never changed or removed (`minipod debug`).

The object is written first, then the supervisor is told. One that isn't there is told later: whoever starts it gives
it the object, and a node that finds one that runs sends the object as it is.
"""

from aiohttp import web
from msgspec.structs import replace

from minipod.errors import Invalid
from minipod.node import mirror, patch, rest
from minipod.node.node import NODE
from minipod.spec.decode import ephemeral_containers
from minipod.spec.defaults import default
from minipod.spec.types import EphemeralContainer, Pod
from minipod.spec.validate import problems

_PATH = "spec.ephemeralContainers"


async def ephemeral(request: web.Request) -> web.Response:
    """GET, PATCH or PUT /api/v1/namespaces/{ns}/pods/{name}/ephemeralcontainers"""
    node, pod = request.app[NODE], rest.pod_of(request)
    if request.method == "GET":
        return rest.reply(pod)
    fields = await patch.fields(request, "spec")
    wanted = patch.items(
        request, fields.pop("ephemeralContainers", None), pod.spec.ephemeral_containers, "name", _PATH, pod
    )
    others = [name for name in fields if not name.startswith("$")]
    if request.method == "PATCH" and others:
        text = "Forbidden: only ephemeral containers can be added here"
        raise Invalid("Pod", pod.metadata.name, [(f"spec.{name}", text) for name in others])
    changed = _with(pod, wanted)
    if changed.spec != pod.spec:
        changed = node.objects.update(changed)
        await node.pods.update(changed)
    return rest.reply(changed)


def _with(pod: Pod, wanted: list[dict[str, object]]) -> Pod:
    """The pod with these ephemeral containers. Raises Invalid."""
    if mirror.is_mirror(pod):
        why = "Forbidden: static pods do not support ephemeral containers"
        raise Invalid("Pod", pod.metadata.name, [(_PATH, why)])
    containers, found = ephemeral_containers(wanted)
    changed = default(replace(pod, spec=replace(pod.spec, ephemeral_containers=containers)))
    found += [*_changes(pod.spec.ephemeral_containers, changed.spec.ephemeral_containers)]
    found += [problem for problem in problems(changed) if problem[0].startswith(_PATH)]
    if found:
        raise Invalid("Pod", pod.metadata.name, found)
    return changed


def _changes(
    before: tuple[EphemeralContainer, ...], after: tuple[EphemeralContainer, ...]
) -> list[tuple[str, str]]:
    """What may not be (validation.go, ValidatePodEphemeralContainersUpdate)."""
    now = {each.name: each for each in after}
    return [
        (_PATH, f'Forbidden: existing ephemeral containers "{old.name}" may not be {word}')
        for old in before
        if (word := "removed" if old.name not in now else "changed" if now[old.name] != old else "")
    ]
