"""`minipod port-forward`: ports of this machine that lead to ports of a pod.

Each connection asks the node for one of its own. The pod's supervisor makes it inside the pod's network namespace, to
localhost there, and passes us the connected socket (SCM_RIGHTS): from then on bytes go through this process alone.
"""

import _socket
import _thread
import posix
import select

from minipod.api.client import target
from minipod.cli.attach import path
from minipod.cli.console import ask, err, failure, out, write
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Listeners = dict[int, tuple[_socket.socket, int, int]]  # by descriptor: with its own port, and the pod's

PIECE = 1 << 16


def run(args: Args) -> int:
    if len(args.words) < 2:
        raise UsageError("TYPE/NAME and list of ports are required for port-forward", args.verb)
    where = path(args.namespace, pod_name(args.words[0], args.verb))
    reply = ask("GET", where)
    if reply.status >= 400:
        return failure(reply)
    import json

    pod = json.loads(reply.read())
    pairs = [ports(word, pod) for word in args.words[1:]]
    phase = pod["status"]["phase"]
    if phase != "Running":
        err(f"error: unable to forward port because pod is not running. Current status={phase}")
        return 1
    listeners = _listen(args.text("address", "localhost").split(","), pairs)
    if not listeners:
        err("error: unable to listen on any of the requested ports: " + " ".join(args.words[1:]))
        return 1
    return _serve(listeners, where)


def ports(word: str, pod: "dict[str, Any]") -> tuple[int, int]:
    """(local, remote) of 80, 8080:80, :80 or 8080:http, the name of a port of the pod. Local 0: any that is free."""
    named = {
        port.get("name"): str(port["containerPort"])
        for container in pod["spec"]["containers"]
        for port in container.get("ports", ())
    }
    local, colon, remote = word.partition(":")
    remote = remote if colon else local
    remote = named.get(remote, remote)
    local = (local or "0") if colon else remote
    for text, least in ((local, 0), (remote, 1)):
        if not text.isdecimal() or not least <= int(text) < 1 << 16:
            raise UsageError(f"invalid port format '{word}': write 80, 8080:80 or :80", "port-forward")
    return int(local), int(remote)


def _listen(addresses: list[str], pairs: list[tuple[int, int]]) -> "Listeners":
    """Says where it listens, and where it can't."""
    if "localhost" in addresses:
        at = addresses.index("localhost")
        addresses = [*addresses[:at], "127.0.0.1", "::1", *addresses[at + 1 :]]
    found: Listeners = {}
    for local, remote in pairs:
        for address in addresses:
            try:
                sock = _listener(address, local)
            except OSError as error:
                if address != "::1" or not found:  # a machine without IPv6 has a localhost, too
                    err(
                        f"Unable to listen on port {local}: listen tcp {_shown(address)}:{local}: {error.strerror}"
                    )
                continue
            local = sock.getsockname()[1]  # noqa: PLW2901  # the one that was free is everywhere the same
            found[sock.fileno()] = (sock, local, remote)
            out(f"Forwarding from {_shown(address)}:{local} -> {remote}")
    return found


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _listener(address: str, port: int) -> _socket.socket:
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    sock = _socket.socket(family, _socket.SOCK_STREAM)
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        if family == _socket.AF_INET6:
            sock.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(64)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _serve(listeners: "Listeners", where: str) -> int:
    """Until a signal ends it, or the pod is gone. One thread for each connection: they only copy."""
    ended, end = posix.pipe2(posix.O_CLOEXEC)
    poll = select.poll()
    for fd in (ended, *listeners):
        poll.register(fd, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == ended:
                err("error: lost connection to pod")
                return 1
            sock, local, remote = listeners[fd]
            try:
                accepted, _ = sock._accept()  # type: ignore[attr-defined]  # what socket.accept() is made of
            except OSError:  # it went away before we came
                continue
            out(f"Handling connection for {local}")
            connection = _socket.socket(fileno=accepted)
            _thread.start_new_thread(_forward, (connection, where, local, remote, end))


def _forward(connection: _socket.socket, where: str, local: int, remote: int, end: int) -> None:
    """One connection, until both sides have closed it."""
    inside = _connect(where, local, remote, end)
    if inside:
        answered = _thread.allocate_lock()
        answered.acquire()
        _thread.start_new_thread(_copy, (inside, connection, answered))
        _copy(connection, inside)
        answered.acquire()
        inside.close()
    connection.close()


def _connect(where: str, local: int, remote: int, end: int) -> "_socket.socket | None":
    """A connection inside the pod. If there is none, that is told; if the pod is gone, `end` is told, too."""
    said = b""
    try:
        query = [("ports", str(remote))]
        reply = ask("POST", target(f"{where}/portforward", query), upgrade="minipod-streams")
        if reply.status != 101:
            failure(reply)
            write(end, b"x")
            return None
        while data := reply.receive():
            said += data
        reply.sock.close()
        if reply.fds:
            return _socket.socket(fileno=reply.fds[0])
    except Exception as error:  # noqa: BLE001  # a thread of ours never ends in a traceback
        said = str(error).encode()
    why = said.decode(errors="replace").removeprefix("error ").strip() or "the pod's supervisor went away"
    err(f"error: an error occurred forwarding {local} -> {remote}: {why}")
    return None


def _copy(source: _socket.socket, to: _socket.socket, done: "_thread.LockType | None" = None) -> None:
    """All of it, then the end of file. If one side is broken, the other hears of it."""
    try:
        source.setblocking(True)
        to.setblocking(True)
        while data := source.recv(PIECE):
            to.sendall(data)
        to.shutdown(_socket.SHUT_WR)
    except OSError:
        for sock in (source, to):
            try:
                sock.shutdown(_socket.SHUT_RDWR)
            except OSError:
                pass
    if done:
        done.release()


COMMAND = Command(
    "port-forward",
    "Forward ports of this machine to a pod",
    run,
    usage=("port-forward POD [LOCAL:]REMOTE... [flags]",),
    about="Connections to LOCAL on this machine are made to REMOTE on the pod's own localhost, until Ctrl-C.\n"
    "REMOTE may be the name of a port in the manifest; without LOCAL it is the same; :REMOTE takes one that is free.",
    examples=(
        ("http://localhost:8080", "minipod port-forward shared-context 8080"),
        ("Any free port", "minipod port-forward pod/shared-context :8080"),
        ("For other machines, too", "minipod port-forward --address 0.0.0.0 shared-context 8081:8080"),
    ),
    options=(Option("address", "Where to listen, separated by commas (default: localhost)", "", "ADDRESS"),),
    words=("pod",),
)
