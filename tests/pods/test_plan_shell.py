"""The script that `minipod plan -o shell` prints builds the pod that minipod builds, and its undo leaves nothing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from minipod.api import messages as m
from minipod.spec import yamlio
from minipod.testing.wait import PATIENCE
from tests.support import evidence
from tests.support.faults import Api
from tests.support.node import ROOT, Node, make, pod
from tests.support.wait import wait_until

EXAMPLES = sorted(path.stem for path in (ROOT / "examples").glob("*.yaml"))
# What no example has: names that a shell would take apart, a sidecar, a privileged container, a folder of the host.
OWN_FOLDER = "/run/somebody's own folder"
AWKWARD = pod(
    "awkward",
    {
        "name": "quotes",
        "workingDir": "/made here/$HOME",
        "command": [
            "sh",
            "-c",
            "echo \"$0|$1\"; 'true'\nINSIDE\nBEFORE\n: `date`",
            "it's $HOME",
            'a\\b\n"c"',
        ],
        "env": [{"name": "SAID", "value": 'it\'s "$(PATH)" `and` $HOME \\n'}],
        "volumeMounts": [{"name": "own", "mountPath": "/somebody's"}, {"name": "disk", "mountPath": "/d $x"}],
        "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
    },
    {
        "name": "mighty",
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "own", "mountPath": "/etc/own", "readOnly": True},
            {"name": "disk", "mountPath": "/its ü\\own *", "readOnly": True},
        ],
        "terminationMessagePath": "/dev/said",
    },
    initContainers=[
        {"name": "beside", "image": "busybox", "command": ["sleep", "86400"], "restartPolicy": "Always"},
        {"name": "setup", "image": "busybox", "command": ["true"]},
    ],
    hostname="called-otherwise",
    volumes=[
        {"name": "own", "hostPath": {"path": OWN_FOLDER, "type": "DirectoryOrCreate"}},
        {"name": "disk", "emptyDir": {}},
    ],
    securityContext={"runAsUser": 0, "runAsGroup": 7},
)
NAMES = [*EXAMPLES, "awkward"]
WORK = "/run/minipod-plan-default_{}"
INIT = {"setup"}  # containers that have ended when all is looked at

# The exceptions, beside what no command tells (seccomp, device rules of cgroup v2, CRI logs, restarts, probes):
PAUSE_DIFFERS = {"parent"}  # it is nobody's child instead of a supervisor's
HOSTS_NETWORK = "host"  # its network is the machine's: with bridge and pods, it is another one each time


class Built(NamedTuple):
    """Every example, built twice."""

    real: dict[str, evidence.Pod]
    scripted: dict[str, evidence.Pod]
    init: int  # the node's process 1
    left: list[str]  # after the way back
    left_in_run: str


def example(name: str) -> dict[str, Any]:
    return yamlio.documents((ROOT / f"examples/{name}.yaml").read_text(), name)[0].value


def minipods(node: Node, name: str, containers: list[str]) -> evidence.Pod:
    """The pod as minipod has built it."""
    uid = node.get(name)["metadata"]["uid"]
    logs = {each: whole(lambda c=each: node.logs(name, "-c", c)) for each in containers}
    status = Api(node).supervisor(uid, m.Status()).status
    names = {each.id: each.name for each in status.containers} | {
        each.id: "pause" for each in status.sandboxes
    }
    return evidence.seen(logs, node.init, evidence.cgroup(node.layout.cgroup, uid), names, INIT)


def scripts(node: Node, name: str, containers: list[str]) -> evidence.Pod:
    """The pod as a script has built it."""
    folder = Path(f"/proc/{node.init}/root{WORK.format(name)}")
    logs = {each: whole((folder / f"{each}.log").read_text) for each in containers}
    names = {f"container-{each}": each for each in containers} | {f"sandbox-default_{name}": "pause"}
    pods = evidence.cgroup(f"{node.layout.cgroup}-plan", f"default_{name}")
    return evidence.seen(logs, node.init, pods, names, INIT)


def whole(read) -> str:
    return wait_until(lambda: (text := read()) and evidence.END in text and text)


def both(node: Node, manifest: dict[str, Any]) -> list[str]:
    """The script, and the one that takes it back."""
    text = msgspec.json.encode(manifest).decode()
    return [node.run("plan", "-f", "-", "-o", "shell", *undo, stdin=text).stdout for undo in ([], ["--undo"])]


def shell(node: Node, script: str, **variables: str) -> tuple[int, str]:
    """Pipe a script into a shell: exit code, and what it says. Whatever it starts must not hold the pipes."""
    program = ["env", *(f"{name}={value}" for name, value in variables.items()), "sh", "-eu"]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with node.popen(program=program, **pipes) as process:
        out, err = process.communicate(script, timeout=120 * PATIENCE)
    return process.returncode, out + err


def run(node: Node, script: str, **variables: str) -> None:
    code, said = shell(node, script, **variables)
    assert code == 0, said


@pytest.fixture(scope="module")
def pods() -> dict[str, dict[str, Any]]:
    """The examples and one more, with containers that say what they see."""
    manifests = (*map(example, EXAMPLES), AWKWARD)
    return {each["metadata"]["name"]: evidence.reporting(each) for each in manifests}


@pytest.fixture(scope="module")
def built(tmp_path_factory, minipod_images, pods) -> Iterator[Built]:
    node = make(tmp_path_factory.mktemp("node") / "home", minipod_images)
    try:
        yield build_twice(node, pods)
    finally:
        node.close()


def build_twice(node: Node, pods: dict[str, dict[str, Any]]) -> Built:
    lists = {
        name: [each["name"] for each in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"])]
        for name, pod in pods.items()
    }
    node.start()
    node.apply([*pods.values()])
    real = {name: minipods(node, name, containers) for name, containers in lists.items()}
    addresses = {name: [each["ip"] for each in node.get(name)["status"]["podIPs"]] for name in pods}
    texts = {name: both(node, pod) for name, pod in pods.items()}
    node.stop(pods=True)
    node.sh(f'rmdir "{OWN_FOLDER}"')  # a hostPath that was made is the user's from then on
    before, folders = node.look(), node.sh("ls -A /run /run/netns")
    try:
        for name, (script, _) in texts.items():
            address4, address6 = (*addresses[name], "")[:2]
            run(node, script, ADDRESS4=address4, ADDRESS6=address6)
        scripted = {name: scripts(node, name, containers) for name, containers in lists.items()}
    finally:
        for _, back in texts.values():
            run(node, back)
    node.sh(f'rmdir "{OWN_FOLDER}"')
    after = node.sh("ls -A /run /run/netns | grep -vx mount")  # mount(8)'s own folder
    left = node.leaks(before, stays=("namespace gone: ",))  # somebody else's, whose pins are seen here, too
    return Built(real, scripted, node.init, left, "" if folders == after else after)


# --- it is the same pod


@pytest.mark.parametrize("name", NAMES)
def test_the_same_processes_share_the_same_namespaces(built, name):
    assert built.scripted[name].namespaces == built.real[name].namespaces


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "what",
    ["mounts", "credentials", "environment", "place", "descriptors", "cgroup", "files"],
)
def test_every_container_has_the_same(built, name, what):
    assert said(built.scripted[name], what) == said(built.real[name], what)


@pytest.mark.parametrize("name", [name for name in NAMES if name != HOSTS_NETWORK])
def test_every_container_has_the_same_addresses_routes_and_settings_of_its_network(built, name):
    assert said(built.scripted[name], "network") == said(built.real[name], "network")


def said(pod: evidence.Pod, what: str) -> dict[str, list[str]]:
    return {container: lines[what] for container, lines in pod.containers.items()}


@pytest.mark.parametrize("name", NAMES)
def test_every_container_leads_a_session_of_its_own(built, name):
    assert {line for lines in said(built.scripted[name], "session").values() for line in lines} == {"1 1"}


@pytest.mark.parametrize("name", NAMES)
def test_every_cgroup_has_the_same_limits(built, name):
    assert built.scripted[name].limits == built.real[name].limits


@pytest.mark.parametrize("name", NAMES)
def test_every_cgroup_has_the_processes_of_its_container_and_no_others(built, name):
    assert (built.scripted[name].strangers, built.real[name].strangers) == ([], [])


@pytest.mark.parametrize("name", NAMES)
def test_pause_is_the_same_but_for_its_parent(built, name):
    scripted, real = built.scripted[name].pause, built.real[name].pause
    different = {what for what in real if scripted[what] != real[what]}
    assert different == PAUSE_DIFFERS


@pytest.mark.parametrize("name", NAMES)
def test_pause_is_a_child_of_process_1(built, name):
    assert built.scripted[name].pause["parent"] == str(built.init)


# --- and nothing of it stays


def test_the_way_back_leaves_nothing(built):
    assert built.left == []


def test_the_way_back_leaves_no_folder(built):
    assert built.left_in_run == ""


# --- however it goes


def test_a_container_does_what_it_is_for(node):
    script, back = both(node, example("hello"))
    run(node, script)
    log = Path(f"/proc/{node.init}/root{WORK.format('hello')}/hello.log")
    wait_until(lambda: log.read_text() == "Hello, world, from /tmp on hello\n")
    run(node, back)


def test_with_bash_as_sh_it_does_the_same(node):
    script, back = both(node, example("shared-context"))
    node.sh("mount --bind /bin/bash $(realpath /bin/sh)")
    run(node, script)
    log = Path(f"/proc/{node.init}/root{WORK.format('shared-context')}/client.log")
    wait_until(lambda: "in the volume: <h1>Hello from setup</h1>" in log.read_text())
    run(node, back)
    node.sh("umount $(realpath /bin/sh)")


def test_beside_a_running_node_the_address_is_claimed(node):
    script, back = both(node, example("hello"))
    run(node, script)
    claims = Path(f"/proc/{node.init}/root{node.layout.addresses}")
    assert [os.readlink(claim) for claim in claims.glob("*.254")] == ["sandbox-default_hello"]
    run(node, back)
    assert [*claims.glob("*.254")] == []


def test_a_script_that_has_come_half_way_is_taken_back(node):
    script, back = both(node, example("shared-context"))
    code, said = shell(node, script, IMAGE="/nowhere")
    assert (code, "setup ended with exit code 32" in said) == (1, True), said
    run(node, back)


def test_a_script_that_ended_before_it_had_its_table_is_taken_back(tmp_path, minipod_images):
    node = make(tmp_path / "home", minipod_images)
    try:
        script, back = both(node, example("hello"))
        node.stop(pods=True)  # and with it its bridge
        run(node, script)
        node.sh(f"nft delete table inet {node.layout.table}")
        run(node, back)
        assert node.layout.bridge not in node.sh("ip -brief link")
    finally:
        node.close()


def test_a_pod_whose_init_container_fails_goes_no_further(node):
    fails = {"name": "setup", "image": "busybox", "command": ["sh", "-c", "exit 3"]}
    script, back = both(node, pod("failing", {}, initContainers=[fails]))
    code, said = shell(node, script)
    assert (code, "setup ended with exit code 3;" in said) == (1, True), said
    assert not Path(f"/proc/{node.init}/root{WORK.format('failing')}/c0.log").exists()
    run(node, back)


def test_what_was_taken_back_can_be_taken_back_again(node):
    _, back = both(node, example("limits"))
    run(node, back)
    run(node, back)


def test_a_folder_of_somebody_else_is_left_alone(node, tmp_path):
    script, back = both(node, example("hello"))
    (tmp_path / "precious").touch()
    for text in (script, back):
        code, said = shell(node, text, WORK=str(tmp_path))
        assert (code, str(tmp_path) in said) == (1, True), said
    assert (tmp_path / "precious").exists()
