"""What a pod finds in its /etc/resolv.conf."""

import msgspec
import pytest

from minipod.api.messages import NodeFacts
from minipod.kernel.cgroups import Hierarchies
from minipod.spec.types import PodDNSConfig, PodDNSConfigOption
from minipod.supervisor import dns
from tests.unit.supervisor.simulation import make_pod

NODES = """\
# the node's
; and a word more
domain old.example
search first.example
search lab.example. . example
nameserver 192.0.2.1
nameserver 192.0.2.2 # the second
options ndots:1 rotate
options ndots:3
sortlist 192.0.2.0
"""
LIKE_THE_NODES = """\
search lab.example example
nameserver 192.0.2.1
nameserver 192.0.2.2
options ndots:3 rotate
"""
OWN = PodDNSConfig(
    nameservers=("192.0.2.9", "192.0.2.1"),
    searches=("my.example", "example"),
    options=(PodDNSConfigOption(name="ndots", value="5"), PodDNSConfigOption(name="edns0")),
)


def facts(text=NODES):
    return NodeFacts(
        home="/none",
        node_name="n",
        host_ip="",
        memory_bytes=1,
        cgroups=Hierarchies("/none", (), {}),
        pause="",
        dns=text,
    )


def resolv_conf(policy, own=None, text=NODES):
    return dns.resolv_conf(make_pod(dns_policy=policy, dns_config=own), facts(text))


@pytest.mark.parametrize("policy", ["ClusterFirst", "ClusterFirstWithHostNet", "Default", ""])
def test_a_pod_asks_whom_the_node_asks(policy):
    assert resolv_conf(policy) == LIKE_THE_NODES


@pytest.mark.parametrize("policy", ["ClusterFirst", "Default"])
def test_a_pods_own_configuration_is_added_to_the_nodes(policy):
    assert resolv_conf(policy, OWN) == (
        "search lab.example example my.example\n"
        "nameserver 192.0.2.1\nnameserver 192.0.2.2\nnameserver 192.0.2.9\n"
        "options ndots:5 rotate edns0\n"
    )


def test_with_policy_none_there_is_only_the_pods_own_configuration():
    assert resolv_conf("None", OWN) == (
        "search my.example example\nnameserver 192.0.2.9\nnameserver 192.0.2.1\noptions ndots:5 edns0\n"
    )
    assert resolv_conf("None", PodDNSConfig(nameservers=("192.0.2.9",))) == "nameserver 192.0.2.9\n"


def test_a_node_without_a_resolver_gives_its_pods_none():
    assert resolv_conf("Default", text="") == ""


def omitted(own, text=""):
    pod = make_pod(dns_policy="Default", dns_config=own)
    return list(dns.omitted(pod, facts(text))), dns.resolv_conf(pod, facts(text))


def test_of_more_than_three_servers_the_first_three_are_taken_and_that_is_told():
    more = msgspec.structs.replace(OWN, nameservers=("192.0.2.8", "192.0.2.9"), searches=(), options=())
    told, text = omitted(more, "nameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert text.split() == ["nameserver", "192.0.2.1", "nameserver", "192.0.2.2", "nameserver", "192.0.2.8"]
    assert told == [
        "Nameserver limits were exceeded, some nameservers have been omitted, "
        "the applied nameserver line is: 192.0.2.1 192.0.2.2 192.0.2.8"
    ]


@pytest.mark.parametrize(
    ("searches", "applied"),
    [
        ([f"d{n}" for n in range(33)], [f"d{n}" for n in range(32)]),
        (["a" * 254, "b"], ["b"]),
        ([f"{n}{'a' * 252}" for n in range(9)], [f"{n}{'a' * 252}" for n in range(8)]),
    ],
)
def test_of_too_long_a_search_list_what_fits_is_taken_and_that_is_told(searches, applied):
    told, text = omitted(PodDNSConfig(searches=tuple(searches)))
    line = " ".join(applied)
    assert text == f"search {line}\n"
    assert told == [
        "Search Line limits were exceeded, some search paths have been omitted, "
        f"the applied search line is: {line}"
    ]


def test_of_what_fits_nothing_is_told():
    assert omitted(OWN, NODES)[0] == []
