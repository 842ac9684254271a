"""Talking to the node and printing what it says: the last step of every verb.

The node renders most output itself and sends it as `application/vnd.minipod.console`, a line at a time as it happens:

    1TEXT    a line for stdout
    2TEXT    a line for stderr
    p TEXT   progress: one line that replaces itself, on a terminal only
    xN       the end, and the exit code
"""

import posix

from minipod.api import client

CONSOLE = "application/vnd.minipod.console"
YAML = "application/yaml"
_ERASE = b"\r\x1b[K"  # to the start of the line and clear it (ECMA-48: EL)


def write(fd: int, data: bytes) -> None:
    """All of it, also to a descriptor that someone made non-blocking."""
    view = memoryview(data)
    while view:
        try:
            view = view[posix.write(fd, view) :]
        except BlockingIOError:
            import select

            select.select([], [fd], [])


def out(text: str) -> None:
    """One line on stdout."""
    write(1, text.encode(errors="surrogateescape") + b"\n")


def err(text: str) -> None:
    """One line on stderr."""
    write(2, text.encode(errors="surrogateescape") + b"\n")


def ask(method: str, where: str, body: bytes = b"", kind: str = "", upgrade: str = "") -> client.Reply:
    """Sends one request to the node, which is started if it doesn't run."""
    try:
        sock = client.connect()
    except (FileNotFoundError, ConnectionRefusedError):
        from minipod.cli.start import start_node

        progress = Progress()
        try:
            sock = start_node(progress.set)
        finally:
            progress.clear()
    except PermissionError:
        raise refused() from None
    return client.send(sock, method, where, body, kind, upgrade)


def refused() -> Exception:
    """The error for someone who isn't root."""
    from minipod.errors import Unreachable

    return Unreachable(f"{client.socket_path()}: permission denied; pods are root's, so try it with sudo")


def show(reply: client.Reply) -> int:
    """Prints a reply as it comes; the exit code."""
    if reply.status >= 400:
        return failure(reply)
    if reply.kind != CONSOLE:
        for piece in reply.pieces():
            write(1, piece)
        return 0
    code = _console(reply)
    if code is None:
        err("error: the node went away before the command was done; `minipod node status` says more")
        return 1
    return code


def _console(reply: client.Reply) -> int | None:
    progress = Progress()
    rest = b""
    try:
        for piece in reply.pieces():
            *lines, rest = (rest + piece).split(b"\n")
            code = _print(lines, progress)
            if code is not None:
                return code
    finally:
        progress.clear()
    return None


def _print(lines: list[bytes], progress: "Progress") -> int | None:
    """Prints console lines, those for the same stream with one write; the exit code if it is among them."""
    fd, pending = 1, b""
    code = None
    for line in lines:
        kind, text = line[:1], line[1:]
        to = {b"1": 1, b"2": 2}.get(kind, fd)
        if pending and (to != fd or kind in (b"p", b"x")):
            write(fd, pending)
            pending = b""
        fd = to
        if kind in (b"1", b"2"):
            progress.clear()
            pending += text + b"\n"
        elif kind == b"p":
            progress.set(text.strip())
        elif kind == b"x":
            code = int(text)
            break
    if pending:
        write(fd, pending)
    return code


class Progress:
    """One line on stderr that replaces itself, if stderr is a terminal."""

    def __init__(self) -> None:
        self.shown = False
        self.terminal = posix.isatty(2) and posix.environ.get(b"TERM") != b"dumb"

    def set(self, text: bytes) -> None:
        if self.terminal:
            width = posix.get_terminal_size(2).columns or 80
            write(2, _ERASE + text.decode(errors="replace")[: width - 1].encode())
            self.shown = True

    def clear(self) -> None:
        if self.shown:
            write(2, _ERASE)
            self.shown = False


def failure(reply: client.Reply) -> int:
    """Prints a Kubernetes Status as kubectl does; returns 1."""
    import json

    body = reply.read()
    try:
        status = json.loads(body)
        reason, message = status.get("reason", ""), status["message"]
    except (ValueError, KeyError, AttributeError, TypeError):
        reason, message = f"HTTP {reply.status}", body.decode(errors="replace").strip()
    if reason == "Invalid":  # its message is a sentence of its own: The Pod "x" is invalid: ...
        err(message)
    else:
        err(f"Error from server ({reason or reply.status}): {message}")
    return 1


def looks() -> list[tuple[str, str]]:
    """What the node must know to render for the terminal on stdout; nothing for a file or pipe."""
    if not posix.isatty(1):
        return []
    plain = posix.environ.get(b"NO_COLOR") or posix.environ.get(b"TERM") == b"dumb"  # https://no-color.org
    columns = posix.get_terminal_size(1).columns  # 0: a terminal that doesn't know
    return [("width", str(columns or "")), ("colour", "" if plain else "true")]
