"""A build stops before an operation, can be looked into, goes on in steps or to its end, and holds nobody else up."""

import contextlib
import os
import re

import pytest

from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.kernel.caps import DEFAULT, to_mask
from minipod.node import breakpoints, settings
from minipod.plan.places import word
from minipod.spec import validate
from tests.support import host
from tests.support.faults import Api, ask, glance, titles
from tests.support.namespaces import inside
from tests.support.node import Node, mounted, pod, sh
from tests.support.terminal import Terminal
from tests.support.wait import wait_until

APP, SIDE = {"name": "app"}, {"name": "side"}
PLACES = (
    "pod:1",
    "sandbox/objects:3",
    "sandbox/pause:0",
    "sandbox/pause:pivot_root",
    "sandbox/pause:exec",
    "sandbox/network:0",
    "sandbox/network:3",
    "sandbox/pins:4",
    "sandbox",
    "container/app:0",
    "container/app:umount",
    "container/side:exec",
)


def stop(node: Node, place: str, *containers: dict, name: str = "web", **spec) -> m.Build:
    """Apply a pod that stops there."""
    node.apply(pod(name, *(containers or (APP,)), **spec), "--break-at", place)
    return where(node, name)


def where(node: Node, name: str = "web") -> m.Build:
    """Where it is stopped, from its supervisor."""
    api, uid = Api(node), node.get(name)["metadata"]["uid"]
    channel = Channel.connect(f"{api.root}{node.layout.pod_run(uid)}/supervisor.sock")
    ours, theirs = Channel.pair()
    with contextlib.closing(channel), contextlib.closing(ours):
        ask(channel, m.AwaitStop(), (theirs.fileno(),))
        theirs.close()
        build = m.replies.decode(ours.recv()[0]).build
    assert build
    return build


def enter(node: Node, *applet: str, stdin: str = "", name: str = "web") -> str:
    return node.run("enter", name, *(["--", *applet] if applet else []), stdin=stdin).stdout


def root_of(node: Node, pid: int) -> tuple[int, int]:
    """Device and inode of a process's root."""
    root = os.stat(f"{node.proc}/{pid}/root/")
    return root.st_dev, root.st_ino


def field(node: Node, pid: int, name: str) -> str:
    return re.search(rf"^{name}:\s*(.*)$", node.read(pid, "status"), re.MULTILINE).group(1)


def events(node: Node, reason: str, name: str = "web") -> list[str]:
    uid, items = node.get(name)["metadata"]["uid"], Api(node).ask("GET", "/api/v1/events")["items"]
    own = [event for event in items if event["involvedObject"]["uid"] == uid]
    return [event["message"] for event in own if event["reason"] == reason]


# --- what is there ---------------------------------------------------------------------------------------------------


def test_before_pivot_root_the_root_is_made_and_the_hosts_is_still_the_root(node):
    build = stop(node, "container/app:pivot_root")
    mounts = [line.split()[4] for line in node.read(build.pid, "mountinfo").splitlines()]
    made = node.layout.mountpoint
    assert {made, f"{made}/proc", f"{made}/dev/shm"} <= {*mounts}
    assert root_of(node, build.pid) == root_of(node, 1)
    assert {"bin", "proc", "dev"} <= {*enter(node, "ls", made).split()}
    assert enter(node, "ls", "-A", "/").split() == sorted(os.listdir(f"{node.proc}/1/root/"))
    node.run("step", "web", "2")
    assert root_of(node, build.pid) != root_of(node, 1)
    assert not [line for line in node.read(build.pid, "mountinfo").splitlines() if made in line.split()[4]]
    assert enter(node, "ls", "-A", "/").split() == sorted(os.listdir(f"{node.proc}/{build.pid}/root/"))


def test_between_pivot_root_and_umount_one_enters_the_containers_root_although_the_hosts_is_on_top(node):
    build = stop(node, "container/app:umount")
    assert enter(node, "stat", "-c", "%d:%i", "/") == "{}:{}\n".format(*root_of(node, build.pid))
    assert root_of(node, build.pid) != root_of(node, 1)


def test_before_capabilities_are_dropped_the_bounding_set_is_the_hosts(node):
    build = stop(node, "drop-capabilities")
    assert (build.stage, build.word) == ("container/app", "drop_capabilities")
    assert field(node, build.pid, "CapBnd") == field(node, 1, "CapBnd")
    node.run("continue", "web")
    node.wait_phase("web", "Running")
    assert int(field(node, build.pid, "CapBnd"), 16) == to_mask(DEFAULT) & int(field(node, 1, "CapBnd"), 16)


