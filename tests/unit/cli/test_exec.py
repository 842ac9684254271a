"""`minipod exec` with a supervisor made small, and real commands, pipes and terminals."""

import array
import contextlib
import fcntl
import os
import re
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Callable, Iterator
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.cli.fakenode import ARGV, FakeNode, minipod

SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: minipod-streams\r\n\r\n"


def controlled(slave: int) -> Callable[[], None]:
    """For a child in a session of its own: the terminal becomes its controlling one."""
    return lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def supervise(connection: socket.socket, request: bytes) -> None:
    """Runs the command on this host and does what runtime/commands.py does."""
    query = parse_qs(urlsplit(request.split()[1].decode()).query, keep_blank_values=True)
    argv, tty, stdin = query["command"], query["tty"] == ["true"], query["stdin"] == ["true"]
    connection.sendall(SWITCHING)
    if tty:
        master, slave = os.openpty()
        termios.tcsetwinsize(slave, (int(query["rows"][0]), int(query["columns"][0])))
        process = subprocess.Popen(
            argv,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=controlled(slave),  # noqa: PLW1509  # an ioctl takes no locks
        )
        os.close(slave)
        ours = [master]
    else:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            argv, stdin=pipe if stdin else subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        ours = [os.dup(end.fileno()) for end in (process.stdin, process.stdout, process.stderr) if end]
        for end in (process.stdin, process.stdout, process.stderr):
            if end:
                end.close()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", ours))]
    connection.sendmsg([b"streams\n"], rights)
    for fd in ours:
        os.close(fd)
    connection.sendall(b"exit %d\n" % process.wait())


@pytest.fixture
def pod(node: FakeNode) -> FakeNode:
    node.answer = supervise
    return node


