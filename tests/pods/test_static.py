"""Static pods end to end: a file in the manifests' folder is a pod that runs."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.node import Node, pod
from tests.support.wait import wait_until


class Folder:
    """A node's manifests."""

    def __init__(self, node: Node) -> None:
        self.node, self.path = node, Path(node.layout.etc, "manifests")
        self.suffix = f"-{socket.gethostname().lower()}"

    def write(self, name: str, **container: object) -> str:
        """One pod in a file of its own; the name it will have."""
        (self.path / f".{name}").write_text(json.dumps(pod(name, container)))
        (self.path / f".{name}").rename(self.path / f"{name}.json")
        return name + self.suffix

    def clear(self) -> None:
        for file in self.path.iterdir():
            file.unlink()
        wait_until(lambda: not any(name.endswith(self.suffix) for name in self.node.names()))

    def running(self, name: str, env: str = "") -> dict:
        """The pod, once it runs with that variable."""
        return wait_until(lambda: self._running(name, env), what=f"{name} to run")

    def _running(self, name: str, env: str) -> dict | None:
        got = self.node.run("get", "pod", name, "-o", "json", check=False)
        if got.returncode:  # there is none between the old one and the new
            return None
        pod = json.loads(got.stdout)
        (container,) = pod["spec"]["containers"]
        value = container.get("env", [{"value": ""}])[0]["value"]
        return pod if pod["status"].get("phase") == "Running" and value == env else None


@pytest.fixture
def folder(node) -> Iterator[Folder]:
    folder = Folder(node)
    yield folder
    folder.clear()


def container_id(pod: dict) -> str:
    return pod["status"]["containerStatuses"][0]["containerID"]


def test_a_file_is_a_pod_while_it_is_there(folder, node):
    name = folder.write("web")
    folder.running(name)
    assert node.exec(name, "hostname").stdout == f"{name}\n"
    folder.clear()
    assert node.names() == []


def test_a_deleted_static_pod_is_back_and_its_processes_never_noticed(folder, node):
    name = folder.write("web")
    before = folder.running(name)
    pids = node.pids(name)
    node.delete(name)
    after = folder.running(name)
    assert (container_id(after), node.pids(name)) == (container_id(before), pids)
    assert after["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"]


def test_a_changed_file_replaces_the_pod(folder):
    name = folder.write("web")
    before = folder.running(name)
    folder.write("web", env=[{"name": "A", "value": "new"}])
    after = folder.running(name, "new")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


def test_static_pods_outlive_the_node_and_end_with_node_stop_pods_until_the_next(new_node):
    node = new_node()
    node.start()
    folder = Folder(node)
    name = folder.write("web")
    first = folder.running(name)
    node.stop(pods=False)
    node.start()
    assert container_id(folder.running(name)) == container_id(first)
    node.run("node", "stop", "--pods")
    assert not list(Path(node.layout.lib, "pods").iterdir())
    node.start()
    assert folder.running(name)["metadata"]["uid"] != first["metadata"]["uid"]
    folder.clear()
    node.stop()