def test_one_enters_every_namespace_of_the_process_that_is_stopped(node):
    build = stop(node, "exec", shareProcessNamespace=True)
    kinds = ("mnt", "net", "ipc", "uts", "pid", "cgroup")
    script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds)
    seen = enter(node, "sh", "-c", script).split()
    assert seen == [f"{kind}:[{node.namespace(build.pid, kind)}]" for kind in kinds]
    assert node.namespace(build.pid, "pid") != node.namespace("self", "pid")


def test_after_the_sandbox_one_enters_pause_and_its_network(node):
    stop(node, "sandbox")
    assert "eth0" in enter(node, "ip", "link")
    assert node.run("enter", "web", "--", "ls", "/").stdout == ""


def test_where_nothing_of_the_pod_runs_yet_there_is_nothing_to_enter(node):
    stop(node, "sandbox/objects")
    refused = node.run("enter", "web", check=False)
    assert (refused.returncode, "nothing of the pod runs yet" in refused.stderr) == (1, True)


def test_a_shell_at_a_terminal_and_one_in_a_pipe(node):
    stop(node, "exec")
    assert enter(node, stdin="echo from a pipe; hostname\n").split("\n") == ["from a pipe", "web", ""]
    assert node.run("enter", "web", "--", "sh", "-c", "exit 3", check=False).returncode == 3
    terminal = Terminal(node, "enter", "web")
    try:
        terminal.read_until("# ")
        terminal.type("stty size; exit 5\r")
        assert "24 80" in terminal.read_until("24 80")
        assert terminal.end() == 5
    finally:
        terminal.close()


# --- steps -----------------------------------------------------------------------------------------------------------


def test_a_step_does_one_operation(node):
    build = stop(node, "sandbox/pause:sethostname")
    assert enter(node, "hostname") != "web\n"
    said = node.run("step", "web").stdout.splitlines()
    assert said[0].startswith("done: ")
    assert "hostname" in said[0]
    assert enter(node, "hostname") == "web\n"
    assert (where(node).index, where(node).pid) == (build.index + 1, build.pid)
    assert said[1] == f"pod/web stopped before {where(node).word} (sandbox/pause:{build.index + 1})"


def test_steps_lead_from_stage_to_stage_and_through_the_netlink_worker(node):
    stop(node, "sandbox/network")
    assert "eth0" not in enter(node, "ip", "link")
    node.run("step", "web")
    assert "eth0" in enter(node, "ip", "link")
    stages = {(stage := where(node).stage)}
    while stage != "container/app":
        node.run("step", "web", "3")
        stages.add(stage := where(node).stage)
    assert stages == {"sandbox/network", "sandbox/pins", "container/app/objects", "container/app"}
    assert "goes on" in node.run("step", "web", "1000").stdout
    node.wait_phase("web", "Running")
    assert node.run("step", "web", check=False).returncode == 1


def test_a_step_over_the_last_exec_of_an_init_container_stops_again_when_that_has_ended(node):
    stop(node, "container/init:exec", APP, initContainers=[{"name": "init", "image": "busybox"} | sh("true")])
    assert "it stops again" in node.run("step", "web").stdout
    wait_until(lambda: where(node).stage == "container/app/objects")
    node.run("continue", "web")
    node.wait_phase("web", "Running")


def test_a_stop_behind_an_init_container_is_waited_for(node):
    init = {"name": "init", "image": "busybox"} | sh("true")
    place = ("--break-at", "container/app:pivot_root")
    told = node.apply(pod("web", APP, initContainers=[init]), *place).stdout
    assert "pod/web stopped before pivot_root (container/app:" in told


def test_a_restart_does_not_stop_at_the_breakpoint(node):
    stop(node, "exec", APP | sh("exit 1"))
    node.run("continue", "web")
    node.wait("web", lambda status: status["containerStatuses"][0]["restartCount"])


# --- and everybody else ----------------------------------------------------------------------------------------------


def test_a_stopped_build_holds_only_its_own_pod_up(node):
    stop(node, "container/app:pivot_root", APP, SIDE)
    node.apply(pod("other", {}))
    assert node.status("other")["phase"] == "Running"
    status = node.status("web")
    assert status["phase"] == "Pending"
    assert {each["state"]["waiting"]["reason"] for each in status["containerStatuses"]} == {
        "ContainerCreating"
    }
    assert events(node, "Stopped") == [f"Stopped before pivot_root (container/app:{where(node).index})"]
    assert "Stopped before pivot_root" in node.run("describe", "pod", "web").stdout


def test_while_one_container_is_stopped_the_one_before_it_runs_and_ends(node):
    stop(node, "container/side", APP | sh("exit 7"), SIDE, restartPolicy="Never")

    def ended(status):
        app, side = status["containerStatuses"]
        return app["state"]["terminated"]["exitCode"] == 7 and "waiting" in side["state"]

    node.wait("web", ended)
    node.run("continue", "web")
    node.wait("web", lambda status: "running" in status["containerStatuses"][1]["state"])


