"""The mechanism without a lifecycle: a forge and a supervisor of the test's own, told what to do by messages alone."""

import contextlib
import glob
import os
import sys
import uuid
from collections.abc import Iterator

import msgspec

from minipod.api import cri
from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.image import store
from minipod.kernel import cgroups
from minipod.node import settings
from minipod.spec.types import ObjectMeta, Pod, PodSpec
from tests.support.faults import READY, glance
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

    def status(self) -> cri.RuntimeStatus:
        status = self.ask(m.Status()).status
        assert status is not None
        return status

    def run_sandbox(self, sandbox_id: str = SANDBOX, **more: object) -> cri.SandboxInfo:
        (info,) = self.ask(m.RunSandbox(sandbox_id, self.sandbox(**more))).status.sandboxes
        return info

    def sandbox_refused(self, sandbox_id: str = SANDBOX, **more: object) -> str:
        return self.refusal(m.RunSandbox(sandbox_id, self.sandbox(**more)))

    def sandbox(self, **more: object) -> cri.SandboxConfig:
        return cri.SandboxConfig(
            name="web",
            namespace="default",
            uid=self.uid,
            hostname="web",
            cgroup_parent=self.parent,
            log_directory=self.logs,
            **more,
        )

    def config(self, script: str) -> cri.ContainerConfig:
        rootfs = store.find(self.node.layout.images, "busybox").rootfs
        argv = ("sh", "-c", script)
        return cri.ContainerConfig("app", "busybox", rootfs, argv, env=(PATH,), log_path="sub/app-log")

    def start(self, script: str = READY, sandbox_id: str = SANDBOX) -> cri.ContainerInfo:
        """A sandbox with one container, running."""
        self.run_sandbox(sandbox_id)
        self.ask(m.CreateContainer(CONTAINER, sandbox_id, self.config(script)))
        (info,) = self.ask(m.StartContainer(CONTAINER)).status.containers
        return info

    def container(self) -> cri.ContainerInfo:
        (info,) = self.status().containers
        return info

    def log(self) -> str:
        return self.node.sh(f"cat {self.logs}/sub/app-log", check=False)

    def until(self, state: str) -> cri.ContainerInfo:
        wait_until(lambda: self.container().state == state)
        return self.container()


def _launched(forge: Channel) -> bytes:
    """The forge's word on which supervisor it is; before the first it says that it is ready."""
    while b"supervisor_id" not in (packet := forge.recv()[0]):
        assert packet, "the forge died"
    return packet


@contextlib.contextmanager
def forge_beside(node: Node) -> Iterator[Channel]:
    """Another forge than the node's, in its namespaces."""
    ours, theirs = Channel.pair()
    paths = f"import sys; sys.path[:] = {[str(ROOT), *sys.path]!r}"
    code = f"{paths}; from minipod.supervisor.forge import main; main({theirs.fileno()})"
    process = node.popen(program=[sys.executable, "-IS", "-c", code], pass_fds=(theirs.fileno(),))
    theirs.close()
    yield ours
    ours.close()
    assert process.wait(10) == 0
    wait_until(lambda: "minipod: blank supervisor (#3)" not in glance(node).facts["process"])
    for folder in glob.glob(f"{cgroups.detect().v2}/{node.layout.supervisor_cgroup('*/')}"):
        if not pids_of(folder):
            os.rmdir(folder)


@contextlib.contextmanager
def mechanism_of(node: Node, forge: Channel) -> Iterator[Mechanism]:
    """Nothing may be left of it but what its caller has made."""
    before = rested(node)
    mechanism = Mechanism(node, forge)
    yield mechanism
    mechanism.close()
    left = leaks(before, lambda: glance(node))
    assert not left, "\n".join(left)


def pids_of(folder: str) -> list[int]:
    """The processes in a cgroup, in the PID namespace of whoever asks."""
    with open(f"{folder}/cgroup.procs") as file:
        return [int(line) for line in file]


def rested(node: Node) -> Host:
    """As it is when both forges, the node's and ours, have their blank supervisors ready."""
    wait_until(lambda: "minipod: blank supervisor (#4)" in glance(node).facts["process"])
    return glance(node)
