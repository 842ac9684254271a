"""The node's bridge, table and forwarding, in a network namespace of the test's own."""

import asyncio
import ipaddress
import json
import subprocess
from pathlib import Path

import pytest

from minipod.errors import MinipodError
from minipod.names import layout
from minipod.node import network

FORWARD4 = Path("/proc/sys/net/ipv4/ip_forward")
FORWARD6 = Path("/proc/sys/net/ipv6/conf/all/forwarding")


def run(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def here(tmp_path):
    made = layout(str(tmp_path / "home"))
    Path(made.run).mkdir(parents=True)
    return made


@pytest.fixture
def uplink():
    """A way out, over both families, such as a host has that hears router advertisements."""
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "up1")
    for name in ("up0", "up1"):
        run("ip", "link", "set", name, "up")
    run("ip", "address", "add", "192.0.2.2/24", "dev", "up0")
    run("ip", "-6", "address", "add", "2001:db8::2/64", "dev", "up0", "nodad")
    run("ip", "route", "add", "default", "via", "192.0.2.1")
    run("ip", "-6", "route", "add", "default", "via", "2001:db8::1")
    accept = Path("/proc/sys/net/ipv6/conf/up0/accept_ra")
    accept.write_text("1")
    return accept


def state():
    """Links with their global addresses, rules and forwarding."""
    links = {
        link["ifname"]: {each["local"] for each in link["addr_info"] if each["scope"] == "global"}
        for link in json.loads(run("ip", "-j", "address"))
    }
    return links, run("nft", "list", "ruleset"), FORWARD4.read_text(), FORWARD6.read_text()


def test_what_is_made_is_made_once_and_goes_again(here, uplink):
    before = state()
    asyncio.run(network.ensure(here))
    first = state()
    asyncio.run(network.ensure(here))
    assert state() == first
    assert (FORWARD4.read_text(), FORWARD6.read_text()) == ("1\n", "1\n")
    assert uplink.read_text() == "2\n"
    assert first[0][here.bridge] == {here.gateway4, str(ipaddress.ip_address(here.gateway6))}
    asyncio.run(network.remove(here))
    assert state() == before
    assert uplink.read_text() == "1\n"


def test_elements_of_pods_stay_when_another_node_starts(here):
    asyncio.run(network.ensure(here))
    element = "{ tcp . 8080 : 10.0.0.2 . 80 }"
    run("nft", "add", "element", "inet", here.table, "hostports4", element)
    asyncio.run(network.ensure(here))
    assert "tcp . 8080" in run("nft", "list", "map", "inet", here.table, "hostports4")


def test_ipv6_isnt_forwarded_where_the_host_itself_has_no_way_out(here):
    asyncio.run(network.ensure(here))
    assert FORWARD6.read_text() == "0\n"
    assert FORWARD4.read_text() == "1\n"


def test_forwarding_that_was_on_stays_on(here):
    FORWARD4.write_text("1")
    asyncio.run(network.ensure(here))
    asyncio.run(network.remove(here))
    assert FORWARD4.read_text() == "1\n"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_last_of_two_nodes_puts_forwarding_back(tmp_path, uplink, order):
    nodes = [layout(str(tmp_path / name)) for name in "ab"]
    for node in nodes:
        Path(node.run).mkdir(parents=True)
        asyncio.run(network.ensure(node))
    first, last = (nodes[index] for index in order)
    asyncio.run(network.remove(first))
    assert FORWARD4.read_text() == "1\n"
    asyncio.run(network.remove(last))
    assert FORWARD4.read_text() == "0\n"
    assert FORWARD6.read_text() == "0\n"


def test_a_table_of_somebody_else_is_left_alone(here):
    run("nft", "add", "table", "inet", here.table)
    before = run("nft", "list", "ruleset")
    with pytest.raises(MinipodError, match=f"table inet {here.table} isn't minipod's"):
        asyncio.run(network.ensure(here))
    with pytest.raises(MinipodError, match="isn't minipod's"):
        asyncio.run(network.remove(here))
    assert run("nft", "list", "ruleset") == before


def test_a_bridge_of_somebody_else_is_left_alone(here):
    run("ip", "link", "add", here.bridge, "type", "bridge")
    before = state()
    with pytest.raises(MinipodError, match=here.bridge):
        asyncio.run(network.ensure(here))
    assert state() == before


def test_an_nft_that_complains_is_quoted():
    with pytest.raises(MinipodError, match=r"nft add table nowhere x: .*syntax error"):
        asyncio.run(network.nft("add table nowhere x\n"))
