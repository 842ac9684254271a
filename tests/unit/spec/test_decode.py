"""A manifest is decoded strictly: every unknown, mistyped and unsupported field is named, all at once."""

import pytest

from minipod.errors import BadManifest
from minipod.spec.decode import items, read
from minipod.spec.types import Container, EnvVar, ObjectMeta, Pod, PodSpec


def pod(container=None, metadata=None, **spec):
    """A small manifest with one thing in it."""
    containers = [{"name": "app", "image": "busybox", **(container or {})}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", **(metadata or {})},
        "spec": {"containers": containers, **spec},
    }


def decode(manifest):
    """What is in a manifest with which nothing is wrong."""
    decoded = read(manifest)
    assert decoded.problems == ()
    return decoded


def wrong(manifest):
    return list(read(manifest).problems)


def test_a_manifest_becomes_the_pod_it_describes_without_defaults():
    decoded = decode(
        pod(container={"env": [{"name": "A", "value": "1"}]}, metadata={"labels": {"app": "web"}})
    )
    assert decoded.notes == ()
    assert decoded.pod == Pod(
        metadata=ObjectMeta(name="web", labels={"app": "web"}),
        spec=PodSpec(
            containers=(Container(name="app", image="busybox", env=(EnvVar(name="A", value="1"),)),)
        ),
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "pod.yaml: apiVersion not set, kind not set"),
        ({"kind": "Pod"}, "pod.yaml: apiVersion not set"),
        ({"apiVersion": "v1", "kind": ""}, "pod.yaml: kind not set"),
        ({"apiVersion": "v1", "kind": "Foo"}, 'pod.yaml: no kind "Foo" is registered for version "v1"'),
        (
            {"apiVersion": "v2", "kind": "Pod"},
            'pod.yaml: no kind "Pod" is registered for version "v2"; Pod is of v1',
        ),
        (
            {"apiVersion": "v1", "kind": "Deployment"},
            'pod.yaml: no kind "Deployment" is registered for version "v1"; Deployment is of apps/v1',
        ),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, "pod.yaml: kind Deployment is not supported yet"),
        ({"apiVersion": "v1", "kind": "ConfigMap"}, "pod.yaml: kind ConfigMap is not supported yet"),
        ({"apiVersion": "batch/v1beta1", "kind": "CronJob"}, "pod.yaml: kind CronJob is not supported yet"),
        ({"apiVersion": ["v1"], "kind": ["Pod"]}, "pod.yaml: no kind \"['Pod']\" is registered for version"),
    ],
)
def test_what_is_no_pod_is_refused_by_its_kind(value, message):
    with pytest.raises(BadManifest) as caught:
        read(value, "pod.yaml")
    assert str(caught.value).startswith(message)


def test_an_unknown_field_is_named_with_its_path_and_its_likeness():
    assert wrong(pod(container={"imagee": "nginx"}, whatever=1)) == [
        ("", 'strict decoding error: unknown field "spec.containers[0].imagee" (did you mean "image"?)'),
        ("", 'strict decoding error: unknown field "spec.whatever"'),
    ]


def test_an_unknown_field_is_found_below_fields_that_are_not_supported_or_have_no_effect():
    manifest = pod(imagePullSecrets=[{"nam": "a"}], affinity={"nodeAfinity": {}})
    assert wrong(manifest) == [
        ("spec.imagePullSecrets", "not supported yet"),
        (
            "",
            'strict decoding error: unknown field "spec.imagePullSecrets[0].nam" (did you mean "name"?)',
        ),
        (
            "",
            'strict decoding error: unknown field "spec.affinity.nodeAfinity" (did you mean "nodeAffinity"?)',
        ),
    ]


