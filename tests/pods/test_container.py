"""What a container's process finds: who it is, what it may do, what it sees."""

import os

import pytest

from tests.support.node import Node, idle_after, pod, sh
from tests.support.wait import wait_until

# Masked and read-only paths: containerd's defaults, where this kernel has them.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
)
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
DEFAULT_CAPABILITIES = 0xA80425FB


@pytest.fixture(scope="module")
def plain(shared_node: Node) -> Node:
    shared_node.apply(pod("plain", {}))
    return shared_node


def status_of(node: Node, name: str, field: str) -> str:
    """A field of /proc/PID/status of a pod's first container, as the host sees it."""
    for line in node.read(node.pids(name)["c0"], "status").splitlines():
        if line.startswith(f"{field}:"):
            return line.partition(":")[2].strip()
    raise KeyError(field)


# --- privileges


@pytest.mark.parametrize("field", ["CapEff", "CapPrm", "CapBnd"])
def test_capabilities_are_containerds_default(plain, field):
    assert int(status_of(plain, "plain", field), 16) == DEFAULT_CAPABILITIES


@pytest.mark.parametrize("field", ["CapInh", "CapAmb"])
def test_no_capability_is_inherited(plain, field):
    assert int(status_of(plain, "plain", field), 16) == 0


def test_a_user_other_than_root_has_no_capabilities(node):
    node.apply(pod("web", {"securityContext": {"runAsUser": 1000}}))
    assert int(status_of(node, "web", "CapEff"), 16) == 0
    assert int(status_of(node, "web", "CapBnd"), 16) == DEFAULT_CAPABILITIES


def test_a_privileged_container_has_all_capabilities_of_the_node(node):
    node.apply(pod("web", {"securityContext": {"privileged": True}}))
    with open("/proc/self/status") as file:
        ours = next(line for line in file if line.startswith("CapBnd")).split()[1]
    assert status_of(node, "web", "CapEff") == ours


def test_user_and_group_are_as_asked(node):
    node.apply(pod("web", {"securityContext": {"runAsUser": 1000, "runAsGroup": 3000}}))
    assert node.exec("web", "sh", "-c", "id -u; id -g; id -G").stdout.split() == ["1000", "3000", "3000"]


def test_a_user_other_than_root_can_open_its_output_anew(node):
    """As nginx does: its log files are links to /dev/stdout and /dev/stderr."""
    script = "echo out >/dev/stdout; echo err >/dev/stderr"
    node.apply(pod("web", idle_after(script, securityContext={"runAsUser": 1000})))
    wait_until(lambda: sorted(node.logs("web").split()) == ["err", "out"])
    done = node.exec("web", "sh", "-c", script)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert os.stat("/dev/null").st_uid == 0


def test_the_containers_user_comes_before_the_pods(node):
    contexts = {"securityContext": {"runAsUser": 2000}}
    node.apply(pod("web", contexts, {}, securityContext={"runAsUser": 1000, "runAsGroup": 1001}))
    assert node.exec("web", "id", "-u", container="c0").stdout == "2000\n"
    assert node.exec("web", "sh", "-c", "id -u; id -g", container="c1").stdout == "1000\n1001\n"


def test_the_process_holds_no_descriptor_of_the_host(plain):
    folder = f"{plain.proc}/{plain.pids('plain')['c0']}/fd"
    targets = {number: os.readlink(f"{folder}/{number}") for number in os.listdir(folder)}
    assert set(targets) <= {"0", "1", "2", "10"}, targets  # 10: where the shell keeps its script
    assert targets["0"] == "/dev/null"
    assert targets["1"].startswith("pipe:")


# --- file systems


def test_the_root_is_an_overlay(plain):
    lines = plain.read(plain.pids("plain")["c0"], "mountinfo").splitlines()
    assert [line.split(" - ")[1].split()[0] for line in lines if line.split()[4] == "/"] == ["overlay"]


