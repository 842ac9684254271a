"""Scheduling gates: a pod that waits for somebody to take them away."""

from tests.support.node import pod


def gated(*names, **spec):
    return pod("web", {}, schedulingGates=[{"name": name} for name in names], **spec)


def folders(node) -> list[str]:
    return node.sh(f"ls -A {node.layout.run}/pods {node.layout.lib}/pods {node.layout.log}/pods").split()


def test_a_gated_pod_waits_through_a_restart_of_the_node_and_begins_without_its_gates(new_node):
    node = new_node()
    result = node.apply(gated("example.com/foo", "example.com/bar"), check=False)
    assert result.returncode == 1
    assert "pod/web is held by its scheduling gates (example.com/foo, example.com/bar)" in result.stderr
    node.apply(gated("example.com/bar"), "-n", "default")
    uid = node.get("web")["metadata"]["uid"]
    node.stop(pods=False)
    node.start()
    status = node.status("web")
    assert [(each["type"], each["reason"]) for each in status["conditions"]] == [
        ("PodScheduled", "SchedulingGated")
    ]
    assert status.keys() == {"phase", "conditions", "qosClass"}
    assert not [name for name in folders(node) if uid in name]
    observed = node.run("observe", "web", check=False)
    assert "the pod is held by its scheduling gates (example.com/bar)" in observed.stderr
    node.apply(gated())
    status = node.status("web")
    assert (status["phase"], status["containerStatuses"][0]["restartCount"]) == ("Running", 0)
    assert [each["status"] for each in status["conditions"] if each["type"] == "PodScheduled"] == ["True"]
