"""Two nodes on one machine: the same names everywhere, and neither touches what is the other's."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from minipod.names import layout
from tests.support.node import STAYS, Node, link_images, mounted, pod


class Neighbour(Node):
    """Another node on the machine of `first`: only what MINIPOD_HOME moves is its own."""

    def __init__(self, first: Node, home: Path, images: str) -> None:
        self.home, self.layout = str(home), layout(str(home))
        self.init, self.proc = first.init, first.proc
        link_images(images, self.layout.images)

    def start(self) -> None:
        self.run("node", "start")

    def close(self) -> None:
        shutil.rmtree(self.home)


@pytest.fixture
def nodes(new_node, tmp_path, minipod_images) -> Iterator[tuple[Node, Node]]:
    """Both stopped with their pods in the end: then the machine is as it was."""
    first = new_node()
    before = first.look()
    first.start()
    second = Neighbour(first, tmp_path / "neighbour", minipod_images)
    second.start()
    yield first, second
    for node in (first, second):
        node.stop(pods=True)
    left = first.leaks(before, STAYS)
    second.close()
    assert not left, "\n".join(left)


@pytest.fixture
def both(nodes) -> tuple[Node, Node]:
    """The same pod in both."""
    for number, node in enumerate(nodes):
        web = {
            "volumeMounts": mounted(d="/d"),
            "command": ["sh", "-c", f"echo {number} >/d/of; exec sleep 1000"],
        }
        node.apply(pod("web", web, volumes=[{"name": "d"}], hostname="web"))
    return nodes


def pulse(node: Node) -> tuple:
    """What would be different if somebody had touched the pod."""
    status, pids = node.status("web"), node.pids("web")
    del pids["host"]  # the node itself
    return pids, status["podIP"], status["containerStatuses"]


def test_pods_of_one_name_are_two_pods(both):
    assert [node.names() for node in both] == [["default/web"], ["default/web"]]
    assert [node.exec("web", "cat", "/d/of").stdout for node in both] == ["0\n", "1\n"]
    assert len({node.namespace(node.pids("web")["pause"], "net") for node in both}) == 2


def test_each_node_has_a_bridge_and_addresses_of_its_own(both):
    first, second = both
    assert first.layout.bridge != second.layout.bridge
    for node in both:
        assert node.status("web")["podIP"].startswith(f"{node.layout.subnet4}.")
        assert node.status("web")["podIP"] in node.exec("web", "ip", "addr", "show", "eth0").stdout


def test_deleting_a_pod_leaves_the_others_alone(both):
    first, second = both
    before = pulse(second)
    first.delete("web")
    assert first.names() == []
    assert pulse(second) == before


def test_stopping_a_node_with_its_pods_leaves_the_other_alone(both):
    first, second = both
    before, table = pulse(second), second.sh(f"nft list table inet {second.layout.table}")
    first.stop(pods=True)
    assert pulse(second) == before
    assert second.sh(f"nft list table inet {second.layout.table}") == table
    assert second.sh("cat /proc/sys/net/ipv4/ip_forward") == "1\n"
    gateway = second.exec("web", "ping", "-c", "1", "-W", "5", second.layout.gateway4)
    assert "1 packets received" in gateway.stdout


def test_a_node_that_comes_back_finds_only_its_own(both):
    first, _ = both
    before = [pulse(node) for node in both]
    first.stop(pods=False)
    first.start()
    assert [pulse(node) for node in both] == before
