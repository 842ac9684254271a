"""Finding hierarchies in a text, and limits as files: no kernel needed."""

import pytest

from minipod.kernel import cgroups
from minipod.kernel.cgroups import Hierarchies, Limits

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw,nsdelegate
"""
PURE_V2 = (
    "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"
)
PURE_V1 = "".join(HYBRID.splitlines(keepends=True)[:-1])
ALL = Limits(cpu_shares=1024, cpu_quota=50_000, memory=64 << 20, pids=100)


def test_a_hybrid_host_has_controllers_on_v1_and_an_empty_v2():
    assert cgroups.detect(HYBRID, "") == Hierarchies(
        "/sys/fs/cgroup/unified",
        (),
        {
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "memory": "/sys/fs/cgroup/memory",
            "pids": "/sys/fs/cgroup/pids",
        },
    )


def test_a_v2_host_has_everything_in_one_place():
    found = cgroups.detect(PURE_V2, "cpuset cpu io memory hugetlb pids rdma misc")
    assert found == Hierarchies("/sys/fs/cgroup", ("cpu", "memory", "pids"), {})
    assert found.directories("minipod/pod1") == ["/sys/fs/cgroup/minipod/pod1"]


def test_a_controller_that_v2_has_is_not_looked_for_on_v1():
    found = cgroups.detect(HYBRID, "pids")
    assert found.directory("pids", "a/b") == "/sys/fs/cgroup/unified/a/b"
    assert "pids" not in found.v1


def test_a_host_without_v2_is_recognized():
    found = cgroups.detect(PURE_V1, "")
    assert (found.v2, found.directories("x")[0]) == ("", "/sys/fs/cgroup/cpu,cpuacct/x")


def test_a_host_without_cgroups_has_no_directories():
    found = cgroups.detect("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "")
    assert (found.directory("memory", "x"), found.directories("x")) == ("", [])


def test_controllers_on_one_hierarchy_share_a_directory():
    assert cgroups.detect(HYBRID, "").directories("x") == [
        "/sys/fs/cgroup/unified/x",
        "/sys/fs/cgroup/cpu,cpuacct/x",
        "/sys/fs/cgroup/memory/x",
        "/sys/fs/cgroup/pids/x",
    ]


def test_a_mount_point_with_a_space_is_unescaped():
    line = "35 24 0:30 / /my\\040cgroups\\134here rw - cgroup2 none rw\n"
    assert cgroups.detect(line, "").v2 == "/my cgroups\\here"


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        (0, 0),
        (1, 1),
        (2, 1),
        (102, 17),
        (256, 35),
        (512, 59),
        (1024, 100),
        (2048, 174),
        (262_144, 10_000),
        (10**9, 10_000),
    ],
)
def test_cpu_weight_follows_the_curve_of_runc_and_crun(shares, weight):
    assert cgroups.cpu_weight(shares) == weight


def test_more_shares_never_weigh_less():
    weights = [cgroups.cpu_weight(shares) for shares in range(2, 262_145, 97)]
    assert weights == sorted(weights)


def test_limits_on_v2():
    assert cgroups.settings(ALL, cgroups.detect(PURE_V2, "cpu memory pids")) == [
        ("cpu", "cpu.weight", "100"),
        ("cpu", "cpu.max", "50000 100000"),
        ("memory", "memory.max", "67108864"),
        ("memory", "memory.swap.max", "0"),
        ("memory", "memory.oom.group", "1"),
        ("pids", "pids.max", "100"),
    ]


def test_limits_on_v1():
    assert cgroups.settings(ALL, cgroups.detect(HYBRID, "")) == [
        ("cpu", "cpu.shares", "1024"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.memsw.limit_in_bytes", "67108864"),
        ("pids", "pids.max", "100"),
    ]


def test_no_limits_are_no_files():
    assert cgroups.settings(Limits(), cgroups.detect(HYBRID, "")) == []


def test_a_controller_that_the_host_lacks_has_no_files():
    without_memory = "".join(line for line in HYBRID.splitlines(keepends=True) if "memory" not in line)
    controllers = {
        controller for controller, _, _ in cgroups.settings(ALL, cgroups.detect(without_memory, ""))
    }
    assert controllers == {"cpu", "pids"}


@pytest.mark.parametrize(
    ("hierarchies", "charged", "inactive"),
    [
        (lambda here: Hierarchies(here, ("memory",), {}), "memory.current", "inactive_file"),
        (lambda here: Hierarchies("", (), {"memory": here}), "memory.usage_in_bytes", "total_inactive_file"),
    ],
)
def test_the_working_set_is_what_is_charged_less_file_pages_not_used_lately(
    tmp_path, hierarchies, charged, inactive
):
    found, folder = hierarchies(str(tmp_path)), tmp_path / "web"
    assert cgroups.working_set(found, "web") is None
    folder.mkdir()
    (folder / charged).write_text("5000\n")
    (folder / "memory.stat").write_text(f"anon 1\n{inactive} 2000\nactive_file 7\n")
    assert cgroups.working_set(found, "web") == 3000
    (folder / "memory.stat").write_text(f"{inactive} 6000\n")  # read a moment later, it may be more
    assert cgroups.working_set(found, "web") == 0
