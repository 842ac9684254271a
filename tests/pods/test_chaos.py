"""Any process may die at any moment: no pod is lost, every state is told truthfully, nothing is left half-made."""

import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from minipod.errors import Unreachable
from tests.support.faults import Api, busybox_pod, impatient_node, running, titles
from tests.support.node import Node, pod, sh
from tests.support.wait import wait_until

RECOVERS = 5.0  # seconds, after one death
SETTLES = 30.0  # after many
STEPS = 50
TITLES = {
    "node": "minipod: node",
    "forge": "minipod: forge",
    "netlink worker": "minipod: netlink worker",
    "blank supervisor": "minipod: blank supervisor",
    "supervisor": "minipod: supervisor ",
    "pause": "pause -P",
}


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, minipod_images) -> Iterator[Node]:
    with impatient_node(tmp_path_factory.mktemp("chaos") / "home", minipod_images) as node:
        yield node


def begin(api: Api, manifest: dict) -> str:
    """Its uid, when it runs and can be stopped."""
    with api.watch() as watch:
        created = api.create(manifest)["metadata"]
        watch.wait(lambda pods: running(pods.get(created["name"])), RECOVERS)
        wait_until(lambda: api.heard(watch.pods[created["name"]]))
    return created["uid"]


def end(api: Api, name: str = "web") -> None:
    with api.watch() as watch:
        api.delete(name)
        watch.wait(lambda pods: name not in pods, RECOVERS)


def containers(pod: dict) -> dict[str, Any]:
    return {status["name"]: status for status in pod["status"]["containerStatuses"]}


def again(pod: dict) -> bool:
    """It runs, every container for the second time."""
    return running(pod) and all(status["restartCount"] == 1 for status in containers(pod).values())


def last(pod: dict, name: str = "a") -> tuple[str, int]:
    ended = containers(pod)[name]["lastState"]["terminated"]
    return ended["reason"], ended["exitCode"]


# --- one death at a time


def test_what_a_dead_supervisor_cannot_tell_is_unknown(api):
    uid = begin(api, busybox_pod("web"))
    with api.watch() as watch:
        api.kill(api.helper("supervisor"))
        watch.wait(lambda pods: again(pods["web"]), RECOVERS)
        wait_until(lambda: api.heard(watch.pods["web"]))
    assert last(watch.pods["web"]) == last(watch.pods["web"], "b") == ("ContainerStatusUnknown", 137)
    assert [api.starts(uid, name) for name in ("init", "a", "b")] == [2, 2, 2]


def test_with_restart_policy_never_a_dead_supervisor_fails_the_pod(api):
    uid = begin(api, busybox_pod("web", restartPolicy="Never"))
    with api.watch() as watch:
        api.kill(api.helper("supervisor"))
        watch.wait(lambda pods: pods["web"]["status"]["phase"] == "Failed", RECOVERS)
    ended = containers(watch.pods["web"])["a"]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("ContainerStatusUnknown", 137)
    assert [api.starts(uid, name) for name in ("init", "a", "b")] == [1, 1, 1]


def test_a_dead_pause_is_a_changed_sandbox(api):
    uid = begin(api, busybox_pod("web"))
    with api.watch() as watch:
        before = watch_address(api)
        api.kill(api.pids(uid)["pause"])
        watch.wait(lambda pods: again(pods["web"]), RECOVERS)
        wait_until(lambda: api.heard(watch.pods["web"]))
    assert last(watch.pods["web"]) == ("Completed", 0)  # they were asked to end, and did
    assert watch_address(api) != before
    assert "SandboxChanged" in events(api)


def watch_address(api: Api) -> str:
    return api.pods()["web"]["status"]["podIP"]


def events(api: Api) -> list[str]:
    uids = {pod["metadata"]["uid"] for pod in api.pods().values()}
    items = api.ask("GET", "/api/v1/events")["items"]
    return [event["reason"] for event in items if event["involvedObject"]["uid"] in uids]


