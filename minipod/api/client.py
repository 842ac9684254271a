"""An HTTP/1.1 client for the node's unix socket, by hand: the command line must be on its way in milliseconds.

`http.client` and `socket` cost more to import than a pod costs to start, so this speaks `_socket` and `posix`, the
modules beneath them, and imports everything else where it is needed. One request a connection (RFC 9112, section 9.6).
"""

import _socket
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE = 1 << 16  # bytes asked for at a time
MAX_HEAD = 1 << 16  # bytes of a reply's head; nothing the node sends comes near
MAX_FDS = 16
_UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
)  # RFC 3986, 2.3


def socket_path() -> str:
    """`names.layout().socket`, without the imports that names needs."""
    home = posix.environ.get(b"MINIPOD_HOME", b"").decode(errors="surrogateescape")
    return f"{home}/run/minipod.sock" if home else "/run/minipod/minipod.sock"


def connect(path: str = "") -> _socket.socket:
    """A connection to the node. FileNotFoundError or ConnectionRefusedError: no node runs."""
    path = path or socket_path()
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        if len(path.encode(errors="surrogateescape")) < 108:  # sun_path of unix(7)
            sock.connect(path)
        else:
            from minipod.api.channel import short_path

            with short_path(path) as short:
                sock.connect(short)
    except OSError:
        sock.close()
        raise
    return sock


def quote(text: str) -> str:
    """Percent-encoded, for one component of a path or query."""
    raw = text.encode(errors="surrogateescape")
    return "".join([chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in raw])


def target(path: str, params: list[tuple[str, str]]) -> str:
    """`path` with a query; parameters without a value are left out."""
    query = "&".join([f"{key}={quote(value)}" for key, value in params if value])
    return f"{path}?{query}" if query else path


def send(
    sock: _socket.socket, method: str, where: str, body: bytes = b"", kind: str = "", upgrade: str = ""
) -> "Reply":
    """Sends one request and reads the head of its reply."""
    _send_head(sock, method, where, len(body), kind, upgrade, body)
    return Reply(sock)


def send_file(sock: _socket.socket, where: str, fd: int, size: int) -> "Reply":
    """POSTs `size` bytes of a file. A node that refuses early isn't sent the rest; its reply says why."""
    _send_head(sock, "POST", where, size, "application/x-tar")
    sent = 0
    try:
        while sent < size:
            done = posix.sendfile(sock.fileno(), fd, None, min(size - sent, 1 << 24))
            if not done:
                _gone("the file became shorter while it was sent")
            sent += done
    except (BrokenPipeError, ConnectionResetError):
        pass
    return Reply(sock)


def _send_head(
    sock: _socket.socket, method: str, where: str, size: int, kind: str, upgrade: str = "", body: bytes = b""
) -> None:
    lines = [f"{method} {where} HTTP/1.1", "Host: minipod"]
    lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"] if upgrade else ["Connection: close"]
    if size or method == "POST":
        lines.append(f"Content-Length: {size}")
    if kind:
        lines.append(f"Content-Type: {kind}")
    data = "\r\n".join([*lines, "", ""]).encode() + body
    try:
        sock.sendall(data, _socket.MSG_NOSIGNAL)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before all of it was read: the reply says why


def _gone(why: str) -> None:
    from minipod.errors import WentAway

    raise WentAway(f"the node went away in the middle of its answer ({why}); `minipod node status` says more")


class Reply:
    """The answer to one request: `status`, `headers` (names in lower case), then the body, once.

    After an upgrade (101) the bytes that follow, and the descriptors among them, come from `receive`.
    Raises Unreachable if the node goes away before the end.
    """

    def __init__(self, sock: _socket.socket) -> None:
        self.sock = sock
        self.fds: list[int] = []
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more() or len(self._buffer) > MAX_HEAD:
                _gone("no reply")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1."):
            _gone(f"not HTTP: {first[:40]!r}")
        self.status = int(first.split()[1])
        self.headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            self.headers[name.strip().lower()] = value.strip()

    @property
    def kind(self) -> str:
        """The content type, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def _more(self) -> bool:
        """Reads what there is; False at the end. Always ready for descriptors: a plain read would drop them."""
        try:
            data, control, _, _ = self.sock.recvmsg(
                PIECE, _socket.CMSG_SPACE(4 * MAX_FDS), _socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            return False
        for level, kind, fds in control:
            if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
                self.fds += memoryview(fds[: len(fds) & ~3]).cast("i")
        self._buffer += data
        return bool(data)

    def receive(self) -> bytes:
        """The next bytes after an upgrade; b"" at the end."""
        if not self._buffer:
            self._more()
        data, self._buffer = self._buffer, b""
        return data

    def pieces(self) -> "Iterator[bytes]":
        """The body as it arrives."""
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks()
        elif "content-length" in self.headers:
            yield from self._exactly(int(self.headers["content-length"]))
        else:
            while data := self.receive():
                yield data

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self.pieces())

    def _exactly(self, size: int) -> "Iterator[bytes]":
        while size:
            if not self._buffer and not self._more():
                _gone(f"{size} bytes are missing")
            data, self._buffer = self._buffer[:size], self._buffer[size:]
            size -= len(data)
            yield data

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if not self._more():
                _gone("a chunk is missing")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _chunks(self) -> "Iterator[bytes]":
        """RFC 9112, section 7.1: sizes in hexadecimal, extensions and trailers ignored."""
        while size := int(self._line().partition(b";")[0], 16):
            yield from self._exactly(size)
            self._line()
        while self._line():
            pass
