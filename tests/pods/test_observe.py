"""`minipod observe` and its sections, beside what /proc, cgroupfs and iproute2 say of the same pod."""

import json
import os
import subprocess

import pytest

from minipod.kernel import caps
from tests.support.node import Node, idle_after, interrupt, mounted, pod
from tests.support.terminal import Terminal
from tests.support.wait import wait_until

SECTIONS = ("net", "ipc", "mounts", "cgroup", "security", "processes")
FIELDS = ("net", "ipc", "mounts", "cgroup", "security", "tree")
CLIENT = """
until echo | nc 127.0.0.1 80; do sleep 0.05; done
mkfifo /hold; nc 127.0.0.1 80 </hold & exec 6>/hold
touch /dev/mqueue/jobs /dev/shm/ring
exec 7<>/dev/mqueue/jobs 8<>/dev/shm/ring
"""


@pytest.fixture(scope="module")
def lab(shared_node: Node, tmp_path_factory) -> Node:
    """A pod with a server and a client, one that shares a folder of the host with it, and one in the host's network."""
    folder = tmp_path_factory.mktemp("folder")
    volumes = [
        {"name": "data", "emptyDir": {}},
        {"name": "host", "hostPath": {"path": str(folder)}},
    ]
    server = {
        "name": "web",
        "command": ["httpd", "-f", "-p", "80"],
        "volumeMounts": mounted(data="/www", host="/folder"),
        "resources": {"limits": {"memory": "32Mi", "cpu": "500m"}},
    }
    client = idle_after(CLIENT, name="client", volumeMounts=mounted(data="/data"))
    other = idle_after("", name="app", volumeMounts=mounted(host="/sbin/elsewhere"))  # sbin -> bin
    shared_node.apply(
        [
            pod("seen", server, client, volumes=volumes, terminationGracePeriodSeconds=1),
            pod("other", other, volumes=volumes[1:]),
            pod("outside", {}, hostNetwork=True),
        ]
    )
    return shared_node


def look(node: Node, name: str, *sections: str) -> dict:
    flags = [f"--{each}" for each in sections]
    return json.loads(node.run("observe", name, *flags, "-o", "json").stdout)


def sockets(node: Node, state: str) -> list[dict]:
    return [each for each in look(node, "seen", "net")["net"]["sockets"] if each["state"] == state]


def test_the_owner_of_a_port_is_the_container_whose_process_has_the_socket(lab):
    (found,) = wait_until(lambda: [each for each in sockets(lab, "LISTEN") if each["local"].endswith(":80")])
    pid = lab.pids("seen")["web"]
    assert [(each["container"], each["pid"]) for each in found["holders"]] == [("web", pid)]
    links = [os.readlink(f"{lab.proc}/{pid}/fd/{fd}") for fd in os.listdir(f"{lab.proc}/{pid}/fd")]
    assert f"socket:[{found['inode']}]" in links


def test_a_connection_inside_the_pod_has_the_client_at_one_end(lab):
    def ends() -> dict[str, str]:
        found = [each for each in sockets(lab, "ESTABLISHED") if each["holders"]]
        return {each["holders"][0]["container"]: each["peer"] for each in found}

    assert wait_until(lambda: ends().get("client")) == "127.0.0.1:80"


def test_the_addresses_are_those_of_the_pods_status_and_the_cable_ends_at_the_bridge(lab):
    (eth0,) = [each for each in look(lab, "seen", "net")["net"]["interfaces"] if each["name"] == "eth0"]
    ips = {each["ip"] for each in lab.status("seen")["podIPs"]}
    assert ips <= {address.partition("/")[0] for address in eth0["addresses"]}
    assert eth0["bridge"] == lab.layout.bridge
    assert eth0["peer"] in lab.sh(f"ip link show master {lab.layout.bridge}")


def test_the_gateway_is_a_neighbour_once_it_was_spoken_to(lab):
    lab.exec("seen", "ping", "-c1", lab.layout.gateway4, container="client")
    mac = lab.sh(f"cat /sys/class/net/{lab.layout.bridge}/address").strip()
    found = look(lab, "seen", "net")["net"]["neighbours"]
    assert {each["address"]: each["mac"] for each in found}[lab.layout.gateway4] == mac