def test_a_sandbox_that_is_no_longer_needed_has_not_changed(api):
    with api.watch() as watch:
        uid = api.create(pod("web", sh("true"), restartPolicy="Never"))["metadata"]["uid"]
        watch.wait(lambda pods: pods.get("web", {}).get("status", {}).get("phase") == "Succeeded", RECOVERS)
    wait_until(lambda: not api.pids(uid)["pause"])
    assert "SandboxChanged" not in events(api)


@pytest.mark.parametrize("helper", ["node", "forge", "netlink worker"])
def test_pods_go_on_when_a_process_of_the_node_dies(api, helper):
    uid = begin(api, busybox_pod("web"))
    before = api.pids(uid)
    dead = api.helper(helper)
    api.kill(dead)
    if helper == "node":
        wait_until(lambda: dead not in titles(api.node))
        api.node.start()
    wait_until(lambda: api.helper(helper) not in (0, dead), RECOVERS)
    begin(api, busybox_pod("db"))
    assert api.pids(uid) == before
    assert running(api.pods()["web"])
    assert not any(status["restartCount"] for status in containers(api.pods()["web"]).values())


# --- deaths at a bad moment


def test_a_pod_that_was_deleted_without_a_supervisor_is_not_started_again(api):
    uid = begin(api, busybox_pod("web"))
    pause, forge = api.pids(uid)["pause"], api.helper("forge")
    with open(api.started(uid, "init")) as init, open(api.started(uid, "a")) as a:
        api.kill(forge, signal.SIGSTOP)
        api.kill(api.helper("supervisor"))
        wait_until(lambda: pause not in titles(api.node))  # fenced: all that is missing is the forge
        api.delete("web")
        api.kill(forge)
        wait_until(lambda: not api.pods(), RECOVERS)
        assert (init.read(), a.read()) == ("\n", "\n")


def test_pods_are_deleted_whose_supervisors_die_just_then(api):
    for _ in range(5):
        begin(api, busybox_pod("web"))
        api.kill(api.helper("supervisor"))
        end(api)


def test_a_supervisor_that_dies_before_it_has_begun_is_replaced(api):
    blanks = wait_until(lambda: len(found := api.helpers("blank supervisor")) == 2 and found)
    for pid in blanks:
        api.kill(pid, signal.SIGSTOP)
    api.create(busybox_pod("web"))
    wait_until(lambda: len(api.helpers("blank supervisor")) > 2)  # the forge has made another: one was taken
    for pid in blanks:
        api.kill(pid)
    wait_until(lambda: runs(api), RECOVERS)


def test_a_launch_that_a_dead_forge_had_not_read_is_made_again(api):
    forge = api.helper("forge")
    api.kill(forge, signal.SIGSTOP)
    api.create(busybox_pod("web"))
    api.kill(forge)
    wait_until(lambda: runs(api), RECOVERS)


def test_a_pod_can_be_deleted_while_it_is_brought_back(api):
    uid = begin(api, busybox_pod("web"))
    pause = api.pids(uid)["pause"]
    forge = api.helper("forge")
    api.kill(forge, signal.SIGSTOP)
    api.kill(api.helper("supervisor"))
    wait_until(lambda: pause not in titles(api.node))  # fenced: all that is missing is the forge
    api.delete("web")
    api.kill(forge, signal.SIGCONT)
    wait_until(lambda: not api.pods(), RECOVERS)


def test_a_node_that_dies_before_it_could_bring_a_pod_back_leaves_that_to_the_next(api):
    begin(api, busybox_pod("web"))
    node = api.helper("node")
    api.kill(node, signal.SIGSTOP)
    api.kill(api.helper("supervisor"))
    api.kill(node)
    wait_until(lambda: node not in titles(api.node))
    api.node.start()
    wait_until(lambda: again(api.pods()["web"]), RECOVERS)


def runs(api: Api) -> bool:
    web = api.pods()["web"]
    return running(web) and api.heard(web)


