"""Probes and hooks, on real pods."""

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.node import IDLE, Node, idle_after, interrupt, mounted, pod, sh
from tests.support.tls import PEM
from tests.support.wait import wait_until

LOOP = "while :; do sleep 0.01; done"
SOON = {"periodSeconds": 1, "failureThreshold": 1}


def served(**fields) -> dict:
    """A container with a web server on port 8080, whose pages are in /www."""
    script = "mkdir /www; echo fine >/www/index.html; httpd -p 8080 -h /www"
    return idle_after(script, ports=[{"name": "web", "containerPort": 8080}], **fields)


def container(status: dict, number: int = 0) -> dict:
    return status["containerStatuses"][number]


def condition(status: dict, kind: str) -> dict:
    return next(each for each in status["conditions"] if each["type"] == kind)


def events(node: Node, name: str) -> list[tuple[str, str]]:
    return events_of(node, node.get(name)["metadata"]["uid"])


def events_of(node: Node, uid: str) -> list[tuple[str, str]]:
    items = json.loads(node.run("events", "-o", "json").stdout)["items"]
    return [(each["reason"], each["message"]) for each in items if each["involvedObject"]["uid"] == uid]


def is_ready(status: dict) -> bool:
    return container(status)["ready"]


# --- readiness


def test_a_container_is_ready_as_long_as_its_readiness_probe_succeeds(node):
    probe = {"exec": {"command": ["test", "-e", "/ready"]}, **SOON}
    node.apply(pod("web", {"readinessProbe": probe}))
    status = node.wait("web", lambda status: container(status)["started"])
    assert container(status)["ready"] is False
    assert condition(status, "Ready")["message"] == "containers with unready status: [c0]"
    node.exec("web", "touch", "/ready")
    assert condition(node.wait("web", is_ready), "Ready")["status"] == "True"
    node.exec("web", "rm", "/ready")
    assert condition(node.wait("web", lambda status: not is_ready(status)), "Ready")["status"] == "False"
    assert container(node.status("web"))["restartCount"] == 0


def test_a_page_that_can_be_fetched_makes_ready(node):
    node.apply(pod("web", served(readinessProbe={"httpGet": {"port": "web", "path": "/"}, **SOON})))
    assert node.wait("web", is_ready)


def test_a_page_that_is_missing_is_told(node):
    node.apply(pod("web", served(readinessProbe={"httpGet": {"port": 8080, "path": "/no"}, **SOON})))
    text = ("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 404")
    wait_until(lambda: text in events(node, "web"))
    assert not is_ready(node.status("web"))


def test_a_connection_that_is_accepted_makes_ready(node):
    node.apply(pod("web", served(readinessProbe={"tcpSocket": {"port": 8080}, **SOON})))
    assert node.wait("web", is_ready)


def test_a_connection_that_is_refused_is_told_with_its_address(node):
    node.apply(pod("web", {"readinessProbe": {"tcpSocket": {"port": 9}, **SOON}}))
    address = node.status("web")["podIP"]
    text = f"Readiness probe failed: dial tcp {address}:9: connect: connection refused"
    wait_until(lambda: ("Unhealthy", text) in events(node, "web"))


# --- liveness and startup


def test_a_container_whose_liveness_probe_fails_is_restarted(node):
    probe = {"exec": {"command": ["sh", "-c", "echo sick; test ! -e /sick"]}, **SOON}
    node.apply(pod("web", {"livenessProbe": probe}))
    node.exec("web", "touch", "/sick")
    node.wait("web", lambda status: container(status)["restartCount"] == 1)
    assert ("Unhealthy", "Liveness probe failed: sick\n") in events(node, "web")
    assert ("Killing", "Container c0 failed liveness probe, will be restarted") in events(node, "web")


def test_under_never_a_container_whose_liveness_probe_fails_is_only_killed(node):
    probe = {"exec": {"command": ["false"]}, **SOON, "terminationGracePeriodSeconds": 1}
    node.apply(pod("job", sh(f"trap '' TERM; {LOOP}", livenessProbe=probe), restartPolicy="Never"))
    status = node.wait_phase("job", "Failed")
    assert container(status)["state"]["terminated"]["exitCode"] == 137
    assert ("Killing", "Container c0 failed liveness probe") in events(node, "job")


def test_a_probe_that_does_not_answer_in_time_has_failed(node):
    probe = {"exec": {"command": ["sleep", "1000"]}, **SOON}
    node.apply(pod("web", {"readinessProbe": probe}))
    wait_until(lambda: any("timed out after 1s" in text for _, text in events(node, "web")))


def test_the_other_probes_wait_for_the_startup_probe(node):
    fields = {
        "startupProbe": {"exec": {"command": ["test", "-e", "/started"]}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["test", "-e", "/started"]}, **SOON},
    }
    node.apply(pod("web", {**fields}))
    wait_until(lambda: any(text.startswith("Startup probe failed") for _, text in events(node, "web")))
    assert container(node.status("web"))["started"] is False
    node.exec("web", "touch", "/started")
    status = node.wait("web", lambda status: container(status)["started"])
    assert container(status)["restartCount"] == 0
    assert not any(text.startswith("Liveness") for _, text in events(node, "web"))


