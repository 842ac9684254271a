"""What the containers of a pod share and what each has for itself: as `observe` tells it, and as the kernel says."""

import errno
import os
import socket
import subprocess
from pathlib import Path

import pytest

from minipod.testing.pod import SHARED, Pod
from tests.support.node import Node, idle_after, mounted
from tests.support.node import pod as manifest

OWN = ("mnt", "pid", "cgroup")
FILES, PROCESSES = {"mnt"}, {"mnt", "pid"}  # whose, when a function asks


@pytest.fixture(scope="module")
def shared(module_pod) -> Pod:
    volumes = [{"name": "data", "emptyDir": {"sizeLimit": "8Mi"}}]
    writer = idle_after("echo hello >/output/message", volumeMounts=mounted(data="/output"))
    reader = idle_after("httpd -p 8080 -h /input", volumeMounts=mounted(data="/input"))
    return module_pod(manifest("shared", writer, reader, volumes=volumes))


@pytest.fixture(scope="module")
def pids(shared) -> dict[str, int]:
    return {"pause": shared.pause.pid, "c0": shared["c0"].pid, "c1": shared["c1"].pid}


@pytest.fixture(scope="module")
def seen(shared) -> dict[str, dict[str, dict]]:
    return {process["name"]: process["namespaces"] for process in shared.observe()["processes"]}


def inode(pid: int | str, kind: str) -> int:
    return os.stat(f"/proc/{pid}/ns/{kind}").st_ino


def number_inside(pid: int) -> int:
    """What a process is called in the innermost PID namespace it is in (proc_pid_status(5), NSpid)."""
    return int(Path(f"/proc/{pid}/status").read_text().split("NSpid:")[1].split("\n")[0].split()[-1])


def programs() -> list[str]:
    """The names of those whom /proc shows."""
    return [Path(f"/proc/{pid}/comm").read_text().strip() for pid in os.listdir("/proc") if pid.isdecimal()]


@pytest.mark.parametrize("kind", SHARED)
def test_pause_holds_a_namespace_that_is_not_the_hosts(kind, shared_node, pids):
    assert inode(pids["pause"], kind) not in (inode(shared_node.init, kind), inode("self", kind))


@pytest.mark.parametrize("kind", SHARED)
def test_the_containers_are_in_the_namespace_that_pause_holds(kind, pids):
    assert len({inode(pid, kind) for pid in pids.values()}) == 1


@pytest.mark.parametrize("kind", OWN)
def test_each_container_has_a_namespace_of_its_own(kind, shared_node, pids):
    c0, c1, pause, host = (
        inode(pid, kind) for pid in (pids["c0"], pids["c1"], pids["pause"], shared_node.init)
    )
    assert len({c0, c1, host}) == 3
    assert pause not in (c0, c1)


def test_nobody_has_a_user_namespace_unless_asked_for(shared_node, pids):
    assert len({inode(pid, "user") for pid in (shared_node.init, *pids.values())}) == 1


@pytest.mark.parametrize("name", ["c0", "c1"])
def test_observe_says_whose_each_namespace_is(name, seen):
    whose = {kind: namespace["whose"] for kind, namespace in seen[name].items()}
    assert whose == dict.fromkeys(SHARED, "pod") | dict.fromkeys(OWN, "own") | {"user": "host"}


def test_observe_tells_the_inodes_of_proc(pids, seen):
    for name, pid in pids.items():
        for kind, namespace in seen[name].items():
            assert namespace["inode"] == inode(pid, kind), (name, kind)


def test_observe_finds_one_directory_behind_both_mount_paths(shared):
    (volume,) = shared.observe()["volumes"]
    assert volume["shared"]
    assert {(view["container"], view["path"]) for view in volume["views"]} == {
        ("c0", "/output"),
        ("c1", "/input"),
    }
    assert {(view["fstype"], view["size"]) for view in volume["views"]} == {("tmpfs", 8 << 20)}


def test_observe_is_a_table_for_a_person(shared_node, shared):
    text = shared_node.run("observe", "shared").stdout
    assert text.split("\n", 1)[0].split() == ["NAMESPACE", "HOST", "PAUSE", "c0", "c1"]
    assert "data: one directory, shared by c0, c1" in text


def test_a_pod_that_is_not_there_cannot_be_observed(shared_node):
    result = shared_node.run("observe", "nobody", check=False)
    assert result.returncode == 1
    assert 'pods "nobody" not found' in result.stderr


def test_what_one_container_writes_the_other_reads(shared):
    assert shared["c1"].run(Path.read_text, Path("/input/message"), namespaces=FILES) == "hello\n"


def test_containers_reach_each_other_on_localhost(shared):
    result = shared["c0"].exec("wget", "-qO-", "http://localhost:8080/message")
    assert result.stdout == "hello\n"


