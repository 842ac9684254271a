"""The words of STATUS over a pod's life, as `get pods -w` shows them and kubectl would."""

import threading
from collections.abc import Iterator
from subprocess import PIPE

import pytest

from minipod.testing.wait import PATIENCE
from tests.support.node import Node, interrupt, mounted, pod, sh

BEFORE = ("Pending", "ContainerCreating")  # how much is seen of these depends on how fast the machine is


class Watch:
    """`get pods -w`: the words it has shown for each pod, one that is repeated counted once."""

    def __init__(self, node: Node) -> None:
        self.process = node.popen("get", "pods", "-w", "--no-headers", stdout=PIPE)
        self.words: dict[str, list[str]] = {}
        self.limit = threading.Timer(30 * PATIENCE, interrupt, (self.process,))  # then there is no next line
        self.limit.start()

    def until(self, name: str, *last: str) -> list[str]:
        """Read on until these were its last words; all of them, but for those before anything has started."""
        while tuple(self.words.get(name, ())[-len(last) :]) != last:
            line = self.process.stdout.readline()
            assert line, f"it has ended, after {self.words}"
            shown, _, word = line.split()[:3]
            words = self.words.setdefault(shown, [])
            if words[-1:] != [word]:
                words.append(word)
        return [word for word in self.words[name] if word not in BEFORE]


@pytest.fixture
def watch(node) -> Iterator[Watch]:
    watch = Watch(node)
    yield watch
    watch.limit.cancel()
    interrupt(watch.process)
    watch.process.wait()
    watch.process.stdout.close()


def kill(node: Node, name: str, container: str = "c0") -> None:
    """End the container's first process, from the host."""
    node.sh(f"kill -KILL {node.pids(name)[container]}")


def first(script: str) -> list[dict]:
    return [{"name": "first", "image": "busybox", **sh(script)}]


def test_a_crash_loop(node, watch):
    node.apply(pod("crash", {}))
    watch.until("crash", "Running")
    kill(node, "crash")
    watch.until("crash", "Error", "Running")
    kill(node, "crash")
    words = watch.until("crash", "CrashLoopBackOff")
    assert words == ["Running", "Error", "Running", "Error", "CrashLoopBackOff"]


def test_a_container_that_ends_well_and_is_wanted_back(node, watch):
    node.apply(pod("again", sh("exec sleep 0.1")), "--wait=false")
    words = watch.until("again", "CrashLoopBackOff")
    assert words == ["Running", "Completed", "Running", "Completed", "CrashLoopBackOff"]


def test_a_completed_job(node, watch):
    node.apply(pod("job", sh("exec sleep 0.1"), restartPolicy="Never"), "--wait=false")
    assert watch.until("job", "Completed") == ["Running", "Completed"]


def test_a_job_that_fails(node, watch):
    node.apply(pod("job", sh("sleep 0.1; exit 3"), restartPolicy="Never"), "--wait=false")
    assert watch.until("job", "Error") == ["Running", "Error"]


def test_an_init_container_that_fails_for_good(node, watch):
    node.apply(pod("init", {}, initContainers=first("exit 1"), restartPolicy="Never"), "--wait=false")
    assert watch.until("init", "Init:Error") == ["Init:0/1", "Init:Error"]


def test_an_init_container_that_fails_and_is_tried_again(node, watch):
    node.apply(pod("init", {}, initContainers=first("sleep 0.1; exit 1")), "--wait=false")
    words = watch.until("init", "Init:CrashLoopBackOff")
    assert words == ["Init:0/1", "Init:Error", "Init:0/1", "Init:Error", "Init:CrashLoopBackOff"]


def test_init_containers_one_after_another(node, watch):
    inits = [{"name": name, "image": "busybox", **sh("exec sleep 0.1")} for name in ("one", "two")]
    node.apply(pod("inits", {}, initContainers=inits), "--wait=false")
    assert watch.until("inits", "Running") == ["Init:0/2", "Init:1/2", "PodInitializing", "Running"]


def test_an_image_that_is_missing(node, watch):
    node.apply(pod("image", {"image": "nowhere"}), "--wait=false")
    assert watch.until("image", "ImagePullBackOff") == ["ErrImagePull", "ImagePullBackOff"]


def test_an_image_that_must_be_there_and_is_missing(node, watch):
    node.apply(pod("image", {"image": "nowhere", "imagePullPolicy": "Never"}), "--wait=false")
    assert watch.until("image", "ErrImageNeverPull") == ["ErrImageNeverPull"]


def test_one_container_has_ended_and_another_is_not_ready(node, watch):
    node.apply(pod("half", sh("exec sleep 0.1"), {}, restartPolicy="OnFailure"), "--wait=false")
    assert watch.until("half", "NotReady") == ["Running", "NotReady"]


def test_a_pod_that_takes_its_time_to_end(node, watch):
    volume, mount = {"name": "v", "emptyDir": {}}, mounted(v="/v")
    trap = "trap 'until [ -e /v/go ]; do sleep 0.01; done; exit 0' TERM; while :; do sleep 0.01; done"
    node.apply(pod("slow", sh(trap, volumeMounts=mount), {"volumeMounts": mount}, volumes=[volume]))
    node.delete("slow", flags=("--wait=false",))
    assert watch.until("slow", "Terminating") == ["Running", "Terminating"]
    kill(node, "slow")
