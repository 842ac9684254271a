"""Conditions that others set over the API: what spec.readinessGates waits for.

They are kept in the object, and told to the supervisor, which looks at them when it says whether the pod is Ready.
"""

from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from minipod.errors import Invalid
from minipod.node import patch, rest
from minipod.node.node import NODE
from minipod.node.objects import now
from minipod.node.pod_status import OWN
from minipod.spec.types import Pod, PodCondition

_STATUSES = ("True", "False", "Unknown")


async def status(request: web.Request) -> web.Response:
    """PATCH or PUT /api/v1/namespaces/{ns}/pods/{name}/status: conditions that are not the supervisor's own."""
    node, pod = request.app[NODE], rest.pod_of(request)
    fields = await patch.fields(request, "status")
    wanted = patch.items(
        request, fields.pop("conditions", None), pod.status.conditions, "type", "status.conditions", pod
    )
    problems = [
        (f"status.{name}", "Forbidden: the pod's supervisor tells it; conditions can be set")
        for name in (fields if request.method == "PATCH" else ())
        if not name.startswith("$")
    ]
    conditions, wrong = _checked(wanted, pod)
    if problems or wrong:
        raise Invalid("Pod", pod.metadata.name, [*problems, *wrong])
    pod = node.objects.update(replace(pod, status=replace(pod.status, conditions=conditions)))
    await node.pods.update(pod)
    return rest.reply(pod)


def _checked(
    wanted: list[dict[str, Any]], pod: Pod
) -> tuple[tuple[PodCondition, ...], list[tuple[str, str]]]:
    """Others' conditions as they shall be, then the supervisor's as they are; and what is wrong."""
    there = {each.type: each for each in pod.status.conditions}
    found: list[PodCondition] = []
    problems: list[tuple[str, str]] = []
    for index, item in enumerate(wanted):
        path = f"status.conditions[{index}]"
        try:
            condition = msgspec.convert(item, PodCondition)
        except msgspec.ValidationError as error:
            problems.append((path, f"Invalid value: {error}"))
            continue
        before = there.get(condition.type)
        if condition.type in OWN:
            if condition != before:
                problems.append((path, f"Forbidden: {condition.type} is told by the pod's supervisor"))
        elif condition.status not in _STATUSES:
            supported = ", ".join(f'"{each}"' for each in _STATUSES)
            text = f'Unsupported value: "{condition.status}": supported values: {supported}'
            problems.append((f"{path}.status", text))
        else:
            found.append(_since(condition, before))
    return (*found, *(each for each in pod.status.conditions if each.type in OWN)), problems


def _since(condition: PodCondition, before: PodCondition | None) -> PodCondition:
    """With the time of its last change, if whoever sets it doesn't say."""
    if (
        before
        and before.status != condition.status
        and before.last_transition_time == condition.last_transition_time
    ):
        return replace(condition, last_transition_time=now())
    return condition if condition.last_transition_time else replace(condition, last_transition_time=now())
