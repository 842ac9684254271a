"""HTTPS for probes: one exchange over TLS, in a process of its own.

A supervisor imports nothing any more, and TLS would cost every one of them megabytes: so whoever asks over HTTPS
pays for a Python of its own, for as long as the answer takes. Certificates aren't looked at, as the kubelet doesn't.

    supervisor ──request on standard input──▶ python, connects ──TLS──▶ container
               ◀──answer on standard output──
"""

import errno
import os
import signal
import socket
import sys

from minipod.runtime.ask import LIMIT, Exchange, words

_SYS_PATH = tuple(sys.path)  # as it was before the forge emptied it
_ENOUGH = 4 * LIMIT  # bytes of an answer, headers and all


class TLSExchange(Exchange):
    """An exchange over TLS; the connection is closed when the other end does, or when `whole` says so."""

    def _begin(self, host: str, port: int) -> None:
        self._stage = "helper"  # how far it has come is not seen from here
        ours, theirs = socket.socketpair()
        self._socket = ours
        ours.setblocking(False)
        ours.send(self._request)  # an empty socket has room for what validation lets through
        ours.shutdown(socket.SHUT_WR)
        call = f"from minipod.runtime.tls import serve; serve({host!r}, {port})"
        code = f"import sys; sys.path[:] = {_SYS_PATH!r}; {call}"
        descriptors = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), fd) for fd in (0, 1)]
        self._pid = os.posix_spawn(
            sys.executable, [sys.executable, "-IS", "-c", code], {}, file_actions=descriptors, setsigmask=()
        )
        theirs.close()
        self.loop.on_exit(self._pid, lambda ended: self._ended(ended.code))
        self.loop.add_reader(ours.fileno(), self._collect)

    def _collect(self) -> bool:
        try:
            chunk = self._socket.recv(LIMIT)
        except (BlockingIOError, ConnectionResetError):
            return False
        if not chunk:
            self.loop.remove_reader(self._socket.fileno())  # its end says how it went
        self.received += chunk
        if chunk and self._whole(self.received):
            self.finish(True)
        return bool(chunk)

    def _ended(self, code: int) -> None:
        self._pid = 0
        while not self.over and self._collect():
            pass
        if code:
            self.finish(False, f"{self._where}: {words(code) if code < 128 else 'the helper was killed'}")
        else:
            self.finish(bool(self.received), "" if self.received else "EOF")

    def close(self) -> None:
        super().close()
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)


def serve(host: str, port: int) -> None:
    """The helper: one exchange between standard input and output and the server. Its exit code is an errno."""
    import ssl  # only the helper pays for it

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = b""
    while chunk := os.read(0, LIMIT):
        request += chunk
    code = 0
    try:
        with socket.create_connection((host, port)) as plain, context.wrap_socket(plain) as connection:
            connection.sendall(request)
            read = 0
            while read < _ENOUGH and (chunk := connection.recv(LIMIT)):
                os.write(1, chunk)
                read += len(chunk)
    except OSError as error:  # what TLS doesn't like has no errno of its own
        code = error.errno if error.errno and not isinstance(error, ssl.SSLError) else errno.EPROTO
    os._exit(code)
