"""Addresses, and who reaches whom."""

import ipaddress
import json
import socket
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from minipod.node.settings import resolv_conf as nodes_resolv_conf
from minipod.supervisor import dns
from minipod.testing.namespaces import inside
from minipod.testing.pod import Pod
from tests.support.node import idle_after, sh
from tests.support.node import pod as manifest

SERVER = idle_after("mkdir /www; hostname >/www/name; httpd -p 8080 -h /www")


@pytest.fixture(scope="module")
def one(module_pod) -> Pod:
    return module_pod(manifest("one", SERVER))


@pytest.fixture(scope="module")
def two(module_pod) -> Pod:
    return module_pod(manifest("two", SERVER))


def addresses(pod: Pod) -> list[str]:
    return [each["ip"] for each in pod.status["podIPs"]]


def ask(address: str) -> str:
    """Who answers at an address: the name of a pod."""
    host = f"[{address}]" if ":" in address else address
    with urllib.request.urlopen(f"http://{host}:8080/name", timeout=5) as answer:
        return answer.read().decode().strip()


def ip(*words: str) -> list[dict[str, Any]]:
    """What the host's ip(8) says where it is run."""
    return json.loads(subprocess.check_output(["ip", "-j", *words]))


def test_a_pod_has_an_address_of_each_family_in_the_nodes_subnets(one):
    four, six = addresses(one)
    layout = one.node.layout
    assert ipaddress.ip_address(four) in ipaddress.ip_network(f"{layout.subnet4}.0/24")
    assert ipaddress.ip_address(six) in ipaddress.ip_network(f"{layout.subnet6}::/64")
    assert one.status["podIP"] == four


def test_addresses_are_unique(one, two):
    assert not set(addresses(one)) & set(addresses(two))


def settings() -> dict[str, str]:
    """What eth0 thinks of router advertisements and of others with its address."""
    folder = "/proc/sys/net/ipv6/conf/eth0"
    return {name: Path(folder, name).read_text().strip() for name in ("accept_ra", "accept_dad")}


def test_the_interface_believes_nobody_but_us(one):
    assert one["c0"].run(settings, namespaces={"net"}) == {"accept_ra": "0", "accept_dad": "0"}


def test_the_pods_addresses_are_on_its_interface(one):
    (link,) = one["c0"].run(ip, "addr", "show", "eth0")
    assert link["operstate"] == "UP"
    assert {each["local"] for each in link["addr_info"] if each["scope"] == "global"} == {*addresses(one)}


@pytest.mark.parametrize("family", [0, 1])
def test_pods_reach_each_other(one, two, family):
    assert one["c0"].run(ask, addresses(two)[family]) == "two"


@pytest.mark.parametrize("family", [0, 1])
def test_the_host_reaches_a_pod(one, family):
    assert inside(one.node.init, ask, addresses(one)[family], namespaces={"net"}) == "one"


@pytest.mark.parametrize("gateway", ["gateway4", "gateway6"])
def test_a_pod_reaches_the_host(one, gateway):
    one["c0"].exec("ping", "-c", "1", "-W", "2", getattr(one.node.layout, gateway))


@pytest.mark.parametrize("family", ["-4", "-6"])
def test_the_default_route_leads_to_the_bridge(one, family):
    layout = one.node.layout
    (route,) = one["c0"].run(ip, family, "route", "show", "default")
    assert (route["gateway"], route["dev"]) == (
        layout.gateway4 if family == "-4" else layout.gateway6,
        "eth0",
    )


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_loopback_is_up(one, address):
    assert one["c0"].run(ask, address) == "one"


def test_the_hosts_end_is_on_the_bridge_and_says_whose_it_is(one, two):
    """It and the name for `ip netns` hold the beginning of the sandbox's id."""
    node, layout = one.node, one.node.layout
    pods = {
        line.split()[0].rpartition("-")[2]: line.split("-")[0] for line in node.sh("ip netns").splitlines()
    }
    ports = json.loads(node.sh(f"ip -j link show master {layout.bridge}"))
    whose = {port["ifindex"]: pods[port["ifname"].removeprefix(layout.veth)[:8]] for port in ports}
    ends = {pod["c0"].run(ip, "link", "show", "eth0")[0]["link_index"]: pod.name for pod in (one, two)}
    assert whose == ends


