"""Sidecars, deadlines, stop signals and termination messages, on real pods."""

import pytest

from tests.support.node import IDLE, Node, mounted, pod, sh
from tests.support.wait import wait_until

KEPT = "/run/kept"
LOOP = "while :; do sleep 0.01; done"


@pytest.fixture
def kept(node: Node):
    """A folder of the host's that outlives its pods, and how to read it."""
    node.sh(f"mkdir -p {KEPT}")
    yield lambda: node.sh(f"cat {KEPT}/log 2>&-", check=False).splitlines()
    node.sh(f"rm -r {KEPT}")


VOLUME = {"volumes": [{"name": "k", "hostPath": {"path": KEPT}}]}
MOUNT = {"volumeMounts": mounted(k="/k")}


def sidecar(name: str, script: str, **fields) -> dict:
    return {"name": name, "image": "busybox", "restartPolicy": "Always", **sh(script, **fields)}


def says_when_it_ends(name: str) -> str:
    return f"trap 'echo {name} >>/k/log; exit 0' TERM; echo {name} runs >>/k/log; {LOOP}"


def state(status: dict, number: int = 0, kind: str = "containerStatuses") -> dict:
    return status[kind][number]["state"]


# --- sidecars


def test_a_sidecar_runs_beside_the_app_containers_and_counts_as_ready(node):
    node.apply(pod("web", {}, initContainers=[sidecar("proxy", IDLE)]))
    status = node.wait_phase("web", "Running")
    assert "running" in state(status, kind="initContainerStatuses")
    assert status["initContainerStatuses"][0]["ready"] is True
    assert node.run("get", "pods").stdout.splitlines()[1].split()[:3] == ["web", "2/2", "Running"]


def test_a_job_ends_although_its_sidecar_runs_for_ever(node):
    node.apply(
        pod(
            "job",
            sh("exit 0"),
            initContainers=[sidecar("proxy", f"trap 'exit 3' TERM; {LOOP}")],
            restartPolicy="Never",
        )
    )
    status = node.wait_phase("job", "Succeeded")
    assert state(status, kind="initContainerStatuses")["terminated"]["exitCode"] == 3


def test_a_sidecar_is_restarted_even_under_never(node):
    node.apply(pod("web", {}, initContainers=[sidecar("proxy", IDLE)], restartPolicy="Never"))
    node.sh(f"kill -9 {node.pids('web')['proxy']}")
    status = node.wait("web", lambda status: status["initContainerStatuses"][0]["restartCount"] == 1)
    assert status["phase"] == "Running"
    assert status["containerStatuses"][0]["restartCount"] == 0


def test_sidecars_end_after_the_app_containers_in_reverse_order(node, kept):
    inits = [sidecar(name, says_when_it_ends(name), **MOUNT) for name in ("first", "second")]
    node.apply(pod("web", sh(says_when_it_ends("app"), **MOUNT), initContainers=inits, **VOLUME))
    wait_until(lambda: len(kept()) == 3)
    node.run("delete", "pod", "web")
    assert kept()[-3:] == ["app", "second", "first"]


# --- the end of a pod


def test_a_pod_that_was_active_too_long_has_failed(node):
    node.apply(pod("job", {}, activeDeadlineSeconds=1))
    status = node.wait_phase("job", "Failed")
    assert (status["reason"], status["message"]) == (
        "DeadlineExceeded",
        "Pod was active on the node longer than the specified deadline",
    )


def test_a_container_is_stopped_with_the_signal_it_wants(node, kept):
    script = (
        f"trap 'echo usr1 >>/k/log; exit 0' USR1; trap 'echo term >>/k/log' TERM; echo runs >/k/log; {LOOP}"
    )
    node.apply(pod("web", sh(script, lifecycle={"stopSignal": "SIGUSR1"}, **MOUNT), **VOLUME))
    wait_until(lambda: kept() == ["runs"])
    node.run("delete", "pod", "web")
    assert kept() == ["runs", "usr1"]


# --- termination messages


def message(node: Node, script: str, **fields) -> str:
    node.apply(pod("job", sh(script, **fields), restartPolicy="Never"), check=False)
    status = node.wait("job", lambda status: "terminated" in state(status))
    return state(status)["terminated"].get("message", "")


def test_what_a_container_leaves_in_its_termination_file_is_its_message(node):
    assert message(node, "echo the end >/dev/termination-log; exit 1") == "the end\n"


def test_the_termination_file_can_be_elsewhere_and_written_by_anybody(node):
    fields = {"terminationMessagePath": "/tmp/last", "securityContext": {"runAsUser": 1000}}
    assert message(node, "printf elsewhere >/tmp/last", **fields) == "elsewhere"


def test_of_a_long_message_the_last_4096_bytes_are_kept(node):
    assert (
        message(node, "seq 10000 >/dev/termination-log") == "".join(f"{n}\n" for n in range(1, 10001))[-4096:]
    )


@pytest.mark.parametrize(("exit_code", "text"), [(1, "why\n"), (0, "")])
def test_the_log_stands_in_for_the_message_of_a_container_that_failed(node, exit_code, text):
    policy = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    assert message(node, f"echo why; exit {exit_code}", **policy) == text


# --- restart rules


def test_a_container_restarts_after_the_exit_codes_its_rules_name(node):
    rules = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
    once = sh(
        "[ -e /d/x ] && exit 1; touch /d/x; exit 42",
        restartPolicy="Never",
        restartPolicyRules=rules,
        volumeMounts=mounted(d="/d"),
    )
    node.apply(pod("job", once, volumes=[{"name": "d"}], restartPolicy="Never"), check=False)
    status = node.wait_phase("job", "Failed")
    assert status["containerStatuses"][0]["restartCount"] == 1
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 42