@pytest.mark.parametrize(
    ("manifest", "path", "message"),
    [
        (
            pod(container={"env": [{"name": "PORT", "value": 80}]}),
            "spec.containers[0].env[0].value",
            "Invalid type: expected string, got number; put it in quotes",
        ),
        (
            pod(metadata={"labels": {"on": True}}),
            "metadata.labels[on]",
            "Invalid type: expected string, got boolean; put it in quotes",
        ),
        (
            pod(container={"command": "sh"}),
            "spec.containers[0].command",
            "Invalid type: expected array, got string",
        ),
        (
            pod(container={"command": ["sh", None]}),
            "spec.containers[0].command[1]",
            "Invalid type: expected string, got null",
        ),
        (pod(hostNetwork="true"), "spec.hostNetwork", "Invalid type: expected boolean, got string"),
        (pod(hostNetwork=1), "spec.hostNetwork", "Invalid type: expected boolean, got number"),
        (pod(volumes={"name": "x"}), "spec.volumes", "Invalid type: expected array, got object"),
        (pod(volumes=["x"]), "spec.volumes[0]", "Invalid type: expected object, got string"),
        (pod(metadata={"labels": ["x"]}), "metadata.labels", "Invalid type: expected object, got array"),
        (
            pod(terminationGracePeriodSeconds="30"),
            "spec.terminationGracePeriodSeconds",
            "Invalid type: expected integer, got string",
        ),
        (
            pod(terminationGracePeriodSeconds=1.5),
            "spec.terminationGracePeriodSeconds",
            "Invalid type: expected integer, got number",
        ),
        (
            pod(container={"ports": [{"containerPort": 2**31}]}),
            "spec.containers[0].ports[0].containerPort",
            "Invalid value: 2147483648: must fit in 32 bits",
        ),
        (
            pod(container={"resources": {"limits": {"cpu": True}}}),
            "spec.containers[0].resources.limits[cpu]",
            "Invalid type: expected string or number, got boolean",
        ),
        (
            pod(container={"resources": {"limits": {"pods": "1"}}}),
            "spec.containers[0].resources.limits[pods]",
            'Invalid value: "pods": must be a standard resource type or fully qualified',
        ),
        (
            pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}}),
            "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution",
            "Invalid type: expected object, got array",
        ),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_path(manifest, path, message):
    assert wrong(manifest) == [(path, message)]


def test_a_quantity_that_is_none_says_what_one_looks_like():
    ((path, message),) = wrong(pod(container={"resources": {"requests": {"memory": "64 MB"}}}))
    assert path == "spec.containers[0].resources.requests[memory]"
    assert message.startswith('Invalid value: "64 MB": unable to parse quantity\'s suffix')


@pytest.mark.parametrize(
    ("written", "meant"), [(1, "1"), (0.5, "500m"), ("0.1", "100m"), (2.0, "2"), ("1e3", "1e3")]
)
def test_a_quantity_may_be_a_number_or_text_and_is_kept_in_its_canonical_form(written, meant):
    decoded = decode(pod(container={"resources": {"limits": {"cpu": written}}}))
    assert decoded.pod.spec.containers[0].resources.limits == {"cpu": meant}


def test_a_whole_number_written_as_a_float_is_a_whole_number():
    assert decode(pod(terminationGracePeriodSeconds=1e3)).pod.spec.termination_grace_period_seconds == 1000


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        (pod(hostPID=True), "spec.hostPID"),
        (pod(subdomain="x"), "spec.subdomain"),
        (pod(imagePullSecrets=[{"name": "x"}]), "spec.imagePullSecrets"),
        (pod(volumes=[{"name": "v", "configMap": {"name": "x"}}]), "spec.volumes[0].configMap"),
        (pod(container={"env": [{"name": "A", "valueFrom": {}}]}), "spec.containers[0].env[0].valueFrom"),
        (pod(container={"resizePolicy": [{}]}), "spec.containers[0].resizePolicy"),
        (pod(container={"ports": [{"hostPort": 80}]}), "spec.containers[0].ports[0].hostPort"),
        (
            pod(container={"securityContext": {"allowPrivilegeEscalation": False}}),
            "spec.containers[0].securityContext.allowPrivilegeEscalation",
        ),
        (
            pod(container={"resources": {"limits": {"example.com/dongle": 1}}}),
            "spec.containers[0].resources.limits[example.com/dongle]",
        ),
        (pod(metadata={"generateName": "web-"}), "metadata.generateName"),
    ],
)
def test_what_is_not_supported_yet_is_refused_with_its_path(manifest, path):
    assert wrong(manifest) == [(path, "not supported yet")]


