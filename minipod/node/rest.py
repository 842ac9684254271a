"""The Kubernetes-shaped API: pods and events below /api/v1, for curl and programs."""

import os
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web

from minipod import __version__
from minipod.api.messages import Attach, Exec
from minipod.errors import BadManifest, MinipodError
from minipod.node import apply, logs, selector, status, waiting
from minipod.node.delete import delete_pod, number
from minipod.node.get import flag
from minipod.node.hub import AnyObject, Change
from minipod.node.node import NODE
from minipod.spec.types import Event, Pod


def reply(value: Any, code: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), status=code, content_type="application/json")


async def healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def version(_: web.Request) -> web.Response:
    return reply(
        {"major": "1", "minor": "35", "gitVersion": f"v1.35.0+minipod-{__version__}", "minipod": __version__}
    )


# --- pods ------------------------------------------------------------------------------------------------------------


async def list_pods(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/pods, /api/v1/namespaces/{ns}/pods"""
    objects = request.app[NODE].objects
    namespace = request.match_info.get("namespace", "")
    chosen = selector.labels(request.query.get("labelSelector", ""))

    def wanted(obj: AnyObject) -> bool:
        return (
            isinstance(obj, Pod) and namespace in ("", obj.metadata.namespace) and chosen(obj.metadata.labels)
        )

    if flag(request.query.get("watch")):
        return await _watch(request, wanted, objects.list_pods(namespace))
    return _list(request, "PodList", [pod for pod in objects.list_pods(namespace) if wanted(pod)])


async def get_pod(request: web.Request) -> web.Response:
    """GET /api/v1/namespaces/{ns}/pods/{name}"""
    return reply(_pod(request))


async def create_pod(request: web.Request) -> web.Response:
    """POST /api/v1/namespaces/{ns}/pods: one pod, JSON or YAML."""
    node, namespace = request.app[NODE], request.match_info["namespace"]
    checked = apply.check(await apply.body(request), "body", namespace)
    if len(checked) != 1:
        raise BadManifest(f"one pod at a time, not {len(checked)}")
    pod = await node.whole(apply.create(node, checked[0].pod, apply.door(request.query)))
    return reply(pod, 201)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/v1/namespaces/{ns}/pods/{name}"""
    node = request.app[NODE]
    grace = number(request.query.get("gracePeriodSeconds"), "gracePeriodSeconds")
    return reply(await node.whole(delete_pod(node, _pod(request), grace)))


def _pod(request: web.Request) -> Pod:
    return request.app[NODE].objects.pod(request.match_info["namespace"], request.match_info["name"])


# --- events ----------------------------------------------------------------------------------------------------------


async def list_events(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/events, /api/v1/namespaces/{ns}/events"""
    objects = request.app[NODE].objects
    namespace = request.match_info.get("namespace", "")
    chosen = selector.event_fields(request.query.get("fieldSelector", ""))

    def wanted(obj: AnyObject) -> bool:
        return isinstance(obj, Event) and namespace in ("", obj.metadata.namespace) and chosen(obj)

    if flag(request.query.get("watch")):
        return await _watch(request, wanted, objects.list_events(namespace))
    return _list(request, "EventList", [event for event in objects.list_events(namespace) if wanted(event)])


# --- lists and watches -----------------------------------------------------------------------------------------------


def _list(request: web.Request, kind: str, items: list[Any]) -> web.Response:
    meta = {"resourceVersion": request.app[NODE].objects.version}
    return reply({"kind": kind, "apiVersion": "v1", "metadata": meta, "items": items})


async def _watch(
    request: web.Request, wanted: Callable[[AnyObject], bool], there: list[Any]
) -> web.StreamResponse:
    """Lines of {"type", "object"}: first what is there (or what happened since resourceVersion), then every change."""
    objects = request.app[NODE].objects
    since = request.query.get("resourceVersion") or "0"
    if since == "0":
        first: list[Change] | None = [Change("ADDED", obj, msgspec.json.encode(obj)) for obj in there]
    else:
        first = objects.changes(number(since, "resourceVersion") or 0)
    if first is None:
        raise status.Gone(f"too old resource version: {since} ({objects.version})")
    with objects.watch(lambda change: wanted(change.object)) as watch:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for change in first:
            if wanted(change.object):
                await response.write(_line(change))
        async for change in watch:
            await response.write(_line(change))
    await response.write_eof()
    return response


def _line(change: Change) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (change.type.encode(), change.body)


# --- log and exec ----------------------------------------------------------------------------------------------------


async def log(request: web.Request) -> web.StreamResponse:
    """GET /api/v1/namespaces/{ns}/pods/{name}/log"""
    pod, wish = _pod(request), logs.LogRequest.of(request.query)
    container, _ = logs.choose(pod, wish.container)
    pieces = logs.read_log(request.app[NODE], pod, container, wish)
    response = web.StreamResponse(headers={"Content-Type": "text/plain; charset=utf-8"})
    await response.prepare(request)
    async for piece in pieces:
        await response.write(piece)
    await response.write_eof()
    return response


_SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: minipod-streams\r\n\r\n"


async def exec_(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/namespaces/{ns}/pods/{name}/exec: the client's socket becomes the supervisor's."""
    query, pod = request.query, _pod(request)
    argv = tuple(query.getall("command", ()))
    if not argv:
        raise status.BadRequest("you must specify at least one command for the container")
    wish = Exec(
        container=running_container(pod, query.get("container", "")),
        argv=argv,
        stdin=flag(query.get("stdin")),
        tty=flag(query.get("tty")),
        rows=number(query.get("rows"), "rows") or 0,
        columns=number(query.get("columns"), "columns") or 0,
    )
    return await _hand_over(request, pod, wish)


async def attach(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/namespaces/{ns}/pods/{name}/attach: likewise; with `wait`, as soon as the container runs."""
    query, pod, node = request.query, _pod(request), request.app[NODE]
    if flag(query.get("wait")):
        pod = await waiting.wait_running(node, pod, query.get("container") or pod.spec.containers[0].name)
    wish = Attach(
        container=running_container(pod, query.get("container", ""), "attach to"),
        stdin=flag(query.get("stdin")),
        rows=number(query.get("rows"), "rows") or 0,
        columns=number(query.get("columns"), "columns") or 0,
    )
    return await _hand_over(request, pod, wish)


async def _hand_over(request: web.Request, pod: Pod, wish: Exec | Attach) -> web.StreamResponse:
    node, transport = request.app[NODE], request.transport
    if request.headers.get("Upgrade", "").lower() != "minipod-streams":
        raise status.BadRequest("this needs the headers Connection: Upgrade and Upgrade: minipod-streams")
    if transport is None:
        raise ConnectionResetError("the client has gone")
    # A copy: aiohttp closes its own, and the connection lives as long as the supervisor's copy of ours does.
    fd = os.dup(transport.get_extra_info("socket").fileno())
    try:
        os.write(fd, _SWITCHING)  # nothing was sent on this connection yet: it fits
        try:
            await node.pods.exec(pod.metadata.uid, wish, fd)
        except MinipodError as error:
            os.write(fd, f"error {error}\n".encode())
    finally:
        os.close(fd)
    transport.abort()  # without a shutdown(2) of the connection
    return web.Response()


def running_container(pod: Pod, name: str, act: str = "exec into") -> str:
    """The container to act in, the first by default; raises BadRequest if it doesn't run."""
    known = [each.name for each in (*pod.spec.containers, *pod.spec.init_containers)]
    name = name or known[0]
    if name not in known:
        raise status.BadRequest(
            f"container {name} is not valid for pod {pod.metadata.name} out of: {', '.join(known)}"
        )
    statuses = (*pod.status.container_statuses, *pod.status.init_container_statuses)
    if not any(each.name == name and each.state.running for each in statuses):
        if pod.status.phase in ("Succeeded", "Failed"):
            raise status.BadRequest(
                f"cannot {act} a container in a completed pod; current phase is {pod.status.phase}"
            )
        raise status.BadRequest(
            f'container "{name}" in pod "{pod.metadata.name}" isn\'t running: it is {_state(pod, name)}'
        )
    return name


def _state(pod: Pod, name: str) -> str:
    for each in (*pod.status.container_statuses, *pod.status.init_container_statuses):
        if each.name == name and each.state.terminated:
            return f"terminated ({each.state.terminated.reason})"
        if each.name == name and each.state.waiting:
            return f"waiting ({each.state.waiting.reason})"
    return "waiting"
