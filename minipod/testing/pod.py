"""A pod as a test has it: what runs in it, its first processes, and Python functions inside them.

web = apply(node, "web.yaml")
web["app"].run(socket.create_connection, ("localhost", 80))      in the pod's network
web["app"].exec("ls", "/").stdout
web.wait("Succeeded")
"""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from minipod.kernel import process
from minipod.spec import yamlio
from minipod.testing.namespaces import inside, pid_here
from minipod.testing.node import Node

T = TypeVar("T")

SHARED = ("net", "ipc", "uts")  # what the containers of a pod have in common, and pause holds
Manifest = str | os.PathLike[str] | dict[str, Any]


class Process:
    """pause, or the first process of a container. Which one that is, is asked anew each time: containers restart."""

    role = "pause"  # in what `observe` tells

    def __init__(self, pod: "Pod", name: str) -> None:
        self.pod, self.name = pod, name

    def __repr__(self) -> str:
        return f"<{self.name} of {self.pod}>"

    @property
    def pid(self) -> int:
        """In the PID namespace of the test: /proc/PID is its own. ProcessLookupError if it doesn't run."""
        return pid_here(self.pod.node.init, self._pid_there())

    def _pid_there(self) -> int:
        processes = self.pod.observe()["processes"]
        seen = {each["name"]: each for each in processes if each["role"] == self.role}
        if self.name not in seen:
            raise KeyError(f"{self.pod} has no {self.name!r}; there are {', '.join(seen)}")
        if seen[self.name]["state"] != "running":
            raise ProcessLookupError(f"{self.name} of {self.pod} doesn't run")
        return int(seen[self.name]["pid"])

    def namespace(self, kind: str) -> int:
        """The inode that names one of its namespaces (namespaces(7)); `kind` is net, ipc, uts, mnt, pid ..."""
        return process.ns_inode(self.pid, kind)

    def run(
        self,
        function: Callable[..., T],
        *args: object,
        namespaces: Iterable[str] = SHARED,
        seconds: float = 60,
    ) -> T:
        """Call a Python function in its namespaces: the result, or its exception raised here, with its traceback.

        It runs in a forked child of the test, so any function will do, and what it changes is gone with the child; only
        the result is pickled. `namespaces` are any of net, ipc, uts, mnt, pid, cgroup and user. Without mnt it sees the
        test's own files and can import; with mnt it sees the container's, and can't. It stays root, in the test's
        cgroups, with all capabilities: it is in the container's context, not under its limits.
        """
        __tracebackhide__ = True
        return inside(self.pid, function, *args, namespaces=namespaces, seconds=seconds)


class Container(Process):
    """A container, by name."""

    role = "container"

    def exec(
        self, *command: str, stdin: str | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """minipod exec: the command is in the container with everything. AssertionError if it fails, unless `check`."""
        flags = [*self.pod.where, "-c", self.name, *(["-i"] if stdin is not None else [])]
        return self.pod.node.run("exec", *flags, "--", *command, stdin=stdin or "", check=check)

    def logs(self, *flags: str) -> str:
        """minipod logs: what it has written since it was started."""
        return self.pod.node.run("logs", *self.pod.where, "-c", self.name, *flags).stdout


class Pod:
    """A pod of a node: `pod["app"]` is a container, `pod.pause` the process that holds what they share."""

    def __init__(self, node: Node, name: str, namespace: str = "default") -> None:
        self.node, self.name, self.namespace = node, name, namespace
        self.where = (name, "-n", namespace)

    def __repr__(self) -> str:
        return f"pod {self.namespace}/{self.name}"

    def __getitem__(self, container: str) -> Container:
        return Container(self, container)

    @property
    def pause(self) -> Process:
        return Process(self, "pause")

    @property
    def status(self) -> dict[str, Any]:
        """`status` of the Kubernetes object: phase, podIPs, containerStatuses ..."""
        return self.node.status(self.name, self.namespace)

    def observe(self) -> dict[str, Any]:
        """minipod observe -o json: what the kernel says of it."""
        return self.node.observe(self.name, self.namespace)

    def wait(self, until: str | Callable[[dict[str, Any]], Any], seconds: float = 15) -> dict[str, Any]:
        """Its status, once it is in a phase, or once `until` accepts its status; AssertionError if that takes longer.

        What isn't in the status yet (KeyError) is waited for, too.
        """
        condition = until if callable(until) else lambda status: status["phase"] == until
        return self.node.wait(self.name, condition, seconds, self.namespace)

    def delete(self, *flags: str) -> None:
        """minipod delete pod: returns when it and everything it left on the host are gone. Without flags at once."""
        self.node.run("delete", "pod", *self.where, *(flags or ("--now",)))


def apply(node: Node, manifest: Manifest, seconds: float = 60, folder: str | os.PathLike[str] = "") -> Pod:
    """Apply one pod (a file, below `folder`, YAML, or a dict) and wait until its containers run or it has ended.

    AssertionError if the manifest isn't valid, the name is taken, or it isn't running after `seconds`.
    """
    document = read(manifest, folder)
    applied = node.apply(document, "--wait=false").stdout
    pod = Pod(node, document["metadata"]["name"], document["metadata"].get("namespace", "default"))
    assert applied.endswith("created\n"), f"{pod} is there already: delete it first, or name yours otherwise"
    try:
        node.apply(document, seconds=seconds)
    except subprocess.TimeoutExpired:
        told = node.run("describe", "pod", *pod.where).stdout
        raise AssertionError(f"{pod} doesn't run after {seconds} s\n{told}") from None
    return pod


def read(manifest: Manifest, folder: str | os.PathLike[str] = "") -> dict[str, Any]:
    """The one object in a manifest: text if it has more than one line or is JSON, else a file below `folder`."""
    if isinstance(manifest, dict):
        return manifest
    text, source = manifest, "the manifest"
    if isinstance(manifest, os.PathLike) or not ("\n" in manifest or manifest.startswith("{")):
        path = Path(folder, manifest)
        text, source = path.read_text(), str(path)
    documents = yamlio.documents(str(text), source)
    assert len(documents) == 1, f"{source} holds {len(documents)} objects; apply one pod at a time"
    return documents[0].value