def test_making_a_container_writes_nothing_into_its_root(plain):
    lines = plain.read(plain.pids("plain")["c0"], "mountinfo").splitlines()
    (overlay,) = [line.split()[-1] for line in lines if line.split()[4] == "/"]
    (upper,) = [option[9:] for option in overlay.split(",") if option.startswith("upperdir=")]
    assert os.listdir(upper) == []


@pytest.mark.parametrize("path", MASKED)
def test_a_masked_path_shows_nothing(plain, path):
    script = f'[ ! -e {path} ] || [ -z "$(ls -A {path} 2>/dev/null)" -a -d {path} ] || [ ! -s {path} -a -c {path} ]'
    plain.exec("plain", "sh", "-c", script)


def test_the_masked_paths_that_the_kernel_has_are_covered_by_mounts(plain):
    covered = {line.split()[4] for line in plain.read(plain.pids("plain")["c0"], "mountinfo").splitlines()}
    assert {path for path in MASKED if os.path.exists(path)} <= covered


@pytest.mark.parametrize("path", [path for path in READ_ONLY if os.path.exists(path)])
def test_a_read_only_path_cannot_be_written(plain, path):
    lines = plain.read(plain.pids("plain")["c0"], "mountinfo").splitlines()
    (options,) = [line.split()[5] for line in lines if line.split()[4] == path]
    assert "ro" in options.split(",")


def test_sys_cannot_be_written(plain):
    result = plain.exec("plain", "sh", "-c", "echo 1 >/sys/kernel/mm/ksm/run", check=False)
    assert "Read-only file system" in result.stderr


def test_the_devices_are_the_usual_ones(plain):
    devices = set(plain.exec("plain", "ls", "/dev").stdout.split())
    usual = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue", "fd"}
    assert (
        usual | {"stdin", "stdout", "stderr"}
        <= devices
        <= usual | {"stdin", "stdout", "stderr", "core", "console", "termination-log"}
    )


def test_a_device_of_the_host_cannot_be_used(plain):
    result = plain.exec("plain", "sh", "-c", "mknod /tmp/mem c 1 1 && head -c 1 /tmp/mem", check=False)
    assert result.returncode == 1
    assert "Operation not permitted" in result.stderr


def test_the_host_is_not_to_be_found_among_the_mounts(plain):
    lines = plain.read(plain.pids("plain")["c0"], "mountinfo").splitlines()
    assert {
        line.split()[4] for line in lines if line.split()[4].startswith(("/mnt", "/oldroot", "/.old"))
    } == set()
    assert plain.exec("plain", "ls", plain.home, check=False).returncode == 1


def test_proc_shows_the_containers_processes(plain):
    assert plain.exec("plain", "cat", "/proc/1/comm").stdout == "sh\n"


# --- command, arguments, environment


def test_command_and_arguments_replace_the_images(node):
    node.apply(
        pod(
            "job",
            {"command": ["echo"], "args": ["a  b", "$(X)"], "env": [{"name": "X", "value": "1"}]},
            restartPolicy="Never",
        )
    )
    node.wait_phase("job", "Succeeded")
    assert node.logs("job") == "a  b 1\n"


def test_environment_is_the_manifests_and_the_images(node):
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)2 $$(A) $(C)"}]
    node.apply(pod("job", {"command": ["env"], "env": env}, restartPolicy="Never"))
    node.wait_phase("job", "Succeeded")
    found = dict(line.split("=", 1) for line in node.logs("job").splitlines())
    assert (found["A"], found["B"], found["HOSTNAME"]) == ("1", "12 $(A) $(C)", "job")
    assert "/bin" in found["PATH"].split(":")
    assert not [name for name in found if name.startswith("MINIPOD")]


def test_the_working_directory_is_made_if_it_is_not_there(node):
    node.apply(pod("job", {"command": ["pwd"], "workingDir": "/some/where"}, restartPolicy="Never"))
    node.wait_phase("job", "Succeeded")
    assert node.logs("job") == "/some/where\n"