def test_a_container_that_runs_beside_one_that_is_stopped_can_be_used(node):
    stop(node, "container/side", APP, SIDE)
    node.wait("web", lambda status: "running" in status["containerStatuses"][0]["state"])
    assert node.exec("web", "hostname", container="app").stdout == "web\n"


def test_what_is_being_built_is_not_changed_by_other_requests(node, api):
    stop(node, "exec")
    uid = node.get("web")["metadata"]["uid"]
    with pytest.raises(AssertionError, match="stopped before exec"):
        api.supervisor(uid, m.RemoveSandbox("any"))
    assert api.supervisor(uid, m.Status()).status.sandboxes[0].state == "ready"


def test_it_survives_the_node(node, api):
    build = stop(node, "container/app:pivot_root")
    api.kill(dead := api.helper("node"))
    wait_until(lambda: api.helper("node") != dead)
    node.start()
    assert where(node) == build
    assert node.run("enter", "web", "--", "true").returncode == 0
    node.run("continue", "web")
    node.wait_phase("web", "Running")
    assert node.pids("web")["app"] == build.pid


def test_a_supervisor_that_dies_takes_the_breakpoint_along(node, api):
    build = stop(node, "container/app:pivot_root")
    api.kill(api.helper("supervisor"))
    node.wait_phase("web", "Running")
    assert not os.path.exists(f"{node.proc}/{build.pid}")


def test_a_stopped_pod_is_deleted_wherever_it_is_and_leaves_nothing(node):
    before = glance(node)
    for number, place in enumerate(PLACES):
        stop(node, place, APP, SIDE, name=f"web{number}", shareProcessNamespace=number % 2 == 0)
    node.delete(*(f"web{number}" for number in range(len(PLACES))), flags=())
    left = host.leaks(before, lambda: glance(node))
    assert not left, "\n".join(left)


def test_a_shell_that_entered_goes_with_the_pod(node):
    stop(node, "exec")
    terminal = Terminal(node, "enter", "web")
    try:
        terminal.read_until("# ")
        node.delete("web")
        assert terminal.end() == 1
        assert "went away" in terminal.text
    finally:
        terminal.close()


def test_a_stopped_process_that_is_killed_fails_the_build(node, api):
    build = stop(node, "container/app:pivot_root", restartPolicy="Never")
    api.kill(build.pid)
    status = node.wait_phase("web", "Failed")
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["reason"], ended["exitCode"]) == ("StartError", 128)
    assert "the process was killed" in ended["message"]


def test_a_pause_that_is_killed_while_the_sandbox_is_stopped_fails_it_and_another_is_made(node, api):
    stop(node, "sandbox/pins:2")
    api.kill(next(pid for pid, title in titles(node).items() if title == "pause -P"))
    node.wait_phase("web", "Running")
    assert "pause was killed" in events(node, "FailedCreatePodSandBox")[0]


# --- what isn't possible ---------------------------------------------------------------------------------------------


def test_a_place_that_is_not_there_is_refused_before_anything_is_created(node):
    manifests = [pod("web", APP), pod("other", {"name": "another"})]
    refused = node.apply(manifests, "--break-at", "container/app:pivot_root", check=False)
    assert refused.returncode == 1
    assert "pod/other can't be stopped there" in refused.stderr
    assert "container/another:0-" in refused.stderr
    assert node.names() == []


def test_the_places_are_the_operations_that_are_carried_out(node, api):
    mounts, init = mounted(d="/d"), {"name": "init", "image": "busybox"} | sh("true")
    volumes = [{"name": "d", "emptyDir": {}}]
    manifest = pod("web", APP | {"volumeMounts": mounts}, SIDE, initContainers=[init], volumes=volumes)
    node.apply(manifest)
    facts = inside(node.init, lambda: settings.facts(node.layout, settings.read("", {})))
    plan = breakpoints.plan_of(validate.manifest(manifest, "", "default").pod, facts)
    done: dict[str, list[str]] = {}
    for each in api.supervisor(node.get("web")["metadata"]["uid"], m.Trace()).timings:
        done.setdefault(each.stage, []).append(each.word)
    assert {stage.name: [word(op) for op in stage.ops] for stage in plan} == {
        name: ops for name, ops in done.items() if not name.startswith("node/")
    }


def test_a_pod_that_is_not_stopped_can_not_be_stepped_continued_or_entered(node):
    node.apply(pod("web", APP))
    for verb in ("step", "continue", "enter"):
        refused = node.run(verb, "web", check=False)
        assert (refused.returncode, "isn't stopped" in refused.stderr) == (1, True), verb
    again = node.apply(pod("web", APP), "--break-at", "exec", check=False)
    assert (again.returncode, again.stdout) == (1, "pod/web unchanged\n")
    assert again.stderr == "error: pod/web has started, and didn't come to the breakpoint\n"
