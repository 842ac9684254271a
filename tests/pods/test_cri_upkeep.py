"""What CRI asks about containers that run: PortForward, Stats, UpdateResources, ReopenLog. Lifecycle engine off."""

import array
import fcntl
import os
import socket
from pathlib import Path

from minipod.api import cri
from minipod.api import messages as m
from tests.support.mechanism import CONTAINER, SANDBOX, Mechanism
from tests.support.wait import wait_until

_SIOCGSKNS = 0x894C  # a descriptor of the network namespace a socket is in (linux/sockios.h)
SERVER = "httpd -p 127.0.0.1:80 && echo listening && exec sleep 1000"
ECHO = "trap 'echo two' USR1; echo one; while :; do sleep 1000 & wait $!; done"


def forward(mechanism: Mechanism, port: int) -> tuple[str, socket.socket | None]:
    """What is answered, and the connection that came with it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        mechanism.ask(m.PortForward(SANDBOX, port), (theirs.fileno(),))
        theirs.close()
        text, control, _, _ = ours.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = array.array("i", control[0][2]) if control else []
        return text.decode(), socket.socket(fileno=fds[0]) if fds else None


def test_a_connection_to_the_sandboxs_localhost_is_made_inside_its_network(mechanism):
    info = mechanism.start(SERVER)
    wait_until(lambda: "listening" in mechanism.log())
    for _ in range(2):
        text, connection = forward(mechanism, 80)
        assert text == "streams\n"
        with connection:
            namespace = fcntl.ioctl(connection, _SIOCGSKNS)
            assert os.fstat(namespace).st_ino == mechanism.node.namespace(info.pid, "net")
            os.close(namespace)
            assert connection.getpeername() == ("127.0.0.1", 80)
            connection.setblocking(True)
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert connection.recv(5) == b"HTTP/"


def test_a_connection_that_nobody_takes_is_told(mechanism):
    mechanism.start()
    text, connection = forward(mechanism, 80)
    assert connection is None
    assert text == (
        "error failed to connect to localhost:80 inside the pod: "
        "127.0.0.1: connection refused; ::1: connection refused\n"
    )


def test_a_connection_needs_a_sandbox_that_is_ready(mechanism):
    for expected in ("NotFound", "Conflict"):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            reply = mechanism.reply(m.PortForward(SANDBOX, 80), (theirs.fileno(),))
        assert (type(reply), reply.reason) == (m.Failed, expected)
        mechanism.run_sandbox()
        mechanism.ask(m.StopSandbox(SANDBOX))


def test_a_containers_numbers_are_those_of_its_cgroup(mechanism):
    mechanism.start("head -c 10000000 /dev/zero >/dev/shm/x; echo full; while :; do :; done")
    wait_until(lambda: "full" in mechanism.log())
    (first,) = mechanism.ask(m.Stats()).stats
    assert (first.id, first.pids) == (CONTAINER, 1)
    assert 10_000_000 <= first.working_set_bytes <= first.memory_bytes
    wait_until(lambda: mechanism.ask(m.Stats(CONTAINER)).stats[0].cpu_usec > first.cpu_usec)


def test_what_does_not_run_has_no_numbers(mechanism):
    mechanism.start("true")
    mechanism.until("exited")
    assert mechanism.ask(m.Stats()).stats == ()
    assert mechanism.refusal(m.Stats(CONTAINER)) == "Conflict"


def test_limits_of_a_running_container_change_up_and_down_and_stay_where_nothing_is_said(mechanism):
    mechanism.start("exec sleep 1000")
    for megabytes in (64, 128, 32, 32):
        mechanism.ask(m.UpdateResources(CONTAINER, cri.Resources(memory_limit=megabytes << 20)))
        assert limit(mechanism, "memory", "memory.max", "memory.limit_in_bytes") == megabytes << 20
    mechanism.ask(m.UpdateResources(CONTAINER, cri.Resources(pids_limit=33)))
    assert limit(mechanism, "pids", "pids.max", "pids.max") == 33
    assert limit(mechanism, "memory", "memory.max", "memory.limit_in_bytes") == 32 << 20


def limit(mechanism: Mechanism, controller: str, v2: str, v1: str) -> int:
    """As the kernel has it."""
    cgroups = mechanism.facts.cgroups
    name = v2 if controller in cgroups.v2_controllers else v1
    return int(Path(cgroups.directory(controller, f"{mechanism.parent}/{CONTAINER}"), name).read_text())


def test_a_limit_that_the_kernel_refuses_is_told(mechanism):
    mechanism.start()
    assert mechanism.refusal(m.UpdateResources(CONTAINER, cri.Resources(cpu_quota=1))) == "PlanError"


def test_a_log_that_was_renamed_goes_on_in_a_new_file(mechanism):
    info = mechanism.start(ECHO)
    wait_until(lambda: "one" in mechanism.log())
    mechanism.node.sh(f"mv {mechanism.logs}/sub/app-log {mechanism.logs}/sub/old")
    for _ in range(2):
        mechanism.ask(m.ReopenLog(CONTAINER))
    mechanism.node.sh(f"kill -USR1 {info.pid}")
    wait_until(lambda: "two" in mechanism.log())
    assert "one" not in mechanism.log()
    assert "two" not in mechanism.node.sh(f"cat {mechanism.logs}/sub/old")


def test_only_what_runs_can_be_given_other_limits_or_another_log(mechanism):
    mechanism.start("true")
    mechanism.until("exited")
    assert mechanism.refusal(m.UpdateResources(CONTAINER, cri.Resources(pids_limit=9))) == "Conflict"
    assert mechanism.refusal(m.ReopenLog(CONTAINER)) == "Conflict"
    assert mechanism.refusal(m.ReopenLog("0" * 64)) == "NotFound"
