"""Fixtures for tests that go through the command line of a private node."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.node import Node, busybox, make

# A node that was stopped with its pods leaves its store and its log, and /run/netns as ip(8) has it.
STAYS = ("file ", "mount left behind: /run/netns tmpfs")


@pytest.fixture(scope="session")
def image(tmp_path_factory):
    return busybox(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, image) -> Iterator[Node]:
    node = make(tmp_path_factory.mktemp("node") / "home", image)
    empty = node.look()
    try:
        node.start()
        yield node
        node.stop(pods=True)
        left = node.leaks(empty, STAYS)
        assert not left, "\n".join([*left, node.log()])
    finally:
        node.close()


@pytest.fixture
def node(shared_node) -> Iterator[Node]:
    """The module's node. Every test must leave nothing in it once its pods are deleted."""
    before, pods = shared_node.look(), shared_node.names()
    yield shared_node
    shared_node.delete_all(keep=pods)
    left = shared_node.leaks(before)
    assert not left, "\n".join(left)


@pytest.fixture
def new_node(tmp_path, image) -> Iterator[Callable[..., Node]]:
    """Makes nodes for this test alone, to be stopped, killed and started again."""
    nodes: list[Node] = []

    def new(beside: Node | None = None) -> Node:
        nodes.append(make(tmp_path / f"home{len(nodes)}", image, beside))
        return nodes[-1]

    yield new
    for node in nodes:
        node.close()
