"""Sandboxes and containers driven by the mechanism's messages alone, as a kubelet would: lifecycle engine off."""

import array
import os
import signal
import socket

from minipod.api import cri
from minipod.api import messages as m
from tests.support.faults import READY, ask, glance
from tests.support.host import leaks
from tests.support.mechanism import CONTAINER, SANDBOX, SECOND, Mechanism, pids_of
from tests.support.namespaces import inside
from tests.support.node import Node
from tests.support.wait import wait_until

# --- sandboxes


def test_a_sandbox_is_pause_with_namespaces_of_its_own(mechanism):
    info, node = mechanism.run_sandbox(), mechanism.node
    assert node.read(info.pid, "cmdline") == "pause\0-P\0"
    for kind in ("net", "ipc", "uts", "mnt"):
        assert node.namespace(info.pid, kind) != node.namespace("self", kind)


def test_a_sandbox_that_runs_is_not_made_again(mechanism):
    assert mechanism.run_sandbox() == mechanism.run_sandbox()


def test_a_second_attempt_can_be_made_while_the_first_still_exists(mechanism):
    first, second = mechanism.run_sandbox(), mechanism.run_sandbox(SECOND, attempt=1)
    assert {first.state, second.state} == {"ready"}
    assert first.address4 != second.address4
    net = {mechanism.node.namespace(info.pid, "net") for info in (first, second)}
    mechanism.ask(m.RemoveSandbox(SANDBOX))
    assert len(net) == 2
    assert mechanism.status().sandboxes == (second,)
    assert mechanism.node.namespace(second.pid, "net") in net


def test_pause_is_in_a_cgroup_named_by_the_caller_in_every_hierarchy(mechanism):
    info = mechanism.run_sandbox()
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{SANDBOX}"):
        assert inside(mechanism.node.init, pids_of, folder) == [info.pid]


def test_pins_and_interface_bear_the_callers_id(mechanism):
    info, node = mechanism.run_sandbox(), mechanism.node
    for path in (f"{node.layout.pins(SANDBOX)}/net", node.layout.netns_pin("web", SANDBOX)):
        assert int(node.sh(f"stat -L -c %i {path}")) == node.namespace(info.pid, "net")
    assert f"{node.layout.bridge}" in node.sh(f"ip -o link show {node.layout.veth_host(SANDBOX)}")


def test_a_stopped_sandbox_keeps_its_record_and_nothing_else(mechanism):
    before = glance(mechanism.node)
    mechanism.run_sandbox()
    for _ in range(2):
        mechanism.ask(m.StopSandbox(SANDBOX))
    (info,) = mechanism.status().sandboxes
    assert (info.state, info.pid) == ("notready", 0)
    assert leaks(before, lambda: glance(mechanism.node)) == []


def test_a_stopped_sandbox_can_run_again(mechanism):
    first = mechanism.run_sandbox()
    mechanism.ask(m.StopSandbox(SANDBOX))
    second = mechanism.run_sandbox()
    assert (second.state, second.pid == first.pid) == ("ready", False)


def test_a_sandbox_is_removed_as_often_as_asked(mechanism):
    mechanism.start()
    for _ in range(2):
        mechanism.ask(m.RemoveSandbox(SANDBOX))
    assert mechanism.status() == cri.RuntimeStatus()


def test_a_sandbox_that_was_never_there_is_stopped_and_removed(mechanism):
    mechanism.ask(m.StopSandbox(SANDBOX))
    mechanism.ask(m.RemoveSandbox(SANDBOX))


def test_a_sandbox_whose_pause_dies_is_not_ready_and_not_made_again(mechanism):
    info = mechanism.run_sandbox()
    inside(mechanism.node.init, os.kill, info.pid, signal.SIGKILL)
    wait_until(lambda: mechanism.status().sandboxes[0].state == "notready")
    assert mechanism.status().sandboxes[0].pid == 0


# --- containers


def test_a_created_container_is_a_record_and_no_process(mechanism):
    mechanism.run_sandbox()
    before = glance(mechanism.node)
    for _ in range(2):
        mechanism.ask(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY)))
    assert (mechanism.container().state, mechanism.container().pid) == ("created", 0)
    assert leaks(before, lambda: glance(mechanism.node)) == []


def test_an_id_means_one_container(mechanism):
    mechanism.run_sandbox()
    mechanism.ask(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY)))
    assert mechanism.refusal(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config("true"))) == "Conflict"


def test_a_container_needs_a_sandbox(mechanism):
    assert mechanism.refusal(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY))) == "NotFound"


def test_a_container_needs_a_sandbox_that_is_ready(mechanism):
    mechanism.run_sandbox()
    mechanism.ask(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY)))
    mechanism.ask(m.StopSandbox(SANDBOX))
    assert mechanism.refusal(m.StartContainer(CONTAINER)) == "Conflict"