def test_signals_are_as_for_a_process_that_init_started(plain):
    first = plain.exec("plain", "cat", "/proc/self/status").stdout
    ignored = next(line for line in first.splitlines() if line.startswith("SigIgn")).split()[1]
    assert int(ignored, 16) == 0


# --- cgroups


def cgroup_file(node: Node, name: str, controller: str, file: str, old: str) -> str:
    """A limit of a pod's first container: `file` on cgroup2, `old` where the controller is on v1."""
    for line in node.read(node.pids(name)["c0"], "cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            mounts = node.sh(f"findmnt -n -o TARGET -t cgroup -O {controller}").split()
            return node.sh(f"cat {mounts[0]}{path}/{old}").strip()
        if not controllers:
            unified = path
    mount = node.sh("findmnt -n -o TARGET -t cgroup2").split()[0]
    return node.sh(f"cat {mount}{unified}/{file}").strip()


@pytest.fixture(scope="module")
def limited(shared_node: Node) -> Node:
    resources = {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "32Mi"}}
    shared_node.apply(pod("limited", {"resources": resources}))
    return shared_node


def test_a_memory_limit_is_the_kernels(limited):
    assert cgroup_file(limited, "limited", "memory", "memory.max", "memory.limit_in_bytes") == str(64 << 20)


def test_a_cpu_limit_is_the_kernels(limited):
    quota = cgroup_file(limited, "limited", "cpu", "cpu.max", "cpu.cfs_quota_us")
    assert quota in ("25000", "25000 100000")


def test_a_cpu_request_is_a_share(limited):
    shares = cgroup_file(limited, "limited", "cpu", "cpu.weight", "cpu.shares")
    assert shares in ("102", "4", "17")  # v1; v2 by the old and by the new conversion


def test_a_container_over_its_memory_limit_is_oom_killed(node):
    hog = sh("tail /dev/zero", resources={"limits": {"memory": "16Mi"}})
    node.apply(pod("hog", hog, restartPolicy="Never"))
    terminated = node.wait_phase("hog", "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] == 137
    assert terminated["reason"] == "OOMKilled"


def test_a_container_whose_child_was_killed_over_memory_is_oom_killed_whatever_it_exits_with(node):
    hog = sh("tail /dev/zero; exit 3", resources={"limits": {"memory": "16Mi"}})
    node.apply(pod("hog", hog, restartPolicy="Never"))
    terminated = node.wait_phase("hog", "Failed")["containerStatuses"][0]["state"]["terminated"]
    assert terminated["exitCode"] in (3, 137)  # 137: of v2, where all are killed together
    assert terminated["reason"] == "OOMKilled"


def test_a_container_sees_its_cgroup_as_the_root(plain):
    text = plain.exec("plain", "cat", "/proc/self/cgroup").stdout
    assert "minipod" not in text


@pytest.mark.parametrize(
    ("resources", "qos"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "100m"}}, "Burstable"),
        ({"limits": {"cpu": "100m", "memory": "32Mi"}}, "Guaranteed"),
    ],
)
def test_the_quality_of_service_class_is_told_and_is_the_place_in_the_tree(node, resources, qos):
    node.apply(pod("web", {"resources": resources}))
    assert node.status("web")["qosClass"] == qos
    assert f"/{node.layout.cgroup}/{qos.lower()}/pod" in node.read(node.pids("web")["c0"], "cgroup")


def test_nothing_of_a_container_is_left_in_its_cgroup_when_it_has_ended(node):
    node.apply(pod("job", idle_after("sleep 1234 & sleep 1234 &"), restartPolicy="Never"))
    node.sh(f"kill -9 {node.pids('job')['c0']}")
    node.wait_phase("job", "Failed")
    assert node.sh("pgrep -x -f 'sleep 1234' || true") == ""
