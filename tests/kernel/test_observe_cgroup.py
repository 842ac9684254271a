"""The tree of a pod's cgroups, from files as the kernel writes them on v1 and v2, and from the real ones."""

import os
import signal
from pathlib import Path

import pytest

from minipod.kernel import cgroups
from minipod.kernel.cgroups import Hierarchies
from minipod.observe import cgroup as tree
from minipod.observe import members
from minipod.observe.members import Member
from tests.kernel.child import enter_v2

NO_LIMIT = 9223372036854771712  # memory.limit_in_bytes of v1
APP = (Member("app", 1, "/pod1/aaa", ()),)
PSI = """\
some avg10=1.50 avg60=0.25 avg300=0.00 total=123
full avg10=0.50 avg60=0.00 avg300=0.00 total=45
"""
V2 = {
    "cgroup.procs": "7\n8\n",
    "cpu.weight": "39\n",
    "cpu.max": "50000 100000\n",
    "cpu.stat": "usage_usec 1500000\nuser_usec 1\nsystem_usec 2\nnr_throttled 3\nthrottled_usec 40000\n",
    "memory.current": "4096\n",
    "memory.max": "33554432\n",
    "memory.events": "low 0\nhigh 0\nmax 5\noom 1\noom_kill 2\n",
    "pids.current": "2\n",
    "pids.max": "max\n",
    "memory.pressure": PSI,
}
V1 = {
    "cpu": {
        "cpu.shares": "256\n",
        "cpu.cfs_quota_us": "-1\n",
        "cpu.cfs_period_us": "100000\n",
        "cpu.stat": "nr_periods 1\nnr_throttled 1\nthrottled_time 40000000\n",
    },
    "cpuacct": {"cpuacct.usage": "1500000000\n"},
    "memory": {
        "memory.limit_in_bytes": f"{NO_LIMIT}\n",
        "memory.usage_in_bytes": "4096\n",
        "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
    },
    "pids": {"pids.current": "2\n", "pids.max": "100\n"},
}


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.fixture
def v2(tmp_path) -> Hierarchies:
    for path in ("pod1", "pod1/aaa", "pod1/aaa/below", "pod1/bbb"):
        write(tmp_path / path, V2)
    return Hierarchies(str(tmp_path), ("cpu", "memory", "pids"), {})


@pytest.fixture
def hybrid(tmp_path) -> Hierarchies:
    for controller, files in V1.items():
        write(tmp_path / controller / "pod1" / "aaa", files)
    write(tmp_path / "unified/pod1/aaa", {"cgroup.procs": "7\n", "cpu.pressure": PSI})
    return Hierarchies(str(tmp_path / "unified"), (), {name: str(tmp_path / name) for name in V1})


def group(hierarchies: Hierarchies, name: str = "app") -> tree.Group:
    (found,) = [each for each in tree.look(APP, {}, hierarchies).groups if each.name == name]
    return found


def test_limits_and_use_are_read_on_v2(v2):
    found = group(v2)
    assert found.limits == tree.Limits(
        cpu_weight=39, cpu_quota=50_000, cpu_period=100_000, memory=32 << 20, pids=None
    )
    assert found.usage == cgroups.Usage(cpu_usec=1_500_000, memory_bytes=4096, pids=2, oom_kills=2)
    assert found.throttled_usec == 40_000


def test_limits_and_use_are_read_on_v1(hybrid):
    found = group(hybrid)
    assert found.limits == tree.Limits(cpu_shares=256, cpu_period=100_000, memory=None, pids=100)
    assert found.usage == cgroups.Usage(cpu_usec=1_500_000, memory_bytes=4096, pids=2, oom_kills=2)
    assert found.throttled_usec == 40_000


def test_pressure_is_read_on_v2(v2):
    assert group(v2).pressure == {
        "memory": tree.Pressure(tree.Stall(1.5, 0.25, 0, 123), tree.Stall(0.5, 0, 0, 45))
    }


def test_pressure_is_cgroup2s_where_the_controllers_are_on_v1(hybrid):
    assert group(hybrid).pressure["cpu"].some.avg10 == 1.5


def test_the_tree_begins_with_the_pod_and_has_what_a_container_made_for_itself(v2):
    found = tree.look(APP, {}, v2).groups
    assert [(each.depth, each.name) for each in found] == [(0, "pod"), (1, "app"), (2, "below"), (1, "bbb")]


def test_the_processes_below_a_cgroup_count(v2):
    assert (group(v2, "pod").processes, group(v2, "app").processes, group(v2, "below").processes) == (8, 4, 2)


def test_what_is_left_of_a_container_that_has_ended_has_its_name(v2):
    assert [each.name for each in tree.look(APP, {"bbb": "setup"}, v2).groups][-1] == "setup (ended)"


def test_nobody_has_no_tree():
    assert tree.look([]).groups == ()
    assert "nobody" in tree.as_text(tree.look([]), 80)


@pytest.mark.parametrize("hierarchies", ["v2", "hybrid"])
def test_a_person_reads_use_beside_limits(request, hierarchies):
    text = tree.as_text(tree.look(APP, {}, request.getfixturevalue(hierarchies)), 200)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    expected = {
        "v2": [
            "4",
            "1.50s",
            "max",
            "0.5",
            "throttled",
            "0.04s",
            "39",
            "4Ki/32Mi",
            "2",
            "2",
            "-",
            "1.5%",
            "-",
        ],
        "hybrid": ["1", "1.50s", "throttled", "0.04s", "256", "4Ki", "2/100", "2", "1.5%", "-", "-"],
    }
    assert rows["app"][1:] == expected[hierarchies]


def test_a_real_cgroup_is_told_as_the_kernel_has_it(start, cgroup):
    os.mkdir(f"{cgroup}/aaa")
    pid = start(lambda: enter_v2(f"{cgroup}/aaa"))
    try:
        found = tree.look(members.of_pod(0, [("app", pid)]))
        assert [(each.name, each.processes) for each in found.groups] == [("pod", 1), ("app", 1)]
        assert f"{found.hierarchies.v2}/{found.groups[1].path}" == f"{cgroup}/aaa"
        psi = Path(f"{cgroup}/aaa/memory.pressure")
        assert ("memory" in found.groups[1].pressure) is psi.exists()
    finally:
        os.kill(pid, signal.SIGKILL)
        assert cgroups.wait_empty(f"{cgroup}/aaa", 30)
        os.rmdir(f"{cgroup}/aaa")
