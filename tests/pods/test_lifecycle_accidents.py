"""What befalls whole pods: gates that others open, containers that start all over, supervisors that are silent or told
to end."""

import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.faults import Api, busybox_pod, running
from tests.support.node import ROOT, Node, idle_after, mounted, pod, private_node, sh
from tests.support.wait import wait_until

SETTINGS = 'backoff_scale = 0.01\nsilent_after = 1.0\nemptydir_medium = "disk"\n'


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, minipod_images) -> Iterator[Node]:
    with private_node(tmp_path_factory.mktemp("accidents") / "home", minipod_images, SETTINGS) as node:
        yield node


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((each for each in status["conditions"] if each["type"] == kind), {"status": None})


def ready(status: dict[str, Any]) -> str:
    return condition(status, "Ready")["status"]


def events(node: Node, reason: str) -> list[dict[str, Any]]:
    items = json.loads(node.run("events", "-o", "json").stdout)["items"]
    return [each for each in items if each["reason"] == reason]


# --- readiness gates


def set_condition(api: Api, status: str) -> None:
    patch = {"status": {"conditions": [{"type": "example.com/open", "status": status}]}}
    with api.connection() as connection:
        headers = {"Content-Type": "application/strategic-merge-patch+json"}
        path = "/api/v1/namespaces/default/pods/web/status"
        connection.request("PATCH", path, json.dumps(patch), headers)
        assert connection.getresponse().status == 200


def test_a_pod_is_ready_when_its_readiness_gates_are_open(node, api):
    node.apply(pod("web", {}, readinessGates=[{"conditionType": "example.com/open"}]))
    status = node.wait("web", lambda status: condition(status, "ContainersReady")["status"] == "True")
    told = condition(status, "Ready")
    assert (told["status"], told["reason"]) == ("False", "ReadinessGatesNotReady")
    assert (
        told["message"] == 'corresponding condition of pod readiness gate "example.com/open" does not exist.'
    )
    set_condition(api, "True")
    node.wait("web", lambda status: ready(status) == "True")
    set_condition(api, "False")
    told = condition(node.wait("web", lambda status: ready(status) == "False"), "Ready")
    assert told["message"] == 'the status of pod readiness gate "example.com/open" is not "True", but False'


def test_an_open_gate_stays_open_when_the_supervisor_dies(node, api):
    node.apply(pod("web", {}, readinessGates=[{"conditionType": "example.com/open"}]))
    set_condition(api, "True")
    node.wait("web", lambda status: ready(status) == "True")
    api.kill(api.helper("supervisor"))
    status = node.wait(
        "web", lambda status: status["containerStatuses"][0]["restartCount"] == 1 and ready(status) == "True"
    )
    assert condition(status, "example.com/open")["status"] == "True"


# --- RestartAllContainers


def test_a_container_can_start_all_of_them_over_in_the_same_sandbox(node):
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [88]}}
    shared = {"volumeMounts": mounted(d="/d")}
    once = "[ $(wc -l </d/init) = 2 ] || { until [ -e /d/go ]; do sleep 0.01; done; exit 88; }"
    manifest = pod(
        "web",
        idle_after("echo >>/d/other", **shared),
        idle_after(once, **shared, restartPolicy="Never", restartPolicyRules=[rule]),
        initContainers=[{"name": "init", "image": "busybox", **sh("echo >>/d/init", **shared)}],
        volumes=[{"name": "d"}],
        restartPolicy="Never",
    )
    node.apply(manifest)
    before, pause = node.status("web"), node.pids("web")["pause"]
    node.exec("web", "touch", "/d/go")
    status = node.wait(
        "web",
        lambda status: all(
            each["restartCount"] == 1 and "running" in each["state"] for each in status["containerStatuses"]
        ),
    )
    assert (status["podIP"], node.pids("web")["pause"]) == (before["podIP"], pause)
    assert status["initContainerStatuses"][0]["restartCount"] == 1
    assert status["containerStatuses"][1]["lastState"]["terminated"]["exitCode"] == 88
    assert node.exec("web", "sh", "-c", "wc -l </d/init; wc -l </d/other").stdout.split() == ["2", "2"]
    assert condition(status, "AllContainersRestarting")["status"] == "False"


# --- supervisors


def test_a_pod_whose_supervisor_is_silent_is_neither_ready_nor_not(node, api):
    node.apply(pod("web", {}))
    supervisor = api.helper("supervisor")
    api.kill(supervisor, signal.SIGSTOP)
    try:
        status = node.wait("web", lambda status: ready(status) == "Unknown")
        assert (status["phase"], condition(status, "Ready")["reason"]) == ("Running", "SupervisorSilent")
        assert events(node, "SupervisorSilent")[0]["type"] == "Warning"
    finally:
        api.kill(supervisor, signal.SIGCONT)
    assert node.wait("web", lambda status: ready(status) == "True")["phase"] == "Running"
    assert events(node, "SupervisorAnswers")


