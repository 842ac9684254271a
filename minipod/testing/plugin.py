"""pytest's fixtures: `minipod_node`, `pod`, `module_pod`. Every run of pytest loads this; it imports nothing of ours.

def test_the_hostname_is_the_pods(pod):
    web = pod("web.yaml")
    assert web["app"].run(socket.gethostname) == "web"
"""

from collections.abc import Callable, Iterator

import pytest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from minipod.testing.node import Node
    from minipod.testing.pod import Manifest, Pod


@pytest.fixture(scope="session")
def minipod_images() -> str:
    """The image store whose images minipod_node has; the one of the machine's own node unless overridden."""
    from minipod.names import layout

    return layout().images


@pytest.fixture(scope="session")
def minipod_node(tmp_path_factory: pytest.TempPathFactory, minipod_images: str) -> "Iterator[Node]":
    """A private node, for the whole session: its own MINIPOD_HOME, network, mounts, processes and cgroups.

    In the end it is stopped with its pods, and must have left nothing.
    """
    import os

    if os.geteuid():
        pytest.skip("minipod_node needs root")
    from minipod.testing.node import private_node

    with private_node(tmp_path_factory.mktemp("minipod") / "home", minipod_images) as node:
        yield node


def _pods(minipod_node: "Node", request: pytest.FixtureRequest) -> "Iterator[Callable[..., Pod]]":
    """Apply a pod and have it: `pod(manifest, seconds=60)`, see minipod.testing.pod.apply.

    A file is looked for beside the test. In the end all pods are removed, and must have left nothing in the node.
    """
    from minipod.testing.pod import apply

    def pod(manifest: "Manifest", seconds: float = 60) -> "Pod":
        return apply(minipod_node, manifest, seconds, request.path.parent)

    with minipod_node.clean():
        yield pod


pod = pytest.fixture(name="pod")(_pods)
module_pod = pytest.fixture(scope="module", name="module_pod")(_pods)
