"""Every operation of a pod's plans fails, or the process that runs it is killed just before or just after it.

The operations are those of the plans themselves, so that a new one is covered by itself. However a pod is disturbed, it
runs within five seconds, without another request; and when it is deleted, the host is as it was.
"""

from collections.abc import Iterator

import pytest

from minipod.api import cri
from minipod.api import messages as m
from minipod.names import Layout
from minipod.node import settings
from minipod.plan import container as container_plan
from minipod.plan import pod as pod_plan
from minipod.plan import sandbox as sandbox_plan
from minipod.plan.core import Plan
from minipod.spec import qos
from minipod.spec.validate import manifest
from minipod.supervisor import config, volumes
from tests.support import host
from tests.support.faults import Api, busybox_pod, glance, impatient_node, running
from tests.support.namespaces import inside
from tests.support.node import Node
from tests.support.wait import wait_until

RECOVERS = 5.0  # seconds
AT_ONCE = 4  # pods, each with a fault of its own
STAGES = (
    "pod",
    "sandbox/objects",
    "sandbox/pause",
    "sandbox/network",
    "sandbox/pins",
    "container/init/objects",
    "container/init",
    "container/a/objects",
    "container/a",
    "container/b/objects",
    "container/b",
)
CHILDREN = ("sandbox/pause", "container/init", "container/a", "container/b")
ACTIONS = ("fail", "kill-before", "kill-after")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, minipod_images) -> Iterator[Node]:
    with impatient_node(tmp_path_factory.mktemp("faults") / "home", minipod_images) as node:
        yield node


@pytest.fixture(scope="module")
def stages(shared_node) -> dict[str, int]:
    """How many operations each stage of the pod's plans has."""
    facts = inside(shared_node.init, _facts, shared_node.layout)
    return {stage.name: len(stage.ops) for stage in _plans(facts)}


def _facts(layout: Layout) -> m.NodeFacts:
    return settings.facts(layout, settings.read("", {}))


def _plans(facts: m.NodeFacts) -> Plan:
    wanted = manifest(busybox_pod("web"), "", "default").pod
    box = config.sandbox(wanted, facts, 0)
    box = cri.SandboxConfig(**{**_fields(box), "address4": "10.0.0.2", "address6": "fd00::2"})
    plan = pod_plan.pod(
        facts,
        "uid",
        config.cgroup(wanted, facts),
        config.resources(qos.pod_amounts(wanted)),
        volumes.empty_dirs(wanted, facts),
    )
    plan += sandbox_plan.sandbox(facts, "sandbox", box)
    for spec in (*wanted.spec.init_containers, *wanted.spec.containers):
        plan += container_plan.container(
            facts, "sandbox", box, "container", config.container(wanted, spec, facts, 0)
        )
    return plan


def _fields(record: object) -> dict:
    return {name: getattr(record, name) for name in record.__struct_fields__}


def disturbed(api: Api, uid: str) -> bool:
    """Whether something went wrong with the pod, by its journal: a supervisor died, or something couldn't be made."""
    facts = api.journal(uid)
    began = sum(fact["fact"] == "SupervisorBegan" for fact in facts)
    return began > 1 or any(fact["fact"] in ("SandboxFailed", "StartFailed") for fact in facts)


def strike(api: Api, faults: dict[str, str]) -> None:
    """Pods (name: fault) are applied, recover, and are deleted; the host is then as before."""
    before = glance(api.node)
    with api.watch() as watch:
        uids = {
            name: api.create(busybox_pod(name), fault)["metadata"]["uid"] for name, fault in faults.items()
        }
        watch.wait(lambda pods: all(running(pods.get(name)) for name in uids), RECOVERS, f"all run: {faults}")
        untouched = [faults[name] for name, uid in uids.items() if not disturbed(api, uid)]
        assert not untouched, f"no fault happened at {untouched}"
        wait_until(lambda: all(api.heard(watch.pods[name]) for name in uids), what="all ready to be stopped")
        for name in uids:
            api.delete(name)
        watch.wait(lambda pods: not pods, RECOVERS, f"all gone: {faults}")
    left = host.leaks(before, lambda: glance(api.node))
    assert not left, "\n".join([f"after {faults}:", *left])


def test_the_plans_are_what_is_carried_out(api, stages):
    with api.watch() as watch:
        uid = api.create(busybox_pod("web"))["metadata"]["uid"]
        watch.wait(lambda pods: running(pods.get("web")), RECOVERS)
        wait_until(lambda: api.heard(watch.pods["web"]))
    assert tuple(stages) == STAGES
    assert not disturbed(api, uid)
    done: dict[str, list[int]] = {}
    for each in api.supervisor(uid, m.Trace()).timings:
        done.setdefault(each.stage, []).append(each.index)
    assert done == {name: list(range(size)) for name, size in stages.items()}


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_pod_recovers_from_a_fault_at_every_operation(api, stages, stage, action):
    # Nothing of ours is left just after exec: what a kill does then is the next test's.
    last = stages[stage] - (stage in CHILDREN and action == "kill-after")
    for first in range(0, last, AT_ONCE):
        some = range(first, min(first + AT_ONCE, last))
        strike(api, {f"web{index}": f"{stage}:{index}:{action}" for index in some})


@pytest.mark.parametrize("stage", CHILDREN)
def test_after_exec_there_is_nothing_of_ours_to_kill(api, stages, stage):
    """The fault door can't strike there; the program that was exec'ed can be killed, as any program can."""
    with api.watch() as watch:
        uid = api.create(busybox_pod("web"), f"{stage}:{stages[stage] - 1}:kill-after")["metadata"]["uid"]
        watch.wait(lambda pods: running(pods.get("web")), RECOVERS)
        assert not disturbed(api, uid)


@pytest.mark.parametrize("name", ["pause", "a", "b"])
def test_a_pod_recovers_when_a_program_is_killed_after_exec(api, name):
    with api.watch() as watch:
        uid = api.create(busybox_pod("web"))["metadata"]["uid"]
        watch.wait(lambda pods: running(pods.get("web")), RECOVERS)
        wait_until(lambda: api.heard(watch.pods["web"]))
        api.kill(api.pids(uid)[name])
        watch.wait(lambda pods: restarted(pods["web"], name) and running(pods["web"]), RECOVERS)
        wait_until(lambda: api.heard(watch.pods["web"]))


def restarted(web: dict, name: str) -> bool:
    """That container once; both if it was pause."""
    counts = {status["name"]: status["restartCount"] for status in web["status"]["containerStatuses"]}
    return counts == ({"a": 1, "b": 1} if name == "pause" else {"a": 0, "b": 0, name: 1})
