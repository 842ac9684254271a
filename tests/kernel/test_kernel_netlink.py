"""Links, addresses and routes in this test's own network namespace, compared with what iproute2 and /proc say."""

import errno
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from minipod.errors import KernelError
from minipod.kernel import netlink, process, syscalls
from minipod.kernel.netlink import Netlink
from tests.support.wait import wait_until

BRIDGE = "minipod0"
GATEWAYS = [("10.9.0.1", 24), ("fd09::1", 64)]


def ip(*arguments):
    text = subprocess.run(["ip", "-j", "-d", *arguments], check=True, capture_output=True, text=True).stdout
    return json.loads(text)


@pytest.fixture
def host():
    """A socket in this namespace, lo up."""
    with Netlink() as opened:
        opened.set_up(netlink.LOOPBACK)
        yield opened


@pytest.fixture
def bridge(host):
    return host.ensure_bridge(BRIDGE, GATEWAYS)


@pytest.fixture
def pod():
    """A descriptor of another network namespace."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    there = os.open("/proc/self/ns/net", os.O_RDONLY)
    syscalls.setns(home, syscalls.CLONE_NEWNET, "home")
    os.close(home)
    yield there
    os.close(there)


def furnish(pod, number=2):
    """What a pod's namespace needs, with the address that ends in `number`."""
    with Netlink(pod) as inside:
        eth0 = inside.index("eth0")
        inside.set_up(netlink.LOOPBACK)
        inside.add_address(eth0, f"10.9.0.{number}", 24)
        inside.add_address(eth0, f"fd09::{number}", 64)
        inside.set_up(eth0)
        inside.add_default_route(eth0, "10.9.0.1")
        inside.add_default_route(eth0, "fd09::1")


def test_a_bridge_is_made_with_its_addresses_and_is_up(host, bridge):
    (shown,) = ip("addr", "show", "dev", BRIDGE)
    assert shown["ifindex"] == bridge
    assert shown["linkinfo"]["info_kind"] == "bridge"
    assert "UP" in shown["flags"]
    assert {("10.9.0.1", 24), ("fd09::1", 64)} <= {(a["local"], a["prefixlen"]) for a in shown["addr_info"]}


def test_a_bridge_of_ours_is_taken_as_it_is(host, bridge):
    assert host.ensure_bridge(BRIDGE, GATEWAYS) == bridge
    assert [link.name for link in host.links() if link.kind == "bridge"] == [BRIDGE]


def test_a_bridge_half_made_is_completed(host):
    subprocess.run(
        ["ip", "link", "add", BRIDGE, "address", netlink.mark(BRIDGE), "type", "bridge"], check=True
    )
    index = host.ensure_bridge(BRIDGE, GATEWAYS)
    assert host.link(BRIDGE).up
    assert ("10.9.0.1", 24) in [(a.address, a.prefix) for a in host.addresses() if a.index == index]


@pytest.mark.parametrize("kind", ["bridge", "veth"])
def test_a_link_of_somebody_else_is_refused_and_left_alone(host, kind):
    subprocess.run(["ip", "link", "add", BRIDGE, "type", kind], check=True)
    before = ip("addr", "show", "dev", BRIDGE)
    with pytest.raises(KernelError, match="minipod did not make it") as caught:
        host.ensure_bridge(BRIDGE, GATEWAYS)
    assert caught.value.errno == errno.EEXIST
    assert not host.delete_link(BRIDGE)
    assert ip("addr", "show", "dev", BRIDGE) == before


def test_the_address_of_a_bridge_does_not_change_with_its_ports(host, bridge, pod):
    host.create_veth("a-port", bridge, pod)
    assert host.link(BRIDGE).mac == netlink.mark(BRIDGE)


def test_an_address_of_the_bridge_can_be_used_at_once(host, bridge):
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("fd09::1", 0))
    assert [a.tentative for a in host.addresses() if a.address == "fd09::1"] == [False]


def test_a_veth_has_one_end_on_the_bridge_and_the_other_in_the_pod(host, bridge, pod):
    host.create_veth("mp1234567890", bridge, pod, mtu=1400, alias="default/web")
    outer = host.link("mp1234567890")
    assert (outer.kind, outer.up, outer.mtu, outer.alias, outer.master) == (
        "veth",
        True,
        1400,
        "default/web",
        bridge,
    )
    with Netlink(pod) as inside:
        inner = inside.link("eth0")
    assert (inner.kind, inner.up, inner.mtu, inner.peer) == ("veth", False, 1400, outer.index)
    assert [link.name for link in host.links()] == ["lo", BRIDGE, "mp1234567890"]


def test_two_veths_of_one_name_are_an_error(host, bridge, pod):
    host.create_veth("twice", bridge, pod)
    with pytest.raises(KernelError, match=r"RTM_NEWLINK veth twice: .*\(EEXIST\)"):
        host.create_veth("twice", bridge, pod, peer="eth1")


def test_a_name_that_is_too_long_is_an_error_that_names_it(host, bridge, pod):
    with pytest.raises(KernelError, match=r"veth sixteen-letters-x: .*\(E(RANGE|INVAL)\)"):
        host.create_veth("sixteen-letters-x", bridge, pod)