def test_output_and_exit_code_are_the_commands(pod: FakeNode) -> None:
    result = minipod("exec", "a", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (result.stdout, result.returncode) == (b"out\n", 3)
    assert result.stderr == b"err\ncommand terminated with exit code 3\n"


def test_the_request_carries_everything(pod: FakeNode) -> None:
    minipod("exec", "-i", "-n", "web", "pod/a", "-c", "c", "--", "echo", "", "x y&z")
    line = pod.requests[0].split(b"\r\n")[0].decode()
    assert line == (
        "POST /api/v1/namespaces/web/pods/a/exec?container=c&stdin=true&tty=false"
        "&command=echo&command=&command=x%20y%26z HTTP/1.1"
    )
    assert b"\r\nUpgrade: minipod-streams\r\n" in pod.requests[0]


def test_piped_input_is_passed_on_and_ended(pod: FakeNode) -> None:
    data = os.urandom(300_000)
    result = minipod("exec", "-i", "a", "--", "cat", stdin=data)
    assert (result.stdout == data, result.returncode) == (True, 0)


def test_a_command_that_writes_before_it_reads_is_no_deadlock(pod: FakeNode) -> None:
    result = minipod(
        "exec", "-i", "a", "--", "sh", "-c", "head -c 300000 /dev/zero; wc -c", stdin=bytes(300_000)
    )
    assert result.stdout == bytes(300_000) + b"300000\n"


def test_a_command_that_does_not_read_ends_all_the_same(pod: FakeNode) -> None:
    assert minipod("exec", "-i", "a", "--", "true", stdin=bytes(1_000_000)).returncode == 0


def test_without_i_the_command_gets_no_input(pod: FakeNode) -> None:
    assert minipod("exec", "a", "--", "cat", stdin=b"not for you").stdout == b""


def test_a_daemon_left_behind_does_not_hold_the_prompt(pod: FakeNode) -> None:
    result = minipod("exec", "a", "--", "sh", "-c", "sleep 60 & echo $!")
    os.kill(int(result.stdout), signal.SIGKILL)
    assert result.returncode == 0


def test_a_command_that_can_not_start_is_explained(node: FakeNode) -> None:
    node.answer = lambda connection, _: connection.sendall(
        SWITCHING + b"error exec nope: not found\nexit 127\n"
    )
    result = minipod("exec", "a", "--", "nope")
    assert (result.returncode, result.stderr) == (127, b"error: exec nope: not found\n")


def test_a_supervisor_that_goes_away_is_noticed(node: FakeNode) -> None:
    node.answer = lambda connection, _: connection.sendall(SWITCHING)
    result = minipod("exec", "a", "--", "true")
    assert result.returncode == 1
    assert b"supervisor went away" in result.stderr


def test_missing_descriptors_are_noticed(node: FakeNode) -> None:
    node.answer = lambda connection, _: connection.sendall(SWITCHING + b"streams\n")
    result = minipod("exec", "a", "--", "true")
    assert (result.returncode, result.stderr) == (1, b"error: 0 descriptors came from the pod's supervisor\n")


def test_t_without_i_asks_for_no_terminal_that_no_key_could_end(pod: FakeNode) -> None:
    result = minipod("exec", "-t", "a", "--", "echo", "out")
    assert (result.stdout, result.stderr) == (b"out\n", b"")


def test_t_without_a_terminal_is_said_and_works(pod: FakeNode) -> None:
    pod.answer = lambda connection, request: supervise(
        connection, request.replace(b"&command", b"&rows=1&columns=1&command", 1)
    )
    result = minipod("exec", "-it", "a", "--", "sh", "-c", "tty >/dev/null && cat", stdin=b"hello\n")
    assert result.stderr.startswith(b"Unable to use a TTY")
    assert result.stdout.replace(b"\r", b"") == b"hello\nhello\n"  # echoed by its terminal, then by cat


class User:
    """Someone at a terminal who has started `minipod exec -it`."""

    def __init__(self, *command: str) -> None:
        self.terminal, slave = os.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [*ARGV, "exec", "-it", "a", "--", *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=controlled(slave),  # noqa: PLW1509  # an ioctl takes no locks
        )
        self.slave = slave
        self.seen = ""

    def sees(self, pattern: str) -> None:
        """Reads until it is there; the test's time-out is the limit."""
        while not re.search(pattern, self.seen):
            self.seen += os.read(self.terminal, 4096).decode()

    def types(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def modes(self) -> list[object]:
        return list(termios.tcgetattr(self.slave))


@pytest.fixture
def user(pod: FakeNode) -> Iterator[Callable[..., User]]:
    with contextlib.ExitStack() as stack:

        def sits_down(*command: str) -> User:
            someone = User(*command)
            stack.callback(os.close, someone.terminal)
            stack.callback(os.close, someone.slave)
            stack.callback(someone.process.wait)
            stack.callback(someone.process.kill)
            return someone

        yield sits_down


def test_a_terminal_is_raw_while_the_command_runs_and_as_before_afterwards(user: Callable[..., User]) -> None:
    someone = user("sh", "-c", "echo ready; read x; echo got $x; exit 5")
    someone.sees("ready")
    local_modes = 3
    assert not int(str(someone.modes()[local_modes])) & (termios.ECHO | termios.ICANON | termios.ISIG)
    someone.types("word\r")
    someone.sees("got word\r\n")
    assert someone.process.wait(20) == 5
    assert someone.modes() == list(someone.before)


def test_ctrl_c_goes_to_the_command(user: Callable[..., User]) -> None:
    someone = user("sh", "-c", "trap 'echo trapped; exit 9' INT; echo ready; while :; do sleep 0.01; done")
    someone.sees("ready")
    someone.types("\x03")
    someone.sees("trapped")
    assert someone.process.wait(20) == 9


WATCH_SIZE = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])  # for sigwait, however soon it comes
print("size", *os.get_terminal_size(0), flush=True)
signal.sigwait([signal.SIGWINCH])
print("size", *os.get_terminal_size(0), flush=True)
input()
"""


def test_the_command_sees_the_size_of_the_users_terminal_and_its_changes(user: Callable[..., User]) -> None:
    someone = user(sys.executable, "-c", WATCH_SIZE)
    someone.sees("size 80 24")
    termios.tcsetwinsize(someone.terminal, (50, 132))  # the kernel sends SIGWINCH
    someone.sees("size 132 50")
    someone.types("\r")
    assert someone.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT])
def test_a_signal_gives_the_terminal_back_first(user: Callable[..., User], number: signal.Signals) -> None:
    someone = user("sh", "-c", "echo ready; read x")
    someone.sees("ready")
    someone.process.send_signal(number)
    assert someone.process.wait(20) == -number
    assert someone.modes() == list(someone.before)