def test_in_the_hosts_network_the_nodes_own_interfaces_are_seen(lab):
    found = look(lab, "outside", "net")["net"]
    assert (found["host"], found["namespace"]) == (True, lab.namespace("self", "net"))
    assert lab.layout.bridge in [each["name"] for each in found["interfaces"]]


def test_queues_and_shared_files_are_told_with_the_container_that_has_them_open(lab):
    def found() -> dict[str, set[str]]:
        ipc = look(lab, "seen", "ipc")["ipc"]
        return {
            each["name"]: {holder["container"] for holder in each["holders"]}
            for each in (*ipc["posix_queues"], *ipc["shared_files"])
        }

    wait_until(
        lambda: found() == {"/jobs": {"client"}, "ring": {"client"}}, what="the client to have both open"
    )


def test_a_system_v_segment_of_the_pod_is_the_pods_only(lab):
    made = lab.sh(f"nsenter -t {lab.pids('seen')['client']} -i ipcmk -M 8192")  # Shared memory id: 0
    segments = look(lab, "seen", "ipc")["ipc"]["segments"]
    assert [(each["id"], each["size"]) for each in segments] == [(int(made.split()[-1]), 8192)]
    assert look(lab, "other", "ipc")["ipc"]["segments"] == []


def test_a_volume_is_one_directory_in_both_containers(lab):
    places = {place["volume"]: place for place in look(lab, "seen", "mounts")["mounts"]}
    pids, data = lab.pids("seen"), places["data"]
    inodes = {
        os.stat(f"{lab.proc}/{pids[spot['container']]}/root{spot['path']}").st_ino for spot in data["spots"]
    }
    assert (data["shared"], {data["inode"]}) == (True, inodes)
    assert {(spot["container"], spot["path"]) for spot in data["spots"]} == {
        ("web", "/www"),
        ("client", "/data"),
    }


def test_a_volume_is_known_where_a_link_of_the_image_has_led_it(lab):
    (place,) = [place for place in look(lab, "other", "mounts")["mounts"] if place["volume"]]
    assert (place["volume"], [spot["path"] for spot in place["spots"]]) == ("host", ["/bin/elsewhere"])


def test_limits_and_use_are_those_of_the_cgroup(lab):
    groups = {group["name"]: group for group in look(lab, "seen", "cgroup")["cgroup"]["groups"]}
    assert list(groups) == ["pod", "pause", "web", "client"]
    limits = groups["web"]["limits"]
    assert (limits["memory"], limits["cpu_quota"] / limits["cpu_period"]) == (32 << 20, 0.5)
    assert (limits["cpu_shares"] is None) != (limits["cpu_weight"] is None)
    files = lab.sh(f"find /sys/fs/cgroup -path '*{groups['web']['path']}/cgroup.procs'").split()
    assert str(lab.pids("seen")["web"]) in lab.sh(f"cat {files[0]}").split()


def test_capabilities_are_those_of_the_containers_process(lab):
    security = {each["name"]: each for each in look(lab, "seen", "security")["security"]}
    status = lab.read(lab.pids("seen")["web"], "status")
    mask = int(status.split("CapEff:")[1].split()[0], 16)
    assert security["web"]["capabilities"]["effective"] == caps.to_names(mask) != []
    assert security["pause"]["capabilities"]["effective"] == []


def test_processes_are_told_over_the_borders_of_containers(lab):
    tree = look(lab, "seen", "processes")["tree"]
    pids = lab.pids("seen")
    first = {each["container"]: each for each in reversed(tree)}
    assert {name: first[name]["pid"] for name in ("pause", "web", "client")} == {
        name: pids[name] for name in ("pause", "web", "client")
    }
    assert {first[name]["parent"] for name in ("pause", "web", "client")} == {first[""]["pid"]}
    assert first["web"]["pids"] == [pids["web"], 1]
    nested = [each for each in tree if each["parent"] == pids["client"]]
    assert nested
    assert {each["container"] for each in nested} == {"client"}


