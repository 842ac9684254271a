"""The Kubernetes-shaped API: pods and events below /api/v1, for curl and programs."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from aiohttp import web

from minipod import __version__
from minipod.api.messages import Attach, Exec, PortForward
from minipod.errors import BadManifest, MinipodError
from minipod.node import apply, logs, mirror, selector, status, waiting
from minipod.node.delete import delete_pod
from minipod.node.delete import options as delete_options
from minipod.node.hub import AnyObject, Change
from minipod.node.node import NODE
from minipod.node.query import flag, number
from minipod.spec.types import ContainerStatus, Event, Pod


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
    return reply(pod_of(request))


async def create_pod(request: web.Request) -> web.Response:
    """POST /api/v1/namespaces/{ns}/pods: one pod, JSON or YAML."""
    node, namespace = request.app[NODE], request.match_info["namespace"]
    checked = apply.check(await apply.body(request), "body", namespace)
    if len(checked) != 1:
        raise BadManifest(f"one pod at a time, not {len(checked)}")
    mirror.refuse(checked[0].pod)
    pod = await node.whole(apply.create(node, checked[0].pod, apply.door(request.query)))
    return reply(pod, 201)


async def delete(request: web.Request) -> web.Response:
    """DELETE /api/v1/namespaces/{ns}/pods/{name}"""
    node = request.app[NODE]
    options = await delete_options(request)
    return reply(await node.whole(delete_pod(node, pod_of(request), options.grace_period_seconds)))


def pod_of(request: web.Request) -> Pod:
    """The pod that the address names. Raises NotFound."""
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
    pod, wish = pod_of(request), logs.LogRequest.of(request.query)
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
    query, pod = request.query, pod_of(request)
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
    query, pod, node = request.query, pod_of(request), request.app[NODE]
    if flag(query.get("wait")):
        pod = await waiting.wait_running(node, pod, query.get("container") or logs.choose(pod, "")[0])
    wish = Attach(
        container=running_container(pod, query.get("container", ""), "attach to"),
        stdin=flag(query.get("stdin")),
        rows=number(query.get("rows"), "rows") or 0,
        columns=number(query.get("columns"), "columns") or 0,
    )
    return await _hand_over(request, pod, wish)


async def port_forward(request: web.Request) -> web.StreamResponse:
    """POST /api/v1/namespaces/{ns}/pods/{name}/portforward?ports=N: likewise, for one connection to that port."""
    pod, port = pod_of(request), number(request.query.get("ports"), "ports") or 0
    if not 0 < port < 1 << 16:
        raise status.BadRequest(f"a port is a number from 1 to 65535, not {port}")
    return await _hand_over(request, pod, PortForward("", port))


async def _hand_over(request: web.Request, pod: Pod, wish: Exec | Attach | PortForward) -> web.StreamResponse:
    with upgraded(request) as fd:
        await request.app[NODE].pods.exec(pod.metadata.uid, wish, fd)
    return web.Response()


@contextlib.contextmanager
def upgraded(request: web.Request) -> Iterator[int]:
    """The client's connection, on which no HTTP is spoken any more; what goes wrong now is told as `error TEXT`."""
    transport = request.transport
    if request.headers.get("Upgrade", "").lower() != "minipod-streams":
        raise status.BadRequest("this needs the headers Connection: Upgrade and Upgrade: minipod-streams")
    if transport is None:
        raise ConnectionResetError("the client has gone")
    # A copy: aiohttp closes its own, and the connection lives as long as the supervisor's copy of ours does.
    fd = os.dup(transport.get_extra_info("socket").fileno())
    try:
        os.write(fd, _SWITCHING)  # nothing was sent on this connection yet: it fits
        yield fd
    except MinipodError as error:
        os.write(fd, f"error {error}\n".encode())
    finally:
        os.close(fd)
    transport.abort()  # without a shutdown(2) of the connection


def running_container(pod: Pod, name: str, act: str = "exec into") -> str:
    """The container to act in, by default the one whose logs are shown; raises BadRequest if it doesn't run."""
    spec = pod.spec
    known = [each.name for each in (*spec.containers, *spec.init_containers, *spec.ephemeral_containers)]
    name = name or logs.choose(pod, "")[0]
    if name not in known:
        raise status.BadRequest(
            f"container {name} is not valid for pod {pod.metadata.name} out of: {', '.join(known)}"
        )
    found = logs.find_status(pod, name)
    if not found or not found.state.running:
        if pod.status.phase in ("Succeeded", "Failed"):
            raise status.BadRequest(
                f"cannot {act} a container in a completed pod; current phase is {pod.status.phase}"
            )
        raise status.BadRequest(
            f'container "{name}" in pod "{pod.metadata.name}" isn\'t running: it is {_state(found)}'
        )
    return name


def _state(found: ContainerStatus | None) -> str:
    if found and found.state.terminated:
        return f"terminated ({found.state.terminated.reason})"
    if found and found.state.waiting:
        return f"waiting ({found.state.waiting.reason})"
    return "waiting"
