"""`minipod wait`: kubectl's wait. What is waited for is pure; the verb itself waits for changes.

Texts and rules are those of kubectl's pkg/cmd/wait (v1.35).
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from minipod.errors import MinipodError, NotFound
from minipod.node import jsonpath, selector, status
from minipod.node.console import Console
from minipod.node.jsonsteps import JSONPathError
from minipod.node.node import NODE, Node
from minipod.spec.types import Pod

Met = Callable[[Pod | None], bool]

_DEFAULT, _WEEK = 30.0, 7 * 86400.0  # seconds
_DURATION = re.compile(r"(-?)((?:\d+(?:\.\d+)?(?:ms|h|m|s))+|0)")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_JSONPATH = re.compile(r"jsonpath=(\{.*\}|[^=]*)(?:=(.*))?", re.DOTALL)


class _Target(NamedTuple):
    name: str
    uid: str  # of the pod that is to go; "": it isn't there (yet)


async def wait(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/wait"""
    node, query = request.app[NODE], request.query
    what = query.get("for", "")
    met, end = condition(what), time.monotonic() + duration(query.get("timeout", ""))
    namespace = query.get("namespace") or "default"
    failed = False
    with node.objects.watch(lambda change: change.object.metadata.namespace == namespace) as changes:
        targets, errors = _targets(node, namespace, query, absent=what.lower() in ("delete", "create"))
        for error in errors:
            failed = True
            console.err(status.as_text(error))
        if not targets and not errors:
            raise status.BadQuery("no matching resources found")
        for target in targets:
            while not met(_now(node, namespace, target)):
                if not await _changed(changes, end):
                    failed = True
                    console.err(f"error: timed out waiting for the condition on pods/{target.name}")
                    break
            else:
                console.out(f"pod/{target.name} condition met")
                await console.flush()
    return int(failed)


async def _changed(changes: Any, end: float) -> bool:
    """Wait for the next change; False when the time is over."""
    left = end - time.monotonic()
    if left <= 0:
        return False
    try:
        async with asyncio.timeout(left):
            if await anext(changes, None) is None:
                raise MinipodError("the node is stopping")
    except TimeoutError:
        return False
    return True


def _targets(
    node: Node, namespace: str, query: Any, absent: bool
) -> tuple[list[_Target], list[MinipodError]]:
    """By name, by labels, or all. A name that isn't there is an error, unless it is to be `absent` or to come."""
    names = query.getall("name", ())
    if not names:
        matches = selector.labels(query.get("selector", ""))
        pods = [pod for pod in node.objects.list_pods(namespace) if matches(pod.metadata.labels)]
        return [_Target(pod.metadata.name, pod.metadata.uid) for pod in pods], []
    targets: list[_Target] = []
    errors: list[MinipodError] = []
    for name in names:
        try:
            targets.append(_Target(name, node.objects.pod(namespace, name).metadata.uid))
        except NotFound as error:
            if absent:
                targets.append(_Target(name, ""))
            else:
                errors.append(error)
    return targets, errors


def _now(node: Node, namespace: str, target: _Target) -> Pod | None:
    """The pod as it is; another one of the same name counts as none, if there was one before."""
    try:
        pod = node.objects.pod(namespace, target.name)
    except NotFound:
        return None
    return pod if target.uid in ("", pod.metadata.uid) else None


# --- what is waited for ----------------------------------------------------------------------------------------------


def condition(text: str) -> Met:
    """What --for says, as a predicate on the pod or its absence. Raises BadQuery."""
    lower = text.lower()
    if lower in ("delete", "create"):
        return lambda pod: (pod is None) == (lower == "delete")
    if lower.startswith("condition="):
        kind, _, value = text[len("condition=") :].partition("=")
        return lambda pod: _has(pod, kind.lower(), (value or "true").lower())
    if lower.startswith("jsonpath="):
        return _found(text)
    raise status.BadQuery(f'unrecognized condition: "{text}"')


def _has(pod: Pod | None, kind: str, value: str) -> bool:
    return pod is not None and any(
        (each.type.lower(), each.status.lower()) == (kind, value) for each in pod.status.conditions
    )


def _found(text: str) -> Met:
    match = _JSONPATH.fullmatch(text)
    if not match:
        raise status.BadQuery(f'unrecognized condition: "{text}"')
    expression, value = match.groups()
    if value == "":
        raise status.BadQuery("jsonpath wait value cannot be empty")
    try:
        path = jsonpath.relaxed(expression)
    except JSONPathError as error:
        raise status.BadQuery(str(error)) from None

    def met(pod: Pod | None) -> bool:
        if pod is None:
            return False
        try:
            found = path.values(msgspec.json.decode(msgspec.json.encode(pod)))
        except JSONPathError:  # what it looks into isn't there yet
            return False
        return bool(found) if value is None else value in map(jsonpath.plain, found)

    return met


def duration(text: str) -> float:
    """Seconds of a Go duration (1m30s); 30 when absent, a week when negative. Raises BadQuery."""
    if not text:
        return _DEFAULT
    match = _DURATION.fullmatch(text)
    if not match:
        raise status.BadQuery(f'invalid duration "{text}": write 90s or 1m30s')
    if match[1]:
        return _WEEK
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(match[2]))
