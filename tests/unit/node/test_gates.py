"""Scheduling gates: as long as a pod has one, it is nothing but an object."""

import msgspec
import pytest
from msgspec.structs import replace

from minipod.errors import Conflict
from minipod.node import delete, gates
from minipod.node.apply import Applied
from minipod.node.status import as_text
from minipod.spec.types import PodCondition
from tests.unit.node.conftest import manifest, text

PODS = "/api/v1/namespaces/default/pods"
HELD = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
    "lastProbeTime": None,
}
WHY = "is held by its scheduling gates (a, b): apply it again without them"


def gated(*names, **spec):
    return manifest("web", schedulingGates=[{"name": name} for name in names], **spec)


def scenario(in_world, test, *names):
    """The test, with a pod web that has these gates."""

    async def whole(it):
        assert (await it.client.apply(gated(*names))).out == "pod/web created"
        await test(it)

    in_world(whole)


def test_a_gated_pod_is_not_begun_and_says_why(in_world):
    async def test(it):
        _, pod = await it.client.json("GET", f"{PODS}/web")
        assert pod["spec"]["schedulingGates"] == [{"name": "a"}, {"name": "b"}]
        assert pod["status"] == {"phase": "Pending", "conditions": [HELD], "qosClass": "BestEffort"}
        assert it.pods.started == []

    scenario(in_world, test, "a", "b")


def test_one_that_is_posted_is_not_begun_either(in_world):
    async def test(it):
        code, pod = await it.client.json("POST", PODS, text(gated("a")))
        assert (code, pod["status"]["conditions"], it.pods.started) == (201, [HELD], [])

    in_world(test)


def test_it_begins_when_its_last_gate_is_gone_and_looks_like_a_new_pod(in_world):
    async def test(it):
        assert (await it.client.apply(gated("b"))).out == "pod/web configured"
        assert (it.pods.started, it.objects.pod("default", "web").status.conditions) == ([], (gates.GATED,))
        assert (await it.client.apply(gated())).out == "pod/web configured"
        assert (it.pods.started, it.objects.pod("default", "web").status.conditions) == (["web"], ())
        assert (await it.client.apply(gated())).out == "pod/web unchanged"
        assert it.pods.started == ["web"]

    scenario(in_world, test, "a", "b")


def test_what_others_have_set_stays_when_it_begins(in_world):
    async def test(it):
        pod = it.objects.pod("default", "web")
        other = PodCondition(type="example.com/feature", status="True")
        it.objects.update(replace(pod, status=replace(pod.status, conditions=(other, gates.GATED))))
        await it.client.apply(gated())
        assert it.objects.pod("default", "web").status.conditions == (other,)

    scenario(in_world, test, "a")


@pytest.mark.parametrize("there", [("a",), ()])
def test_a_gate_is_never_added(in_world, there):
    async def test(it):
        answer = await it.client.apply(gated(*there, "x"))
        assert answer.code == 1
        assert answer.err == (
            f'The Pod "web" is invalid: spec.schedulingGates[{len(there)}].name: Forbidden: '
            "only deletion is allowed, but found new scheduling gate 'x'"
        )
        assert it.pods.started == ([] if there else ["web"])

    scenario(in_world, test, *there)


def test_nothing_else_changes_with_a_gate(in_world):
    async def test(it):
        answer = await it.client.apply(gated("b", hostname="other"))
        assert "pod updates may not change fields other than" in answer.err
        assert answer.err.endswith("changed here: spec.hostname")
        assert len(it.objects.pod("default", "web").spec.scheduling_gates) == 2

    scenario(in_world, test, "a", "b")


def test_whoever_waits_for_it_to_start_is_told_that_it_will_not(in_world):
    async def test(it):
        answer = await it.client.apply(gated("a", "b"), wait="true")
        assert (answer.code, answer.err) == (1, f"error: pod/web {WHY}")

    in_world(test)


def test_it_has_no_breakpoint(in_world):
    async def test(it):
        answer = await it.client.apply(gated("a", "b"), **{"break": "sandbox"})
        assert (answer.code, answer.err) == (1, f"error: pod/web can't be stopped there: it {WHY}")
        assert it.objects.list_pods() == []

    in_world(test)


def test_it_is_deleted_at_once(in_world):
    async def test(it):
        answer = await it.client.verb("POST", "delete", name="web")
        assert (answer.code, answer.out) == (0, 'pod "web" deleted')
        assert (it.objects.list_pods(), it.pods.deleted) == ([], [])

    scenario(in_world, test, "a")


def test_one_that_has_begun_since_it_was_looked_up_is_ended_like_any_other(in_world):
    async def test(it):
        before = it.objects.pod("default", "web")
        await it.client.apply(gated())
        await delete.end_pod(it.node, before, 0)
        assert it.pods.deleted == [(before.metadata.uid, 0.0)]

    scenario(in_world, test, "a")


def test_it_is_shown_without_a_node(in_world):
    async def test(it):
        listed = await it.client.verb("GET", "get", output="wide")
        assert listed.out.splitlines()[1].split()[:4] == ["web", "0/1", "SchedulingGated", "0"]
        assert "testnode" not in listed.out
        described = (await it.client.verb("GET", "describe", name="web")).out.splitlines()
        pairs = {key: value.strip() for key, _, value in (line.partition(":") for line in described)}
        assert (pairs["Node"], pairs["Status"], pairs["IP"]) == ("<none>", "Pending", "")
        assert ["PodScheduled", "False"] in [line.split() for line in described]

    scenario(in_world, test, "a")


def test_its_logs_are_not_there_and_the_error_says_why(in_world):
    async def test(it):
        answer = await it.client.verb("GET", "logs", name="web")
        assert "is waiting to start: SchedulingGated" in answer.err

    scenario(in_world, test, "a")


def test_what_has_to_wait_for_a_gate_is_a_conflict_and_nothing_that_exists():
    refused = "Error from server (Conflict): the pod is held by its scheduling gates"
    assert as_text(Conflict("the pod is held by its scheduling gates")) == refused


def test_a_pod_that_was_applied_before_a_field_had_a_default_is_unchanged(in_world):
    async def test(it):
        pod = it.objects.pod("default", "web")
        before = replace(pod, spec=replace(pod.spec, dns_policy=""))
        it.objects.update(before, msgspec.json.encode(Applied.of(before)))
        assert (await it.client.apply(gated("a"))).out == "pod/web unchanged"

    scenario(in_world, test, "a")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("a", "b", "a"), 'spec.schedulingGates[2]: Duplicate value: "a"'),
        (("/a",), 'spec.schedulingGates[0]: Invalid value: "/a": prefix part must be non-empty'),
    ],
)
def test_a_gate_has_a_name_of_its_own(in_world, names, problem):
    async def test(it):
        answer = await it.client.apply(gated(*names))
        assert (answer.code, answer.err) == (1, f'The Pod "web" is invalid: {problem}')

    in_world(test)
