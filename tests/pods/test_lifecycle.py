"""Phases, restarts, init containers, logs and the end of pods."""

import json
import signal
from subprocess import PIPE

import pytest

from tests.support.node import IDLE, Node, idle_after, interrupt, mounted, pod, sh
from tests.support.wait import wait_until


def init(name: str, script: str, **fields) -> dict:
    return {"name": name, "image": "busybox", **sh(script, **fields)}


def container(status: dict, number: int = 0) -> dict:
    return status["containerStatuses"][number]


# --- phases


def test_apply_prints_what_it_did(node):
    manifest = pod("web", {})
    assert node.apply(manifest).stdout == "pod/web created\n"
    assert node.apply(manifest).stdout == "pod/web unchanged\n"


def test_a_pod_whose_containers_run_is_running(node):
    node.apply(pod("web", {}, {}))
    status = node.status("web")
    assert status["phase"] == "Running"
    assert [each["ready"] for each in status["containerStatuses"]] == [True, True]


def test_a_pod_is_pending_from_the_first_moment(node):
    node.apply(pod("web", {}, initContainers=[init("a", IDLE)]), "--namespace=default")
    status = node.status("web")
    assert (status["phase"], status["qosClass"]) == ("Pending", "BestEffort")


def test_get_has_the_columns_of_kubectl(node):
    node.apply(pod("web", {}, {}))
    head, line = node.run("get", "pods").stdout.splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert line.split()[:4] == ["web", "2/2", "Running", "0"]


@pytest.mark.parametrize(
    ("policy", "exit_code", "phase"),
    [("Never", 0, "Succeeded"), ("Never", 1, "Failed"), ("OnFailure", 0, "Succeeded")],
)
def test_a_pod_ends_as_its_container_did(node, policy, exit_code, phase):
    node.apply(pod("job", sh(f"exit {exit_code}"), restartPolicy=policy))
    status = node.wait_phase("job", phase)
    terminated = container(status)["state"]["terminated"]
    assert (terminated["exitCode"], terminated["reason"]) == (
        exit_code,
        "Error" if exit_code else "Completed",
    )
    assert container(status)["restartCount"] == 0


def test_a_pod_of_which_one_container_failed_has_failed(node):
    node.apply(pod("job", sh("exit 0"), sh("exit 2"), restartPolicy="Never"))
    assert node.wait_phase("job", "Failed")


def test_a_pod_of_which_one_container_still_runs_is_running(node):
    node.apply(pod("job", sh("exit 0"), {}, restartPolicy="Never"))
    status = node.wait("job", lambda status: "terminated" in container(status)["state"])
    assert status["phase"] == "Running"


def test_a_container_that_was_killed_says_so(node):
    node.apply(pod("job", {}, restartPolicy="Never"))
    node.sh(f"kill -9 {node.pids('job')['c0']}")
    assert container(node.wait_phase("job", "Failed"))["state"]["terminated"]["exitCode"] == 137


def test_a_command_that_is_not_there_is_a_start_error(node):
    node.apply(pod("job", {"command": ["/no/such/program"]}, restartPolicy="Never"), check=False)
    terminated = container(node.wait_phase("job", "Failed"))["state"]["terminated"]
    assert (terminated["reason"], terminated["exitCode"]) == ("StartError", 128)


def test_an_image_that_is_not_there_is_told_by_apply(node):
    result = node.apply(pod("web", {"image": "no/such:image"}), check=False)
    assert result.returncode == 1
    assert "no/such:image" in result.stderr
    assert container(node.status("web"))["state"]["waiting"]["reason"] in ("ErrImagePull", "ImagePullBackOff")


# --- restarts


@pytest.mark.parametrize(("policy", "exit_code"), [("Always", 0), ("Always", 1), ("OnFailure", 1)])
def test_a_container_is_started_again_and_counted(node, policy, exit_code):
    node.apply(pod("web", sh(f"exit {exit_code}"), restartPolicy=policy))
    status = node.wait("web", lambda status: container(status)["restartCount"] >= 1)
    assert container(status)["lastState"]["terminated"]["exitCode"] == exit_code
    assert status["phase"] == "Running"


