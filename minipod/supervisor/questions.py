"""From an action of the specification (a probe's, a hook's) to a question that is under way."""

from minipod.errors import MinipodError
from minipod.runtime.ask import Command, Done, Exchange, Question, Sleep
from minipod.runtime.grpc import HealthCheck
from minipod.runtime.http import HTTPGet
from minipod.runtime.runtime import Runtime
from minipod.spec.handlers import HTTPGetAction, LifecycleHandler, Probe
from minipod.spec.types import Container

_VERSION = "1.35"  # of Kubernetes, as in "kube-probe/1.35"


class Unaskable(MinipodError):
    """The action names something that isn't there, e.g. a port."""


def ask(
    runtime: Runtime,
    container: Container,
    container_id: str,
    pod_ip: str,
    action: Probe | LifecycleHandler,
    timeout: float,
    done: Done,
) -> Question:
    """Put the question; `timeout` in seconds. Raises Unaskable."""
    loop = runtime.loop
    if action.exec:
        return Command(runtime, container_id, action.exec.command, timeout, done)
    if action.http_get:
        get, hook = action.http_get, isinstance(action, LifecycleHandler)
        port = port_of(container, get.port)
        headers = headers_of(get, "kube-lifecycle" if hook else "kube-probe")
        scheme = get.scheme.lower() or "http"
        return HTTPGet(loop, get.host or pod_ip, port, get.path or "/", headers, timeout, done, hook, scheme)
    if isinstance(action, LifecycleHandler):
        return Sleep(loop, min(action.sleep.seconds, timeout) if action.sleep else 0, done)
    if action.tcp_socket:
        tcp = action.tcp_socket
        port = port_of(container, tcp.port)
        return Exchange(loop, tcp.host or pod_ip, port, b"", lambda _: True, timeout, done)
    assert action.grpc is not None, "validation wants one of them"
    return HealthCheck(loop, pod_ip, action.grpc.port, action.grpc.service, timeout, done)


def port_of(container: Container, port: int | str) -> int:
    """A port's number, given that or its name. Raises Unaskable."""
    if isinstance(port, int):
        return port
    if port.isdecimal():
        return int(port)
    for each in container.ports:
        if each.name == port:
            return each.container_port
    raise Unaskable(f'invalid port "{port}": container "{container.name}" has none of this name')


def headers_of(get: HTTPGetAction, agent: str) -> dict[str, str]:
    """Those of the specification, and what the kubelet sends when it doesn't speak of them."""
    given = {header.name.title(): header.value for header in get.http_headers}
    return {"User-Agent": f"{agent}/{_VERSION}", "Accept": "*/*", **given}