def test_a_container_that_was_never_created_is_not_started(mechanism):
    assert mechanism.refusal(m.StartContainer(CONTAINER)) == "NotFound"


def test_a_started_container_shares_the_sandboxs_namespaces(mechanism):
    info, node = mechanism.start(), mechanism.node
    (sandbox,) = mechanism.status().sandboxes
    shared = [
        kind for kind in ("net", "ipc", "uts", "mnt", "pid", "cgroup") if _same(node, kind, info, sandbox)
    ]
    assert shared == ["net", "ipc", "uts"]


def _same(node: Node, kind: str, container: cri.ContainerInfo, sandbox: cri.SandboxInfo) -> bool:
    return node.namespace(container.pid, kind) == node.namespace(sandbox.pid, kind)


def test_a_container_is_in_a_cgroup_named_by_the_caller_in_every_hierarchy(mechanism):
    info = mechanism.start("exec sleep 1000")
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{CONTAINER}"):
        assert inside(mechanism.node.init, pids_of, folder) == [info.pid]


def test_a_container_that_runs_is_not_started_again(mechanism):
    info = mechanism.start()
    assert mechanism.ask(m.StartContainer(CONTAINER)).status.containers == (info,)


def test_the_log_is_where_the_caller_wants_it(mechanism):
    mechanism.start("echo out; echo err >&2")
    mechanism.until("exited")
    lines = sorted(line.split(" ", 1)[1] for line in mechanism.log().splitlines())
    assert lines == ["stderr F err", "stdout F out"]


def test_a_container_that_ends_stays_ended(mechanism):
    mechanism.start("exit 7")
    info = mechanism.until("exited")
    assert (info.exit_code, info.reason) == (7, "Error")
    assert mechanism.ask(m.StartContainer(CONTAINER)).status.containers == (info,)


def test_a_container_is_stopped_as_often_as_asked(mechanism):
    mechanism.start()
    wait_until(lambda: "ready" in mechanism.log())
    for _ in range(2):
        mechanism.ask(m.StopContainer(CONTAINER, 60))
    info = mechanism.container()
    assert (info.state, info.exit_code, info.signal) == ("exited", 0, 0)


def test_a_deaf_container_is_killed_after_the_timeout(mechanism):
    mechanism.start("trap '' TERM; while :; do sleep 1000; done")
    mechanism.ask(m.StopContainer(CONTAINER, 0.01))
    info = mechanism.container()
    assert (info.state, info.exit_code, info.signal) == ("exited", 137, signal.SIGKILL)


def test_a_removed_container_leaves_its_sandbox_as_it_was(mechanism):
    sandbox = mechanism.run_sandbox()
    before = glance(mechanism.node)
    mechanism.start()
    for _ in range(2):
        mechanism.ask(m.RemoveContainer(CONTAINER))
    mechanism.node.sh(f"rm -r {mechanism.logs}/sub")
    assert mechanism.status() == cri.RuntimeStatus(sandboxes=(sandbox,))
    assert leaks(before, lambda: glance(mechanism.node)) == []


def test_a_command_runs_in_the_container_and_its_exit_code_comes_back(mechanism):
    mechanism.start()
    for _ in range(2):
        assert run(mechanism, "sh", "-c", "hostname; exit 5") == ("web\n", "exit 5\n")


def test_a_command_needs_a_container_that_runs(mechanism):
    mechanism.start("true")
    mechanism.until("exited")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reply = mechanism.reply(m.Exec(CONTAINER, ("true",)), (theirs.fileno(),))
    assert (type(reply), reply.reason) == (m.Failed, "Conflict")


def run(mechanism: Mechanism, *argv: str) -> tuple[str, str]:
    """Its output, and what is said about its end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        mechanism.ask(m.Exec(CONTAINER, argv), (theirs.fileno(),))
        theirs.close()
        text, control, _, _ = ours.recvmsg(8, socket.CMSG_SPACE(16 * 4))
        assert text == b"streams\n"
        fds = array.array("i", control[0][2])
        with open(fds[0]) as out, open(fds[1]) as err:
            written = out.read() + err.read()
        return written, ours.recv(100).decode()


def test_whoever_subscribes_hears_of_every_container(mechanism):
    mechanism.run_sandbox()
    ask(mechanism.channel, m.Subscribe())
    mechanism.start("exit 3")
    heard: list[cri.ContainerInfo] = []
    while not heard or heard[-1].state != "exited":
        message = mechanism.next()
        if isinstance(message, m.ContainerChanged):
            heard.append(message.container)
    assert heard[-1].exit_code == 3
