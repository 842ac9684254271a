"""Every operation says which field asked for it."""

import pytest

from minipod.plan.core import Op, Stage
from minipod.plan.fields import field
from minipod.plan.ops import host, mounts, namespaces, process
from minipod.spec.validate import manifest

POD = manifest(
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web"},
        "spec": {
            "hostname": "other",
            "shareProcessNamespace": True,
            "dnsPolicy": "Default",
            "securityContext": {"runAsUser": 1000},
            "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {"sizeLimit": "1Mi"}}],
            "initContainers": [{"name": "init", "image": "x", "workingDir": "/w"}],
            "containers": [
                {
                    "name": "app",
                    "image": "x",
                    "args": ["b"],
                    "resources": {"limits": {"memory": "1Mi"}},
                    "securityContext": {"privileged": False, "runAsUser": 5},
                    "volumeMounts": [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "b/"}],
                }
            ],
        },
    },
    "-",
    "default",
).pod
APP, INIT = "spec.containers[0]", "spec.initContainers[0]"


@pytest.mark.parametrize(
    ("stage", "op", "expected"),
    [
        ("pod", host.MountTmpfs("/x/volumes/b", ""), "spec.volumes[1].emptyDir.sizeLimit"),
        ("pod", host.MakeDirectory("/x/volumes/a"), "spec.volumes[0].emptyDir"),
        ("pod", host.MakeDirectory("/x/volumes"), ""),
        ("pod", host.SetLimit("/c", "memory.max", "1"), "spec.containers[*].resources.limits.memory"),
        ("pod", host.SetLimit("/c", "cpu.shares", "2"), ""),
        ("sandbox/pause", namespaces.SetHostname("other"), "spec.hostname"),
        ("sandbox/objects", host.MakeFile("/x/hostname"), "spec.hostname"),
        ("sandbox/objects", host.MakeFile("/x/resolv.conf"), "spec.dnsPolicy"),
        ("sandbox/pins", host.Pin("pid", "/x"), "spec.shareProcessNamespace"),
        ("sandbox/pins", host.Pin("net", "/x"), ""),
        ("container/app/objects", host.SetLimit("/c", "memory.max", "1"), f"{APP}.resources.limits.memory"),
        ("container/init/objects", host.SetLimit("/c", "memory.max", "1"), ""),
        ("container/app", namespaces.Join("sandbox", ("net", "pid")), "spec.shareProcessNamespace"),
        ("container/app", mounts.MountRoot("", "", "", ""), f"{APP}.image"),
        ("container/app", mounts.Bind("/x", "/b"), f"{APP}.volumeMounts[1]"),
        ("container/app", mounts.Bind("/x/shm", "/dev/shm"), ""),
        ("container/app", process.SetUser(5, 0), f"{APP}.securityContext.runAsUser"),
        ("container/init", process.SetUser(1000, 0), "spec.securityContext.runAsUser"),
        ("container/init", mounts.MakeWorkdir("/w"), f"{INIT}.workingDir"),
        ("container/app", process.ChangeDirectory("/"), ""),
        ("container/app", process.Exec(("b",), ()), f"{APP}.args"),
    ],
)
def test_a_field_is_named(stage: str, op: Op, expected: str):
    assert field(POD, Stage(stage, "child", (op,)), op) == expected
