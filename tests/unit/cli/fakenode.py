"""A node made small: a unix socket below MINIPOD_HOME that answers what a test has prepared."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

REPO = Path(__file__).parents[3]
LAUNCH = f"import sys; sys.path.insert(0, {str(REPO)!r}); from minipod.cli.main import main; main()"
ARGV = [sys.executable, "-I", "-S", "-c", LAUNCH]


class FakeNode:
    """Answers one connection after another with `answer(connection, request)`; `requests` has what was asked."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.requests: list[bytes] = []
        self.read_bodies = True
        self.answer: Callable[[socket.socket, bytes], None] = lambda *_: None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(16)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                request = self._read(connection)
                if not request:
                    return
                self.requests.append(request)
                try:
                    self.answer(connection, request)
                except (BrokenPipeError, ConnectionResetError):
                    pass

    def _read(self, connection: socket.socket) -> bytes:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(65536)
            if not piece:
                return b""
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        if not self.read_bodies:
            return data
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                while len(body) < int(line.split(b":")[1]):
                    body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    def says(
        self, *lines: str, status: str = "200 OK", kind: str = "application/vnd.minipod.console"
    ) -> None:
        """Every answer from now on: these lines, each a chunk of its own."""
        data = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        for line in lines:
            raw = line.encode() + b"\n"
            data += b"%x\r\n%s\r\n" % (len(raw), raw)
        self.answer = lambda connection, _: connection.sendall(data + b"0\r\n\r\n")

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self._listener.getsockname())  # a connection without a request ends the thread
        self._thread.join()
        self._listener.close()


def minipod(
    *words: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Runs the command as a user does."""
    return subprocess.run(
        [*ARGV, *words], input=stdin, capture_output=True, timeout=20, env={**os.environ, **(env or {})}
    )
