"""Sandboxes and containers driven by the mechanism's messages alone, as a kubelet would: lifecycle engine off."""

import array
import glob
import os
import signal
import socket
import sys
import uuid
from collections.abc import Iterator

import msgspec
import pytest

from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.image import store
from minipod.kernel import cgroups
from minipod.node import settings
from minipod.spec.types import ObjectMeta, Pod, PodSpec
from tests.support.faults import READY, ask, glance
from tests.support.host import Host, leaks
from tests.support.namespaces import inside
from tests.support.node import ROOT, Node
from tests.support.wait import wait_until

SANDBOX, SECOND, CONTAINER = "5a" * 32, "5b" * 32, "c0" * 32
PATH = "PATH=/bin:/usr/bin"


class Mechanism:
    """A supervisor without a lifecycle, and the channel on which it is told what to do."""

    def __init__(self, node: Node, forge: Channel) -> None:
        self.node, self.uid = node, str(uuid.uuid4())
        self.facts: m.NodeFacts = inside(
            node.init, lambda: settings.facts(node.layout, settings.read("", {}))
        )
        self.parent = f"{node.layout.cgroup}/kubelet-{self.uid}"
        self.logs = f"{node.layout.log}/of-the-caller"
        self.channel, theirs = Channel.pair()
        for folder in (node.layout.pod_run(self.uid), node.layout.pod_lib(self.uid)):
            node.sh(f"mkdir {folder}")
        for folder in self.facts.cgroups.directories(self.parent):
            os.mkdir(folder)
        pod = Pod(
            metadata=ObjectMeta(name="web", namespace="default", uid=self.uid), spec=PodSpec(containers=())
        )
        forge.send(m.encode(m.Launch(pod, self.facts, engine=False)), (theirs.fileno(),))
        theirs.close()
        self.supervisor = msgspec.json.decode(_launched(forge), type=m.Launched)
        # Until then it counts as a blank one.
        wait_until(lambda: "minipod: supervisor default/web" in glance(node).facts["process"])
        rested(node)

    def close(self) -> None:
        """What the caller has made, the caller removes."""
        for sandbox in self.status().sandboxes:
            self.ask(m.RemoveSandbox(sandbox.id))
        self.ask(m.Delete())
        while self.next() != m.PodEnded(self.uid):
            pass
        assert self.channel.recv()[0] == b"", "the supervisor goes on"
        self.channel.close()
        own = f"{self.facts.cgroups.v2}/{self.node.layout.supervisor_cgroup(self.supervisor.supervisor_id)}"
        assert cgroups.wait_empty(own, 5)
        for folder in (own, *self.facts.cgroups.directories(self.parent)):
            os.rmdir(folder)
        layout = self.node.layout
        self.node.sh(f"rm -r {layout.pod_run(self.uid)} {layout.pod_lib(self.uid)}; rm -rf {self.logs}")

    def ask(self, request: m.Message, fds: tuple[int, ...] = ()) -> m.Done:
        """Its answer; notices that come in between are passed over."""
        reply = self.reply(request, fds)
        assert isinstance(reply, m.Done), reply
        return reply

    def refusal(self, request: m.Message) -> str:
        reply = self.reply(request)
        assert isinstance(reply, m.Failed), reply
        return reply.reason

    def reply(self, request: m.Message, fds: tuple[int, ...] = ()) -> m.Reply:
        self.channel.send(m.encode(request), fds)
        while not isinstance(message := self.next(), m.Reply):
            pass
        return message

    def next(self) -> m.Message:
        packet, _ = self.channel.recv()
        assert packet, "the supervisor died"
        return m.notices.decode(packet)

    def status(self) -> m.RuntimeStatus:
        status = self.ask(m.Status()).status
        assert status is not None
        return status

    def run_sandbox(self, sandbox_id: str = SANDBOX, **more: object) -> m.SandboxInfo:
        (info,) = self.ask(m.RunSandbox(sandbox_id, self.sandbox(**more))).status.sandboxes
        return info

    def sandbox_refused(self, sandbox_id: str = SANDBOX, **more: object) -> str:
        return self.refusal(m.RunSandbox(sandbox_id, self.sandbox(**more)))

    def sandbox(self, **more: object) -> m.SandboxConfig:
        return m.SandboxConfig(
            name="web",
            namespace="default",
            uid=self.uid,
            hostname="web",
            cgroup_parent=self.parent,
            log_directory=self.logs,
            **more,
        )

    def config(self, script: str) -> m.ContainerConfig:
        rootfs = store.find(self.node.layout.images, "busybox").rootfs
        argv = ("sh", "-c", script)
        return m.ContainerConfig("app", "busybox", rootfs, argv, env=(PATH,), log_path="sub/app-log")

    def start(self, script: str = READY, sandbox_id: str = SANDBOX) -> m.ContainerInfo:
        """A sandbox with one container, running."""
        self.run_sandbox(sandbox_id)
        self.ask(m.CreateContainer(CONTAINER, sandbox_id, self.config(script)))
        (info,) = self.ask(m.StartContainer(CONTAINER)).status.containers
        return info

    def container(self) -> m.ContainerInfo:
        (info,) = self.status().containers
        return info

    def log(self) -> str:
        return self.node.sh(f"cat {self.logs}/sub/app-log", check=False)

    def until(self, state: str) -> m.ContainerInfo:
        wait_until(lambda: self.container().state == state)
        return self.container()


