"""`minipod describe`: kubectl's layout."""

from types import SimpleNamespace

import msgspec
import pytest

from minipod.node import describe, describe_parts, screen
from minipod.node.tables import seconds
from minipod.spec.types import Event, EventSource, Pod
from tests.unit.node.conftest import manifest

NOW = seconds("2026-11-22T12:00:00Z")
NODE = SimpleNamespace(
    facts=SimpleNamespace(
        node_name="thisnode", host_ip="192.0.2.1", settings=SimpleNamespace(emptydir_medium="tmpfs")
    )
)

# What kubectl 1.35 prints for this pod, but for the line Note.
POD = {
    "metadata": {
        "name": "web",
        "namespace": "lab",
        "uid": "u",
        "labels": {"tier": "front", "app": "web"},
        "annotations": {"note": "short", "text": "two\nlines"},
    },
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [
            {"key": "a", "operator": "Equal", "value": "b", "effect": "NoExecute", "tolerationSeconds": 300},
            {"operator": "Exists"},
        ],
        "initContainers": [{"name": "setup", "image": "busybox", "command": ["sh", "-c", "true\nfalse"]}],
        "containers": [
            {
                "name": "app",
                "image": "nginx:1",
                "args": ["-v"],
                "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}, {"containerPort": 53}],
                "env": [{"name": "A", "value": "1"}, {"name": "LONGER", "value": "x\ny"}],
                "resources": {"limits": {"memory": "64Mi", "cpu": "1"}, "requests": {"cpu": "500m"}},
                "volumeMounts": [
                    {"name": "host", "mountPath": "/z", "readOnly": True},
                    {"name": "data", "mountPath": "/a"},
                ],
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {"sizeLimit": "1Mi"}},
            {"name": "host", "hostPath": {"path": "/etc", "type": "Directory"}},
        ],
    },
    "status": {
        "phase": "Running",
        "startTime": "2026-11-22T11:00:00Z",
        "podIP": "10.0.0.2",
        "podIPs": [{"ip": "10.0.0.2"}, {"ip": "fd00::2"}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "initContainerStatuses": [{"name": "setup", "state": {"waiting": {"reason": "PodInitializing"}}}],
        "containerStatuses": [
            {
                "name": "app",
                "containerID": "minipod://1",
                "imageID": "sha256:2",
                "ready": True,
                "restartCount": 1,
                "state": {"running": {"startedAt": "2026-11-22T11:30:00Z"}},
                "lastState": {
                    "terminated": {
                        "exitCode": 137,
                        "signal": 9,
                        "reason": "OOMKilled",
                        "startedAt": "2026-11-22T11:10:00Z",
                        "finishedAt": "2026-11-22T11:20:00Z",
                    }
                },
            }
        ],
    },
}

SHOWN = """\
Name:         web
Namespace:    lab
Node:         thisnode/192.0.2.1
Start Time:   Sun, 22 Nov 2026 11:00:00 +0000
Labels:       app=web
              tier=front
Annotations:  note: short
              text:
                two
                lines
Status:       Running
IP:           10.0.0.2
IPs:
  IP:  10.0.0.2
  IP:  fd00::2
Init Containers:
  setup:
    Container ID:
    Image:         busybox
    Image ID:
    Port:          <none>
    Host Port:     <none>
    Command:
      sh
      -c
      true
      false
    State:          Waiting
      Reason:       PodInitializing
    Ready:          False
    Restart Count:  0
    Environment:    <none>
    Mounts:         <none>
Containers:
  app:
    Container ID:  minipod://1
    Image:         nginx:1
    Image ID:      sha256:2
    Ports:         80/TCP (http), 53/TCP
    Host Ports:    0/TCP, 0/TCP
    Args:
      -v
    State:          Running
      Started:      Sun, 22 Nov 2026 11:30:00 +0000
    Last State:     Terminated
      Reason:       OOMKilled
      Exit Code:    137
      Signal:       9
      Started:      Sun, 22 Nov 2026 11:10:00 +0000
      Finished:     Sun, 22 Nov 2026 11:20:00 +0000
    Ready:          True
    Restart Count:  1
    Limits:
      cpu:     1
      memory:  64Mi
    Requests:
      cpu:  500m
    Environment:
      A:       1
      LONGER:  x
               y
    Mounts:
      /a from data (rw)
      /z from host (ro)
Conditions:
  Type    Status
  Ready   True
Volumes:
  data:
    Type:       EmptyDir (a temporary directory that shares a pod's lifetime)
    Medium:
    SizeLimit:  1Mi
    Note:       a tmpfs on this node: what is in it counts as memory of the containers that wrote it
  host:
    Type:          HostPath (bare host directory volume)
    Path:          /etc
    HostPathType:  Directory
QoS Class:         Burstable
Node-Selectors:    disk=ssd
Tolerations:       a=b:NoExecute for 300s
                   op=Exists
Events:
  Type     Reason   Age              From     Message
  ----     ------   ----             ----     -------
  Normal   Started  60m              kubelet  Started container app
  Warning  BackOff  3s (x4 over 2m)  kubelet  Back-off restarting
"""


