"""Commands in running containers (exec) and in pods that are half built (enter), and the streams between them and
whoever asked.

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

from minipod.api.messages import Attach, Enter, Exec
from minipod.errors import Conflict, PlanError
from minipod.kernel import process, syscalls
from minipod.plan import container as container_plan
from minipod.plan.core import Stage
from minipod.plan.enter import enter as enter_plan
from minipod.runtime.attach import Attachment
from minipod.runtime.runtime import Runtime

_NOT_FOUND, _NOT_EXECUTABLE = 127, 126  # exit codes, as a shell's


def run(runtime: Runtime, request: Exec, client: socket.socket) -> None:
    """Start the command; the rest happens in the loop. Raises NotFound and Conflict before it has answered."""
    container = runtime.container(request.container)
    if container.info.state != "running":
        raise Conflict(f'container "{container.config.name}" is not running')
    stage = container_plan.command(
        runtime.facts, container.sandbox.config, container.info.id, container.config, request
    )
    _begin(runtime, f"exec-{container.info.id}", stage, {"container": container.pidfd}, request, client)


def enter(runtime: Runtime, request: Enter, client: socket.socket) -> None:
    """Start a program of the host where the build is stopped. Raises Conflict, OSError and KernelError."""
    pid, cgroup = runtime.breakpoint.inside(runtime.facts)
    stage = enter_plan(runtime.facts, cgroup, request)
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    fds: dict[str, int] = {}
    try:
        # All of them are opened on the host. The program from a read-only copy of its mount: what runs in the pod
        # later could else write to it through /proc/PID/exe (as in CVE-2019-5736).
        fds["stopped"] = process.pidfd_open(pid)
        fds["root"] = os.open(f"/proc/{pid}/root", flags)
        fds["cwd"] = os.open(f"/proc/{pid}/cwd", flags)
        fds["busybox"] = syscalls.detached_copy(os.path.realpath(request.program))
        _begin(runtime, "enter", stage, fds, request, client)
    finally:
        for fd in fds.values():
            os.close(fd)


def _begin(
    runtime: Runtime,
    name: str,
    stage: Stage,
    given: dict[str, int],
    request: Exec | Enter,
    client: socket.socket,
) -> None:
    """Start the command and answer; the rest happens in the loop."""
    client.setblocking(True)
    try:
        pid, streams = _start(runtime, name, stage, given, request)
    except PlanError as error:
        missing = "No such file" in error.cause or "not found" in error.cause
        say(client, f"error {error.cause}\nexit {_NOT_FOUND if missing else _NOT_EXECUTABLE}\n")
        client.close()
        return
    say(client, "streams\n", streams)
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


def _start(
    runtime: Runtime, name: str, stage: Stage, given: dict[str, int], request: Exec | Enter
) -> tuple[int, list[int]]:
    """The command's pid, and our ends of its streams."""
    ours, fds = ([], {}) if request.tty else _pipes(request.stdin)
    try:
        ran = runtime.stages.in_child(name, stage, {**fds, **given})
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
    say(client, f"exit {ended.code}\n")
    client.close()


def say(client: socket.socket, text: str, fds: list[int] | None = None) -> None:
    """Tell whoever asked, and pass descriptors on. It may have gone: then nobody hears."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    try:
        client.sendmsg([text.encode()], rights, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    except OSError:
        pass  # the asker has gone; the command goes on, as under Kubernetes
