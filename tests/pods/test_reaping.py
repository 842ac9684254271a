"""Who reaps whom: pause in a shared PID namespace; else a container's first process; the supervisor only its own."""

import contextlib
import os

import pytest

from tests.support.faults import Api
from tests.support.node import Node, idle_after, pod
from tests.support.wait import wait_until

ORPHANS = 100
# Each child leaves a child of its own behind, which ends when its parent is long gone.
BOMB = f"for n in $(seq {ORPHANS}); do (sh -c 'sleep 0.2; echo >>/tmp/ended' &) & done; wait; echo thrown"


def zombies(node: Node) -> dict[int, int]:
    """The pid of each process that has ended and isn't reaped, and its parent's."""
    found = {}
    for pid in (int(name) for name in os.listdir(node.proc) if name.isdecimal()):
        with contextlib.suppress(OSError):  # gone
            state, parent = node.read(pid, "stat").rpartition(")")[2].split()[:2]
            if state == "Z":
                found[pid] = int(parent)
    return found


def all_ended(node: Node) -> bool:
    seen = node.exec("web", "sh", "-c", "wc -l </tmp/ended", check=False).stdout
    return seen.strip() == str(ORPHANS)


@pytest.mark.parametrize("shared", [True, False])
def test_orphans_are_reaped_and_none_becomes_the_supervisors(node: Node, api: Api, shared):
    node.apply(pod("web", idle_after("mkdir -p /tmp"), shareProcessNamespace=shared))
    assert node.exec("web", "sh", "-c", BOMB).stdout == "thrown\n"
    wait_until(lambda: all_ended(node))
    pids = node.pids("web")
    ours = (api.helper("supervisor"), pids["pause"])
    wait_until(lambda: [parent for parent in zombies(node).values() if parent in ours] == [])


def test_in_a_shared_pid_namespace_orphans_become_children_of_pause(node: Node):
    node.apply(pod("web", idle_after("mkdir -p /tmp"), shareProcessNamespace=True))
    node.exec("web", "sh", "-c", "(sh -c 'echo $$ >/tmp/orphan; exec sleep 1000' &)")
    orphan = int(wait_until(lambda: node.exec("web", "cat", "/tmp/orphan", check=False).stdout))
    parent = node.exec("web", "cut", "-d ", "-f4", f"/proc/{orphan}/stat").stdout
    assert parent == "1\n"
    assert node.exec("web", "cat", "/proc/1/comm").stdout == "catatonit\n"
    node.exec("web", "kill", str(orphan))
    wait_until(lambda: node.exec("web", "test", "-e", f"/proc/{orphan}", check=False).returncode == 1)


def test_pause_is_killed_after_everybody_else_when_memory_is_short(node: Node, api: Api):
    """oom_score_adj: the kubelet's -998, where the node may lower it (CAP_SYS_RESOURCE), else what the node has."""
    node.apply(pod("web", {}))
    main, pause = api.helper("node"), node.pids("web")["pause"]
    effective = next(
        line.split()[1] for line in node.read(main, "status").splitlines() if line[:7] == "CapEff:"
    )
    may = int(effective, 16) >> 24 & 1
    assert node.read(pause, "oom_score_adj").strip() == (
        "-998" if may else node.read(main, "oom_score_adj").strip()
    )
