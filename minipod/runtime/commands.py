"""Commands in running containers (exec), and the streams between them and whoever asked.

The asker hands over one stream socket. The supervisor answers on it:

    streams\\n      with descriptors: [stdin,] stdout, stderr, or the master end of the command's terminal
    exit N\\n       when the command has ended; then the socket closes
    error TEXT\\n   instead, when it could not be started

So nothing of the asker's ever enters the container, and the bytes pass through nobody on their way.
"""

import array
import fcntl
import os
import socket
import struct
import termios

from minipod.api.messages import Attach, Exec
from minipod.errors import Conflict, PlanError
from minipod.kernel import process
from minipod.plan import container as container_plan
from minipod.runtime.attach import Attachment
from minipod.runtime.records import Container
from minipod.runtime.runtime import Runtime

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes, as a shell's


def run(runtime: Runtime, request: Exec, client: socket.socket) -> None:
    """Start the command; the rest happens in the loop. Raises NotFound and Conflict before it has answered."""
    container = runtime.container(request.container)
    if container.info.state != "running":
        raise Conflict(f'container "{container.config.name}" is not running')
    client.setblocking(True)
    try:
        pid, streams = _start(runtime, container, request)
    except PlanError as error:
        missing = "No such file" in error.cause or "not found" in error.cause
        _say(client, f"error {error.cause}\nexit {_NOT_FOUND if missing else _NOT_EXECUTABLE}\n")
        client.close()
        return
    _say(client, "streams\n", streams)
    for fd in streams:
        os.close(fd)
    runtime.loop.on_exit(pid, lambda ended: _finish(client, ended))


def attach(runtime: Runtime, request: Attach, client: socket.socket) -> None:
    """Attach to a running container; the rest happens in the loop. Raises NotFound and Conflict."""
    container = runtime.container(request.container)
    output = container.output
    if container.info.state != "running" or output is None:
        raise Conflict(f'container "{container.config.name}" is not running')
    given = {}
    if (master := output.terminal()) >= 0:
        given["terminal"] = master
        if request.rows and request.columns:
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", request.rows, request.columns, 0, 0))
    stdin = request.stdin and output.stdin >= 0
    if stdin:
        given["stdin"] = output.stdin
    names = ("stdout",) if output.tty else ("stdout", "stderr")
    output.attach(Attachment(runtime.loop, client, names, given))
    if stdin and container.config.stdin_once:
        output.close_stdin()


def _start(runtime: Runtime, container: Container, request: Exec) -> tuple[int, list[int]]:
    """The command's pid, and our ends of its streams."""
    stage = container_plan.command(
        runtime.facts, container.sandbox.config, container.info.id, container.config, request
    )
    ours, fds = ([], {}) if request.tty else _pipes(request.stdin)
    try:
        ran = runtime.run_child_stage(
            f"exec-{container.info.id}", stage, {**fds, "container": container.pidfd}
        )
    except PlanError:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        for fd in fds.values():
            os.close(fd)
    if request.tty:
        ours = [ran.terminal]
    return ran.pid, ours


def _pipes(stdin: bool) -> tuple[list[int], dict[str, int]]:
    ours, theirs = [], {}
    if stdin:
        theirs["stdin"], end = os.pipe2(os.O_CLOEXEC)
        ours.append(end)
    else:
        theirs["stdin"] = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    for name in ("stdout", "stderr"):
        end, theirs[name] = os.pipe2(os.O_CLOEXEC)
        ours.append(end)
    return ours, theirs


def _finish(client: socket.socket, ended: process.Exit) -> None:
    _say(client, f"exit {ended.code}\n")
    client.close()


def _say(client: socket.socket, text: str, fds: list[int] | None = None) -> None:
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        client.sendmsg([text.encode()], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except OSError:
        pass  # the asker has gone; the command goes on, as under Kubernetes
