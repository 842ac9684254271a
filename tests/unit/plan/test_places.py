"""Places in a plan by the names a person has for them."""

import pytest

from minipod.api import cri
from minipod.api import messages as m
from minipod.kernel.cgroups import Hierarchies
from minipod.plan import container, sandbox
from minipod.plan.core import Plan
from minipod.plan.places import NoSuchPlace, find, listing, word

FACTS = m.NodeFacts("/h", "n", "", 1, Hierarchies(v2="/v2", v2_controllers=(), v1={}), "/pause")
BOX = cri.SandboxConfig("web", "default", "uid", "web", "pods/uid", address4="10.0.0.2")


@pytest.fixture(scope="module")
def plan() -> Plan:
    stages = sandbox.sandbox(FACTS, "box", BOX)
    for name in ("first", "second"):
        stages += container.container(
            FACTS, "box", BOX, name, cri.ContainerConfig(name, "i", "/r", ("true",))
        )
    return stages


def named(plan: Plan, text: str) -> tuple[str, str]:
    """The stage, and what the operation there is called."""
    name, index = find(plan, text)
    stage = next(stage for stage in plan if stage.name == name)
    return name, word(stage.ops[index])


@pytest.mark.parametrize("text", ["sandbox/pause", "container/second/objects", "container/second"])
def test_a_stage_is_its_first_operation(plan, text):
    assert find(plan, text) == (text, 0)


def test_sandbox_is_where_the_first_container_begins(plan):
    assert find(plan, "sandbox") == ("container/first/objects", 0)


def test_an_operation_alone_is_the_first_containers(plan):
    assert named(plan, "pivot_root") == ("container/first", "pivot_root")
    assert named(plan, "exec") == ("container/first", "exec")


def test_an_operation_that_no_container_has_is_the_sandboxs(plan):
    assert named(plan, "create_veth") == ("sandbox/network", "create_veth")


def test_an_operation_of_a_stage(plan):
    assert named(plan, "container/second:exec") == ("container/second", "exec")
    assert named(plan, "sandbox/pause:exec") == ("sandbox/pause", "exec")


@pytest.mark.parametrize(
    "text", ["drop-capabilities", "drop_capabilities", "limit_capabilities", "DROP-CAPABILITIES"]
)
def test_an_operation_has_the_kernels_name_and_its_classs(plan, text):
    assert named(plan, text) == ("container/first", "drop_capabilities")


def test_an_operation_by_its_number(plan):
    assert find(plan, "sandbox/pause:3") == ("sandbox/pause", 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "3",
        ":3",
        ":exec",
        "nothing",
        "container/third",
        "sandbox/pause:99",
        "sandbox/pause:-1",
        "pod:exec",
        ":exec:",
    ],
)
def test_anything_else_is_no_place_and_all_places_are_told(plan, text):
    with pytest.raises(NoSuchPlace) as refusal:
        find(plan, text)
    assert listing(plan) in str(refusal.value)
    assert all(stage.name in str(refusal.value) for stage in plan)


def test_a_sandbox_without_containers_has_no_end(plan):
    with pytest.raises(NoSuchPlace):
        find(sandbox.sandbox(FACTS, "box", BOX), "sandbox")
