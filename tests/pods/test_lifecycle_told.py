"""What is told of a pod from its first moment to its last, and the ends that others bring about."""

import os
import signal
import sys
from subprocess import PIPE
from typing import Any

from minipod.image import importer
from minipod.image.store import Config
from tests.support.node import Node, interrupt, mounted, pod, sh
from tests.support.wait import wait_until

WAITS = "until [ -e /v/{0} ]; do sleep 0.01; done"
VOLUME: dict[str, Any] = {"volumes": [{"name": "v", "emptyDir": {}}]}
MOUNT: dict[str, Any] = {"volumeMounts": mounted(v="/v")}
DEAF = "trap '' TERM; while :; do sleep 0.01; done"
MOVED = """
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(302 if self.path == "/moved" else 404)
        self.send_header("Location", "/gone")
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 8081), Handler).serve_forever()
"""


def conditions(status: dict) -> dict[str, tuple[str, str, str]]:
    return {
        each["type"]: (each["status"], each.get("reason", ""), each.get("message", ""))
        for each in status["conditions"]
    }


def go(node: Node, name: str, container: str, file: str) -> None:
    """Let it go on; it may end before the command does."""
    node.exec(name, "touch", f"/v/{file}", container=container, check=False)


def test_conditions_are_those_of_the_kubelet_all_along(node):
    first = {"name": "first", "image": "busybox", **sh(WAITS.format("init"), **MOUNT)}
    app = sh(WAITS.format("app"), **MOUNT)
    node.apply(pod("job", app, initContainers=[first], restartPolicy="Never", **VOLUME), "--wait=false")
    status = node.wait("job", lambda status: "running" in status["initContainerStatuses"][0]["state"])
    unready = ("False", "ContainersNotReady", "containers with unready status: [c0]")
    true = ("True", "", "")
    assert conditions(status) == {
        "PodReadyToStartContainers": true,
        "Initialized": (
            "False",
            "ContainersNotInitialized",
            "containers with incomplete status: [first]",
        ),
        "Ready": unready,
        "ContainersReady": unready,
        "PodScheduled": true,
    }
    go(node, "job", "first", "init")
    kinds = [*conditions(status)]
    assert conditions(node.wait_phase("job", "Running")) == dict.fromkeys(kinds, true)
    go(node, "job", "c0", "app")
    completed = ("False", "PodCompleted", "")
    ended = conditions(node.wait_phase("job", "Succeeded"))
    assert ended["Initialized"] == ("True", "PodCompleted", "")
    assert (ended["Ready"], ended["ContainersReady"]) == (completed, completed)


def test_under_never_a_pod_whose_pause_dies_has_failed_and_nothing_is_started_again(node):
    node.apply(pod("web", {}, restartPolicy="Never"))
    pids = node.pids("web")
    node.sh(f"kill -KILL {pids['pause']}")
    status = node.wait_phase("web", "Failed")
    wait_until(lambda: not os.path.exists(f"{node.proc}/{pids['c0']}"))
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert not status.get("podIP")


def test_a_deaf_pod_is_deleted_by_force(node):
    node.apply(pod("deaf", sh(DEAF), terminationGracePeriodSeconds=100_000))
    pid = node.pids("deaf")["c0"]
    node.delete("deaf", flags=("--force",))
    assert node.names() == []
    assert not os.path.exists(f"{node.proc}/{pid}")


def test_a_probe_follows_to_another_page_of_the_same_host(node):
    probe = {"httpGet": {"host": "127.0.0.1", "port": 8081, "path": "/moved"}, "periodSeconds": 1}
    with node.popen("-c", MOVED, program=[sys.executable], stderr=PIPE) as server:
        node.apply(pod("web", {"readinessProbe": probe | {"failureThreshold": 1}}))
        told = "Readiness probe failed: HTTP probe failed with statuscode: 404"
        wait_until(lambda: told in node.run("events", "--for", "pod/web").stdout)
        interrupt(server, signal.SIGKILL)


def test_a_container_is_stopped_with_the_signal_of_its_image(shared_node, image):
    node = shared_node
    importer.import_tar(node.layout.images, str(image), "stopping", Config(stop_signal="SIGUSR1"))
    script = f"trap 'echo got USR1; exit 0' USR1; echo runs; {DEAF}"
    node.apply(pod("web", {"image": "stopping", **sh(script)}, terminationGracePeriodSeconds=100_000))
    with node.popen("logs", "-f", "web", stdout=PIPE) as logs:
        assert logs.stdout.readline() == "runs\n"
        node.delete("web", flags=())
        assert logs.stdout.readline() == "got USR1\n"
    node.run("image", "rm", "stopping")