def test_a_command_that_exec_runs_belongs_to_the_container(lab):
    with lab.popen("exec", "-i", "seen", "-c", "web", "--", "cat", stdin=subprocess.PIPE) as running:
        (found,) = wait_until(
            lambda: [each for each in look(lab, "seen", "processes")["tree"] if each["command"] == "cat"]
        )
        assert (found["container"], found["namespace"]) == (
            "web",
            lab.namespace(lab.pids("seen")["web"], "pid"),
        )
        running.communicate("")


@pytest.mark.parametrize(("section", "field"), list(zip(SECTIONS, FIELDS, strict=True)))
def test_json_has_the_sections_that_were_asked_for_and_no_other(lab, section, field):
    assert look(lab, "seen", section).keys() == {"processes", "volumes", field}


def test_all_has_every_section(lab):
    assert look(lab, "seen", "all").keys() == {"processes", "volumes", *FIELDS}
    text = lab.run("observe", "seen", "--all").stdout
    for head in ("NAMESPACE ", "PID ", "SOCKET ", "IPC NAMESPACE ", "VOLUME ", "CGROUP ", "web (process"):
        assert f"\n{head}" in f"\n{text}", head


def test_a_pod_that_has_ended_can_still_be_looked_at(node):
    node.apply(pod("done", {"command": ["true"]}, restartPolicy="Never"))
    node.wait_phase("done", "Succeeded")
    assert "c0" not in [each["container"] for each in look(node, "done", "processes")["tree"]]
    node.run("observe", "done", "--all")


def test_two_pods_share_the_folder_of_the_host_and_no_namespace_of_their_own(lab):
    seen = json.loads(lab.run("observe", "seen", "other", "-o", "json").stdout)
    shared = {each["kind"] for each in seen["namespaces"] if each["shared"]}
    assert not shared & {"net", "ipc", "uts", "mnt"}
    assert [each["paths"] for each in seen["volumes"]] == [[["web:/folder"], ["app:/bin/elsewhere"]]]


def test_a_pod_in_the_hosts_network_shares_that_with_the_host(lab):
    seen = json.loads(lab.run("observe", "outside", "host", "-o", "json").stdout)
    kinds = {each["kind"]: each["shared"] for each in seen["namespaces"]}
    assert kinds["net"] == [lab.namespace("self", "net")]
    assert kinds["uts"] == []
    assert "net" in lab.run("observe", "outside", "host").stdout


def test_in_a_pipe_watch_prints_again_after_a_line(lab):
    with lab.popen("observe", "seen", "--processes", "--watch", stdout=subprocess.PIPE) as watching:
        assert watching.stdout
        lines = iter(watching.stdout.readline, "")
        blocks = [[], []]
        for block in blocks:
            for line in lines:
                if line == "---\n":
                    break
                block.append(line)
        interrupt(watching)
    assert [block[0].split()[0] for block in blocks] == ["PID", "PID"]


def test_on_a_terminal_watch_draws_over_what_was_there_and_no_lower_than_it_is(lab):
    terminal = Terminal(lab, "observe", "seen", "--all", "-w", rows=20, columns=80)
    try:
        terminal.read_until("\x1b[H")
        screen = terminal.read_until("\x1b[H")
        lines = screen.removesuffix("\x1b[H").removesuffix("\x1b[J\r\n").split("\r\n")
        assert lines[0].startswith("NAMESPACE")
        assert len(lines) == 19
        assert "more lines" in lines[-1]
        assert max(len(line.removesuffix("\x1b[K")) for line in lines) <= 80
        interrupt(terminal.process)
        terminal.end()
    finally:
        terminal.close()


def test_watching_ends_when_the_pod_is_gone(node):
    node.apply(pod("short", {}))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with node.popen("observe", "short", "--watch", **pipes) as watching:
        assert watching.stdout
        watching.stdout.readline()
        node.delete("short")
        _, errors = watching.communicate(timeout=30)
    assert (watching.returncode, 'pods "short" not found' in errors) == (1, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("seen", "nobody"), 'pods "nobody" not found'),
        (("seen", "other", "--net"), "two are compared as a whole"),
        (("seen", "-o", "yaml"), "allowed formats are: "),
    ],
)
def test_what_cannot_be_shown_is_refused(lab, words, message):
    refused = lab.run("observe", *words, check=False)
    assert (refused.returncode, message in refused.stderr) == (1, True), refused.stderr