def test_the_pair_goes_with_the_namespace(host, bridge):
    pid, _ = syscalls.clone3_fork(syscalls.CLONE_NEWNET)
    if pid == 0:
        signal.pause()
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    host.create_veth("goes-along", bridge, there)
    os.close(there)
    assert host.index("goes-along")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    wait_until(lambda: host.index("goes-along") == 0, what="the link of a namespace that is gone")


def test_a_link_is_deleted_and_deleting_it_again_is_success(host, bridge, pod):
    host.create_veth("short-lived", bridge, pod)
    assert host.delete_link("short-lived")
    assert host.index("short-lived") == 0
    assert host.delete_link("short-lived")


def test_a_veth_that_was_never_finished_is_ours_all_the_same(host, bridge, pod):
    host.create_veth("no-alias-yet", bridge, pod)
    assert host.link("no-alias-yet").alias == ""
    assert host.delete_link("no-alias-yet")


def test_what_is_not_there_has_no_index_and_no_description(host):
    assert (host.index("nothing"), host.link("nothing")) == (0, None)


def test_inside_the_pod_everything_is_there(host, bridge, pod):
    host.create_veth("outer", bridge, pod)
    furnish(pod)
    with Netlink(pod) as inside:
        addresses = {(a.address, a.prefix) for a in inside.addresses() if not a.tentative}
        routes = {(r.destination, r.gateway) for r in inside.routes() if r.table == 254}
        up = {link.name for link in inside.links() if link.up}
    assert {("127.0.0.1", 8), ("::1", 128), ("10.9.0.2", 24), ("fd09::2", 64)} <= addresses
    assert {("default", "10.9.0.1"), ("10.9.0.0/24", ""), ("default", "fd09::1"), ("fd09::/64", "")} <= routes
    assert up == {"lo", "eth0"}


def test_what_is_dumped_is_what_iproute2_shows(host, bridge, pod):
    host.create_veth("outer", bridge, pod)
    furnish(pod)
    with netlink.entered(pod):
        links, routes, routes6 = ip("addr"), ip("route"), ip("-6", "route", "show", "default")
    shown = {(a["local"], a["prefixlen"]) for link in links for a in link["addr_info"]}
    with Netlink(pod) as inside:
        assert {(a.address, a.prefix) for a in inside.addresses()} == shown
        defaults = {r.gateway for r in inside.routes() if r.destination == "default"}
    assert defaults == {r["gateway"] for r in routes + routes6 if r["dst"] == "default"}


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "10.9.0.1"), (socket.AF_INET6, "fd09::1")], ids=["IPv4", "IPv6"]
)
def test_a_pod_reaches_the_host_at_once(host, bridge, pod, family, address):
    host.create_veth("outer", bridge, pod)
    furnish(pod)
    with socket.create_server((address, 0), family=family) as server:
        with netlink.entered(pod):
            client = socket.socket(family)
        with client:
            client.settimeout(20)
            client.connect((address, server.getsockname()[1]))
            connection, peer = server.accept()
            connection.close()
    assert peer[0] == address[:-1] + "2"


def test_an_address_given_twice_is_an_error_in_the_kernels_words(host, bridge):
    with pytest.raises(KernelError, match=r"RTM_NEWADDR 10.9.0.1/24 .*\(EEXIST\)"):
        host.add_address(bridge, "10.9.0.1", 24)


def test_a_route_through_an_unknown_gateway_is_explained(host, bridge):
    with pytest.raises(KernelError, match=r"default via 10.200.0.1: .*\(ENETUNREACH\).*gateway"):
        host.add_default_route(bridge, "10.200.0.1")


def test_after_an_error_the_next_request_has_its_own_answer(host, bridge):
    for _ in range(3):
        with pytest.raises(KernelError):
            host.set_up(4711)
        assert host.index(BRIDGE) == bridge


def test_an_answer_nobody_read_is_not_taken_for_the_next_ones(host, bridge):
    host._send(netlink._GETLINK, netlink.ifinfmsg(), netlink._DUMP)
    assert host.index(BRIDGE) == bridge
    with pytest.raises(KernelError, match="ENODEV"):
        host.set_up(4711)


def test_a_socket_stays_in_the_namespace_it_was_made_in(host, bridge, pod):
    with Netlink(pod) as inside:
        assert (inside.index(BRIDGE), host.index(BRIDGE)) == (0, bridge)
        with netlink.entered(pod):
            assert (inside.index(BRIDGE), host.index(BRIDGE)) == (0, bridge)


def test_entered_comes_back_also_from_an_error(pod):
    home = process.ns_inode("self", "net")
    with pytest.raises(KernelError), netlink.entered(pod):
        process.ns_inode("nobody", "net")
    assert process.ns_inode("self", "net") == home


def test_entered_shows_the_other_namespaces_settings(host, bridge, pod):
    with netlink.entered(pod):
        assert not Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}").exists()
    assert Path(f"/proc/sys/net/ipv4/conf/{BRIDGE}").exists()


def test_a_dump_of_many_links_is_complete(host):
    batch = "".join(f"link add left-{number} type veth peer name right-{number}\n" for number in range(60))
    subprocess.run(["ip", "-batch", "-"], input=batch, text=True, check=True)
    ends = {f"{end}-{number}" for end in ("left", "right") for number in range(60)}
    assert {link.name for link in host.links()} == {"lo", *ends}
