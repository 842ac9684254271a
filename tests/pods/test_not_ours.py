"""What somebody else has made survives, whatever its name; where minipod needs the name, it says so."""

import json
import os

import pytest

from minipod.api import messages as m
from tests.support.faults import READY
from tests.support.mechanism import CONTAINER, SANDBOX, SECOND
from tests.support.node import STAYS, Node, mounted, pod


def live_and_die(node: Node) -> None:
    """A node's whole life: it starts, a pod lives and is deleted, another goes when the node stops with its pods."""
    node.start()
    node.apply([pod("web", {}), pod("db", {})])
    node.delete("web")
    node.stop(pods=True)


def refusal(node: Node) -> str:
    """What a node says that can't start."""
    result = node.run("node", "start", check=False)
    assert result.returncode == 1
    return result.stderr


# --- beside us

BESIDE = {  # what a person makes, and what must be said of it afterwards
    "a network namespace named like a pod": ("ip netns add web", "ip netns list; ip -n web link"),
    "a network namespace named like a pin": (
        "ip netns add web-0a1b2c3d",
        "ip netns list; stat -L -c %i /run/netns/web-0a1b2c3d",
    ),
    "a bridge": (
        "ip link add minipod9 type bridge; ip addr add 10.9.9.9/24 dev minipod9",
        "ip addr show minipod9",
    ),
    "an nftables table": ("nft add table inet minipod9; nft add chain inet minipod9 c", "nft list ruleset"),
    "a namespace that ip netns didn't make": (
        "mkdir -p /run/netns; touch /run/netns/own; unshare -n mount --bind /proc/self/ns/net /run/other || "
        "{ touch /run/other; unshare -u mount --bind /proc/self/ns/uts /run/other; }",
        "ls /run/netns/own; stat -L -c %i /run/other",
    ),
    "a mount below /run": (
        "mkdir /run/mine; mount -t tmpfs mine /run/mine; touch /run/mine/x",
        "ls /run/mine",
    ),
}


@pytest.mark.parametrize("what", BESIDE)
def test_what_a_person_made_survives_a_nodes_life(new_node, what):
    node = new_node()
    make, show = BESIDE[what]
    node.sh(make)
    before, shown = node.look(), node.sh(show)
    live_and_die(node)
    assert node.sh(show) == shown
    left = node.leaks(before, STAYS)
    assert not left, "\n".join(left)


def test_a_cgroup_beside_ours_survives(new_node):
    node = new_node()
    top = node.sh("findmnt -n -o TARGET -t cgroup2").split()[0]
    own = f"{top}/{node.layout.cgroup}-of-mine"
    os.mkdir(own)
    try:
        live_and_die(node)
        assert os.path.isdir(own)
    finally:
        os.rmdir(own)


def test_a_folder_of_the_host_survives_the_pods_that_mounted_it(new_node):
    node = new_node()
    node.sh("mkdir /run/mine; echo mine >/run/mine/x")
    node.start()
    volume = {"name": "d", "hostPath": {"path": "/run/mine"}}
    node.apply(pod("web", {"volumeMounts": mounted(d="/d")}, volumes=[volume]))
    node.exec("web", "touch", "/d/made-in-the-pod")
    node.delete("web")
    node.stop(pods=True)
    assert node.sh("ls /run/mine; cat /run/mine/x") == "made-in-the-pod\nx\nmine\n"


def test_a_folder_that_a_pod_asked_for_is_its_users_from_then_on(new_node):
    node = new_node()
    node.start()
    volume = {"name": "d", "hostPath": {"path": "/run/made", "type": "DirectoryOrCreate"}}
    node.apply(pod("web", {"volumeMounts": mounted(d="/d")}, volumes=[volume]))
    node.delete("web")
    node.stop(pods=True)
    assert node.sh("stat -c %F /run/made") == "directory\n"


# --- in our way


def test_a_bridge_of_our_name_is_refused_and_survives(new_node):
    node = new_node()
    name = node.layout.bridge
    node.sh(f"ip link add {name} type bridge; ip addr add 10.9.9.9/24 dev {name}")
    everything, before = node.look(), json.loads(node.sh(f"ip -j addr show {name}"))
    assert f"bridge {name}" in refusal(node)
    assert json.loads(node.sh(f"ip -j addr show {name}")) == before
    left = node.leaks(everything, STAYS)
    assert not left, "\n".join(left)
    node.sh(f"ip link del {name}")
    live_and_die(node)


