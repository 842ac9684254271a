"""Connections to a pod's own localhost, for `port-forward`.

The asker hands over one stream socket. The supervisor answers on it, and closes it:

    streams\\n      with a descriptor: a TCP connection that was made inside the pod's network namespace
    error TEXT\\n   instead, if nobody answered there

So the bytes pass through nobody on their way, and a pod that listens only on localhost can be reached all the same.
A socket belongs for ever to the network namespace it was made in (network_namespaces(7)): only the making needs a
visit there, and connecting is waited for in the loop like everything else.
"""

import errno
import os
import socket

from minipod.api.messages import PortForward
from minipod.errors import Conflict, KernelError, NotFound
from minipod.kernel import syscalls
from minipod.runtime.ask import words
from minipod.runtime.commands import say
from minipod.runtime.records import Sandbox
from minipod.runtime.runtime import Runtime

# As containerd: IPv4 first, and IPv6 if nobody listens there (pkg/cri/server/sandbox_portforward_linux.go).
_LOCALHOST = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def forward(runtime: Runtime, request: PortForward, client: socket.socket) -> None:
    """Connect to a port of the pod; the rest happens in the loop. Raises NotFound and Conflict."""
    Connecting(runtime, _sandbox(runtime, request.sandbox), request.port, client)


def _sandbox(runtime: Runtime, sandbox_id: str) -> Sandbox:
    """By id; "" is the one that is ready, of which a pod has one at most."""
    ready = [each for each in runtime.sandboxes.values() if each.info.state == "ready"]
    found = runtime.sandboxes.get(sandbox_id) if sandbox_id else next(iter(ready), None)
    if found is None and sandbox_id:
        raise NotFound("sandbox", sandbox_id)
    if found not in ready or found is None:
        raise Conflict("the pod has no sandbox that is ready; try again when it runs")
    return found


class Connecting:
    """One connection on its way. `client` is closed when it is told."""

    def __init__(self, runtime: Runtime, sandbox: Sandbox, port: int, client: socket.socket) -> None:
        self._loop, self._port, self._client = runtime.loop, port, client
        self._left: list[tuple[str, socket.socket]] = []
        self._refusals: list[str] = []
        # Both now: the sandbox may be gone by the time the first one is refused.
        for family, where in _LOCALHOST:
            try:
                self._left.append((where, socket_inside(sandbox.pidfd, family)))
            except OSError as error:  # a kernel without IPv6
                self._refusals.append(f"{where}: {words(error.errno or 0)}")
        self._next()

    def _next(self) -> None:
        if not self._left:
            self._end(
                f"error failed to connect to localhost:{self._port} inside the pod: {'; '.join(self._refusals)}\n"
            )
            return
        self._where, self._socket = self._left.pop(0)
        code = self._socket.connect_ex((self._where, self._port))
        if code == errno.EINPROGRESS:
            self._loop.add_writer(self._socket.fileno(), self._done)
        else:
            self._found(code)

    def _done(self) -> None:
        self._loop.remove_writer(self._socket.fileno())
        self._found(self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def _found(self, code: int) -> None:
        with self._socket:
            if code == 0:
                self._end("streams\n", [self._socket.fileno()])
                return
        self._refusals.append(f"{self._where}: {words(code)}")
        self._next()

    def _end(self, text: str, fds: list[int] | None = None) -> None:
        for _, unused in self._left:
            unused.close()
        say(self._client, text, fds)
        self._client.close()


def socket_inside(pidfd: int, family: socket.AddressFamily) -> socket.socket:
    """A TCP socket, not blocking, in the network namespace of a process. This single-threaded process visits it only
    for that one call. Raises KernelError."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(pidfd, syscalls.CLONE_NEWNET, "net of the sandbox")
        try:
            return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        finally:
            try:
                syscalls.setns(home, syscalls.CLONE_NEWNET, "the node's net again")
            except KernelError:
                os._exit(
                    1
                )  # a supervisor that stays in the pod's network is worse than none: another one comes
    finally:
        os.close(home)
