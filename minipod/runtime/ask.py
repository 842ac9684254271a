"""Questions to a container: a command in it, a connection to it. They end in the loop, by their answer or by time-out.

A question calls `done(success, text)` exactly once, never before its constructor returns, unless it is dropped.
`success` is None when it could not be put at all. Connections are made in this process's own network namespace, the
node's, as the kubelet makes them: an image needs no client in it. Nothing here blocks.
"""

import errno
import os
import signal
import socket
from collections.abc import Callable

from minipod.api.messages import Exec
from minipod.errors import MinipodError, PlanError
from minipod.plan import container as container_plan
from minipod.runtime.hosts import address_of
from minipod.runtime.loop import Loop
from minipod.runtime.runtime import Runtime
from minipod.runtime.stage import run_child

Done = Callable[[bool | None, str], None]
_HOSTS = "/etc/hosts"
LIMIT = 10 << 10  # bytes read of an answer (pkg/probe: maxRespBodyLength, maxReadLength)


class Question:
    """One question under way. `timeout` in seconds; None: it may take as long as it wants."""

    def __init__(self, loop: Loop, timeout: float | None, done: Done) -> None:
        self.loop, self.over, self._done = loop, False, done
        self._deadlines = 0
        if timeout is not None:
            self.limit(timeout)

    def limit(self, timeout: float) -> None:
        """From now on it may take so long, whatever was said before."""
        self._deadlines += 1
        mine = self._deadlines
        self.loop.call_later(timeout, lambda: self.expire() if mine == self._deadlines else None)

    def finish(self, success: bool | None, text: str = "") -> None:
        if not self.over:
            self.drop()
            self._done(success, text)

    def later(self, success: bool | None, text: str) -> None:
        """It has ended before it began."""
        self.loop.call_later(0, lambda: self.finish(success, text))

    def drop(self) -> None:
        """Nobody wants to know any more."""
        if not self.over:
            self.over = True
            self.close()

    def expire(self) -> None:
        """Its time is over."""
        self.finish(False, "timed out")

    def close(self) -> None:
        """Give back what it holds."""


class Sleep(Question):
    """A pause. It succeeds."""

    def expire(self) -> None:
        self.finish(True)


class Command(Question):
    """A command in a running container, in its environment: success is exit code 0, the text what it writes."""

    def __init__(
        self, runtime: Runtime, container_id: str, argv: tuple[str, ...], timeout: float | None, done: Done
    ) -> None:
        super().__init__(runtime.loop, timeout, done)
        self._argv, self._timeout = argv, timeout
        self._output = b""
        self._pid = 0
        self._fd, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        os.set_blocking(theirs, True)
        try:
            self._start(runtime, container_id, {"stdin": null, "stdout": theirs, "stderr": theirs})
        except PlanError as error:
            self.later(None, f"{error.cause}: {' '.join(argv)}")
        except (MinipodError, OSError) as error:
            self.later(None, str(error))
        finally:
            os.close(null)
            os.close(theirs)
        self.loop.add_reader(self._fd, self._read)

    def _start(self, runtime: Runtime, container_id: str, fds: dict[str, int]) -> None:
        container = runtime.container(container_id)
        request = Exec(container_id, self._argv)
        stage = container_plan.command(
            runtime.facts, container.sandbox.config, container_id, container.config, request
        )
        # Not through the runtime, which would keep the timings of every probe that there ever was.
        self._pid = run_child(stage, {**fds, "container": container.pidfd}).pid
        self.loop.on_exit(self._pid, lambda ended: self._ended(ended.code))

    def _read(self) -> bool:
        try:
            chunk = os.read(self._fd, LIMIT)
        except BlockingIOError:
            return False
        if not chunk:
            self.loop.remove_reader(self._fd)
        self._output = (self._output + chunk)[:LIMIT]
        return bool(chunk)

    def _ended(self, code: int) -> None:
        self._pid = 0
        if not self.over:
            for _ in range(100):  # what is still in the pipe; somebody may go on writing for ever
                if not self._read():
                    break
            self.finish(code == 0, self._output.decode(errors="replace"))

    def expire(self) -> None:
        self.finish(False, f'command timed out: "{" ".join(self._argv)}" timed out after {self._timeout:g}s')

    def close(self) -> None:
        self.loop.remove_reader(self._fd)
        os.close(self._fd)
        if self._pid:  # ours until it is reaped: the number means nobody else
            os.kill(self._pid, signal.SIGKILL)


class Exchange(Question):
    """A TCP connection: send `request`, collect what comes back until `whole` says that this is all, or the other
    end closes. Success is that it came so far; `received` then holds it. The text is Go's net package's."""

    def __init__(
        self,
        loop: Loop,
        host: str,
        port: int,
        request: bytes,
        whole: Callable[[bytes], bool],
        timeout: float | None,
        done: Done,
    ) -> None:
        super().__init__(loop, timeout, done)
        host = _address(host)
        self.received = b""
        self._request, self._whole = request, whole
        self._where = f"dial tcp {authority(host, port)}"
        self._stage = "dial"
        self._begin(host, port)

    def _begin(self, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            socket.inet_pton(family, host)
            code = self._socket.connect_ex((host, port))
        except OSError:
            text = f"lookup {host}: no such host in {_HOSTS} of the node, and DNS isn't asked here"
            self.later(False, f"dial tcp: {text}")
            return
        if code in (0, errno.EINPROGRESS):
            self.loop.add_writer(self._socket.fileno(), self._writable)
        else:
            self.later(False, f"{self._where}: connect: {words(code)}")

    def _writable(self) -> None:
        if self._stage == "dial":
            code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                self.finish(False, f"{self._where}: connect: {words(code)}")
                return
            try:
                self._socket.getpeername()
            except OSError:
                return  # called for an older descriptor of the same number
            self._stage = "write"
        try:
            self._request = self._request[self._socket.send(self._request) :] if self._request else b""
        except BlockingIOError:
            return
        except OSError as error:
            self.finish(False, f"write tcp: {words(error.errno or 0)}")
            return
        if not self._request:
            self._stage = "read"
            if self._whole(b""):
                self.finish(True)
                return
            self.loop.remove_writer(self._socket.fileno())
            self.loop.add_reader(self._socket.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            chunk = self._socket.recv(LIMIT)
        except BlockingIOError:
            return
        except OSError as error:
            self.finish(False, f"read tcp: {words(error.errno or 0)}")
            return
        self.received += chunk
        if not chunk or self._whole(self.received):
            self.finish(bool(self.received), "" if self.received else "EOF")

    def expire(self) -> None:
        late = f"{self._where}: i/o timeout" if self._stage == "dial" else "context deadline exceeded"
        self.finish(False, late)

    def close(self) -> None:
        self.loop.remove_reader(self._socket.fileno())
        self._socket.close()


def authority(host: str, port: int) -> str:
    """host:port, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address(host: str) -> str:
    """An address as it is; a name by the node's hosts(5). The resolver's library would load others, and block."""
    try:
        with open(_HOSTS) as file:
            found = address_of(host, file.read())
    except OSError:
        found = ""
    return found or ("127.0.0.1" if host == "localhost" else host)


def words(code: int) -> str:
    """As Go writes an errno: in small letters."""
    return os.strerror(code).lower()
