"""Changes to a part of a pod's object: PUT of the whole, or PATCH as kubectl sends it."""

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web

from minipod.errors import Invalid
from minipod.node.status import BadRequest
from minipod.spec.types import Pod

_MERGE, _STRATEGIC = "application/merge-patch+json", "application/strategic-merge-patch+json"
_KINDS = (_STRATEGIC, _MERGE, "application/json")


async def fields(request: web.Request, part: str) -> dict[str, Any]:
    """What was sent of the `part` that is changed, e.g. the pod's status. Raises BadRequest."""
    if request.method == "PATCH" and request.content_type not in _KINDS:
        raise BadRequest(f"the body of the request was in an unknown format - accepted: {', '.join(_KINDS)}")
    try:
        sent = msgspec.json.decode(await request.read(), type=dict[str, Any])
        return msgspec.convert({} if sent.get(part) is None else sent[part], dict[str, Any])
    except msgspec.ValidationError as error:  # a kind of DecodeError
        raise BadRequest(f"the body must be a JSON object with an object {part}: {error}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(f"the body isn't JSON: {error}") from None


def items(
    request: web.Request, sent: Any, now: Sequence[msgspec.Struct], key: str, path: str, pod: Pod
) -> list[dict[str, Any]]:
    """A list of objects, each known by its `key`, as it shall be. A strategic merge patch adds to what is there and
    changes it item by item; a merge patch (RFC 7386) and PUT say it whole. Raises Invalid."""
    there = msgspec.json.decode(msgspec.json.encode(now), type=list[dict[str, Any]])
    if sent is None:
        return there if request.method == "PATCH" else []
    if not isinstance(sent, list) or not all(isinstance(item, dict) for item in sent):
        raise Invalid("Pod", pod.metadata.name, [(path, "Invalid type: expected array of objects")])
    if request.method == "PUT" or request.content_type == _MERGE:
        return sent
    for item in sent:
        if not isinstance(item.get(key), str) or "$patch" in item:
            why = f"a strategic merge patch adds or changes items by their {key}"
            raise Invalid("Pod", pod.metadata.name, [(path, f"Invalid value: {why}")])
    changes = {item[key]: item for item in sent}
    merged = [item | changes.pop(item[key], {}) for item in there]
    return [*merged, *changes.values()]
