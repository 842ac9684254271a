"""Ephemeral containers: in a pod that runs, in the PID namespace of another container, once and never again."""

import signal

import pytest

from tests.support.faults import titles
from tests.support.node import pod, sh
from tests.support.terminal import Terminal
from tests.support.wait import wait_until

IDLE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done")


def ephemeral(status: dict, name: str = "dbg") -> dict:
    return next(each for each in status["ephemeralContainerStatuses"] if each["name"] == name)


def runs(status: dict) -> bool:
    return "running" in ephemeral(status)["state"]


def test_with_a_target_it_is_in_that_containers_pid_namespace_and_the_pods_others(node):
    node.apply(pod("web", {}, {}))
    node.run("debug", "web", "--image=busybox", "--target=c1", "-c", "dbg", "--", *IDLE)
    node.wait("web", runs)
    pids = node.pids("web")
    mine = pids.pop("dbg")
    same = {
        kind: [
            name
            for name in ("pause", "c0", "c1")
            if node.namespace(pids[name], kind) == node.namespace(mine, kind)
        ]
        for kind in ("pid", "net", "ipc", "uts", "mnt")
    }
    everybody = ["pause", "c0", "c1"]
    assert same == {"pid": ["c1"], "net": everybody, "ipc": everybody, "uts": everybody, "mnt": []}
    assert node.exec("web", "cat", "/proc/1/cmdline", container="dbg").stdout.startswith("sh\0-c")


def test_without_a_target_it_has_a_pid_namespace_of_its_own(node):
    node.apply(pod("web", {}))
    node.run("debug", "web", "--image=busybox", "-c", "dbg", "--", *IDLE)
    node.wait("web", runs)
    pids = node.pids("web")
    mine = pids.pop("dbg")
    assert node.namespace(mine, "pid") not in [node.namespace(one, "pid") for one in pids.values()]
    assert node.exec("web", "cat", "/proc/1/cmdline", container="dbg").stdout == "sh\0-c\0" + IDLE[-1] + "\0"


def test_in_a_shared_pid_namespace_it_sees_everybody(node):
    node.apply(pod("web", {}, shareProcessNamespace=True))
    node.run("debug", "web", "--image=busybox", "--target=c0", "-c", "dbg", "--", *IDLE)
    node.wait("web", runs)
    pids = node.pids("web")
    mine = pids.pop("dbg")
    assert node.namespace(mine, "pid") == node.namespace(pids["pause"], "pid")


def test_it_ends_once_and_is_shown_with_its_log(node):
    node.apply(pod("web", {}))
    node.run("debug", "web", "--image=busybox", "-c", "dbg", "--", "sh", "-c", "echo seen; exit 3")
    status = node.wait("web", lambda status: "terminated" in ephemeral(status)["state"])
    assert ephemeral(status)["state"]["terminated"]["exitCode"] == 3
    assert (ephemeral(status)["restartCount"], status["phase"]) == (0, "Running")
    assert node.logs("web", "-c", "dbg") == "seen\n"
    described = node.run("describe", "pod", "web").stdout
    assert "Ephemeral Containers:\n  dbg:" in described
    assert node.run("get", "pods").stdout.splitlines()[1].split()[1:3] == ["1/1", "Running"]


def test_it_ends_with_its_target(node):
    node.apply(pod("web", sh("while [ ! -e /go ]; do sleep 0.01; done"), restartPolicy="Never"))
    node.run("debug", "web", "--image=busybox", "--target=c0", "-c", "dbg", "--", *IDLE)
    node.wait("web", runs)
    node.exec("web", "touch", "/go", container="c0", check=False)
    status = node.wait_phase("web", "Succeeded")
    assert ephemeral(status)["state"]["terminated"]["exitCode"] == 137


def test_a_terminal_and_a_shell_in_it(node):
    node.apply(pod("web", {}))
    terminal = Terminal(node, "debug", "-it", "web", "--image=busybox", "--target=c0", "--", "sh")
    try:
        terminal.read_until("# ")
        terminal.type("tty; cat /proc/1/comm\r")
        assert "/dev/pts/0" in terminal.read_until("/dev/pts/0")
        terminal.read_until("sh\r\n")
        terminal.type("exit\r")
        assert terminal.end() == 0
    finally:
        terminal.close()


def test_a_name_is_chosen_and_said(node):
    node.apply(pod("web", {}))
    said = node.run("debug", "web", "--image=busybox", "--", "true").stderr
    (name,) = [each["name"] for each in node.get("web")["spec"]["ephemeralContainers"]]
    assert said == f"Defaulting debug container name to {name}.\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--target=c9",), 'spec.ephemeralContainers[0].targetContainerName: Not found: "c9"'),
        (("-c", "c0"), 'spec.ephemeralContainers[0].name: Duplicate value: "c0"'),
        (("-i", "--image=no/such:image"), 'ephemeral container "debugger-'),
    ],
)
def test_what_cannot_be_is_said(node, flags, message):
    node.apply(pod("web", {}))
    result = node.run("debug", "web", "--image=busybox", *flags, check=False)
    assert (result.returncode, message in result.stderr) == (1, True), result.stderr


def test_the_next_supervisor_knows_of_it_and_does_not_start_it_again(node, api):
    node.apply(pod("web", {}))
    node.run("debug", "web", "--image=busybox", "-c", "dbg", "--", *IDLE)
    node.wait("web", runs)
    api.kill(api.helper("supervisor"))
    status = node.wait(
        "web",
        lambda status: (
            status["containerStatuses"][0]["restartCount"] == 1
            and "running" in status["containerStatuses"][0]["state"]
        ),
    )
    assert ephemeral(status)["state"]["terminated"]["reason"] == "ContainerStatusUnknown"


def test_a_node_that_comes_later_tells_what_an_earlier_one_could_not(node, api):
    """The supervisor is stopped while the object is written, and the node is killed before it can hear of it."""
    node.apply(pod("web", {}))
    supervisor = api.helper("supervisor")
    api.kill(supervisor, signal.SIGSTOP)
    node.run("debug", "web", "--image=busybox", "-c", "dbg", "--", *IDLE)
    dead = api.helper("node")
    api.kill(dead)
    wait_until(lambda: dead not in titles(node))
    api.kill(supervisor, signal.SIGCONT)
    node.start()
    assert node.wait("web", runs)
