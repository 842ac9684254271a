"""A gRPC health check: grpc.health.v1.Health/Check in as little of HTTP/2 as that takes (RFC 9113, RFC 7541).

What is sent is the same for every server but for two strings, and of what comes back only one message is read: so
header compression is only ever written, in its literal form, and the server's headers are not looked into.
"""

import struct

from minipod.runtime.ask import Done, Exchange, Question, authority
from minipod.runtime.loop import Loop

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _GOAWAY = 0x0, 0x1, 0x3, 0x4, 0x7
_END_STREAM, _END_HEADERS, _PADDED = 0x1, 0x4, 0x8
# HealthCheckResponse.ServingStatus
_STATUS = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}


class HealthCheck(Question):
    """Success is that the service says SERVING."""

    def __init__(
        self, loop: Loop, host: str, port: int, service: str, timeout: float | None, done: Done
    ) -> None:
        super().__init__(loop, timeout, done)
        self._where = authority(host, port)
        request = request_of(self._where, service)
        self._exchange = Exchange(loop, host, port, request, is_whole, None, self._answered)

    def _answered(self, success: bool | None, text: str) -> None:
        if not success:
            self.finish(False, f'timeout: failed to connect service "{self._where}" within the time: {text}')
            return
        status, _ = read(self._exchange.received)
        if status is None:
            self.finish(
                False,
                "error: this server does not implement the grpc health protocol (grpc.health.v1.Health)",
            )
        elif _STATUS.get(status) == "SERVING":
            self.finish(True)
        else:
            self.finish(False, f'service unhealthy (responded with "{_STATUS.get(status, status)}")')

    def expire(self) -> None:
        self.finish(False, f'timeout: health rpc to "{self._where}" did not complete')

    def close(self) -> None:
        self._exchange.drop()


def request_of(authority: str, service: str) -> bytes:
    """Everything the client ever sends: preface, empty settings, one request on stream 1."""
    headers = b"".join(
        _literal(name, value)
        for name, value in (
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
            ("user-agent", "kube-probe/1.35"),
        )
    )
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""  # HealthCheckRequest: 1, a string
    data = b"\0" + struct.pack(">I", len(message)) + message
    return (
        _PREFACE
        + _frame(_SETTINGS, 0, 0, b"")
        + _frame(_HEADERS, _END_HEADERS, 1, headers)
        + _frame(_DATA, _END_STREAM, 1, data)
    )


def is_whole(received: bytes) -> bool:
    status, ended = read(received)
    return ended or status is not None


def read(received: bytes) -> tuple[int | None, bool]:
    """The status in a HealthCheckResponse, None if there is none (yet); and whether nothing more will come."""
    message, ended = b"", False
    while len(received) >= 9:
        length = int.from_bytes(received[:3], "big")
        kind, flags, stream = received[3], received[4], int.from_bytes(received[5:9], "big") & 0x7FFFFFFF
        if len(received) < 9 + length:
            break
        payload, received = received[9 : 9 + length], received[9 + length :]
        if kind == _GOAWAY or (stream == 1 and kind == _RST_STREAM):
            ended = True
        elif stream == 1 and kind in (_DATA, _HEADERS):
            if kind == _DATA:
                message += payload[1 : len(payload) - payload[0]] if flags & _PADDED else payload
            ended |= bool(flags & _END_STREAM)
    if len(message) < 5 or len(message) < 5 + int.from_bytes(message[1:5], "big"):
        return None, ended
    return _status(message[5 : 5 + int.from_bytes(message[1:5], "big")]), ended


def _status(message: bytes) -> int:
    """Field 1, a varint; protobuf leaves out a 0."""
    return message[1] if len(message) >= 2 and message[0] == 0x08 else 0


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def _literal(name: str, value: str) -> bytes:
    """A header field without indexing, its name spelled out, no Huffman coding (RFC 7541, 6.2.2)."""
    return b"\0" + _string(name.encode()) + _string(value.encode())


def _string(text: bytes) -> bytes:
    """Its length as an integer with a prefix of 7 bits (RFC 7541, 5.1), then itself."""
    if len(text) < 127:
        return bytes((len(text),)) + text
    return b"\x7f" + _varint(len(text) - 127) + text


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first: in protobuf as in HPACK."""
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))