def test_two_containers_cannot_bind_one_port(shared):
    def bind() -> None:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::", 8080))

    with pytest.raises(OSError, match="in use") as caught:
        shared["c0"].run(bind)
    assert caught.value.errno == errno.EADDRINUSE


def test_an_abstract_socket_of_one_container_is_found_by_the_other(shared):
    """unix(7): its name is one of the network namespace that it was made in, whoever holds it."""
    ours, theirs = socket.socketpair()

    def listen() -> None:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("\0here")
            server.listen()
            socket.send_fds(theirs, [b"."], [server.fileno()])

    def connect() -> None:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect("\0here")

    with ours, theirs:
        shared["c0"].run(listen)
        _, (held,), _, _ = socket.recv_fds(ours, 1, 1)
    shared["c1"].run(connect)
    with pytest.raises(ConnectionRefusedError):
        connect()
    os.close(held)


def test_shared_memory_is_the_pods(shared):
    shared["c0"].run(Path.touch, Path("/dev/shm/from-c0"), namespaces=FILES)
    assert "from-c0" in shared["c1"].run(os.listdir, "/dev/shm", namespaces=FILES)


def test_message_queues_are_the_pods(shared):
    shared["c0"].run(Path.touch, Path("/dev/mqueue/from-c0"), namespaces=FILES)
    assert "from-c0" in shared["c1"].run(os.listdir, "/dev/mqueue", namespaces=FILES)


def test_a_system_v_queue_is_the_pods(shared, shared_node):
    """Made and listed by the host's programs, in the IPC namespaces of the containers."""
    made = shared["c0"].run(subprocess.check_output, ["ipcmk", "-Q"], namespaces={"ipc"})
    number = made.split()[-1].decode()
    queues = Path("/proc/sysvipc/msg")
    there = shared["c1"].run(queues.read_text, namespaces={"ipc"})
    assert number in [line.split()[1] for line in there.splitlines()]
    assert len(shared_node.sh(f"cat {queues}").splitlines()) == 1  # the heading


def test_the_hostname_is_the_pods_name(shared):
    assert [shared[name].run(socket.gethostname) for name in ("c0", "c1")] == ["shared"] * 2


def test_a_container_sees_only_its_own_processes(shared):
    assert "httpd" not in shared["c0"].run(programs, namespaces=PROCESSES)
    assert "httpd" in shared["c1"].run(programs, namespaces=PROCESSES)


def test_a_containers_first_process_is_number_one(pids):
    assert [number_inside(pids[name]) for name in ("c0", "c1")] == [1, 1]


def test_root_file_systems_are_not_shared(shared):
    mine = Path("/only-here")
    shared["c0"].run(mine.touch, namespaces=FILES)
    assert [shared[name].run(mine.exists, namespaces=FILES) for name in ("c0", "c1")] == [True, False]


def test_the_network_namespace_is_found_by_ip_netns(shared_node, pids):
    names = [line.split()[0] for line in shared_node.sh("ip netns list").splitlines()]
    (name,) = [name for name in names if name.startswith("shared-")]
    found = shared_node.sh(f"ip netns exec {name} stat -Lc %i /proc/self/ns/net")
    assert int(found) == inode(pids["pause"], "net")


def test_with_share_process_namespace_all_see_each_other_below_pause(pod):
    together = pod(manifest("together", {}, idle_after("httpd -p 8080"), shareProcessNamespace=True))
    pids = [together.pause.pid, together["c0"].pid, together["c1"].pid]
    assert len({inode(pid, "pid") for pid in pids}) == 1
    assert number_inside(together.pause.pid) == 1
    listing = together["c0"].exec("ps", "-o", "pid,args").stdout
    assert "httpd -p 8080" in listing
    assert listing.splitlines()[1].split()[0] == "1"


def test_with_share_process_namespace_observe_says_that_it_is_the_pods(pod):
    together = pod(manifest("together", {}, {}, shareProcessNamespace=True))
    processes = {process["name"]: process for process in together.observe()["processes"]}
    assert {processes[name]["namespaces"]["pid"]["whose"] for name in ("pause", "c0", "c1")} == {"pod"}


def test_pause_has_an_empty_root_of_its_own(pod):
    together = pod(manifest("together", {}, shareProcessNamespace=True))
    assert together.pause.run(os.listdir, "/", namespaces=FILES) == []


def test_with_host_network_the_containers_are_in_the_hosts_network(pod, shared_node: Node):
    outside = pod(manifest("outside", {}, hostNetwork=True))
    assert outside["c0"].namespace("net") == inode(shared_node.init, "net")
    assert outside["c0"].namespace("ipc") != inode(shared_node.init, "ipc")
