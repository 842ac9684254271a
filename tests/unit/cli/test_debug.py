"""What `minipod debug` asks for."""

import json

import pytest

from tests.unit.cli.fakenode import FakeNode, minipod

POD = "/api/v1/namespaces/default/pods/web/ephemeralcontainers"


def asked_for(node: FakeNode) -> dict:
    """The ephemeral container of the last request."""
    head, _, body = node.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(f"PATCH {POD} HTTP/1.1".encode())
    assert b"Content-Type: application/strategic-merge-patch+json" in head
    (container,) = json.loads(body)["spec"]["ephemeralContainers"]
    return container


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        ("", {}),
        ("--target=app", {"targetContainerName": "app"}),
        ("--env A=b --env C=", {"env": [{"name": "A", "value": "b"}, {"name": "C", "value": ""}]}),
        ("--image-pull-policy=Never", {"imagePullPolicy": "Never"}),
        ("-- ls -l", {"command": ["ls", "-l"]}),
        ("--arguments-only -- -l", {"args": ["-l"]}),
    ],
)
def test_the_container_is_as_the_command_line_says(node: FakeNode, flags, fields):
    node.says("{}", kind="application/json")
    assert minipod("debug", "pod/web", "--image=busybox", *flags.split()).returncode == 0
    container = asked_for(node)
    assert container.pop("name").startswith("debugger-")
    assert container == {"image": "busybox"} | fields


def test_its_name_may_be_given(node: FakeNode):
    node.says('{"spec": {"ephemeralContainers": [{"name": "old"}]}}', kind="application/json")
    result = minipod("debug", "web", "--image=busybox", "-c", "tools")
    assert (result.returncode, result.stderr, asked_for(node)["name"]) == (0, b"", "tools")


def test_a_name_that_is_there_is_not_asked_for_again(node: FakeNode):
    node.says('{"spec": {"ephemeralContainers": [{"name": "tools"}]}}', kind="application/json")
    result = minipod("debug", "web", "--image=busybox", "-c", "tools")
    assert (result.returncode, len(node.requests)) == (1, 1)
    assert b'container "tools" is there already' in result.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("debug web", b"expected 'debug POD --image=IMAGE"),
        ("debug --image=busybox", b"expected 'debug POD --image=IMAGE"),
        ("debug web --image=busybox -t", b"-i/--stdin is required"),
        ("debug web --image=busybox --env A", b"invalid env: A"),
    ],
)
def test_what_makes_no_sense_is_not_asked_for(node: FakeNode, line, message):
    result = minipod(*line.split())
    assert (result.returncode, message in result.stderr) == (1, True), result.stderr
    assert node.requests == []
