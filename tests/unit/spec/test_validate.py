"""A pod is checked by Kubernetes' rules, with Kubernetes' texts."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.errors import BadManifest, Invalid
from minipod.spec.fields import TYPES
from minipod.spec.types import Pod
from minipod.spec.validate import manifest

APP = {"name": "app", "image": "busybox"}


def pod(metadata=None, container=None, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", **(metadata or {})},
        "spec": {"containers": [{**APP, **(container or {})}], **spec},
    }


def wrong(value):
    with pytest.raises(Invalid) as caught:
        manifest(value)
    return caught.value.problems


def test_a_valid_manifest_comes_back_with_its_defaults():
    decoded = manifest(
        pod(volumes=[{"name": "v"}], container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]})
    )
    assert decoded.problems == ()
    assert decoded.pod.metadata.namespace == "default"
    assert decoded.pod.spec.restart_policy == "Always"


def test_the_namespace_asked_for_holds_where_the_manifest_names_none():
    assert manifest(pod(), namespace="mine").pod.metadata.namespace == "mine"
    assert manifest(pod(metadata={"namespace": "its"}), namespace="mine").pod.metadata.namespace == "its"


def test_what_is_no_pod_is_refused_before_anything_else():
    with pytest.raises(BadManifest, match=r"pod\.yaml: kind not set"):
        manifest({"apiVersion": "v1", "spec": {}}, "pod.yaml")


def test_one_problem_is_said_on_one_line_as_kubectl_does():
    with pytest.raises(Invalid) as caught:
        manifest(pod(container={"image": ""}))
    assert str(caught.value) == 'The Pod "web" is invalid: spec.containers[0].image: Required value'


def test_decoding_and_validation_report_together_and_nothing_twice():
    value = pod(
        metadata={"name": "Web"},
        container={"image": 5, "volumeDevices": [{}], "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        volumes=[{"name": "w", "configMap": {"name": "x"}}],
        restartPolicy="Sometimes",
    )
    assert [path for path, _ in wrong(value)] == [
        "spec.containers[0].image",
        "spec.containers[0].volumeDevices",
        "spec.volumes[0].configMap",
        "metadata.name",
        "spec.containers[0].volumeMounts[0].name",
        "spec.restartPolicy",
    ]


def mounts(*paths):
    return {
        "volumes": [{"name": "v"}],
        "container": {"volumeMounts": [{"name": "v", "mountPath": path} for path in paths]},
    }


LABEL = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-'"
SUBDOMAIN = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.'"


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        # metadata
        (pod(metadata={"name": ""}), "metadata.name", "Required value: name or generateName is required"),
        (pod(metadata={"name": "a_b"}), "metadata.name", f'Invalid value: "a_b": {SUBDOMAIN}'),
        (pod(metadata={"name": "a..b"}), "metadata.name", f'Invalid value: "a..b": {SUBDOMAIN}'),
        (pod(metadata={"name": "a\n"}), "metadata.name", f'Invalid value: "a\n": {SUBDOMAIN}'),
        (
            pod(metadata={"name": "a" * 254}),
            "metadata.name",
            f'Invalid value: "{"a" * 254}": must be no more than 253 bytes',
        ),
        (pod(metadata={"namespace": "a.b"}), "metadata.namespace", f'Invalid value: "a.b": {LABEL}'),
        (
            pod(metadata={"labels": {"a/b/c": ""}}),
            "metadata.labels",
            f'Invalid value: "a/b/c": prefix part {SUBDOMAIN}',
        ),
        (
            pod(metadata={"labels": {"/a": ""}}),
            "metadata.labels",
            'Invalid value: "/a": prefix part must be non-empty',
        ),
        (
            pod(metadata={"labels": {"-a": ""}}),
            "metadata.labels",
            'Invalid value: "-a": name part must consist of',
        ),
        (
            pod(metadata={"labels": {"a" * 64: ""}}),
            "metadata.labels",
            f'Invalid value: "{"a" * 64}": name part must be no more than 63 bytes',
        ),
        (
            pod(metadata={"labels": {"a": "b c"}}),
            "metadata.labels",
            'Invalid value: "b c": a valid label must be an empty string or consist of alphanumeric characters',
        ),
        (
            pod(metadata={"labels": {"a": "b" * 64}}),
            "metadata.labels",
            f'Invalid value: "{"b" * 64}": must be no more than 63 bytes',
        ),
        (
            pod(metadata={"annotations": {"a b": ""}}),
            "metadata.annotations",
            'Invalid value: "a b": name part must consist',
        ),
        (
            pod(metadata={"annotations": {"a": "x" * 262144}}),
            "metadata.annotations",
            "Too long: may not be more than 262144 bytes",
        ),
        (
            pod(
                metadata={
                    "annotations": {"container.apparmor.security.beta.kubernetes.io/app": "localhost/x"}
                }
            ),
            "metadata.annotations[container.apparmor.security.beta.kubernetes.io/app]",
            "not supported yet",
        ),
        # the pod
        ({**pod(), "spec": {}}, "spec.containers", "Required value"),
        (
            pod(restartPolicy="X"),
            "spec.restartPolicy",
            'Unsupported value: "X": supported values: "Always", "OnFailure", "Never"',
        ),
        (pod(hostname="a.b"), "spec.hostname", f'Invalid value: "a.b": {LABEL}'),
        (
            pod(securityContext={"runAsUser": -1}),
            "spec.securityContext.runAsUser",
            "Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        (
            pod(securityContext={"runAsGroup": 2**31}),
            "spec.securityContext.runAsGroup",
            "Invalid value: 2147483648: must be between 0 and 2147483647, inclusive",
        ),
        (
            pod(os={"name": "windows"}),
            "spec.os.name",
            'Unsupported value: "windows": supported values: "linux"',
        ),
        # volumes
        (pod(volumes=[{}]), "spec.volumes[0].name", "Required value"),
        (pod(volumes=[{"name": "A"}]), "spec.volumes[0].name", f'Invalid value: "A": {LABEL}'),
        (pod(volumes=[{"name": "a"}, {"name": "a"}]), "spec.volumes[1].name", 'Duplicate value: "a"'),
        (
            pod(volumes=[{"name": "a", "emptyDir": {}, "hostPath": {"path": "/x"}}]),
            "spec.volumes[0].hostPath",
            "Forbidden: may not specify more than 1 volume type",
        ),
        (
            pod(volumes=[{"name": "a", "emptyDir": {"sizeLimit": "-1"}}]),
            "spec.volumes[0].emptyDir.sizeLimit",
            "Forbidden: SizeLimit field must be a valid resource quantity",
        ),
        (
            pod(volumes=[{"name": "a", "emptyDir": {"medium": "Disk"}}]),
            "spec.volumes[0].emptyDir.medium",
            'Unsupported value: "Disk": supported values: "", "Memory"',
        ),
        (
            pod(volumes=[{"name": "a", "emptyDir": {"medium": "HugePages"}}]),
            "spec.volumes[0].emptyDir.medium",
            "not supported yet",
        ),
        (pod(volumes=[{"name": "a", "hostPath": {}}]), "spec.volumes[0].hostPath.path", "Required value"),
        (
            pod(volumes=[{"name": "a", "hostPath": {"path": "/a/../b"}}]),
            "spec.volumes[0].hostPath.path",
            "Invalid value: \"/a/../b\": must not contain '..'",
        ),
        (
            pod(volumes=[{"name": "a", "hostPath": {"path": "a"}}]),
            "spec.volumes[0].hostPath.path",
            'Invalid value: "a": must be an absolute path',
        ),
        (
            pod(volumes=[{"name": "a", "hostPath": {"path": "/a", "type": "Dir"}}]),
            "spec.volumes[0].hostPath.type",
            'Unsupported value: "Dir": supported values: "", "BlockDevice", "CharDevice", "Directory"',
        ),
        # containers
        (pod(container={"name": ""}), "spec.containers[0].name", "Required value"),
        (pod(container={"name": "a.b"}), "spec.containers[0].name", f'Invalid value: "a.b": {LABEL}'),
        (
            pod(container={"name": "a" * 64}),
            "spec.containers[0].name",
            f'Invalid value: "{"a" * 64}": must be no more than 63 bytes',
        ),
        (pod(containers=[APP, APP]), "spec.containers[1].name", 'Duplicate value: "app"'),
        (pod(initContainers=[APP]), "spec.initContainers[0].name", 'Duplicate value: "app"'),
        (pod(container={"image": ""}), "spec.containers[0].image", "Required value"),
        (
            pod(container={"image": " a"}),
            "spec.containers[0].image",
            'Invalid value: " a": must not have leading or trailing whitespace',
        ),
        (
            pod(container={"imagePullPolicy": "Maybe"}),
            "spec.containers[0].imagePullPolicy",
            'Unsupported value: "Maybe": supported values: "Always", "IfNotPresent", "Never"',
        ),
        (pod(container={"env": [{"value": "x"}]}), "spec.containers[0].env[0].name", "Required value"),
        (
            pod(container={"env": [{"name": "a=b"}]}),
            "spec.containers[0].env[0].name",
            'Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII',
        ),
        (
            pod(container={"securityContext": {"runAsUser": -1}}),
            "spec.containers[0].securityContext.runAsUser",
            "Invalid value: -1: must be between 0 and 2147483647, inclusive",
        ),
        # ports
        (pod(container={"ports": [{}]}), "spec.containers[0].ports[0].containerPort", "Required value"),
        (
            pod(container={"ports": [{"containerPort": 65536}]}),
            "spec.containers[0].ports[0].containerPort",
            "Invalid value: 65536: must be between 1 and 65535, inclusive",
        ),
        (
            pod(container={"ports": [{"containerPort": 1, "protocol": "tcp"}]}),
            "spec.containers[0].ports[0].protocol",
            'Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
        ),
        (
            pod(container={"ports": [{"containerPort": 1, "name": "80"}]}),
            "spec.containers[0].ports[0].name",
            'Invalid value: "80": must contain only alpha-numeric characters',
        ),
        (
            pod(container={"ports": [{"containerPort": 1, "name": "a-very-long-name"}]}),
            "spec.containers[0].ports[0].name",
            'Invalid value: "a-very-long-name": must be no more than 15 characters long',
        ),
        (
            pod(container={"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}),
            "spec.containers[0].ports[1].name",
            'Duplicate value: "a"',
        ),
        # mounts
        (
            pod(container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]}),
            "spec.containers[0].volumeMounts[0].name",
            'Not found: "v"',
        ),
        (
            pod(container={"volumeMounts": [{"mountPath": "/v"}]}),
            "spec.containers[0].volumeMounts[0].name",
            "Required value",
        ),
        (pod(**mounts("")), "spec.containers[0].volumeMounts[0].mountPath", "Required value"),
        (
            pod(**mounts("/v", "/v")),
            "spec.containers[0].volumeMounts[1].mountPath",
            'Invalid value: "/v": must be unique',
        ),
        # resources
        (
            pod(container={"resources": {"requests": {"memory": "200Mi"}, "limits": {"memory": "100Mi"}}}),
            "spec.containers[0].resources.requests",
            'Invalid value: "200Mi": must be less than or equal to memory limit of 100Mi',
        ),
        (
            pod(container={"resources": {"requests": {"cpu": "1001m"}, "limits": {"cpu": 1}}}),
            "spec.containers[0].resources.requests",
            'Invalid value: "1001m": must be less than or equal to cpu limit of 1',
        ),
        (
            pod(container={"resources": {"requests": {"cpu": "-1"}}}),
            "spec.containers[0].resources.requests[cpu]",
            'Invalid value: "-1": must be greater than or equal to 0',
        ),
    ],
)
def test_each_rule_refuses_what_breaks_it_and_nothing_else(value, path, message):
    ((found_path, found_message),) = wrong(value)
    assert found_path == path
    assert found_message.startswith(message)


@pytest.mark.parametrize(
    "value",
    [
        pod(metadata={"name": "a.b-c.9"}),
        pod(metadata={"labels": {"example.com/Some_Name.1": "", "a": "B_c.d-1"}}),
        pod(metadata={"annotations": {"Example.COM/a": "anything at all\n"}}),
        pod(container={"env": [{"name": "any thing.at-all", "value": ""}, {"name": "A"}, {"name": "A"}]}),
        pod(
            container={
                "ports": [{"containerPort": 1, "name": "a-1"}, {"containerPort": 1, "protocol": "UDP"}]
            }
        ),
        pod(volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]),
        pod(volumes=[{"name": "v", "hostPath": {"path": "/a..b", "type": "DirectoryOrCreate"}}]),
        pod(**mounts("/a", "/b", "relative")),
        pod(container={"resources": {"requests": {"cpu": 1}, "limits": {"cpu": "1000m", "memory": 0}}}),
        pod(securityContext={"runAsUser": 0, "runAsGroup": 2**31 - 1}),
        pod(initContainers=[{"name": "init", "image": "busybox"}]),
    ],
)
def test_what_breaks_no_rule_is_accepted(value):
    assert manifest(value).problems == ()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "1Gi", "/x", "Always"])
)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("name"), inner)
)


def of_type(kind):
    """Values of a type of the field table, and now and then of another one."""
    if kind.startswith("[]"):
        return st.lists(st.deferred(lambda: of_type(kind[2:])), max_size=2) | anything
    if kind.startswith("map["):
        return (
            st.dictionaries(st.sampled_from(["a", "A/b", ""]), st.deferred(lambda: of_type(kind[11:])))
            | anything
        )
    if kind in TYPES:
        fields = TYPES[kind].fields
        one = st.sampled_from([*fields, "unknown"]).flatmap(
            lambda key: st.tuples(st.just(key), of_type(fields[key].type) if key in fields else anything)
        )
        return st.lists(one, max_size=6).map(dict)
    return anything


def outcome(value):
    """The pod, or what is wrong with it."""
    try:
        return manifest(value).pod
    except Invalid as error:
        return error.problems


@given(of_type("PodSpec"), of_type("ObjectMeta"))
def test_whatever_a_manifest_says_it_is_accepted_or_refused_with_reasons(spec, metadata):
    found = outcome({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    assert found
    if isinstance(found, Pod):
        assert msgspec.json.decode(msgspec.json.encode(found), type=Pod) == found