def test_a_sidecar_holds_back_the_others_until_its_startup_probe_succeeds(node):
    probe = {"exec": {"command": ["test", "-e", "/started"]}, "periodSeconds": 1, "failureThreshold": 100}
    proxy = {"name": "proxy", "image": "busybox", "restartPolicy": "Always", **sh(IDLE, startupProbe=probe)}
    node.apply(pod("web", {}, initContainers=[proxy]), "--namespace=default")
    status = node.wait("web", lambda status: "running" in status["initContainerStatuses"][0]["state"])
    assert status["phase"] == "Pending"
    node.exec("web", "touch", "/started", container="proxy")
    node.wait_phase("web", "Running")


# --- hooks


def test_after_the_start_post_start_is_run_before_the_next_container_starts(node):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "echo hook >>/d/log"]}}}
    first = {"lifecycle": hook, "volumeMounts": mounted(d="/d")}
    second = idle_after("echo second >>/d/log", volumeMounts=mounted(d="/d"))
    node.apply(pod("web", first, second, volumes=[{"name": "d"}]))
    log = wait_until(lambda: (out := node.exec("web", "cat", "/d/log").stdout.split())[1:] and out)
    assert log == ["hook", "second"]


def test_a_container_whose_post_start_fails_is_killed_and_restarted(node):
    hook = {"postStart": {"exec": {"command": ["sh", "-c", "[ -e /d/x ] || { touch /d/x; exit 1; }"]}}}
    node.apply(pod("web", {"lifecycle": hook, "volumeMounts": mounted(d="/d")}, volumes=[{"name": "d"}]))
    node.wait("web", lambda status: container(status)["restartCount"] == 1 and is_ready(status))
    assert ("FailedPostStartHook", "PostStartHook failed") in events(node, "web")


def test_before_the_stop_signal_pre_stop_is_run(node):
    node.sh("mkdir -p /run/kept")
    script = f"trap 'echo told >>/k/log; exit 0' TERM; {LOOP}"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook >>/k/log"]}}}
    volume = {"name": "k", "hostPath": {"path": "/run/kept"}}
    node.apply(pod("web", sh(script, lifecycle=hook, volumeMounts=mounted(k="/k")), volumes=[volume]))
    node.run("delete", "pod", "web")
    assert node.sh("cat /run/kept/log; rm -r /run/kept").split() == ["hook", "told"]


def test_a_pre_stop_hook_ends_with_the_grace_period(node):
    hook = {"preStop": {"exec": {"command": ["sleep", "1000"]}}}
    node.apply(pod("web", {"lifecycle": hook}, terminationGracePeriodSeconds=1))
    node.run("delete", "pod", "web", seconds=20)
    assert node.names() == []


def test_hooks_can_be_requests_to_the_container_and_pauses(node):
    hooks = {"postStart": {"sleep": {"seconds": 0}}, "preStop": {"httpGet": {"port": "web", "path": "/bye"}}}
    node.apply(pod("web", served(lifecycle=hooks)))
    wait_until(lambda: node.exec("web", "wget", "-qO-", "http://127.0.0.1:8080/", check=False).stdout)
    uid = node.get("web")["metadata"]["uid"]
    node.run("delete", "pod", "web")
    reasons = [reason for reason, _ in events_of(node, uid)]
    assert "Killing" in reasons
    assert "FailedPreStopHook" not in reasons


def test_a_hook_that_fails_is_told_and_the_container_is_stopped_all_the_same(node):
    node.apply(pod("web", {"lifecycle": {"preStop": {"httpGet": {"port": 9}}}}))
    uid = node.get("web")["metadata"]["uid"]
    node.run("delete", "pod", "web")
    assert ("FailedPreStopHook", "PreStopHook failed") in events_of(node, uid)


# --- what no busybox can serve: a server of the host's, in the node's own network namespace


TLS = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
with socket.create_server(("127.0.0.1", 8443)) as listener:
    while True:
        with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""
GRPC = """
import socket
with socket.create_server(("", 5000)) as listener:
    while True:
        with listener.accept()[0] as connection:
            connection.recv(65536)
            connection.sendall(bytes.fromhex("000000040000000000" "000007000000000001" "0000000002" "0801"))
"""


@contextmanager
def server(node: Node, script: str, *words: str) -> Iterator[None]:
    with node.popen("-c", script, *words, program=[sys.executable]) as process:
        yield
        interrupt(process, signal.SIGKILL)


def test_a_page_served_over_https_makes_ready_whoever_signed_its_certificate(node, tmp_path):
    probe = {"httpGet": {"host": "127.0.0.1", "port": 8443, "scheme": "HTTPS"}, **SOON}
    (tmp_path / "pem").write_text(PEM)
    with server(node, TLS, str(tmp_path / "pem")):
        node.apply(pod("web", {"readinessProbe": probe}))
        assert node.wait("web", is_ready)


def test_a_grpc_service_that_says_serving_makes_ready(node):
    probe = {"grpc": {"port": 5000, "service": "web"}, **SOON}
    with server(node, GRPC):
        node.apply(pod("web", {"readinessProbe": probe}, hostNetwork=True))
        assert node.wait("web", is_ready)