def test_an_nftables_table_of_our_name_is_refused_and_survives(new_node):
    node = new_node()
    name = node.layout.table
    node.sh(f"nft add table inet {name}; nft add chain inet {name} mine")
    before = node.sh("nft list ruleset")
    assert f"table inet {name}" in refusal(node)
    assert node.sh("nft list ruleset") == before
    node.sh(f"nft delete table inet {name}")
    live_and_die(node)


def test_a_cgroup_of_our_name_is_refused_and_survives(new_node):
    node = new_node()
    top = node.sh("findmnt -n -o TARGET -t cgroup2").split()[0]
    own = f"{top}/{node.layout.cgroup}"
    os.mkdir(own)
    assert own in refusal(node)
    assert not os.path.exists(f"{own}/supervisors")
    os.rmdir(own)
    live_and_die(node)


@pytest.mark.parametrize("which", ["run", "lib"])
def test_a_folder_of_our_name_is_refused_and_survives(new_node, which):
    node = new_node()
    own = getattr(node.layout, which)
    os.makedirs(own, exist_ok=True)
    with open(f"{own}/thesis", "w") as file:
        file.write("years of work")
    assert own in refusal(node)
    with open(f"{own}/thesis") as file:
        assert file.read() == "years of work"
    os.unlink(f"{own}/thesis")
    live_and_die(node)


# --- names that the caller chose, and that somebody else has


def test_a_network_namespace_in_the_way_is_refused_and_survives(mechanism):
    name = os.path.basename(mechanism.node.layout.netns_pin("web", SANDBOX))
    mechanism.node.sh(f"ip netns add {name}")
    before = mechanism.node.sh(f"stat -L -c %i /run/netns/{name}")
    assert mechanism.sandbox_refused() == "Conflict"
    assert mechanism.node.sh(f"stat -L -c %i /run/netns/{name}") == before
    mechanism.node.sh(f"ip netns del {name}")
    assert mechanism.run_sandbox().state == "ready"


def test_a_link_in_the_way_is_refused_and_survives(mechanism):
    name = mechanism.node.layout.veth_host(SANDBOX)
    mechanism.node.sh(f"ip link add {name} type bridge")
    before = mechanism.node.sh(f"ip -o link show {name}")
    assert mechanism.sandbox_refused() == "PlanError"
    assert mechanism.node.sh(f"ip -o link show {name}") == before
    mechanism.node.sh(f"ip link del {name}")
    assert mechanism.run_sandbox().state == "ready"


def test_a_cgroup_in_the_way_is_refused_and_survives(mechanism):
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{SANDBOX}"):
        os.mkdir(folder)
        assert mechanism.sandbox_refused() == "Conflict"
        os.rmdir(folder)
    assert mechanism.run_sandbox().state == "ready"


@pytest.mark.parametrize("place", ["pins", "files"])
def test_a_folder_in_the_way_is_refused_and_survives(mechanism, place):
    layout = mechanism.node.layout
    own = layout.pins(SANDBOX) if place == "pins" else f"{layout.pod_run(mechanism.uid)}/{SANDBOX}"
    mechanism.node.sh(f"mkdir {own}; touch {own}/mine")
    assert mechanism.sandbox_refused() == "Conflict"
    mechanism.node.sh(f"rm {own}/mine; rmdir {own}")
    assert mechanism.run_sandbox().state == "ready"


def test_an_address_that_another_has_is_refused(mechanism):
    first = mechanism.run_sandbox()
    assert mechanism.sandbox_refused(SECOND, address4=first.address4) == "Conflict"
    assert mechanism.status().sandboxes == (first,)


def test_a_container_whose_cgroup_is_somebody_elses_is_refused(mechanism):
    mechanism.run_sandbox()
    mechanism.ask(m.CreateContainer(CONTAINER, SANDBOX, mechanism.config(READY)))
    for folder in mechanism.facts.cgroups.directories(f"{mechanism.parent}/{CONTAINER}"):
        os.mkdir(folder)
        assert mechanism.refusal(m.StartContainer(CONTAINER)) == "Conflict"
        os.rmdir(folder)
    assert mechanism.ask(m.StartContainer(CONTAINER)).status.containers[0].state == "running"
