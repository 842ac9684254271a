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

PIECE = 1 << 16
POLLIN, POLLOUT = select.POLLIN, select.POLLOUT
_EOT = b"\x04"  # what Ctrl-D sends: VEOF of termios(3)


def run(args: Args) -> int:
    if len(args.words) > 1:
        raise UsageError("exec POD COMMAND is not supported; use exec POD -- COMMAND", args.verb)
    if not args.words or not args.rest:
        raise UsageError("expected 'exec POD -- COMMAND [ARG...]'", args.verb)
    stdin, tty = args.on("stdin"), args.on("tty")
    raw = tty and posix.isatty(0)
    if tty and not raw:
        err("Unable to use a TTY - input is not a terminal or the right kind of file")
    rows, columns = _size() if raw else ("", "")
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
    if not session.start():
        return session.report()
    if raw:
        from minipod.cli.terminal import in_raw_mode

        in_raw_mode(session.copy, session.output[0])
    else:
        session.copy()
    return session.report()


def _size() -> tuple[str, str]:
    columns, rows = posix.get_terminal_size(0)
    return str(rows or ""), str(columns or "")


class Session:
    """Copies between this process's descriptors and the command's until the command has ended."""

    def __init__(self, reply: Reply, stdin: bool, tty: bool) -> None:
        self.reply, self.stdin, self.tty = reply, stdin, tty
        self.output: list[int] = []  # stdout and stderr of the command, or its terminal
        self.input = -1  # what the command reads
        self.code: int | None = None
        self.error = ""
        self.ended = False
        self._text = b""  # from the supervisor, up to the next newline
        self._pending = b""  # typed or piped, not yet taken by the command

    def start(self) -> bool:
        """Waits for the command's descriptors; False if there will be none."""
        while not self.ended and not self.output:
            self._listen()
        return bool(self.output)

    def _listen(self) -> None:
        """Reads what the supervisor says."""
        data = self.reply.receive()
        *lines, self._text = (self._text + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode(errors="replace").partition(" ")
            if word == "streams":
                self._take(self.reply.fds)
            elif word == "exit":
                self.code, self.ended = int(rest), True
            elif word == "error":
                self.error = rest
        self.ended = self.ended or not data

    def _take(self, fds: list[int]) -> None:
        if len(fds) != (1 if self.tty else 2 + self.stdin):
            self.error, self.ended = f"{len(fds)} descriptors came from the pod's supervisor", True
        elif self.tty:
            self.output = fds[:1]
            self.input = posix.dup(fds[0]) if self.stdin else -1
        elif self.stdin:
            self.input, self.output = fds[0], fds[1:]
        else:
            self.output = fds[:]
        if self.input >= 0:
            posix.set_blocking(self.input, False)  # the command's output comes first, whether it reads or not

    def copy(self) -> None:
        """Until `exit` has come and everything the command itself wrote has been copied."""
        to = {fd: 1 if i == 0 else 2 for i, fd in enumerate(self.output)}
        control = self.reply.sock.fileno()
        while to or not self.ended:
            poll = select.poll()
            for fd in to:
                poll.register(fd, POLLIN)
            if not self.ended:
                poll.register(control, POLLIN)
                self._register_input(poll)
            # After the end: only what is there already; a daemon it left behind may hold the pipes open for ever.
            events = poll.poll(0 if self.ended else None)
            if self.ended and not events:
                return
            for fd, what in events:
                if fd in to:
                    if not self._forward(fd, to[fd]):
                        del to[fd]
                elif fd == control:
                    self._listen()
                elif fd == 0:
                    self._read_input()
                elif fd == self.input and what & POLLOUT:
                    self._write_input()
                elif fd == self.input:  # POLLERR: the command reads no more
                    self._close_input()

    def _register_input(self, poll: "select.poll") -> None:
        """Either waits for more to type, or for the command to take what was typed."""
        if self.input < 0:
            return
        if self._pending:
            poll.register(self.input, POLLOUT)
        else:
            poll.register(0, POLLIN)
            if not self.tty:
                poll.register(self.input, 0)  # POLLERR comes unasked

    def _forward(self, fd: int, to: int) -> bool:
        try:
            data = posix.read(fd, PIECE)
        except BlockingIOError:
            return True
        except OSError:  # EIO: the last one has closed the terminal (pty(7))
            data = b""
        if data:
            write(to, data)
        return bool(data)

    def _read_input(self) -> None:
        data = posix.read(0, PIECE)
        if data:
            self._pending = data
            self._write_input()
        elif self.tty:
            self._pending = _EOT  # a terminal can't be half-closed
            self._write_input()
            self._close_input()
        else:
            self._close_input()

    def _write_input(self) -> None:
        try:
            self._pending = self._pending[posix.write(self.input, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:  # EPIPE, EIO: it reads no more
            self._close_input()

    def _close_input(self) -> None:
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
        ("One command; its exit code is passed on", "minipod exec shared-context -c reader -- ls /input"),
        (
            "Into a file of the container",
            "date | minipod exec -i shared-context -- sh -c 'cat > /output/date'",
        ),
    ),
    options=(
        Option("container", "The container; without it the first", "c", "NAME", "container"),
        Option("stdin", "Pass standard input to the command", "i"),
        Option("tty", "Give it a terminal", "t"),
    ),
    words=("pod",),
    dashes=True,
)
