"""What the containers of a pod share and what each has for itself: as `observe` tells it, and as /proc says."""

import pytest

from tests.support.node import Node, idle_after, mounted, pod

SHARED = ("net", "ipc", "uts")
OWN = ("mnt", "pid", "cgroup")


@pytest.fixture(scope="module")
def pids(shared_node: Node) -> dict[str, int]:
    volumes = [{"name": "data", "emptyDir": {"sizeLimit": "8Mi"}}]
    writer = idle_after("echo hello >/output/message", volumeMounts=mounted(data="/output"))
    reader = idle_after("httpd -p 8080 -h /input", volumeMounts=mounted(data="/input"))
    shared_node.apply(pod("shared", writer, reader, volumes=volumes))
    return shared_node.pids("shared")


@pytest.fixture(scope="module")
def seen(shared_node: Node, pids) -> dict[str, dict[str, dict]]:
    processes = shared_node.observe("shared")["processes"]
    return {process["name"]: process["namespaces"] for process in processes}


@pytest.mark.parametrize("kind", SHARED)
def test_pause_holds_a_namespace_that_is_not_the_hosts(kind, shared_node, pids):
    assert shared_node.namespace(pids["pause"], kind) != shared_node.namespace("self", kind)


@pytest.mark.parametrize("kind", SHARED)
def test_the_containers_are_in_the_namespace_that_pause_holds(kind, shared_node, pids):
    inodes = {shared_node.namespace(pids[name], kind) for name in ("pause", "c0", "c1")}
    assert len(inodes) == 1


@pytest.mark.parametrize("kind", OWN)
def test_each_container_has_a_namespace_of_its_own(kind, shared_node, pids):
    inodes = [shared_node.namespace(pid, kind) for pid in ("self", pids["c0"], pids["c1"], pids["pause"])]
    assert len(set(inodes[:3])) == 3
    assert inodes[3] not in inodes[1:3]


def test_nobody_has_a_user_namespace_unless_asked_for(shared_node, pids):
    assert len({shared_node.namespace(pid, "user") for pid in ("self", *pids.values())}) == 1


@pytest.mark.parametrize("name", ["c0", "c1"])
def test_observe_says_whose_each_namespace_is(name, seen):
    whose = {kind: namespace["whose"] for kind, namespace in seen[name].items()}
    assert whose == dict.fromkeys(SHARED, "pod") | dict.fromkeys(OWN, "own") | {"user": "host"}


def test_observe_tells_the_inodes_of_proc(shared_node, pids, seen):
    for name in ("pause", "c0", "c1"):
        for kind, namespace in seen[name].items():
            assert namespace["inode"] == shared_node.namespace(pids[name], kind), (name, kind)


def test_observe_finds_one_directory_behind_both_mount_paths(shared_node, pids):
    (volume,) = shared_node.observe("shared")["volumes"]
    assert volume["shared"]
    assert {(view["container"], view["path"]) for view in volume["views"]} == {
        ("c0", "/output"),
        ("c1", "/input"),
    }
    assert {(view["fstype"], view["size"]) for view in volume["views"]} == {("tmpfs", 8 << 20)}


def test_observe_is_a_table_for_a_person(shared_node, pids):
    text = shared_node.run("observe", "shared").stdout
    assert text.split("\n", 1)[0].split() == ["NAMESPACE", "HOST", "PAUSE", "c0", "c1"]
    assert "data: one directory, shared by c0, c1" in text


def test_a_pod_that_is_not_there_cannot_be_observed(shared_node):
    result = shared_node.run("observe", "nobody", check=False)
    assert result.returncode == 1
    assert 'pods "nobody" not found' in result.stderr


def test_what_one_container_writes_the_other_reads(shared_node, pids):
    assert shared_node.exec("shared", "cat", "/input/message", container="c1").stdout == "hello\n"


def test_containers_reach_each_other_on_localhost(shared_node, pids):
    result = shared_node.exec("shared", "wget", "-qO-", "http://localhost:8080/message", container="c0")
    assert result.stdout == "hello\n"


def test_two_containers_cannot_bind_one_port(shared_node, pids):
    result = shared_node.exec("shared", "httpd", "-f", "-p", "8080", container="c0", check=False)
    assert result.returncode == 1
    assert "Address already in use" in result.stderr


def test_shared_memory_is_the_pods(shared_node, pids):
    shared_node.exec("shared", "touch", "/dev/shm/from-c0", container="c0")
    assert "from-c0" in shared_node.exec("shared", "ls", "/dev/shm", container="c1").stdout


def test_message_queues_are_the_pods(shared_node, pids):
    shared_node.exec("shared", "touch", "/dev/mqueue/from-c0", container="c0")
    assert "from-c0" in shared_node.exec("shared", "ls", "/dev/mqueue", container="c1").stdout


def test_the_hostname_is_the_pods_name(shared_node, pids):
    assert [shared_node.exec("shared", "hostname", container=name).stdout for name in ("c0", "c1")] == [
        "shared\n"
    ] * 2


def test_a_container_sees_only_its_own_processes(shared_node, pids):
    assert "httpd" not in shared_node.exec("shared", "ps", container="c0").stdout


def test_a_containers_first_process_is_number_one(shared_node, pids):
    for name in ("c0", "c1"):
        assert shared_node.read(pids[name], "status").split("NSpid:")[1].split("\n")[0].split()[-1] == "1"


def test_root_file_systems_are_not_shared(shared_node, pids):
    shared_node.exec("shared", "touch", "/only-here", container="c0")
    result = shared_node.exec("shared", "ls", "/only-here", container="c1", check=False)
    assert "No such file or directory" in result.stderr


def test_the_network_namespace_is_found_by_ip_netns(shared_node, pids):
    names = [line.split()[0] for line in shared_node.sh("ip netns list").splitlines()]
    (name,) = [name for name in names if name.startswith("shared-")]
    inode = shared_node.sh(f"ip netns exec {name} stat -Lc %i /proc/self/ns/net")
    assert int(inode) == shared_node.namespace(pids["pause"], "net")


def test_with_share_process_namespace_all_see_each_other_below_pause(node):
    node.apply(pod("together", {}, idle_after("httpd -p 8080"), shareProcessNamespace=True))
    pids = node.pids("together")
    assert len({node.namespace(pid, "pid") for name, pid in pids.items() if name != "host"}) == 1
    listing = node.exec("together", "ps", "-o", "pid,args", container="c0").stdout
    assert "httpd -p 8080" in listing
    assert listing.splitlines()[1].split()[0] == "1"
    assert node.read(pids["pause"], "status").split("NSpid:")[1].split("\n")[0].split()[-1] == "1"


def test_with_share_process_namespace_observe_says_that_it_is_the_pods(node):
    node.apply(pod("together", {}, {}, shareProcessNamespace=True))
    processes = {process["name"]: process for process in node.observe("together")["processes"]}
    assert {processes[name]["namespaces"]["pid"]["whose"] for name in ("pause", "c0", "c1")} == {"pod"}


def test_pause_has_an_empty_root_of_its_own(node):
    node.apply(pod("together", {}, shareProcessNamespace=True))
    root = f"{node.proc}/{node.pids('together')['pause']}/root"
    assert node.sh(f"ls -A /proc/{node.pids('together')['pause']}/root").split() == [], root


def test_with_host_network_the_containers_are_in_the_hosts_network(node):
    node.apply(pod("outside", {}, hostNetwork=True))
    pid = node.pids("outside")["c0"]
    assert node.namespace(pid, "net") == node.namespace("self", "net")
    assert node.namespace(pid, "ipc") != node.namespace("self", "ipc")
