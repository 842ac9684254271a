"""What can be changed of a pod that is there: ephemeral containers, and conditions that others set."""

import json

import pytest
from msgspec.structs import replace

from minipod.node import mirror
from minipod.spec.types import PodCondition, PodStatus
from minipod.spec.validate import manifest as checked
from tests.unit.node.conftest import manifest, text

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
DEBUGGER = {"name": "debugger", "image": "busybox", "targetContainerName": "app"}
FEATURE = {"type": "example.com/feature", "status": "True"}


async def change(it, subresource, body, method="PATCH", kind=STRATEGIC):
    url = it.client.url(f"{PODS}/web/{subresource}")
    async with it.client.session.request(
        method, url, data=json.dumps(body), headers={"Content-Type": kind}
    ) as response:
        return response.status, json.loads(await response.read())


async def add(it, *containers, **how):
    return await change(it, "ephemeralcontainers", {"spec": {"ephemeralContainers": list(containers)}}, **how)


async def set_conditions(it, *conditions, **how):
    return await change(it, "status", {"status": {"conditions": list(conditions)}}, **how)


def scenario(in_world, test, **spec):
    """The test, with a pod web."""

    async def whole(it):
        await it.client.json("POST", PODS, text(manifest("web", "app", "side", **spec)))
        await test(it)

    in_world(whole)


# --- ephemeral containers


def test_an_ephemeral_container_is_written_with_its_defaults_and_told_to_the_supervisor(in_world):
    async def test(it):
        code, pod = await add(it, DEBUGGER)
        (made,) = pod["spec"]["ephemeralContainers"]
        assert (code, made["targetContainerName"], made["imagePullPolicy"]) == (200, "app", "Always")
        assert it.pods.updated == [it.objects.pod("default", "web")]
        assert await it.client.json("GET", f"{PODS}/web/ephemeralcontainers") == (200, pod)

    scenario(in_world, test)


def test_another_one_is_added_to_those_that_are_there(in_world):
    async def test(it):
        await add(it, DEBUGGER)
        _, pod = await add(it, {"name": "second", "image": "busybox"})
        assert [each["name"] for each in pod["spec"]["ephemeralContainers"]] == ["debugger", "second"]
        code, again = await change(it, "ephemeralcontainers", pod, method="PUT", kind="application/json")
        assert (code, again) == (200, pod)
        assert len(it.pods.updated) == 2

    scenario(in_world, test)


@pytest.mark.parametrize(
    ("container", "message"),
    [
        (
            {"name": "debugger", "image": "other"},
            'existing ephemeral containers "debugger" may not be changed',
        ),
        ({"name": "app", "image": "busybox"}, 'spec.ephemeralContainers[1].name: Duplicate value: "app"'),
        ({"name": "x"}, "spec.ephemeralContainers[1].image: Required value"),
        (
            {"name": "x", "image": "busybox", "targetContainerName": "debugger"},
            'spec.ephemeralContainers[1].targetContainerName: Not found: "debugger"',
        ),
        (
            {"name": "x", "image": "busybox", "ports": [{"containerPort": 80}]},
            "spec.ephemeralContainers[1].ports: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            {"name": "x", "image": "busybox", "resources": {"limits": {"memory": "1Gi"}}},
            "spec.ephemeralContainers[1].resources: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            {"name": "x", "image": "busybox", "imagge": "y"},
            'unknown field "spec.ephemeralContainers[1].imagge"',
        ),
        ({"image": "busybox"}, "adds or changes items by their name"),
    ],
)
def test_what_an_ephemeral_container_cannot_be_is_refused_and_nothing_is_changed(
    in_world, container, message
):
    async def test(it):
        await add(it, DEBUGGER)
        before = it.objects.pod("default", "web")
        code, answer = await add(it, container)
        assert (code, answer["reason"]) == (422, "Invalid")
        assert message in answer["message"]
        assert it.objects.pod("default", "web") is before

    scenario(in_world, test)


def test_an_ephemeral_container_stays(in_world):
    async def test(it):
        await add(it, DEBUGGER)
        code, answer = await add(it, kind=MERGE)
        assert code == 422
        assert 'existing ephemeral containers "debugger" may not be removed' in answer["message"]

    scenario(in_world, test)


def test_nothing_else_is_changed_on_the_way(in_world):
    async def test(it):
        code, answer = await change(it, "ephemeralcontainers", {"spec": {"hostname": "x"}})
        assert (code, "spec.hostname: Forbidden" in answer["message"]) == (422, True)

    scenario(in_world, test)


def test_applying_the_manifest_again_leaves_ephemeral_containers_alone(in_world):
    async def test(it):
        await add(it, DEBUGGER)
        assert (await it.client.apply(manifest("web", "app", "side"))).out == "pod/web unchanged"
        labelled = manifest("web", "app", "side") | {"metadata": {"name": "web", "labels": {"a": "b"}}}
        assert (await it.client.apply(labelled)).out == "pod/web configured"
        assert it.objects.pod("default", "web").spec.ephemeral_containers[0].name == "debugger"

    scenario(in_world, test)


def test_a_static_pod_is_what_its_file_says(in_world):
    async def test(it):
        pod = it.objects.pod("default", "web")
        meta = replace(pod.metadata, annotations={mirror.MIRROR: "hash"})
        it.objects.update(replace(pod, metadata=meta))
        code, answer = await add(it, DEBUGGER)
        assert (code, "static pods do not support ephemeral" in answer["message"]) == (422, True)

    scenario(in_world, test)