def test_a_pod_of_which_nothing_can_be_told_is_in_phase_unknown(node, api):
    """Its supervisor is dead, and somebody has its lock: the node can't fence the pod, and starts no other."""
    node.apply(busybox_pod("web"))
    wait_until(lambda: api.heard(api.pods()["web"]))
    uid, main = node.get("web")["metadata"]["uid"], api.helper("node")
    with open(f"{api.root}{node.layout.pod_run(uid)}/lock", "r+") as lock:
        api.kill(main, signal.SIGSTOP)  # or it would be faster than we are
        api.kill(api.helper("supervisor"))
        fcntl.lockf(lock, fcntl.LOCK_EX)
        api.kill(main, signal.SIGCONT)
        status = node.wait_phase("web", "Unknown")
        assert ready(status) == "Unknown"
        assert node.run("get", "pods").stdout.splitlines()[1].split()[2] == "Unknown"
    wait_until(lambda: running(api.pods()["web"]), 30)


def ended(node: Node) -> dict[str, Any]:
    """How the first container's last attempt ended, when it runs for the second time."""
    status = node.wait(
        "web",
        lambda status: all(
            each["restartCount"] == 1 and "running" in each["state"] for each in status["containerStatuses"]
        ),
        30,
    )
    return status["containerStatuses"][0]["lastState"]["terminated"]


def stop_script(node: Node) -> str:
    """What systemd runs to stop the pods' unit."""
    unit = (ROOT / "scripts/minipod-pods.service").read_text()
    (script,) = re.findall(r"^ExecStop=/bin/sh -c '\\\n(.*?)'$", unit, re.MULTILINE | re.DOTALL)
    return script.replace("\\\n", "\n").replace("$$", "$").replace("%n", node.layout.cgroup)


def test_a_supervisor_that_is_told_to_end_stops_its_containers_first(node, api):
    node.apply(busybox_pod("web"))
    wait_until(lambda: api.heard(api.pods()["web"]))
    api.kill(api.helper("supervisor"), signal.SIGTERM)
    assert (ended(node)["exitCode"], ended(node)["reason"]) == (0, "Completed")


def test_pods_that_were_shut_down_run_again_under_the_next_node_with_their_volumes(node, api):
    node.apply(busybox_pod("web"))
    wait_until(lambda: api.heard(api.pods()["web"]))
    node.exec("web", "sh", "-c", "echo kept >/d/kept")
    pids = node.pids("web")
    node.run("node", "stop")
    node.sh(stop_script(node))
    assert api.helpers("supervisor") == []
    assert not [pid for pid in pids.values() if os.path.exists(f"{node.proc}/{pid}")]
    node.start()
    assert ended(node)["exitCode"] == 0
    assert node.exec("web", "cat", "/d/kept").stdout == "kept\n"


def test_a_deaf_container_is_killed_when_its_grace_is_over(node, api):
    node.apply(pod("web", sh("trap '' TERM; while :; do sleep 0.01; done"), terminationGracePeriodSeconds=1))
    api.kill(api.helper("supervisor"), signal.SIGTERM)
    assert ended(node)["exitCode"] == 137


# --- eviction


def test_a_pod_that_fills_its_volume_beyond_the_limit_is_evicted(node):
    fill = idle_after("dd if=/dev/zero of=/d/large bs=1M count=4", volumeMounts=mounted(d="/d"))
    node.apply(pod("web", fill, volumes=[{"name": "d", "emptyDir": {"sizeLimit": "1Mi"}}]), check=False)
    status = node.wait_phase("web", "Failed")
    assert status["reason"] == "Evicted"
    assert status["message"] == 'Usage of EmptyDir volume "d" exceeds the limit "1Mi". '
    assert condition(status, "DisruptionTarget")["reason"] == "TerminationByKubelet"
    assert events(node, "Evicted")[0]["type"] == "Warning"


@pytest.mark.parametrize("fill", ["dd if=/dev/zero of=/large bs=1M count=4", "yes | head -c 4194304"])
def test_a_container_that_writes_or_logs_more_than_its_limit_is_evicted(node, fill):
    limits = {"resources": {"limits": {"ephemeral-storage": "1Mi"}}}
    node.apply(pod("web", idle_after(fill, **limits)), check=False)
    status = node.wait_phase("web", "Failed")
    assert status["reason"] == "Evicted"
    assert (
        status["message"] == "Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. "
    )


def test_a_container_is_evicted_for_its_own_limit_though_the_pods_is_kept(node):
    small, large = ({"resources": {"limits": {"ephemeral-storage": size}}} for size in ("1Mi", "1Gi"))
    node.apply(pod("web", idle_after("dd if=/dev/zero of=/large bs=1M count=4", **small), large), check=False)
    status = node.wait_phase("web", "Failed")
    assert status["message"] == 'Container c0 exceeded its local ephemeral storage limit "1Mi". '
