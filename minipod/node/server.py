"""The node's HTTP server: every route, and what becomes of errors."""

import logging
import os
import socket

from aiohttp import web

from minipod.api.channel import short_path
from minipod.errors import MinipodError
from minipod.node import (
    actions,
    apply,
    conditions,
    copy,
    delete,
    describe,
    ephemeral,
    get,
    images,
    logs,
    observe,
    plan,
    rest,
    status,
    stepping,
    top,
    trace,
    wait,
)
from minipod.node.console import Handler, on_console
from minipod.node.node import NODE, Node

# Bytes of a request line: exec has its command there, up to ARG_MAX (execve(2): 2 MiB here), a byte as %XX.
MAX_LINE = 8 << 20
MAX_MANIFEST = 64 << 20  # bytes of a request's body; images are streamed and have no limit
_log = logging.getLogger("minipod")


def application(node: Node) -> web.Application:
    app = web.Application(middlewares=[_errors, _no_dry_run], client_max_size=MAX_MANIFEST)
    app[NODE] = node
    pod = "/api/v1/namespaces/{namespace}/pods/{name}"
    app.add_routes(
        [
            web.get("/healthz", rest.healthz),
            web.get("/version", rest.version),
            web.get("/api/v1/pods", rest.list_pods),
            web.get("/api/v1/namespaces/{namespace}/pods", rest.list_pods),
            web.post("/api/v1/namespaces/{namespace}/pods", rest.create_pod),
            web.get(pod, rest.get_pod),
            web.delete(pod, rest.delete),
            web.get(f"{pod}/log", rest.log),
            web.patch(f"{pod}/status", conditions.status),
            web.put(f"{pod}/status", conditions.status),
            web.get(f"{pod}/ephemeralcontainers", ephemeral.ephemeral),
            web.patch(f"{pod}/ephemeralcontainers", ephemeral.ephemeral),
            web.put(f"{pod}/ephemeralcontainers", ephemeral.ephemeral),
            web.post(f"{pod}/exec", rest.exec_),
            web.post(f"{pod}/attach", rest.attach),
            web.post(f"{pod}/portforward", rest.port_forward),
            web.post(f"{pod}/enter", stepping.enter),
            web.get("/api/v1/events", rest.list_events),
            web.get("/api/v1/namespaces/{namespace}/events", rest.list_events),
            web.get("/minipod/v1/images", images.list_images),
            web.post("/minipod/v1/images", images.import_image),
            web.delete("/minipod/v1/images/{name:.+}", images.remove_image),
            web.get("/minipod/v1/image/ls", on_console(images.ls)),
            web.post("/minipod/v1/apply", on_console(apply.apply)),
            web.post("/minipod/v1/step", on_console(stepping.step)),
            web.post("/minipod/v1/continue", on_console(stepping.continue_)),
            web.get("/minipod/v1/get", on_console(get.get)),
            web.get("/minipod/v1/describe", on_console(describe.describe)),
            web.post("/minipod/v1/delete", on_console(delete.delete)),
            web.get("/minipod/v1/wait", on_console(wait.wait)),
            web.get("/minipod/v1/logs", on_console(logs.logs)),
            web.get("/minipod/v1/top", on_console(top.top)),
            web.post("/minipod/v1/files", copy.find),
            web.get("/minipod/v1/observe", on_console(observe.observe)),
            web.post("/minipod/v1/plan", on_console(plan.plan)),
            web.get("/minipod/v1/trace", on_console(trace.trace)),
            web.get("/minipod/v1/node", actions.node_status),
            web.post("/minipod/v1/node/stop", on_console(actions.stop)),
        ]
    )
    return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every error as a Kubernetes Status."""
    try:
        return await handler(request)
    except MinipodError as error:
        return rest.reply(status.as_status(error), status.reason(error)[0])
    except web.HTTPException as error:
        if error.status < 400:
            raise
        text = f"{request.method} {request.path}: {error.reason}"
        word = {404: "NotFound", 405: "MethodNotAllowed", 413: "RequestEntityTooLarge"}.get(
            error.status, "BadRequest"
        )
        body = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return rest.reply(body | {"message": text, "reason": word, "code": error.status}, error.status)
    except ConnectionError:  # the client has gone; nobody reads what is returned
        return web.Response()
    except Exception as error:  # noqa: BLE001  # a mistake of ours must not take the connection without a word
        _log.exception("%s %s", request.method, request.path_qs)
        return rest.reply(status.as_status(error), 500)


@web.middleware
async def _no_dry_run(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Who asks for a dry run must not get a real one."""
    if request.query.get("dryRun"):
        raise status.BadQuery("dryRun: not supported yet; nothing was done")
    return await handler(request)


def listen(path: str) -> socket.socket:
    """The node's stream socket at `path`, for root alone; what a dead node left there is replaced.

    Only for who holds the node's lock. Nobody can connect before the mode is right: that takes listen(2).
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with short_path(path) as short:
        if os.path.lexists(short):
            os.unlink(short)
        sock.bind(short)
        os.chmod(short, 0o600)
    sock.listen(128)
    sock.setblocking(False)
    return sock


async def serve(node: Node) -> web.AppRunner:
    """Answer requests from now on; `cleanup()` of what is returned ends that."""
    runner = web.AppRunner(
        application(node),
        access_log=None,
        handler_cancellation=True,
        keepalive_timeout=30,
        shutdown_timeout=2,
        max_line_size=MAX_LINE,
    )
    await runner.setup()
    await web.SockSite(runner, listen(node.layout.socket)).start()
    return runner