def test_a_container_that_keeps_failing_is_backed_off(node):
    node.apply(pod("web", sh("exit 1")))
    status = node.wait("web", lambda status: "waiting" in container(status)["state"])
    assert container(status)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert node.run("get", "pods").stdout.splitlines()[1].split()[2] == "CrashLoopBackOff"


def test_only_the_container_that_ended_is_started_again(node):
    once = idle_after("[ -e /d/x ] || { touch /d/x; exit 1; }", volumeMounts=mounted(d="/d"))
    node.apply(pod("web", {}, once, volumes=[{"name": "d"}]))
    status = node.wait("web", lambda status: container(status, 1)["restartCount"] == 1)
    assert container(status, 0)["restartCount"] == 0


# --- init containers


def test_init_containers_run_one_after_another_before_the_others(node):
    volume = {"volumeMounts": mounted(d="/d")}
    inits = [
        init(name, f"echo {name} begins >>/d/log; echo {name} ends >>/d/log", **volume) for name in ("a", "b")
    ]
    node.apply(
        pod("web", idle_after("echo app >>/d/log", **volume), initContainers=inits, volumes=[{"name": "d"}])
    )
    assert node.exec("web", "cat", "/d/log").stdout.splitlines() == [
        "a begins",
        "a ends",
        "b begins",
        "b ends",
        "app",
    ]


def test_init_containers_are_completed_and_ready(node):
    node.apply(pod("web", {}, initContainers=[init("a", "true")]))
    (status,) = node.status("web")["initContainerStatuses"]
    assert (status["state"]["terminated"]["reason"], status["ready"]) == ("Completed", True)


def test_while_an_init_container_runs_the_pod_is_pending(node):
    node.apply(pod("web", {}, initContainers=[init("a", IDLE), init("b", "true")]), "--namespace=default")
    status = node.wait("web", lambda status: "running" in status["initContainerStatuses"][0]["state"])
    assert status["phase"] == "Pending"
    assert container(status)["state"]["waiting"]["reason"] == "PodInitializing"
    assert node.run("get", "pods").stdout.splitlines()[1].split()[2] == "Init:0/2"


def test_with_restart_policy_never_a_failed_init_container_fails_the_pod(node):
    inits = [init("a", "exit 4"), init("b", "true")]
    node.apply(pod("web", {}, initContainers=inits, restartPolicy="Never"), check=False)
    status = node.wait_phase("web", "Failed")
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
    assert "waiting" in container(status)["state"]


def test_a_failed_init_container_is_started_again(node):
    once = init("a", "[ -e /d/x ] || { touch /d/x; exit 1; }", volumeMounts=mounted(d="/d"))
    node.apply(pod("web", {}, initContainers=[once], volumes=[{"name": "d"}]))
    node.wait_phase("web", "Running")
    assert node.status("web")["initContainerStatuses"][0]["restartCount"] == 1


# --- logs


def test_logs_are_what_the_container_wrote(node):
    node.apply(pod("job", sh("echo out; echo err >&2; printf unfinished"), restartPolicy="Never"))
    node.wait_phase("job", "Succeeded")
    assert sorted(node.logs("job").splitlines()) == ["err", "out", "unfinished"]


def test_logs_are_kept_in_cri_format(node):
    node.apply(pod("job", sh("echo out; echo err >&2; printf unfinished"), restartPolicy="Never"))
    node.wait_phase("job", "Succeeded")
    uid = node.get("job")["metadata"]["uid"]
    text = node.sh(f"cat {node.layout.pod_log('default', 'job', uid)}/c0/0.log")
    lines = sorted(line.split(" ", 1)[1] for line in text.splitlines())
    assert lines == ["stderr F err", "stdout F out", "stdout P unfinished"]


def test_logs_of_a_pod_with_several_containers_are_asked_for_by_name(node):
    node.apply(pod("web", idle_after("echo one"), idle_after("echo two")))
    assert wait_until(lambda: node.logs("web", "-c", "c1")) == "two\n"


