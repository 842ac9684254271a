"""A manifest that isn't right is refused with the path of every mistake, and nothing is created."""

import json

import pytest

from tests.support.node import pod

CONTAINER = {"name": "app", "image": "busybox"}


def refused(node, manifest) -> str:
    """What apply says; and nothing was created."""
    before = node.look()
    result = node.apply(manifest, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert node.names() == []
    assert node.leaks(before) == []
    return result.stderr


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"restartPolicy": 7}, ["spec.restartPolicy"]),
        ({"nonsense": 1}, ['unknown field "spec.nonsense"']),
        ({"containers": [CONTAINER | {"imagee": "x"}]}, ['unknown field "spec.containers[0].imagee"']),
        ({"containers": []}, ["spec.containers", "Required value"]),
        ({"containers": [{"name": "app"}]}, ["spec.containers[0].image", "Required value"]),
        ({"containers": [CONTAINER, CONTAINER]}, ["spec.containers[1].name", "Duplicate value"]),
        ({"containers": [CONTAINER | {"name": "A_b"}]}, ["spec.containers[0].name", "Invalid value"]),
        ({"restartPolicy": "Sometimes"}, ["spec.restartPolicy", "Unsupported value", "Always"]),
        (
            {"containers": [CONTAINER | {"env": [{"name": "A", "value": 1}]}]},
            ["spec.containers[0].env[0].value"],
        ),
        (
            {"containers": [CONTAINER | {"volumeMounts": [{"name": "no", "mountPath": "/x"}]}]},
            ["spec.containers[0].volumeMounts[0].name", "Not found"],
        ),
        (
            {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "lots"}}]},
            ["spec.volumes[0].emptyDir.sizeLimit"],
        ),
    ],
)
def test_a_mistake_is_told_with_its_path(node, spec, words):
    message = refused(node, pod("web", **({"containers": [CONTAINER]} | spec)))
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"hostPID": True}, "spec.hostPID"),
        ({"subdomain": "x"}, "spec.subdomain"),
        ({"volumes": [{"name": "v", "configMap": {"name": "x"}}]}, "spec.volumes[0].configMap"),
        (
            {"containers": [CONTAINER | {"resizePolicy": [{"resourceName": "cpu"}]}]},
            "spec.containers[0].resizePolicy",
        ),
        (
            {"containers": [CONTAINER | {"envFrom": [{"configMapRef": {"name": "x"}}]}]},
            "spec.containers[0].envFrom",
        ),
    ],
)
def test_a_field_that_is_not_supported_yet_is_refused_not_ignored(node, spec, path):
    message = refused(node, pod("web", **({"containers": [CONTAINER]} | spec)))
    assert path in message
    assert "not supported yet" in message


def test_several_mistakes_are_told_together(node):
    broken = [CONTAINER | {"name": "A"}, {"name": "b"}]
    message = refused(node, pod("web", containers=broken, restartPolicy="Never"))
    assert "spec.containers[0].name" in message
    assert "spec.containers[1].image" in message


def test_one_bad_document_keeps_all_from_being_created(node):
    refused(node, [pod("good", CONTAINER), pod("bad", nonsense=True)])


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "kind: Pod",
        "- a\n- b",
        "apiVersion: v1\nkind: Teapot\nmetadata: {name: x}",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: x, name: y}\nspec: {containers: []}",
        "\x00",
        "a: &a [*a]",
    ],
)
def test_text_that_is_not_a_pod_is_refused(node, text):
    assert refused(node, text).startswith("error")


def test_a_pod_cannot_be_changed_into_another(node):
    node.apply(pod("web", {}))
    result = node.apply(pod("web", {}, {}), check=False)
    assert result.returncode == 1
    assert "web" in result.stderr
    assert len(node.get("web")["spec"]["containers"]) == 1


def test_defaults_are_filled_in(node):
    node.apply(pod("web", {}))
    spec = node.get("web")["spec"]
    assert (spec["restartPolicy"], spec["terminationGracePeriodSeconds"]) == ("Always", 30)


def test_what_was_applied_is_what_is_stored(node):
    manifest = pod("web", {"ports": [{"containerPort": 80}]}, metadata={"labels": {"app": "web"}})
    node.apply(json.dumps(manifest))
    assert node.get("web")["metadata"]["labels"] == {"app": "web"}
    assert node.get("web")["spec"]["containers"][0]["ports"][0] == {"containerPort": 80, "protocol": "TCP"}