def _launched(forge: Channel) -> bytes:
    """The forge's word on which supervisor it is; before the first it says that it is ready."""
    while b"supervisor_id" not in (packet := forge.recv()[0]):
        assert packet, "the forge died"
    return packet


@pytest.fixture(scope="module")
def forge(shared_node) -> Iterator[Channel]:
    ours, theirs = Channel.pair()
    paths = f"import sys; sys.path[:] = {[str(ROOT), *sys.path]!r}"
    code = f"{paths}; from minipod.supervisor.forge import main; main({theirs.fileno()})"
    program = [sys.executable, "-IS", "-c", code]
    process = shared_node.popen(program=program, pass_fds=(theirs.fileno(),))
    theirs.close()
    yield ours
    ours.close()
    assert process.wait(10) == 0
    wait_until(lambda: "minipod: blank supervisor (#3)" not in glance(shared_node).facts["process"])
    for folder in glob.glob(f"{cgroups.detect().v2}/{shared_node.layout.supervisor_cgroup('*/')}"):
        if not _pids_of(folder):
            os.rmdir(folder)


@pytest.fixture
def mechanism(forge, shared_node) -> Iterator[Mechanism]:
    """Its own cgroup parent is made before, and nothing else may be left."""
    before = rested(shared_node)
    mechanism = Mechanism(shared_node, forge)
    yield mechanism
    mechanism.close()
    left = leaks(before, lambda: glance(shared_node))
    assert not left, "\n".join(left)


def rested(node: Node) -> Host:
    """As it is when both forges, the node's and ours, have their blank supervisors ready."""
    wait_until(lambda: "minipod: blank supervisor (#4)" in glance(node).facts["process"])
    return glance(node)


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
        assert inside(mechanism.node.init, _pids_of, folder) == [info.pid]


def _pids_of(folder: str) -> list[int]:
    with open(f"{folder}/cgroup.procs") as file:
        return [int(line) for line in file]


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
    assert mechanism.status() == m.RuntimeStatus()


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


def _same(node: Node, kind: str, container: m.ContainerInfo, sandbox: m.SandboxInfo) -> bool:
    return node.namespace(container.pid, kind) == node.namespace(sandbox.pid, kind)


def test_a_container_is_in_a_cgroup_named_by_the_caller_in_every_hierarchy(mechanism):
    info = mechanism.start("exec sleep 1000")
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{CONTAINER}"):
        assert inside(mechanism.node.init, _pids_of, folder) == [info.pid]


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
    assert mechanism.status() == m.RuntimeStatus(sandboxes=(sandbox,))
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
    heard: list[m.ContainerInfo] = []
    while not heard or heard[-1].state != "exited":
        message = mechanism.next()
        if isinstance(message, m.ContainerChanged):
            heard.append(message.container)
    assert heard[-1].exit_code == 3


# --- names that the caller chose, and that somebody else has


def test_a_network_namespace_in_the_way_is_refused_and_survives(mechanism):
    name = os.path.basename(mechanism.node.layout.netns_pin("web", SANDBOX))
    mechanism.node.sh(f"ip netns add {name}")
    before = mechanism.node.sh(f"stat -L -c %i /run/netns/{name}")
    assert mechanism.sandbox_refused() == "Conflict"
    assert mechanism.node.sh(f"stat -L -c %i /run/netns/{name}") == before
    mechanism.node.sh(f"ip netns del {name}")
    assert mechanism.run_sandbox().state == "ready"


def test_a_link_in_the_way_is_refused_and_survives(mechanism):
    name = mechanism.node.layout.veth_host(SANDBOX)
    mechanism.node.sh(f"ip link add {name} type bridge")
    before = mechanism.node.sh(f"ip -o link show {name}")
    assert mechanism.sandbox_refused() == "PlanError"
    assert mechanism.node.sh(f"ip -o link show {name}") == before
    mechanism.node.sh(f"ip link del {name}")
    assert mechanism.run_sandbox().state == "ready"


def test_a_cgroup_in_the_way_is_refused_and_survives(mechanism):
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{SANDBOX}"):
        os.mkdir(folder)
        assert mechanism.sandbox_refused() == "Conflict"
        os.rmdir(folder)
    assert mechanism.run_sandbox().state == "ready"


@pytest.mark.parametrize("place", ["pins", "files"])
def test_a_folder_in_the_way_is_refused_and_survives(mechanism, place):
    layout = mechanism.node.layout
    own = layout.pins(SANDBOX) if place == "pins" else f"{layout.pod_run(mechanism.uid)}/{SANDBOX}"
    mechanism.node.sh(f"mkdir {own}; touch {own}/mine")
    assert mechanism.sandbox_refused() == "Conflict"
    mechanism.node.sh(f"rm {own}/mine; rmdir {own}")
    assert mechanism.run_sandbox().state == "ready"


def test_an_address_that_another_has_is_refused(mechanism):
    first = mechanism.run_sandbox()
    assert mechanism.sandbox_refused(SECOND, address4=first.address4) == "Conflict"
    assert mechanism.status().sandboxes == (first,)


def test_a_container_whose_cgroup_is_somebody_elses_is_refused(mechanism):
    mechanism.run_sandbox()
    mechanism.ask(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY)))
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{CONTAINER}"):
        os.mkdir(folder)
        assert mechanism.refusal(m.StartContainer(CONTAINER)) == "Conflict"
        os.rmdir(folder)
    assert mechanism.ask(m.StartContainer(CONTAINER)).status.containers[0].state == "running"
