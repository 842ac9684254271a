"""What get, describe, events and apply show: at a terminal, in a pipe, and to many at once."""

import json
import re
import shlex
from collections import Counter
from subprocess import PIPE

import pytest

from tests.support.node import MINIPOD, Node, interrupt, pod, sh
from tests.support.terminal import Terminal
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def web(shared_node: Node) -> Node:
    labels = {"app": "web", "tier": "front"}
    shared_node.apply(
        [
            pod("web", {"ports": [{"containerPort": 80}]}, {}, metadata={"labels": labels}),
            pod("ended", sh("exit 3"), restartPolicy="Never"),
        ],
        "--wait=false",
    )
    shared_node.wait_phase("web", "Running")
    shared_node.wait_phase("ended", "Failed")
    return shared_node


def at_terminal(node: Node, *words: str, columns: int = 80) -> str:
    terminal = Terminal(node, *words, columns=columns)
    assert terminal.end() == 0
    return terminal.text


def test_a_terminal_gets_colours_and_a_pipe_none(web):
    shown = at_terminal(web, "get", "pods")
    assert "\x1b[32mRunning\x1b[0m" in shown
    assert "\x1b[31mError\x1b[0m" in shown
    assert "\x1b" not in web.run("get", "pods").stdout


def test_a_table_fits_the_terminal_and_is_whole_in_a_pipe(web):
    for columns in (80, 120):
        lines = re.sub(r"\x1b\[\d+m", "", at_terminal(web, "events", columns=columns)).splitlines()
        assert max(map(len, lines)) <= columns
    assert 'Container image "busybox" already present on machine' in web.run("events").stdout


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=web", "web"),
        ("app==web,tier!=back", "web"),
        ("app in (web,db),tier", "web"),
        ("app notin (web)", "ended"),
        ("!app", "ended"),
        ("tier", "web"),
    ],
)
def test_labels_select(web, selector, names):
    out = web.run(
        "get", "pods", "-l", selector, "-o", "custom-columns=N:.metadata.name", "--no-headers"
    ).stdout
    assert out.split() == names.split()


@pytest.mark.parametrize("words", [("pod", "web"), ("pods", "web"), ("po", "web"), ("pod/web",), ("po/web",)])
def test_a_kind_has_many_names(web, words):
    assert web.run("get", *words, "-o", "name").stdout == "pod/web\n"


def test_scripts_get_values(web):
    address = web.run("get", "pod", "web", "-o", "jsonpath={.status.podIP}").stdout.strip()
    assert address == web.get("web")["status"]["podIP"]
    names = web.run("get", "pods", "--sort-by=.status.startTime", "-o", "jsonpath={.items[*].metadata.name}")
    assert sorted(names.stdout.split()) == ["ended", "web"]
    listed = json.loads(web.run("get", "pods", "web", "ended", "-o", "json").stdout)
    assert [item["metadata"]["name"] for item in listed["items"]] == ["web", "ended"]


def test_describe_tells_what_happened(web):
    shown = web.run("describe", "pod", "ended").stdout
    for expected in (
        "Name:             ended",
        "      Exit Code:    3",
        "Normal  Started  ",
        "kubelet  Started container c0",
    ):
        assert re.sub(r" +", " ", expected) in re.sub(r" +", " ", shown)
    painted = at_terminal(web, "describe", "pod/ended")
    assert "\x1b[31mFailed\x1b[0m" in painted
    assert "\x1b[31mError\x1b[0m" in painted


def test_events_are_those_of_one_pod(web):
    lines = web.run("events", "--for", "pod/ended", "--no-headers").stdout.splitlines()
    assert lines
    assert {line.split()[3] for line in lines} == {"pod/ended"}


def test_watching_shows_every_change_of_a_pods_life(node):
    process = node.popen("get", "pods", "-w", "--no-headers", stdout=PIPE)
    events = node.popen("events", "-w", "--for", "pod/brief", "--no-headers", stdout=PIPE)
    init = {"name": "first", "image": "busybox", "command": ["sh", "-c", "sleep 0.2"]}
    node.apply(pod("brief", sh("sleep 0.2"), initContainers=[init], restartPolicy="Never"))
    node.wait_phase("brief", "Succeeded")
    node.delete("brief")
    seen: list[str] = []
    wanted = ["Pending", "Init:0/1", "PodInitializing", "Running", "Completed"]
    while wanted:
        word = process.stdout.readline().split()[2]
        seen.append(word)
        if word == wanted[0]:
            wanted.pop(0)
        elif word == "Running" and "Running" not in wanted[:1]:
            wanted = [left for left in wanted if left not in ("PodInitializing", "Running")]
    reasons = [events.stdout.readline().split()[2] for _ in range(6)]
    assert reasons == ["Pulled", "Created", "Started"] * 2
    for each in (process, events):
        interrupt(each)
        each.wait()
        each.stdout.close()


