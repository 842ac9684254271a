"""Addresses, and who reaches whom."""

import ipaddress

import pytest

from tests.support.node import Node, idle_after, pod, sh

SERVER = idle_after("mkdir /www; hostname >/www/name; httpd -p 8080 -h /www")


@pytest.fixture(scope="module")
def pair(shared_node: Node) -> Node:
    shared_node.apply([pod("one", SERVER), pod("two", SERVER)])
    return shared_node


def addresses(node: Node, name: str) -> list[str]:
    return [each["ip"] for each in node.status(name)["podIPs"]]


def url(address: str) -> str:
    return f"http://[{address}]:8080/name" if ":" in address else f"http://{address}:8080/name"


def test_a_pod_has_an_address_of_each_family_in_the_nodes_subnets(pair):
    four, six = addresses(pair, "one")
    assert ipaddress.ip_address(four) in ipaddress.ip_network(f"{pair.layout.subnet4}.0/24")
    assert ipaddress.ip_address(six) in ipaddress.ip_network(f"{pair.layout.subnet6}::/64")
    assert pair.status("one")["podIP"] == four


def test_addresses_are_unique(pair):
    assert not set(addresses(pair, "one")) & set(addresses(pair, "two"))


def test_the_pods_addresses_are_on_its_interface(pair):
    text = pair.exec("one", "ip", "addr", "show", "eth0").stdout
    assert all(f" {address}/" in text for address in addresses(pair, "one"))


@pytest.mark.parametrize("family", [0, 1])
def test_pods_reach_each_other(pair, family):
    assert pair.exec("one", "wget", "-qO-", url(addresses(pair, "two")[family])).stdout == "two\n"


@pytest.mark.parametrize("family", [0, 1])
def test_the_host_reaches_a_pod(pair, family):
    assert pair.sh(f"wget -qO- '{url(addresses(pair, 'one')[family])}'") == "one\n"


@pytest.mark.parametrize("gateway", ["gateway4", "gateway6"])
def test_a_pod_reaches_the_host(pair, gateway):
    pair.exec("one", "ping", "-c", "1", "-W", "2", getattr(pair.layout, gateway))


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_the_default_route_leads_to_the_bridge(pair, family):
    gateway = pair.layout.gateway4 if family == "-4" else pair.layout.gateway6
    assert f"default via {gateway} dev eth0" in pair.exec("one", "ip", family, "route").stdout


def test_the_loopback_is_up(pair):
    pair.exec("one", "ping", "-c", "1", "127.0.0.1")
    pair.exec("one", "ping", "-c", "1", "::1")


def test_the_hosts_end_is_on_the_bridge_and_says_whose_it_is(pair):
    ports = pair.sh(f"ip -d link show master {pair.layout.bridge}")
    assert ports.count(f": {pair.layout.veth}") == 2


def test_an_address_is_usable_in_the_first_instruction(node):
    gateway = node.layout.gateway6
    node.apply(pod("quick", sh(f"ping -c 1 -W 2 {gateway}"), restartPolicy="Never"))
    node.wait_phase("quick", "Succeeded")


def test_an_address_is_free_again_when_its_pod_is_gone(node):
    node.apply(pod("short", {}))
    four = addresses(node, "short")[0]
    assert four in node.sh(f"ls {node.layout.addresses}")
    node.delete("short")
    assert four not in node.sh(f"ls {node.layout.addresses}")


def test_pods_reach_the_outside_as_the_node(new_node):
    """The neighbour outside knows nothing of pods: it answers to the node's own addresses only."""
    node = new_node()
    node.sh(
        """set -e
        ip netns add outside
        ip link add out0 type veth peer name eth0 netns outside
        ip link set out0 up; ip -n outside link set eth0 up
        ip addr add 192.0.2.1/24 dev out0; ip addr add 2001:db8::1/64 dev out0 nodad
        ip -n outside addr add 192.0.2.2/24 dev eth0; ip -n outside addr add 2001:db8::2/64 dev eth0 nodad
        ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2"""
    )
    node.apply(pod("web", {}))
    for address in ("192.0.2.2", "2001:db8::2"):
        node.exec("web", "ping", "-c", "1", "-W", "3", address)
    node.stop()


# --- names


def test_hosts_holds_the_pods_own_name(pair):
    lines = [line.split() for line in pair.exec("one", "cat", "/etc/hosts").stdout.splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert [addresses(pair, "one")[0], "one"] in lines
    assert lines[0] == ["#", "Kubernetes-managed", "hosts", "file."]


def test_hostname_is_in_its_file(node):
    node.apply(pod("web", {}, hostname="other"))
    assert node.exec("web", "sh", "-c", "hostname; cat /etc/hostname").stdout == "other\nother\n"


def test_resolv_conf_is_the_nodes(pair):
    nameservers = {
        line for line in pair.sh("cat /etc/resolv.conf").splitlines() if line.startswith("nameserver")
    }
    assert nameservers == {
        line
        for line in pair.exec("one", "cat", "/etc/resolv.conf").stdout.splitlines()
        if line.startswith("nameserver")
    }


def test_a_container_can_change_its_hosts_file_for_the_pod(node):
    node.apply(pod("web", {}, {}))
    node.exec("web", "sh", "-c", "echo 10.0.0.1 friend >>/etc/hosts", container="c0")
    assert "friend" in node.exec("web", "cat", "/etc/hosts", container="c1").stdout


# --- hostNetwork


def test_with_host_network_a_pod_has_the_nodes_interfaces_and_name(node):
    node.apply(pod("web", {}, hostNetwork=True))
    assert node.layout.bridge in node.exec("web", "ls", "/sys/class/net").stdout
    assert node.exec("web", "hostname").stdout == node.sh("hostname")


def test_with_host_network_no_address_is_claimed(node):
    before = node.sh(f"ls {node.layout.addresses}")
    node.apply(pod("web", {}, hostNetwork=True))
    assert node.sh(f"ls {node.layout.addresses}") == before