def test_an_address_is_usable_in_the_first_instruction(node):
    gateway = node.layout.gateway6
    node.apply(manifest("quick", sh(f"ping -c 1 -W 2 {gateway}"), restartPolicy="Never"))
    node.wait_phase("quick", "Succeeded")


def test_an_address_is_free_again_when_its_pod_is_gone(pod, shared_node):
    short = pod(manifest("short", {}))
    four = addresses(short)[0]
    assert four in shared_node.sh(f"ls {shared_node.layout.addresses}")
    short.delete()
    assert four not in shared_node.sh(f"ls {shared_node.layout.addresses}")


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
    node.apply(manifest("web", {}))
    for address in ("192.0.2.2", "2001:db8::2"):
        node.exec("web", "ping", "-c", "1", "-W", "3", address)
    node.stop()


# --- names


def test_hosts_holds_the_pods_own_name(one):
    lines = [line.split() for line in one["c0"].exec("cat", "/etc/hosts").stdout.splitlines()]
    assert ["127.0.0.1", "localhost"] in lines
    assert [addresses(one)[0], "one"] in lines
    assert lines[0] == ["#", "Kubernetes-managed", "hosts", "file."]


def test_hostname_is_in_its_file(pod):
    web = pod(manifest("web", {}, hostname="other"))
    assert web["c0"].run(socket.gethostname) == "other"
    assert web["c0"].exec("cat", "/etc/hostname").stdout == "other\n"


def test_resolv_conf_is_the_nodes(one):
    servers = [words[1] for words in resolv_conf(one) if words[0] == "nameserver"]
    assert tuple(servers) == dns.parse(nodes_resolv_conf()).servers[:3]


def test_what_a_pod_says_of_dns_is_added_to_what_the_node_says_as_far_as_there_is_room(pod):
    servers = ["192.0.2.51", "192.0.2.52", "192.0.2.53"]
    own = {"nameservers": servers, "searches": ["my.example"], "options": [{"name": "ndots", "value": "7"}]}
    web = pod(manifest("web", {}, dnsPolicy="Default", dnsConfig=own))
    lines = resolv_conf(web)
    nodes = dns.parse(nodes_resolv_conf()).servers
    assert [line[1] for line in lines if line[0] == "nameserver"] == [*nodes, *servers][:3]
    assert [line[-1] for line in lines if line[0] == "search"] == ["my.example"]
    (options,) = [line[1:] for line in lines if line[0] == "options"]
    assert "ndots:7" in options
    told = "Nameserver limits were exceeded, some nameservers have been omitted"
    assert (told in web.node.run("events", "--for", "pod/web").stdout) == bool(nodes)


def test_with_dns_policy_none_a_pod_asks_only_whom_it_names(pod):
    own = {"nameservers": ["192.0.2.53", "2001:db8::53"], "searches": ["my.example"]}
    assert resolv_conf(pod(manifest("web", {}, dnsPolicy="None", dnsConfig=own))) == [
        ["search", "my.example"],
        ["nameserver", "192.0.2.53"],
        ["nameserver", "2001:db8::53"],
    ]


def resolv_conf(pod: Pod) -> list[list[str]]:
    return [line.split() for line in pod["c0"].exec("cat", "/etc/resolv.conf").stdout.splitlines()]


def test_a_container_can_change_its_hosts_file_for_the_pod(pod):
    web = pod(manifest("web", {}, {}))
    web["c0"].exec("sh", "-c", "echo 10.0.0.1 friend >>/etc/hosts")
    assert "friend" in web["c1"].exec("cat", "/etc/hosts").stdout


# --- hostNetwork


def test_with_host_network_a_pod_has_the_nodes_interfaces_and_name(pod, shared_node):
    web = pod(manifest("web", {}, hostNetwork=True))
    bridge = shared_node.layout.bridge
    assert bridge in [name for _, name in web["c0"].run(socket.if_nameindex)]
    assert bridge in web["c0"].exec("ls", "/sys/class/net").stdout
    assert web["c0"].exec("hostname").stdout == shared_node.sh("hostname")


def test_with_host_network_no_address_is_claimed(pod, shared_node):
    before = shared_node.sh(f"ls {shared_node.layout.addresses}")
    pod(manifest("web", {}, hostNetwork=True))
    assert shared_node.sh(f"ls {shared_node.layout.addresses}") == before
