"""The structs are written as Kubernetes writes its objects, and stay light."""

import ast
import subprocess
import sys

import msgspec
import pytest

from minipod.spec import types
from minipod.spec.types import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    Event,
    IPAddress,
    ObjectMeta,
    ObjectReference,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
)


def as_json(value):
    return msgspec.json.decode(msgspec.json.encode(value))


def test_a_pod_is_written_with_version_kind_and_only_what_is_set():
    pod = Pod(
        metadata=ObjectMeta(name="web"), spec=PodSpec(containers=(Container(name="app", image="nginx"),))
    )
    assert as_json(pod) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {"containers": [{"name": "app", "image": "nginx"}]},
    }


def test_names_with_capitals_are_those_of_kubernetes():
    status = PodStatus(
        pod_ip="10.0.0.2",
        pod_ips=(IPAddress(ip="10.0.0.2"),),
        host_ip="10.0.0.1",
        host_ips=(IPAddress(ip="10.0.0.1"),),
        container_statuses=(ContainerStatus(name="app", image_id="sha256:1", container_id="minipod://1"),),
    )
    written = as_json(status)
    assert {"podIP", "podIPs", "hostIP", "hostIPs"} <= written.keys()
    assert {"imageID", "containerID"} <= written["containerStatuses"][0].keys()


def test_a_container_status_always_says_whether_it_is_ready_and_how_often_it_was_restarted():
    assert as_json(ContainerStatus(name="app")) == {
        "name": "app",
        "state": {},
        "lastState": {},
        "ready": False,
        "restartCount": 0,
        "image": "",
        "imageID": "",
    }


def test_an_exit_code_of_zero_is_written():
    state = ContainerState(terminated=ContainerStateTerminated(reason="Completed"))
    assert as_json(state) == {"terminated": {"exitCode": 0, "reason": "Completed"}}


def test_a_condition_has_its_last_probe_time_as_kubernetes_writes_it():
    assert as_json(PodCondition(type="Ready", status="True"))["lastProbeTime"] is None


def test_an_event_counts_from_one():
    event = Event(involved_object=ObjectReference(kind="Pod", name="web", field_path="spec.containers{app}"))
    assert as_json(event)["count"] == 1
    assert as_json(event)["involvedObject"] == {
        "kind": "Pod",
        "name": "web",
        "fieldPath": "spec.containers{app}",
    }


@pytest.mark.parametrize(
    "value", [Pod(), Event(), PodStatus(conditions=(PodCondition(type="Ready", status="True"),))]
)
def test_what_is_written_is_read_back_as_it_was(value):
    assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value


def test_an_object_from_a_newer_node_is_read_without_the_fields_this_one_does_not_know():
    assert msgspec.json.decode(b'{"kind": "Pod", "spec": {"newer": 1}, "newest": {}}', type=Pod) == Pod()


def test_every_field_of_every_struct_is_documented():
    with open(types.__file__) as file:
        text = file.read()
    lines = text.splitlines()
    fields = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.AnnAssign)]
    assert len(fields) > 100
    undocumented = [ast.unparse(node) for node in fields if "  # " not in lines[node.end_lineno - 1]]
    assert undocumented == []


def test_the_modules_a_supervisor_needs_bring_nothing_but_msgspec_with_them():
    script = (
        "import sys, msgspec; before = set(sys.modules);"
        "import minipod.spec.types, minipod.spec.quantity, minipod.spec.qos;"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith('minipod')))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []
