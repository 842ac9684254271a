"""Other limits for a cgroup that has processes in it: which files are written, in which order."""

import pytest

from minipod.api.cri import Resources
from minipod.api.messages import NodeFacts
from minipod.kernel.cgroups import Hierarchies
from minipod.plan import pod

V1 = Hierarchies("/v2", (), {"cpu": "/cpu", "memory": "/memory", "pids": "/pids"})
V2 = Hierarchies("/v2", ("cpu", "memory", "pids"), {})


def writes(hierarchies: Hierarchies, **limits: int) -> list[str]:
    facts = NodeFacts(home="", node_name="n", host_ip="", memory_bytes=1, cgroups=hierarchies, pause="/pause")
    return [op.explain() for op in pod.update(facts, "web", Resources(**limits)).ops]


def test_on_v1_memory_and_swap_together_give_way_first():
    assert writes(V1, memory_limit=4096) == [
        "echo -1 >/memory/web/memory.memsw.limit_in_bytes",
        "echo 4096 >/memory/web/memory.limit_in_bytes",
        "echo 4096 >/memory/web/memory.memsw.limit_in_bytes",
    ]


def test_on_v2_there_is_nothing_in_the_way():
    assert writes(V2, memory_limit=4096, pids_limit=9) == [
        "echo 4096 >/v2/web/memory.max",
        "echo 0 >/v2/web/memory.swap.max",
        "echo 1 >/v2/web/memory.oom.group",
        "echo 9 >/v2/web/pids.max",
    ]


@pytest.mark.parametrize("hierarchies", [V1, V2])
def test_what_is_not_said_stays_as_it_is(hierarchies):
    assert writes(hierarchies) == []
    assert all("/memory" not in line for line in writes(hierarchies, pids_limit=9))
