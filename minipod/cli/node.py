"""`minipod node`: the daemon behind the command line. Other verbs start it by themselves."""

import _socket
import os

from minipod.api import client
from minipod.cli.console import CONSOLE, ask, err, failure, out, refused, show
from minipod.cli.options import Args, Command, Option, UsageError

_DYING = 5.0  # seconds that a killed node may take to be gone
NOT_RUNNING = 3  # what init scripts say for a stopped service (LSB, "Init Script Actions")


def run(args: Args) -> int:
    actions = {"start": _start, "stop": _stop, "status": _status, "check": _check}
    if len(args.words) != 1 or args.words[0] not in actions:
        raise UsageError("expected 'node start', 'node stop', 'node status' or 'node check'", args.verb)
    if args.on("pods") and args.words[0] != "stop":
        raise UsageError("--pods belongs to 'node stop'", args.verb)
    return actions[args.words[0]](args)


def _start(_: Args) -> int:
    reply = _ask_health()
    reply.read()
    if reply.status != 200:
        return failure(reply)
    out("node is running")
    return 0


def _ask_health() -> client.Reply:
    """A node that was killed takes connections until the last of its threads has ended: then ask the next one."""
    import time

    from minipod.errors import WentAway

    end = time.monotonic() + _DYING
    while True:
        try:
            return ask("GET", "/healthz")
        except WentAway:
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


def _connect() -> _socket.socket | None:
    try:
        return client.connect()
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError:
        raise refused() from None


def _stop(args: Args) -> int:
    """Asks it to stop, and waits until its process is gone: known by a pidfd, so never another with the same pid."""
    if args.on("pods"):
        ask("GET", "/healthz").read()  # pods outlive the node: to remove them, it must run
    sock = _connect()
    if not sock:
        out("node is not running")
        return 0
    pidfd = _pidfd(sock)
    pods = "true" if args.on("pods") else "false"
    reply = client.send(sock, "POST", client.target("/minipod/v1/node/stop", [("pods", pods)]))
    if reply.status >= 400:
        return failure(reply)
    code = show(reply) if reply.kind == CONSOLE else len(reply.read()) * 0
    if code == 0 and pidfd >= 0:
        import select

        select.select([pidfd], [], [])  # readable when the process has ended (pidfd_open(2))
    if code == 0:
        _tell_systemd()
        out("node stopped" + ("" if args.on("pods") else "; pods go on running"))
    return code


def _tell_systemd() -> None:
    """Its unit has Restart=always: without this, the node would be back in a second."""
    from minipod.cli.start import has_unit

    if has_unit():
        os.waitpid(os.posix_spawnp("systemctl", ["systemctl", "stop", "minipod.service"], os.environ), 0)


def _pidfd(sock: _socket.socket) -> int:
    """A pidfd of the process that listens; -1 if it is gone already. SO_PEERCRED: unix(7)."""
    from struct import unpack

    pid, _, _ = unpack("3i", sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12))
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return -1


def _status(_: Args) -> int:
    sock = _connect()
    if not sock:
        err("node is not running; any command that needs it starts it, and so does: minipod node start")
        return NOT_RUNNING
    reply = client.send(sock, "GET", "/minipod/v1/node")
    if reply.status >= 400 or reply.kind == CONSOLE:
        return show(reply)
    import json

    for line in outline(json.loads(reply.read())):
        out(line)
    return 0


def outline(value: object, depth: int = 0) -> list[str]:
    """A JSON object as indented `Key: value` lines."""
    if not isinstance(value, dict):
        return [f"{'  ' * depth}{value}"]
    lines = []
    for key, inner in value.items():
        title = f"{'  ' * depth}{key[:1].upper()}{key[1:].replace('_', ' ')}:"
        if isinstance(inner, dict) and inner:
            lines += [title, *outline(inner, depth + 1)]
        elif isinstance(inner, list):
            lines.append(f"{title} {', '.join(map(str, inner)) or '<none>'}")
        else:
            lines.append(f"{title} {'<none>' if inner in (None, '', {}) else inner}")
    return lines


def _check(_: Args) -> int:
    """Becomes the check itself: it looks at the kernel, which the command line never does."""
    from minipod.cli.start import command

    argv = command("minipod.node.check")
    os.execv(argv[0], argv)


COMMAND = Command(
    "node",
    "Start, stop and look at the node",
    run,
    usage=("node start", "node stop [--pods]", "node status", "node check"),
    about="The node is the daemon that the other verbs talk to. They start it when it doesn't run; pods go on when it\n"
    "stops. 'check' says whether this machine can run pods, and what is missing. 'status' exits with 3 if it doesn't "
    "run.",
    examples=(
        ("Can this machine run pods?", "minipod node check"),
        ("Is it running, since when, with how many pods?", "minipod node status"),
        ("Remove every pod, then stop", "minipod node stop --pods"),
    ),
    options=(Option("pods", "With stop: remove all pods first"),),
    words=("start|stop|status|check",),
)