@pytest.mark.parametrize(
    ("manifest", "path", "message"),
    [
        (
            pod(ephemeralContainers=[{"name": "x"}]),
            "spec.ephemeralContainers",
            "Forbidden: cannot be set on create",
        ),
        (pod(metadata={"uid": "1"}), "metadata.uid", "Forbidden: made by the node"),
        (
            pod(volumes=[{"name": "v", "gitRepo": {"repository": "x"}}]),
            "spec.volumes[0].gitRepo",
            "Forbidden: no longer in Kubernetes: clone in an init container",
        ),
        (
            {**pod(), "status": {"phase": "Running"}},
            "status",
            "Forbidden: reported by the node, never part of a manifest",
        ),
    ],
)
def test_what_can_never_be_in_a_manifest_is_refused_with_the_reason(manifest, path, message):
    assert wrong(manifest) == [(path, message)]


def test_what_has_no_effect_on_one_node_is_accepted_kept_and_said():
    decoded = decode(pod(nodeSelector={"disk": "ssd"}, tolerations=[{"operator": "Exists"}], priority=7))
    assert decoded.notes == (
        "spec.nodeSelector: no effect on one node (labels a node must have)",
        "spec.tolerations: no effect on one node (taints of nodes the pod tolerates)",
        "spec.priority: no effect on one node (rank among pods that wait for a node)",
    )
    assert decoded.pod.spec.node_selector == {"disk": "ssd"}
    assert decoded.pod.spec.tolerations == ({"operator": "Exists"},)
    assert decoded.pod.spec.priority == 7


def test_a_pull_policy_that_asks_a_registry_is_accepted_and_said():
    decoded = decode(pod(container={"imagePullPolicy": "Always"}))
    assert decoded.pod.spec.containers[0].image_pull_policy == "Always"
    assert decoded.notes == (
        "spec.containers[0].imagePullPolicy: no effect for now: Always takes the local image",
    )


def test_null_empty_lists_and_what_happens_anyway_are_accepted_without_a_word():
    manifest = pod(
        container={
            "stdin": False,
            "livenessProbe": None,
            "envFrom": [],
            "lifecycle": {},
            "terminationMessagePath": "",
        },
        metadata={"creationTimestamp": None, "annotations": None},
        hostPID=False,
        preemptionPolicy="PreemptLowerPriority",
        schedulerName="default-scheduler",
        nodeSelector={},
        securityContext={"seccompProfile": {"type": "Unconfined"}},
    )
    decoded = decode({**manifest, "status": {}})
    assert decoded.notes == ()
    assert decoded.pod.metadata == ObjectMeta(name="web")


def test_everything_that_is_wrong_is_found_at_once():
    manifest = pod(container={"volumeDevices": [{}], "args": 1, "foo": 1}, hostIPC=True)
    assert [path or message for path, message in wrong(manifest)] == [
        "spec.containers[0].volumeDevices",
        "spec.containers[0].args",
        'strict decoding error: unknown field "spec.containers[0].foo"',
        "spec.hostIPC",
    ]


def test_a_list_is_the_objects_in_it_and_anything_else_is_itself():
    inner = {"kind": "List", "apiVersion": "v1", "items": [pod()]}
    assert items({"kind": "List", "apiVersion": "v1", "items": [pod(), inner]}) == [pod(), pod()]
    assert items(pod()) == [pod()]
    with pytest.raises(BadManifest, match=r"pod\.yaml: items: Invalid type: expected array of objects"):
        items({"kind": "List", "items": [1]}, "pod.yaml")


def test_no_text_holds_a_nul_which_ends_texts_for_the_kernel():
    manifest = pod(container={"command": ["sh", "\0x"]}, volumes=[{"name": "v", "hostPath": {"path": "/\0"}}])
    assert wrong(manifest) == [
        ("spec.containers[0].command[1]", "Invalid value: must not contain NUL"),
        ("spec.volumes[0].hostPath.path", "Invalid value: must not contain NUL"),
    ]


@pytest.mark.parametrize("port", [[], {}, True, 1.5])
def test_what_is_neither_a_number_nor_a_name_is_refused_as_a_port(port):
    probe = {"tcpSocket": {"port": port}}
    container = {"name": "a", "image": "i", "livenessProbe": probe}
    found = read(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [container]}}
    )
    assert [path for path, _ in found.problems] == ["spec.containers[0].livenessProbe.tcpSocket.port"]
