"""An HTTP GET, as the kubelet asks it of a container (pkg/probe/http, pkg/kubelet/lifecycle): HTTP/1.1.

Redirects to the same host are followed; one that leads elsewhere ends the question well, because the server answers.
"""

import re

from minipod.runtime.ask import LIMIT, Done, Exchange, Question, authority
from minipod.runtime.loop import Loop
from minipod.runtime.tls import TLSExchange

_HOPS = 10  # redirects, as Go's http.Client
_STATUS = re.compile(rb"HTTP/1\.\d (\d{3})\b")
_URL = re.compile(r"(?:(https?)://([^/?#]*))?(.*)", re.DOTALL)


class HTTPGet(Question):
    """Success is a status of 200 to 399, or any at all (`any_status`, for hooks)."""

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        path: str,
        headers: dict[str, str],
        timeout: float | None,
        done: Done,
        any_status: bool = False,
        scheme: str = "http",
    ) -> None:
        super().__init__(loop, timeout, done)
        self._scheme, self._host, self._port = scheme, host, port
        self._headers, self._any = headers, any_status
        self._hops = 0
        self._get(path if path.startswith("/") else f"/{path}")

    def _get(self, path: str) -> None:
        self._path = path
        self._url = f"{self._scheme}://{authority(self._host, self._port)}{path}"
        request = request_of(authority(self._host, self._port), path, self._headers)
        kind = TLSExchange if self._scheme == "https" else Exchange
        self._exchange = kind(self.loop, self._host, self._port, request, is_whole, None, self._answered)

    def _answered(self, success: bool | None, text: str) -> None:
        if not success:
            self.finish(False, f'Get "{self._url}": {text}')
            return
        found = _STATUS.match(self._exchange.received)
        status = int(found.group(1)) if found else 0
        if not found:
            self.finish(False, f'Get "{self._url}": net/http: malformed HTTP response')
        elif status in (301, 302, 303, 307, 308) and self._redirect():
            return
        elif self._any or 200 <= status < 400:
            self.finish(True)
        else:
            self.finish(False, f"HTTP probe failed with statuscode: {status}")

    def _redirect(self) -> bool:
        """Whether it asks on, or has ended for asking too often."""
        target = header(self._exchange.received, "location")
        found = _URL.fullmatch(target)
        if not target or found is None or target.startswith("//"):
            return False
        scheme, authority, path = found.groups()
        if authority:
            usual = "443" if scheme == "https" else "80"
            host, _, port = authority.rpartition(":") if ":" in authority else (authority, "", usual)
            if host.strip("[]") != self._host or not port.isdecimal():
                return False
            self._scheme, self._port = scheme, int(port)
        elif not path.startswith("/"):
            path = f"{self._path.partition('?')[0].rpartition('/')[0]}/{path}"
        self._hops += 1
        if self._hops >= _HOPS:
            self.finish(False, f'Get "{self._url}": stopped after {_HOPS} redirects')
        else:
            self._get(path.partition("#")[0] or "/")
        return True

    def expire(self) -> None:
        self.finish(
            False,
            f'Get "{self._url}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)',
        )

    def close(self) -> None:
        self._exchange.drop()


def request_of(authority: str, path: str, headers: dict[str, str]) -> bytes:
    """The request as bytes; of a header given with an empty value, nothing is sent."""
    lines = {"Host": authority, **headers, "Connection": "close"}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value)
    return f"GET {path} HTTP/1.1\r\n{text}\r\n".encode()


def is_whole(received: bytes) -> bool:
    """The headers are there, and as much of the body as was announced, or as is read at most."""
    head, found, body = received.partition(b"\r\n\r\n")
    if not found:
        return len(received) > 4 * LIMIT
    status = _STATUS.match(head)
    if len(body) >= LIMIT or (status and status.group(1) in (b"204", b"304")):
        return True
    if header(received, "transfer-encoding").lower() == "chunked":
        return body.endswith(b"0\r\n\r\n")
    length = header(received, "content-length")
    return length.isdecimal() and len(body) >= int(length)


def header(received: bytes, name: str) -> str:
    """A header of an answer; "" if there is none."""
    for line in received.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.decode("latin-1").partition(":")
        if key.strip().lower() == name:
            return value.strip()
    return ""
