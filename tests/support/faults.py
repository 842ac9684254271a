"""What tests of faults need beyond the command line: the node's API itself, and a quick look at what a pod may leave.

    api = Api(node)
    with api.watch() as pods:
        api.create(manifest, "sandbox/pause:3:kill-after")
        pods.wait(lambda: running(pods["web"]))

Sockets and folders of a private node can be reached from outside; its other namespaces are read through /proc.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from minipod.api import messages as m
from minipod.api.channel import Channel, short_path
from minipod.observe import mounts
from tests.support import host
from tests.support.namespaces import inside
from tests.support.node import STAYS, Node, mounted, pod, private_node, sh
from tests.support.wait import wait_until

# Tells when it can be told: a PID 1 that has no handler yet doesn't hear SIGTERM.
READY = "trap 'exit 0' TERM; echo ready; while :; do sleep 3600 & wait $!; done"

Object = dict[str, Any]


class Connection(http.client.HTTPConnection):
    """HTTP over the node's socket."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("minipod", timeout=seconds)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        with short_path(self.path) as short:
            self.sock.connect(short)


class Watch:
    """The pods by name, as the API's watch tells of them."""

    def __init__(self, connection: Connection, there: Object) -> None:
        """`there` is the list of pods with which it begins."""
        self.pods: dict[str, Object] = {pod["metadata"]["name"]: pod for pod in there["items"]}
        self._connection = connection
        since = there["metadata"]["resourceVersion"]
        connection.request("GET", f"/api/v1/pods?watch=1&resourceVersion={since}")
        self._lines = connection.getresponse()

    def wait(self, condition: Callable[[dict[str, Object]], Any], seconds: float, what: str = "") -> None:
        """Until `condition` holds for the pods; AssertionError with them if it doesn't in time."""

        def holds() -> bool:
            if not condition(self.pods):
                self._read()
            return bool(condition(self.pods))

        self._connection.sock.settimeout(seconds)
        try:
            wait_until(holds, seconds)
        except (TimeoutError, AssertionError):
            pods = json.dumps([pod["status"] for pod in self.pods.values()], indent=1)
            raise AssertionError(f"{what or condition} after {seconds} s; the pods are {pods}") from None

    def _read(self) -> None:
        line = self._lines.readline()
        assert line, "the watch ended"
        change = json.loads(line)
        name = change["object"]["metadata"]["name"]
        if change["type"] == "DELETED":
            self.pods.pop(name, None)
        else:
            self.pods[name] = change["object"]


class Api:
    """A node's API."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.root = f"/proc/{node.init}/root"  # where the node's mounts can be seen

    @contextlib.contextmanager
    def connection(self, seconds: float = 30) -> Iterator[Connection]:
        connection = Connection(self.root + self.node.layout.socket, seconds)
        try:
            yield connection
        finally:
            connection.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        with self.connection() as connection:
            connection.request(method, path, json.dumps(body) if body is not None else None)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            assert reply.status < 400, answer
            return answer

    def create(self, pod: Object, fault: str = "") -> Object:
        path = "/api/v1/namespaces/default/pods"
        return self.ask("POST", f"{path}?fault={fault}" if fault else path, pod)

    def delete(self, name: str, grace: int = 0) -> None:
        self.ask("DELETE", f"/api/v1/namespaces/default/pods/{name}?gracePeriodSeconds={grace}")

    def kill(self, pid: int, number: int = signal.SIGKILL) -> None:
        """A signal to a process; `pid` is in the node's PID namespace."""
        inside(self.node.init, os.kill, pid, number)

    def helpers(self, title: str) -> list[int]:
        """The processes of minipod that are called so, the oldest first."""
        return [pid for pid, text in titles(self.node).items() if text.startswith(f"minipod: {title}")]

    def helper(self, title: str) -> int:
        """The oldest of them, 0 if there is none."""
        return next(iter(self.helpers(title)), 0)

    def pods(self) -> dict[str, Object]:
        return {pod["metadata"]["name"]: pod for pod in self.ask("GET", "/api/v1/pods")["items"]}

    @contextlib.contextmanager
    def watch(self) -> Iterator[Watch]:
        with self.connection() as connection:
            yield Watch(connection, self.ask("GET", "/api/v1/pods"))

    def supervisor(self, uid: str, request: m.Message) -> m.Done:
        """Ask a pod's supervisor something."""
        channel = Channel.connect(f"{self.root}{self.node.layout.pod_run(uid)}/supervisor.sock")
        with contextlib.closing(channel):
            return ask(channel, request)

    def pids(self, uid: str) -> dict[str, int]:
        """pause's and each running container's pid, in the node's PID namespace."""
        status = self.supervisor(uid, m.Status()).status
        assert status is not None
        found = {each.name: each.pid for each in status.containers if each.state == "running"}
        return found | {"pause": next((each.pid for each in status.sandboxes if each.state == "ready"), 0)}

    def heard(self, pod: Object) -> bool:
        """Whether every running container has said that it is ready to be stopped."""
        meta = pod["metadata"]
        folder = self.node.layout.pod_log(meta["namespace"], meta["name"], meta["uid"])
        return all(
            _contains(f"{folder}/{status['name']}/{status['restartCount']}.log", "ready")
            for status in pod["status"]["containerStatuses"]
        )

    def starts(self, uid: str, container: str) -> int:
        """How often a container of busybox_pod() has really begun to run."""
        return len(_lines(self.started(uid, container)))

    def started(self, uid: str, container: str) -> str:
        """The file in which it says so."""
        return f"{self.root}{self.node.layout.pod_run(uid)}/volumes/d/{container}"

    def journal(self, uid: str) -> list[Object]:
        """The facts in it. Read again if it isn't whole: a new supervisor cuts off what a dead one wrote last."""
        path = Path(f"{self.node.layout.pod_lib(uid)}/journal")

        def read() -> list[Object]:
            try:
                return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
            except ValueError:
                return []

        return wait_until(read)


