"""Fixtures for tests that go through the command line of a private node.

`pod` and `module_pod` are those of minipod's pytest plugin; here they apply to the node of the module.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minipod.api.channel import Channel
from tests.support.faults import Api
from tests.support.mechanism import Mechanism, forge_beside, mechanism_of
from tests.support.node import Node, busybox, make, private_node, store_of


@pytest.fixture(scope="session")
def image(tmp_path_factory) -> Path:
    """The image busybox, as a tar."""
    return busybox(tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def minipod_images(image) -> str:
    """An image store with nothing but busybox."""
    return store_of(image)


@pytest.fixture(scope="module")
def shared_node(tmp_path_factory, minipod_images) -> Iterator[Node]:
    with private_node(tmp_path_factory.mktemp("node") / "home", minipod_images) as node:
        yield node


@pytest.fixture(scope="module")
def minipod_node(shared_node) -> Node:
    return shared_node


@pytest.fixture
def node(shared_node) -> Iterator[Node]:
    """The module's node. Every test must leave nothing in it once its pods are deleted."""
    with shared_node.clean():
        yield shared_node


@pytest.fixture
def api(node) -> Api:
    return Api(node)


@pytest.fixture
def new_node(tmp_path, minipod_images) -> Iterator[Callable[..., Node]]:
    """Makes nodes for this test alone, to be stopped, killed and started again."""
    nodes: list[Node] = []

    def new(beside: Node | None = None) -> Node:
        nodes.append(make(tmp_path / f"home{len(nodes)}", minipod_images, beside))
        return nodes[-1]

    yield new
    for node in nodes:
        node.close()


@pytest.fixture(scope="module")
def forge(shared_node) -> Iterator[Channel]:
    """A forge of our own beside the node's."""
    with forge_beside(shared_node) as forge:
        yield forge


@pytest.fixture
def mechanism(forge, shared_node) -> Iterator[Mechanism]:
    with mechanism_of(shared_node, forge) as mechanism:
        yield mechanism
