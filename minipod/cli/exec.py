"""`minipod exec`: a command in a running container.

The node hands our socket to the pod's supervisor, which sends the command's own descriptors over it (SCM_RIGHTS):
from then on no byte passes through a third process. Then come `exit N`, or `error TEXT`.
"""

import posix
import select

from minipod.api.client import Reply, quote, target
from minipod.cli.console import ask, err, failure, write
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1 << 16
POLLIN, POLLOUT = select.POLLIN, select.POLLOUT
_EOT = b"\x04"  # what Ctrl-D sends: VEOF of termios(3)


def run(args: Args) -> int:
    if len(args.words) > 1:
        raise UsageError("exec POD COMMAND is not supported; use exec POD -- COMMAND", args.verb)
    if not args.words or not args.rest:
        raise UsageError("expected 'exec POD -- COMMAND [ARG...]'", args.verb)
    stdin = args.on("stdin")
    tty = args.on("tty") and stdin  # as kubectl: nobody could end it from a terminal whose keys go nowhere
    raw = tty and posix.isatty(0)
    if tty and not raw:
        err("Unable to use a TTY - input is not a terminal or the right kind of file")
    rows, columns = size() if raw else ("", "")
    pod = f"/api/v1/namespaces/{quote(args.namespace)}/pods/{quote(pod_name(args.words[0], args.verb))}"
    how = [
        ("container", args.text("container")),
        ("stdin", "true" if stdin else "false"),
        ("tty", "true" if tty else "false"),
        ("rows", rows),
        ("columns", columns),
    ]
    command = "".join([f"&command={quote(word)}" for word in args.rest])  # an empty word is a word, too
    reply = ask("POST", target(f"{pod}/exec", how) + command, upgrade="minipod-streams")
    if reply.status != 101:
        return failure(reply)
    session = Session(reply, stdin, tty)
    session.run(raw)
    return session.report()


def size() -> tuple[str, str]:
    """Rows and columns of the terminal on stdin."""
    columns, rows = posix.get_terminal_size(0)
    return str(rows or ""), str(columns or "")