def ask(channel: Channel, request: m.Message, fds: tuple[int, ...] = ()) -> m.Done:
    """One request to a supervisor; AssertionError unless it is done."""
    channel.send(m.encode(request), fds)
    packet, _ = channel.recv()
    assert packet, f"the supervisor died over {request}"
    reply = m.replies.decode(packet)
    assert isinstance(reply, m.Done), reply
    return reply


def running(pod: Object | None) -> bool:
    """Running, with every container started."""
    if pod is None or pod["status"].get("phase") != "Running":
        return False
    return all("running" in status["state"] for status in pod["status"]["containerStatuses"])


def busybox_pod(name: str, **spec: Any) -> Object:
    """An init container, two that can be stopped as soon as they are heard, and an emptyDir in all three.

    Each container writes a line to a file of the volume when it starts: volumes survive restarts.
    """
    shared = {"volumeMounts": mounted(d="/d")}
    return pod(
        name,
        *(sh(f"echo >>/d/{each}; {READY}", name=each, **shared) for each in ("a", "b")),
        initContainers=[{"name": "init", **sh("echo >>/d/init"), "image": "busybox", **shared}],
        volumes=[{"name": "d", "emptyDir": {}}],
        # Whoever is asked to end before its handler is there is deaf, and would be for 30 seconds.
        terminationGracePeriodSeconds=1,
        **spec,
    )


def impatient_node(home: Path, images: str) -> contextlib.AbstractContextManager[Node]:
    """A node that restarts containers a hundred times as soon as the kubelet would, and that leaves nothing behind.

    Where nodes are killed, nobody knows any more what the kernel's settings were.
    """
    return private_node(home, images, "backoff_scale = 0.01\n", (*STAYS, "sysctl "))


def _contains(path: str, text: str) -> bool:
    try:
        with open(path) as file:
            return text in file.read()
    except FileNotFoundError:
        return False


# --- a quick look ----------------------------------------------------------------------------------------------------


def glance(node: Node) -> host.Host:
    """What pods can leave behind, in a few milliseconds; node.look() sees everything."""
    net = f"/proc/{node.init}/net"
    table = mounts.of_process(f"/proc/{node.init}")
    hierarchies = [each.mountpoint for each in table if each.fstype.startswith("cgroup")]
    facts = {
        "process": host.counted(titles(node).values()),
        "cgroup": host.counted(_cgroups(node, hierarchies)),
        "mount": host.counted(each.mountpoint for each in table),
        "file": host.counted(_files(node)),
        "link": host.counted(line.split(":")[0].strip() for line in _lines(f"{net}/dev")[2:]),
        "route": host.counted(_lines(f"{net}/route")[1:]),
        "socket": host.counted(_sockets(f"{net}/unix")),
    }
    return host.Host(facts)


def _lines(path: str) -> list[str]:
    with open(path, errors="replace") as file:
        return file.read().splitlines()


def titles(node: Node) -> dict[int, str]:
    """What the processes of the node's PID namespace call themselves, by pid."""
    found = {}
    for pid in sorted(int(name) for name in os.listdir(node.proc) if name.isdecimal()):
        with contextlib.suppress(OSError):  # gone
            found[pid] = node.read(pid, "cmdline").replace("\0", " ").strip() or "(zombie)"
    return found


def _cgroups(node: Node, hierarchies: list[str]) -> Iterator[str]:
    for mount in hierarchies:
        top = f"{mount}/{node.layout.cgroup}"
        for directory, _, _ in os.walk(top):
            parent, name = os.path.split(directory)
            yield f"{parent}/<id>" if parent.endswith("/supervisors") else f"{parent}/{name}"


def _files(node: Node) -> Iterator[str]:
    here = node.layout
    for top in (here.run, f"{here.lib}/pods", f"{here.log}/pods", here.netns):
        for directory, folders, files in os.walk(f"/proc/{node.init}/root{top}"):
            yield from (f"{directory}/{name}" for name in (*folders, *files) if name != "last-address")


def _sockets(path: str) -> Iterator[str]:
    for line in _lines(path)[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and int(fields[3], 16) & 0x10000:  # somebody listens
            yield fields[7]
