"""Any process may die at any moment: no pod is lost, every state is told truthfully, nothing is left half-made."""

import os
import random
import signal
from collections import Counter

import pytest

from minipod.errors import Unreachable
from tests.support.faults import Api, busybox_pod, impatient, running
from tests.support.namespaces import inside
from tests.support.node import Node
from tests.support.wait import wait_until

pytestmark = pytest.mark.slow

STAYS = ("file ", "sysctl ", "mount left behind: /run/netns tmpfs")
SETTLES = 30.0  # seconds
STEPS = 50
TITLES = {
    "node": "minipod: node",
    "forge": "minipod: forge",
    "netlink worker": "minipod: netlink worker",
    "blank": "minipod: blank supervisor",
    "supervisor": "minipod: supervisor ",
    "pause": "pause -P",
}


@pytest.fixture
def node(new_node) -> Node:
    node = new_node()
    impatient(node)
    return node


class Chaos:
    """Applies, deletes and kills, and remembers what should come of it."""

    def __init__(self, node: Node, seed: int) -> None:
        self.node, self.api, self.random = node, Api(node), random.Random(seed)
        self.wanted: dict[str, str] = {}  # name: uid
        self.kills: Counter[str] = Counter()  # of each pod's own processes
        self.story: list[str] = []

    def step(self, number: int) -> None:
        if not self.pids("node"):
            self.node.start()
        if self.wanted and self.random.random() < 0.4:
            name = self.random.choice(sorted(self.wanted))
            del self.wanted[name]
            self.api.delete(name)
            self.story.append(f"delete {name}")
        else:
            name = f"web{number}"
            self.wanted[name] = self.api.create(busybox_pod(name))["metadata"]["uid"]
            self.story.append(f"apply {name}")
        # A moment in the life of a pod isn't a time but how much has happened: here, how many processes were born.
        moment = self.born() + self.random.randrange(15)
        wait_until(lambda: self.born() >= moment or self.settled(), SETTLES, "something to happen")
        self.kill(self.random.choice(list(TITLES)))

    def born(self) -> int:
        return max(int(name) for name in os.listdir(self.node.proc) if name.isdecimal())

    def pids(self, kind: str) -> list[int]:
        every = sorted(int(name) for name in os.listdir(self.node.proc) if name.isdecimal())
        return [pid for pid in every if self._read(pid, "cmdline").startswith(TITLES[kind])]

    def _read(self, pid: int, file: str) -> str:
        try:
            return self.node.read(pid, file).replace("\0", " ")
        except OSError:
            return ""

    def kill(self, kind: str) -> None:
        pids = self.pids(kind)
        if not pids:
            return
        pid = self.random.choice(pids)
        whose = self._pod_of(pid, kind)
        self.kills[whose] += 1
        self.story.append(f"kill -9 {kind} {whose}")
        try:
            inside(self.node.init, os.kill, pid, signal.SIGKILL)
        except ProcessLookupError:
            self.story.append("(too late)")

    def _pod_of(self, pid: int, kind: str) -> str:
        """Its name, by the title of a supervisor or the cgroup of pause."""
        if kind == "supervisor":
            return self._read(pid, "cmdline").rpartition("/")[2].strip()
        cgroup = self._read(pid, "cgroup")
        return next((name for name, uid in self.wanted.items() if uid in cgroup), "")

    def settled(self) -> bool:
        """Everything is as asked for: the wanted pods run, the others are gone."""
        try:
            pods = self.api.pods()
        except OSError:  # the node was killed
            return False
        return pods.keys() == self.wanted.keys() and all(
            pod["metadata"]["uid"] == self.wanted[name] and running(pod) and self.api.heard(pod)
            for name, pod in pods.items()
        )

    def alive(self) -> bool:
        """The kernel says so too: what the node knows of a pod is as old as its last word."""
        try:
            running = [self.api.pids(uid) for uid in self.wanted.values()]
        except (Unreachable, AssertionError):  # a supervisor died, and the node may not know it yet
            return False
        names = {"pause": "pause ", "a": "sh ", "b": "sh "}
        return all(
            pids.keys() == names.keys()
            and all(self._read(pids[name], "cmdline").startswith(names[name]) for name in names)
            for pids in running
        )


def test_no_pod_is_lost_whatever_is_killed(node):
    seed = int(os.environ.get("MINIPOD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"MINIPOD_SEED={seed}")
    node.start()
    before = node.look()
    chaos = Chaos(node, seed)
    try:
        for number in range(STEPS):
            chaos.step(number)
        if not chaos.pids("node"):
            node.start()
        wait_until(lambda: chaos.settled() and chaos.alive(), SETTLES, "all pods as they were asked for")
        for name, pod in chaos.api.pods().items():
            told_truthfully(chaos, name, pod)
        node.delete_all()
        left = node.leaks(before)
        assert not left, "\n".join(left)
    except BaseException:
        print(*chaos.story, node.log(), sep="\n")
        raise


def told_truthfully(chaos: Chaos, name: str, pod: dict) -> None:
    """Restarts are counted: not more than there can have been, and not less than the containers know of themselves."""
    uid = pod["metadata"]["uid"]
    for status in pod["status"]["containerStatuses"]:
        count = status["restartCount"]
        assert chaos.api.starts(uid, status["name"]) - 1 <= count <= chaos.kills[name], (name, status)