class Session:
    """Copies between this process's descriptors and the command's until the command has ended."""

    def __init__(self, reply: Reply, stdin: bool, tty: bool) -> None:
        self.reply, self.stdin, self.tty = reply, stdin, tty
        self.output: dict[int, int] = {}  # what the command writes, or its terminal: and where that goes
        self.input = -1  # what the command reads
        self.terminal = -1
        self.code: int | None = None
        self.error = ""
        self.ended = False
        self._text = b""  # from the supervisor, up to the next newline
        self._pending = b""  # typed or piped, not yet taken by the command

    def run(self, raw: bool) -> None:
        """To its end; with `raw` and a terminal, ours becomes its."""
        if not self.start():
            return
        if raw and self.terminal >= 0:
            from minipod.cli.terminal import in_raw_mode

            in_raw_mode(self.copy, self.terminal)
        else:
            self.copy()

    def start(self) -> bool:
        """Waits for the command's descriptors; False if there will be none."""
        while not self.ended and not self.output:
            self._listen()
        return bool(self.output)

    def _listen(self, *_event: int) -> None:
        """Reads what the supervisor says."""
        data = self.reply.receive()
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "streams":
                self._take(rest.split() or self._usual())
            elif word == "exit":
                self.code, self.ended = int(rest), True
            elif word == "error":
                self.error = rest
        self.ended = self.ended or not data

    def _usual(self) -> list[str]:
        """What exec gives."""
        if self.tty:
            return ["terminal"]
        return ["stdin", "stdout", "stderr"] if self.stdin else ["stdout", "stderr"]

    def _take(self, names: list[str]) -> None:
        fds = self.reply.fds
        if len(fds) != len(names):
            self.error, self.ended = f"{len(fds)} descriptors came from the pod's supervisor", True
            return
        given = dict(zip(names, fds, strict=True))
        self.terminal = given.get("terminal", -1)
        self.tty = self.terminal >= 0
        if "stdout" in given:
            self.output = {given[name]: to for name, to in (("stdout", 1), ("stderr", 2)) if name in given}
            self.input = given.get("stdin", -1)
        else:
            self.output = {self.terminal: 1}
            self.input = posix.dup(self.terminal) if self.stdin else -1
        if self.input >= 0:
            posix.set_blocking(self.input, False)  # the command's output comes first, whether it reads or not

    def copy(self, wake: int = -1) -> None:
        """Until `exit` has come and everything the command itself wrote has been copied. `wake`: see terminal.py."""
        while self.output or not self.ended:
            actions = self._actions(wake)
            poll = select.poll()
            for fd, (events, _) in actions.items():
                poll.register(fd, events)
            # After the end: only what is there already; a daemon it left behind may hold the pipes open for ever.
            ready = poll.poll(0 if self.ended else None)
            if self.ended and not ready:
                return
            for fd, what in ready:
                actions[fd][1](fd, what)

    def _actions(self, wake: int) -> "dict[int, tuple[int, Callable[[int, int], None]]]":
        """What to wait for now on each descriptor, and what to do then."""
        actions: dict[int, tuple[int, Callable[[int, int], None]]] = dict.fromkeys(
            self.output, (POLLIN, self._forward)
        )
        if self.ended:
            return actions
        actions[self.reply.sock.fileno()] = (POLLIN, self._listen)
        actions[wake] = (POLLIN, self._woken)
        if (
            self.input >= 0
        ):  # either the command takes what it got, or the user gives more; POLLERR comes unasked
            actions[self.input] = (POLLOUT if self._pending else 0, self._write_input)
            actions[-1 if self._pending else 0] = (POLLIN, self._read_input)
        actions.pop(-1, None)
        return actions

    def _woken(self, fd: int, _: int) -> None:
        posix.read(fd, PIECE)

    def _forward(self, fd: int, _: int) -> None:
        try:
            data = posix.read(fd, PIECE)
        except BlockingIOError:
            return
        except OSError:  # EIO: the last one has closed the terminal (pty(7))
            data = b""
        if data:
            write(self.output[fd], data)
        else:
            del self.output[fd]

    def _read_input(self, fd: int, _: int) -> None:
        data = posix.read(fd, PIECE)
        if data or self.tty:
            self._pending = data or _EOT  # a terminal can't be half-closed
            self._write_input(self.input, POLLOUT)
        if not data:
            self._close_input()

    def _write_input(self, fd: int, what: int) -> None:
        if not what & POLLOUT:  # an error: the command reads no more
            self._close_input()
            return
        try:
            self._pending = self._pending[posix.write(fd, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EIO
            self._close_input()

    def _close_input(self) -> None:
        if self.input >= 0:
            posix.close(self.input)
        self.input, self._pending = -1, b""

    def report(self) -> int:
        """Says how it ended; the exit code."""
        if self.error:
            err(f"error: {self.error}")
        elif self.code is None:
            err(
                "error: the pod's supervisor went away before the command ended; `minipod get pods` says more"
            )
        elif self.code:
            err(f"command terminated with exit code {self.code}")
        return 1 if self.code is None else self.code


COMMAND = Command(
    "exec",
    "Run a command in a container",
    run,
    usage=("exec [-it] [-c CONTAINER] POD -- COMMAND [ARG...]",),
    examples=(
        ("A shell", "minipod exec -it shared-context -- sh"),
        ("One command; its exit code is passed on", "minipod exec shared-context -c client -- ls /data"),
        (
            "Into a file of the container",
            "date | minipod exec -i shared-context -- sh -c 'cat > /www/date'",
        ),
    ),
    options=(
        Option("container", "The container; without it the first", "c", "NAME", "container"),
        Option("stdin", "Pass standard input to the command", "i"),
        Option("tty", "Give it a terminal, with -i", "t"),
    ),
    words=("pod",),
    dashes=True,
)