def test_a_new_node_finishes_what_an_old_one_began(api):
    begin(api, busybox_pod("web"))
    dead = api.helper("node")
    api.delete("web", grace=30)
    api.kill(dead)
    wait_until(lambda: dead not in titles(api.node))
    api.node.start()
    wait_until(lambda: not api.pods(), RECOVERS)


def test_a_name_is_free_as_soon_as_its_pod_is_gone(api):
    uids = set()
    for _ in range(5):
        uids.add(begin(api, busybox_pod("web")))
        end(api)
    assert len(uids) == 5


def test_pods_applied_at_once_get_addresses_of_their_own(api):
    names = [f"web{number}" for number in range(8)]
    with api.watch() as watch:
        for name in names:
            api.create(pod(name, {}))
        watch.wait(lambda pods: all(running(pods.get(name)) for name in names), RECOVERS)
    assert len({pod["status"]["podIP"] for pod in watch.pods.values()}) == 8
    assert "FailedCreatePodSandBox" not in events(api)


# --- everything at once


class Chaos:
    """Applies, deletes and kills, and remembers what should come of it."""

    def __init__(self, api: Api, seed: int) -> None:
        self.api, self.node, self.random = api, api.node, random.Random(seed)
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
        return [pid for pid, title in titles(self.node).items() if title.startswith(TITLES[kind])]

    def kill(self, kind: str) -> None:
        pids = self.pids(kind)
        if not pids:
            return
        pid = self.random.choice(pids)
        try:
            # It dies as what it is when it stops: a blank may have become a pod's supervisor meanwhile.
            self.api.kill(pid, signal.SIGSTOP)
            wait_until(lambda: self._stopped(pid))
            whose = self._pod_of(pid)
            self.kills[whose] += 1
            self.story.append(f"kill -9 {kind} {whose}")
            self.api.kill(pid)
        except ProcessLookupError:
            self.story.append(f"(too late to kill {kind})")
        if kind == "node":  # the next step must not take a dying one for one that lives
            wait_until(lambda: pid not in self.pids("node"))

    def _stopped(self, pid: int) -> bool:
        try:
            return self.node.read(pid, "stat").rpartition(") ")[2][0] in "TZX"
        except OSError:  # gone
            return True

    def _pod_of(self, pid: int) -> str:
        """Its name, by the title of a supervisor or the cgroup of pause; empty if it is no pod's."""
        title = titles(self.node).get(pid, "")
        if title.startswith(TITLES["supervisor"]):
            return title.rpartition("/")[2]
        try:
            cgroup = self.node.read(pid, "cgroup")
        except OSError:  # gone
            return ""
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
        names = {"pause": "pause ", "a": "sh ", "b": "sh "}
        try:
            pods = [self.api.pids(uid) for uid in self.wanted.values()]
        except (Unreachable, AssertionError):  # a supervisor died, and the node may not know it yet
            return False
        there = titles(self.node)
        return all(
            pids.keys() == names.keys()
            and all(there.get(pids[name], "").startswith(names[name]) for name in names)
            for pids in pods
        )


def test_no_pod_is_lost_whatever_is_killed(api):
    seed = int(os.environ.get("MINIPOD_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"MINIPOD_SEED={seed}")
    chaos = Chaos(api, seed)
    try:
        for number in range(STEPS):
            chaos.step(number)
        if not chaos.pids("node"):
            api.node.start()
        wait_until(lambda: chaos.settled() and chaos.alive(), SETTLES, "all pods as they were asked for")
    except BaseException:
        print(*chaos.story, f"wanted: {sorted(chaos.wanted)}", *titles(api.node).values(), sep="\n")
        print(api.node.run("get", "pods", check=False).stdout, api.node.log())
        raise
    for name, each in api.pods().items():
        for status in containers(each).values():
            # Not more than somebody had a hand in, and not less than the containers know of themselves.
            began = api.starts(each["metadata"]["uid"], status["name"])
            assert began - 1 <= status["restartCount"] <= chaos.kills[name], "\n".join([name, *chaos.story])
