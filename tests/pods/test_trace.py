"""What was done to make a pod, as its supervisor remembers it; and the pictures of a pod that runs."""

import itertools
import json
from typing import Any

import pytest

from tests.support.drawing import overlapping, sticking_out, words
from tests.support.faults import Api, busybox_pod
from tests.support.node import Node, mounted, pod, sh
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def traced(shared_node: Node) -> Node:
    """A node with a pod that was asked for, and runs."""
    volumes = [{"name": "data", "emptyDir": {}}]
    init = {"name": "init", "image": "busybox", "command": ["true"]}
    web = {"name": "web", "volumeMounts": mounted(data="/www")}
    shared_node.apply(pod("traced", web, {}, initContainers=[init], volumes=volumes))
    return shared_node


def operations(node: Node, name: str) -> list[dict[str, Any]]:
    return json.loads(node.run("trace", name, "-o", "json").stdout)["operations"]


def by_stage(steps: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {name: list(group) for name, group in itertools.groupby(steps, key=lambda step: step["stage"])}


def test_the_last_operation_of_every_container_is_its_exec(traced):
    stages = by_stage(operations(traced, "traced"))
    last = {name: stages[f"container/{name}"][-1] for name in ("init", "web", "c1")}
    assert {step["operation"] for step in last.values()} == {"exec"}
    assert last["init"]["command"].endswith(" true")
    assert all(step.get("error", "") == "" for steps in stages.values() for step in steps)


def test_an_operation_is_told_with_the_process_that_did_it(traced):
    done = {step["stage"]: (step["process"], step["pid"]) for step in operations(traced, "traced")}
    running = traced.pids("traced")
    assert done["sandbox/pause"] == ("pause", running["pause"])
    assert done["container/web"] == ("web", running["web"])
    assert done["container/c1"] == ("c1", running["c1"])
    titles = {
        name: traced.read(done[name][1], "cmdline") for name in ("pod", "sandbox/network", "node/apply")
    }
    assert titles["pod"].startswith("minipod: supervisor default/traced")
    assert titles["sandbox/network"].startswith("minipod: netlink worker")
    assert titles["node/apply"].startswith("minipod: node")


def test_the_operations_of_a_process_follow_one_another_from_the_request_on(traced):
    steps = operations(traced, "traced")
    assert (steps[0]["process"], steps[0]["start"]) == ("node", 0)
    for found in by_stage(steps).values():
        assert all(a["start"] + a["duration"] <= b["start"] for a, b in itertools.pairwise(found))


def test_the_table_has_a_line_for_every_operation(traced):
    head, *lines = traced.run("trace", "traced").stdout.splitlines()
    assert head.split() == ["START", "DURATION", "PROCESS", "PID", "STAGE", "RESULT", "COMMAND"]
    steps = operations(traced, "traced")
    assert [
        line for line, step in zip(lines, steps, strict=False) if not line.endswith(step["command"])
    ] == []
    assert lines[-1].startswith(f"{len(steps)} operations by ")


def test_the_events_for_a_viewer_nest_in_their_stages(traced):
    events = json.loads(traced.run("trace", "traced", "-o", "chrome").stdout)["traceEvents"]
    stages = [event for event in events if event.get("cat") == "stage"]
    steps = [event for event in events if event["ph"] == "X" and event["cat"] != "stage"]
    assert {event["name"] for event in stages} == {step["stage"] for step in operations(traced, "traced")}

    def is_inside(step: dict, stage: dict) -> bool:
        begins = stage["ts"] <= step["ts"]  # to a nanosecond: 0.1 isn't a binary fraction
        return (
            stage["tid"] == step["tid"]
            and begins
            and step["ts"] + step["dur"] < stage["ts"] + stage["dur"] + 0.001
        )

    assert [step for step in steps if sum(is_inside(step, stage) for stage in stages) != 1] == []


def test_the_waterfall_names_every_process_and_can_be_read(traced):
    document = traced.run("trace", "traced", "-o", "svg").stdout
    wanted = {word for step in operations(traced, "traced") for word in (step["process"], step["command"])}
    written = words(document)
    assert [word for word in wanted if word not in written] == []
    assert (sticking_out(document), overlapping(document)) == ([], [])


def test_the_picture_shows_what_the_kernel_says(traced):
    document = traced.run("observe", "traced", "-o", "svg").stdout
    written = words(document)
    pids = traced.pids("traced")
    inodes = [
        traced.namespace(pids[name], kind)
        for name in ("pause", "web", "c1")
        for kind in ("net", "mnt", "pid")
    ]
    address = traced.status("traced")["podIP"]
    network = traced.sh(f"nsenter -t {pids['pause']} -n ip -br addr show eth0")
    assert address in network
    wanted = [
        "traced",
        "pause",
        "web",
        "c1",
        "init",
        "data",
        "/www",
        traced.layout.bridge,
        address,
        *map(str, inodes),
    ]
    assert [word for word in wanted if word not in written] == []
    assert (sticking_out(document), overlapping(document)) == ([], [])


def test_a_picture_is_of_one_pod(traced):
    for words_ in (("traced", "host"), ("traced", "--net"), ("traced", "--watch")):
        result = traced.run("observe", *words_, "-o", "svg", check=False)
        assert (result.returncode, result.stderr) == (
            1,
            "error: a picture is of one pod, whole, and at one moment\n",
        )


def test_a_pod_that_has_come_to_its_end_can_still_tell(node):
    node.apply(pod("over", sh("exit 0"), restartPolicy="Never"))
    node.wait_phase("over", "Succeeded")
    assert operations(node, "over")[-1]["operation"] == "exec"


def test_a_pod_that_could_not_start_names_the_command(node):
    node.apply(
        pod("broken", {"name": "app", "command": ["/no/such/program"]}, restartPolicy="Never"), "--wait=false"
    )
    node.wait_phase("broken", "Failed")
    (failed,) = [step for step in operations(node, "broken") if step.get("error")]
    assert (failed["stage"], failed["operation"]) == ("container/app", "exec")
    assert failed["command"].endswith(" /no/such/program")
    text = node.run("trace", "broken").stdout
    assert f"failed: container/app, operation {failed['index']}, after " in text
    assert text.endswith(f"while doing: {failed['command']}\n")
    assert "✗ container/app" in node.run("trace", "broken", "-o", "svg").stdout


@pytest.mark.parametrize(
    "stage", ["pod", "sandbox/pause", "sandbox/network", "container/a/objects", "container/a"]
)
def test_an_operation_that_failed_is_told_with_those_before_it(node, stage):
    """In the supervisor, in the netlink worker, in a child: all of them fail and are tried again."""
    Api(node).create(busybox_pod("hurt"), f"{stage}:3:fail")

    def found() -> list[dict[str, Any]]:
        return [step for step in operations(node, "hurt") if step.get("error")]

    wait_until(found, 15, what="the failure to be told")
    (failed,) = found()
    assert (failed["stage"], failed["index"]) == (stage, 3)
    assert "injected fault at operation 3" in failed["error"]
    before = [
        step for step in operations(node, "hurt") if (step["stage"], step["pid"]) == (stage, failed["pid"])
    ]
    assert [step["index"] for step in before][:4] == [0, 1, 2, 3]


def test_a_process_that_was_killed_is_told_by_its_stage(node):
    Api(node).create(busybox_pod("hurt"), "sandbox/pause:3:kill-before")
    wait_until(lambda: any(step.get("error") for step in operations(node, "hurt")), 15)
    (failed,) = [step for step in operations(node, "hurt") if step.get("error")]
    assert (failed["process"], failed["index"], failed["error"]) == ("pause", -1, "the process was killed")


def test_a_pod_that_is_not_there_has_no_trace(traced):
    result = traced.run("trace", "nobody", check=False)
    assert (result.returncode, "not found" in result.stderr) == (1, True)


def test_the_command_that_is_run_in_a_container_is_traced_too(traced):
    traced.exec("traced", "echo", "x", container="web")
    steps = [step for step in operations(traced, "traced") if step["process"] == "exec in web"]
    assert steps[-1]["command"].endswith(" echo x")