def test_a_json_patch_is_not_understood(in_world):
    async def test(it):
        code, answer = await change(it, "status", [], kind="application/json-patch+json")
        assert code == 400
        assert STRATEGIC in answer["message"]

    scenario(in_world, test)


# --- conditions


def test_a_condition_that_somebody_sets_is_kept_whatever_the_supervisor_tells(in_world):
    async def test(it):
        code, pod = await set_conditions(it, FEATURE)
        assert (code, pod["status"]["conditions"][0]["type"]) == (200, FEATURE["type"])
        assert pod["status"]["conditions"][0]["lastTransitionTime"]
        assert it.pods.updated[0].status.conditions[0].status == "True"
        told = PodStatus(phase="Running", conditions=(PodCondition(type="Ready", status="True"),))
        it.objects.pod_changed(pod["metadata"]["uid"], told)
        kept = it.objects.pod("default", "web").status.conditions
        assert [(each.type, each.status) for each in kept] == [(FEATURE["type"], "True"), ("Ready", "True")]

    scenario(in_world, test)


def test_a_condition_that_is_set_again_is_changed(in_world):
    async def test(it):
        await set_conditions(it, FEATURE)
        _, pod = await set_conditions(it, FEATURE | {"status": "False", "reason": "Broken"})
        (condition,) = pod["status"]["conditions"]
        assert (condition["status"], condition["reason"]) == ("False", "Broken")

    scenario(in_world, test)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"type": "Ready", "status": "True"}, "Forbidden: Ready is told by the pod's supervisor"),
        (
            FEATURE | {"status": "Yes"},
            'Unsupported value: "Yes": supported values: "True", "False", "Unknown"',
        ),
        ({"type": "example.com/feature"}, "missing required field `status`"),
    ],
)
def test_a_condition_that_cannot_be_set_is_refused(in_world, condition, message):
    async def test(it):
        code, answer = await set_conditions(it, condition)
        assert code == 422
        assert message in answer["message"]

    scenario(in_world, test)


def test_the_rest_of_the_status_is_the_supervisors(in_world):
    async def test(it):
        code, answer = await change(it, "status", {"status": {"phase": "Succeeded"}})
        assert (code, "status.phase: Forbidden" in answer["message"]) == (422, True)

    scenario(in_world, test)


# --- what is shown


def test_readiness_gates_are_shown_by_get_and_describe(in_world):
    async def test(it):
        wide = (await it.client.verb("GET", "get", kind="pods", output="wide")).out.splitlines()
        assert wide[0].split("   ")[-1] == "READINESS GATES"
        assert wide[1].split()[-1] == "0/2"
        await set_conditions(it, FEATURE)
        wide = (await it.client.verb("GET", "get", kind="pods", output="wide")).out.splitlines()
        assert wide[1].split()[-1] == "1/2"
        lines = (await it.client.verb("GET", "describe", name="web")).out.splitlines()
        first = lines.index("Readiness Gates:")
        assert [line.split() for line in lines[first + 2 : first + 4]] == [
            ["example.com/feature", "True"],
            ["example.com/other", "<none>"],
        ]

    gates = [{"conditionType": "example.com/feature"}, {"conditionType": "example.com/other"}]
    scenario(in_world, test, readinessGates=gates)


def test_a_readiness_gate_has_a_qualified_name():
    with pytest.raises(Exception, match=r"spec.readinessGates\[0\].conditionType"):
        checked(manifest("web", readinessGates=[{"conditionType": "a b"}]))


def test_what_nobody_can_tell_is_unknown_and_the_phase_stays(in_world):
    async def test(it):
        uid = it.objects.pod("default", "web").metadata.uid
        conditions = (
            PodCondition(type="Initialized", status="True"),
            PodCondition(type="Ready", status="True"),
        )
        told = PodStatus(phase="Running", conditions=conditions)
        it.objects.pod_changed(uid, told)
        it.objects.pod_unknown(uid, "SupervisorSilent", "it says nothing")
        status = it.objects.pod("default", "web").status
        assert [each.status for each in status.conditions] == ["True", "Unknown"]
        assert (status.phase, status.conditions[1].reason) == ("Running", "SupervisorSilent")
        (event,) = it.objects.list_events()
        assert (event.type, event.reason) == ("Warning", "SupervisorSilent")
        it.objects.pod_changed(uid, told)
        assert it.objects.pod("default", "web").status == told

    scenario(in_world, test)


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_an_ended_pod_is_never_unknown(in_world, phase):
    async def test(it):
        uid = it.objects.pod("default", "web").metadata.uid
        told = PodStatus(phase=phase, conditions=(PodCondition(type="Ready", status="False"),))
        it.objects.pod_changed(uid, told)
        it.objects.pod_unknown(uid, "SupervisorLost", "it is gone", "Unknown")
        assert it.objects.pod("default", "web").status == told

    scenario(in_world, test)


# --- labels


def test_the_supervisor_hears_of_labels_that_were_changed(in_world):
    async def test(it):
        labelled = manifest("web", "app", "side") | {"metadata": {"name": "web", "labels": {"a": "b"}}}
        assert (await it.client.apply(labelled)).out == "pod/web configured"
        assert [pod.metadata.labels for pod in it.pods.updated] == [{"a": "b"}]

    scenario(in_world, test)
