"""Probes, hooks and restart rules: defaults, and what is refused with Kubernetes' words."""

import pytest

from minipod.errors import Invalid
from minipod.spec.handlers import HTTPGetAction, Probe
from minipod.spec.validate import manifest

EXEC = {"exec": {"command": ["true"]}}


def pod(init=False, **container):
    """A manifest whose one container, or init container, has these fields."""
    given = {"name": "given", "image": "busybox", **container}
    app = {"name": "app", "image": "busybox"}
    spec = {"containers": [app], "initContainers": [given]} if init else {"containers": [given]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}, "spec": spec}


def read(value):
    return manifest(value).pod.spec.containers[0]


def problems(value):
    with pytest.raises(Invalid) as caught:
        manifest(value)
    return caught.value.problems


def test_a_probe_has_the_defaults_of_kubernetes():
    container = read(pod(livenessProbe={"httpGet": {"port": "web"}}))
    assert container.liveness_probe == Probe(
        http_get=HTTPGetAction(port="web", path="/", scheme="HTTP"),
        timeout_seconds=1,
        period_seconds=10,
        success_threshold=1,
        failure_threshold=3,
    )


def test_a_container_has_the_termination_message_of_kubernetes():
    container = read(pod())
    assert (container.termination_message_path, container.termination_message_policy) == (
        "/dev/termination-log",
        "File",
    )


@pytest.mark.parametrize(
    "container",
    [
        {"readinessProbe": {"tcpSocket": {"port": 80}, "successThreshold": 2}},
        {"startupProbe": {"grpc": {"port": 80, "service": "web"}}},
        {"livenessProbe": {**EXEC, "terminationGracePeriodSeconds": 1}},
        {"livenessProbe": {"httpGet": {"port": 80, "scheme": "HTTPS"}}},
        {"lifecycle": {"postStart": EXEC, "preStop": {"sleep": {"seconds": 30}}, "stopSignal": "SIGRTMIN+3"}},
        {"restartPolicy": "Never", "terminationMessagePolicy": "FallbackToLogsOnError"},
    ],
)
def test_what_kubernetes_takes_is_taken(container):
    read(pod(**container))


def test_a_sidecar_may_have_what_other_init_containers_may_not():
    manifest(pod(init=True, restartPolicy="Always", livenessProbe=EXEC, lifecycle={"preStop": EXEC}))


@pytest.mark.parametrize("field", ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"])
def test_an_init_container_has_no_probes_and_no_hooks(field):
    value = {"postStart": EXEC} if field == "lifecycle" else EXEC
    why = "Forbidden: may not be set for init containers without restartPolicy=Always"
    assert problems(pod(init=True, **{field: value})) == [(f"spec.initContainers[0].{field}", why)]


@pytest.mark.parametrize(
    ("container", "path", "message"),
    [
        ({"livenessProbe": {}}, "livenessProbe", "Required value: must specify a handler type"),
        (
            {"livenessProbe": {**EXEC, "tcpSocket": {"port": 1}}},
            "livenessProbe.tcpSocket",
            "Forbidden: may not specify more than 1 handler type",
        ),
        ({"livenessProbe": {"exec": {}}}, "livenessProbe.exec.command", "Required value"),
        (
            {"livenessProbe": {"httpGet": {"port": 0}}},
            "livenessProbe.httpGet.port",
            "Invalid value: 0: must be between 1 and 65535, inclusive",
        ),
        (
            {"livenessProbe": {"tcpSocket": {"port": "no name"}}},
            "livenessProbe.tcpSocket.port",
            'Invalid value: "no name": must be a number or the name of a port',
        ),
        (
            {"livenessProbe": {"httpGet": {"port": 1, "scheme": "https"}}},
            "livenessProbe.httpGet.scheme",
            'Unsupported value: "https": supported values: "HTTP", "HTTPS"',
        ),
        (
            {"livenessProbe": {**EXEC, "periodSeconds": -1}},
            "livenessProbe.periodSeconds",
            "Invalid value: -1: must be greater than or equal to 0",
        ),
        (
            {"startupProbe": {**EXEC, "successThreshold": 2}},
            "startupProbe.successThreshold",
            "Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": {**EXEC, "terminationGracePeriodSeconds": 5}},
            "readinessProbe.terminationGracePeriodSeconds",
            "Invalid value: 5: must not be set for readinessProbes",
        ),
        (
            {"livenessProbe": {**EXEC, "terminationGracePeriodSeconds": 0}},
            "livenessProbe.terminationGracePeriodSeconds",
            "Invalid value: 0: must be greater than 0",
        ),
        (
            {"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}},
            "lifecycle.preStop.sleep",
            "Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
        ),
        ({"lifecycle": {"preStop": {}}}, "lifecycle.preStop", "Required value: must specify a handler type"),
        ({"lifecycle": {"stopSignal": "HUP"}}, "lifecycle.stopSignal", 'Unsupported value: "HUP"'),
        (
            {"terminationMessagePolicy": "Log"},
            "terminationMessagePolicy",
            'Unsupported value: "Log": supported values: "FallbackToLogsOnError", "File"',
        ),
        (
            {"restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]},
            "restartPolicy",
            "Required value: must specify restartPolicy when restart rules are used",
        ),
        (
            {"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]},
            "restartPolicyRules[0].exitCodes",
            "Required value: must be specified",
        ),
        (
            {
                "restartPolicy": "Never",
                "restartPolicyRules": [
                    {"action": "RestartPod", "exitCodes": {"operator": "In", "values": [1]}}
                ],
            },
            "restartPolicyRules[0].action",
            'Unsupported value: "RestartPod": supported values: "Restart", "RestartAllContainers"',
        ),
    ],
)
def test_what_kubernetes_refuses_is_refused_with_its_path(container, path, message):
    assert problems(pod(**container)) == [(f"spec.containers[0].{path}", message)]


def test_a_pod_is_active_for_a_second_at_least():
    value = pod()
    value["spec"]["activeDeadlineSeconds"] = 0
    why = "Invalid value: 0: must be between 1 and 2147483647, inclusive"
    assert problems(value) == [("spec.activeDeadlineSeconds", why)]