def pod(**changes):
    return msgspec.convert({**POD, **changes}, Pod)


def event(kind, reason, message, first, last, count=1):
    return Event(
        type=kind,
        reason=reason,
        message=message,
        count=count,
        source=EventSource(component="kubelet"),
        first_timestamp=first,
        last_timestamp=last,
    )


EVENTS = [
    event("Normal", "Started", "Started container app\n", "2026-11-22T11:00:00Z", "2026-11-22T11:00:00Z"),
    event("Warning", "BackOff", "Back-off restarting", "2026-11-22T11:58:00Z", "2026-11-22T11:59:57Z", 4),
]


def shown(pod, events=()):
    return describe.text(pod, events, NOW, NODE)


def test_a_pod_is_described_as_kubectl_does():
    assert [line.rstrip() for line in shown(pod(), EVENTS)] == SHOWN.splitlines()


def test_without_events_there_are_none():
    assert shown(pod())[-1] == "Events:  <none>"


def test_a_pod_on_its_way_out_tells_since_when():
    deleted = {"deletionTimestamp": "2026-11-22T12:00:25Z", "deletionGracePeriodSeconds": 30}
    lines = shown(pod(metadata={**POD["metadata"], **deleted}))
    assert "Status:                    Terminating (lasts 5s)" in lines
    assert "Termination Grace Period:  30s" in lines


def test_a_long_annotation_has_lines_of_its_own():
    lines = shown(pod(metadata={**POD["metadata"], "annotations": {"long": "x" * 200}}))
    start = lines.index("Annotations:  long:")
    assert lines[start + 1].strip() == "x" * 138 + "..."


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        (
            {"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 5, "periodSeconds": 5},
            "exec [cat /tmp/healthy] delay=5s timeout=1s period=5s successThreshold=1 failureThreshold=3",
        ),
        (
            {"httpGet": {"path": "/healthz", "port": 8080}},
            "http-get http://:8080/healthz delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=3",
        ),
        (
            {"tcpSocket": {"port": 6379}, "failureThreshold": 1},
            "tcp-socket :6379 delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=1",
        ),
        (
            {"grpc": {"port": 2379, "service": "x"}},
            "grpc <pod>:2379 x delay=0s timeout=1s period=10s successThreshold=1 failureThreshold=3",
        ),
    ],
)
def test_probes_are_one_line(probe, text):
    lines = screen.tabbed([*describe_parts.container({"name": "c", "livenessProbe": probe}, None)])
    assert next(line for line in lines if line.startswith("Liveness")).split(None, 1)[1] == text


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ({"fieldRef": {"fieldPath": "status.podIP"}}, " (v1:status.podIP)"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, " (limits.cpu)"),
        (
            {"secretKeyRef": {"name": "s", "key": "k"}},
            "<set to the key 'k' in secret 's'>\tOptional: false",
        ),
        (
            {"configMapKeyRef": {"name": "m", "key": "k", "optional": True}},
            "<set to the key 'k' of config map 'm'>\tOptional: true",
        ),
    ],
)
def test_variables_tell_where_they_come_from(variable, text):
    assert list(describe_parts.environment({"env": [{"name": "A", "valueFrom": variable}]})) == [
        "Environment:",
        f"  A:\t{text}",
    ]


def test_the_verb_takes_names_beginnings_and_labels(in_world):
    async def test(it):
        labelled = manifest("web-1") | {"metadata": {"name": "web-1", "labels": {"app": "x"}}}
        await it.client.apply(labelled, manifest("web-2"), manifest("db"))

        async def names(**query):
            answer = await it.client.verb("GET", "describe", **query)
            found = [line.split()[1] for line in answer.out.splitlines() if line.startswith("Name:")]
            return found, answer.err, answer.code

        assert await names(name="db") == (["db"], "", 0)
        assert await names(name="web") == (["web-1", "web-2"], "", 0)
        assert await names(selector="app=x") == (["web-1"], "", 0)
        assert await names() == (["db", "web-1", "web-2"], "", 0)
        assert await names(namespace="lab") == ([], "No resources found in lab namespace.", 0)
        missing = 'Error from server (NotFound): pods "dbb" not found (did you mean "db"?)'
        assert await names(name=["dbb", "db"]) == (["db"], missing, 1)

    in_world(test)


def test_colours_are_for_those_who_want_them(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        assert "\x1b[" not in (await it.client.verb("GET", "describe", name="web")).out
        painted = await it.client.verb("GET", "describe", name="web", colour="true")
        assert "Status:       \x1b[33mPending\x1b[0m" in painted.out

    in_world(test)