def test_logs_of_the_attempt_before(node):
    volume = {"volumeMounts": mounted(d="/d")}
    node.apply(
        pod(
            "web",
            idle_after("date +%N >>/d/n; cat /d/n | wc -l; [ $(cat /d/n | wc -l) = 2 ] || exit 1", **volume),
            volumes=[{"name": "d"}],
        )
    )
    node.wait(
        "web",
        lambda status: container(status)["restartCount"] == 1 and "running" in container(status)["state"],
    )
    assert node.logs("web", "--previous").split() == ["1"]
    assert wait_until(lambda: node.logs("web")).split() == ["2"]


def test_the_last_lines_of_the_logs(node):
    node.apply(pod("job", sh("seq 100"), restartPolicy="Never"))
    node.wait_phase("job", "Succeeded")
    assert node.logs("job", "--tail", "2") == "99\n100\n"


def test_logs_can_be_followed_to_the_end_of_the_container(node):
    script = "echo first; until [ -e /go ]; do sleep 0.01; done; echo last"
    node.apply(pod("job", sh(script), restartPolicy="Never"))
    with node.popen("logs", "-f", "job", stdout=PIPE) as process:
        assert process.stdout.readline() == "first\n"
        # The container may end, and take this process of its PID namespace with it, before `touch` has.
        node.exec("job", "touch", "/go", check=False)
        assert process.stdout.read() == "last\n"
    assert process.returncode == 0


# --- the end


def test_a_deleted_pod_is_gone(node):
    node.apply(pod("web", {}))
    assert node.run("delete", "pod", "web").stdout == 'pod "web" deleted\n'
    assert node.run("get", "pod", "web", check=False).stderr.endswith('pods "web" not found\n')


def test_a_container_is_told_before_it_is_killed(node):
    script = "trap 'echo told >/d/told; exit 0' TERM; touch /d/ready; while :; do sleep 0.01; done"
    node.sh("mkdir -p /run/kept")
    volume = {"name": "d", "hostPath": {"path": "/run/kept"}}
    node.apply(pod("web", sh(script, volumeMounts=mounted(d="/d")), volumes=[volume]))
    wait_until(lambda: "ready" in node.sh("ls /run/kept"))
    node.run("delete", "pod", "web")
    assert node.sh("cat /run/kept/told; rm -r /run/kept") == "told\n"


def test_a_container_that_ends_when_it_is_told_is_not_waited_for(node):
    node.apply(pod("web", {}, terminationGracePeriodSeconds=600))
    node.run("delete", "pod", "web", seconds=20)
    assert node.names() == []


def test_a_deaf_container_is_killed_after_its_grace_period(node):
    node.apply(pod("web", sh("trap '' TERM; while :; do sleep 0.01; done"), terminationGracePeriodSeconds=0))
    node.run("delete", "pod", "web", seconds=10)
    assert node.names() == []


def test_pods_are_deleted_by_the_file_they_came_from(node, tmp_path):
    (tmp_path / "pods.yaml").write_text("\n---\n".join(json.dumps(pod(name, {})) for name in ("one", "two")))
    node.run("apply", "-f", str(tmp_path), "--wait")
    assert node.run("delete", "-f", str(tmp_path / "pods.yaml")).stdout.splitlines() == [
        'pod "one" deleted',
        'pod "two" deleted',
    ]


def test_pods_in_different_namespaces_may_have_one_name(node):
    node.apply([pod("web", {}), pod("web", {}, metadata={"namespace": "other"})])
    assert sorted(node.names()) == ["default/web", "other/web"]


def test_ctrl_c_while_waiting_leaves_the_pod_whole(node: Node, tmp_path):
    (tmp_path / "pod.yaml").write_text(json.dumps(pod("web", {}, initContainers=[init("a", IDLE)])))
    with node.popen("apply", "--wait", "-f", str(tmp_path / "pod.yaml")) as process:
        wait_until(lambda: node.names() == ["default/web"])
        interrupt(process)
    assert process.returncode == -signal.SIGINT  # a shell makes it 130, and stops its script
    assert node.wait("web", lambda status: "running" in status["initContainerStatuses"][0]["state"])