def test_what_was_mistyped_is_guessed(web):
    result = web.run("logs", "webb", check=False)
    assert result.stderr == 'Error from server (NotFound): pods "webb" not found (did you mean "web"?)\n'
    assert "-n default" in web.run("describe", "pod", "web", "-n", "lab", check=False).stderr
    assert "Did you mean this?\n\tdescribe" in web.run("descibe", "pod", "web", check=False).stderr


def test_progress_is_for_a_terminal_only(node):
    init = {
        "name": "slow",
        "image": "busybox",
        "command": ["sh", "-c", "until [ -e /v/go ]; do sleep 0.01; done"],
    }
    volume = {"name": "v", "emptyDir": {}}
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    manifest = pod("slow", mount, initContainers=[init | mount], volumes=[volume])
    node.apply(manifest, "--wait=false")
    file = json.dumps(manifest)
    terminal = Terminal(
        node, f"printf %s {shlex.quote(file)} | {shlex.join(MINIPOD)} apply --wait -f -", program=["sh", "-c"]
    )
    terminal.read_until("pod/slow Init:0/1")
    piped = node.popen("apply", "--wait", "-f", "-", stdin=PIPE, stdout=PIPE, stderr=PIPE)
    piped.stdin.write(file)
    piped.stdin.close()
    piped.stdin = None
    assert piped.stdout.readline() == "pod/slow unchanged\n"
    # The container may end, and take this process of its PID namespace with it, before `touch` has.
    node.exec("slow", "touch", "/v/go", container="slow", check=False)
    assert terminal.end() == 0
    assert piped.communicate() == ("", "")


# --- repeated, concurrent, interrupted


def test_of_twenty_applies_at_once_one_creates(node):
    manifest = json.dumps(pod("one", {}))
    streams = {"stdin": PIPE, "stdout": PIPE, "stderr": PIPE}
    processes = [node.popen("apply", "--wait", "-f", "-", **streams) for _ in range(20)]
    answers = [process.communicate(manifest) for process in processes]
    assert [process.returncode for process in processes] == [0] * 20, answers
    assert Counter(answers) == {("pod/one created\n", ""): 1, ("pod/one unchanged\n", ""): 19}
    assert node.names().count("default/one") == 1
    assert len(node.status("one")["containerStatuses"]) == 1


def test_deletes_at_once_are_harmless(node):
    node.apply(pod("gone", {}))
    processes = [node.popen("delete", "pod", "gone", "--now", stdout=PIPE, stderr=PIPE) for _ in range(5)]
    answers = [process.communicate() for process in processes]
    assert "default/gone" not in node.names()
    missing = 'Error from server (NotFound): pods "gone" not found\n'
    assert {error for _, error in answers} <= {"", missing}
    assert 'pod "gone" deleted\n' in {out for out, _ in answers}


def test_deleting_what_is_not_there_is_no_error_for_who_says_so(node):
    node.apply(pod("there", {}))
    done = node.run("delete", "pod", "gone", "there", "--now", "--ignore-not-found")
    assert (done.stdout, done.stderr) == ('pod "there" deleted\n', "")


def test_an_interrupted_apply_is_carried_out_all_the_same(node):
    init = {"name": "slow", "image": "busybox", "command": ["sh", "-c", "sleep 0.3"]}
    process = node.popen("apply", "--wait", "-f", "-", stdin=PIPE, stdout=PIPE)
    process.stdin.write(json.dumps(pod("slow", {}, initContainers=[init])))
    process.stdin.close()
    assert process.stdout.readline() == "pod/slow created\n"
    interrupt(process)
    assert process.wait() != 0
    process.stdout.close()
    node.wait_phase("slow", "Running")


def test_all_pods_can_be_deleted(node):
    node.apply([pod("a", {}, metadata={"namespace": "lab"}), pod("b", {}, metadata={"namespace": "lab"})])
    done = node.run("delete", "--all", "-n", "lab", "--now")
    assert done.stdout == 'pod "a" deleted\npod "b" deleted\n'
    assert node.run("get", "pods", "-n", "lab").stderr == "No resources found in lab namespace.\n"
    wait_until(lambda: not [name for name in node.names() if name.startswith("lab/")])


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("describe", "pod", "w"), "web"),
        (("logs", "web", "-c", ""), "c0 c1"),
        (("exec", "-it", "pod/e"), "pod/ended"),
        (("events", "--for", "pod/w"), "pod/web"),
        (("run", "x", "--image", "bu"), "busybox"),
    ],
)
def test_names_are_completed(web, words, offered):
    assert web.run("__complete", "--", *words).stdout.split() == offered.split()
