"""A private node: minipod in namespaces, folders and cgroups of its own, used through its command line.

    node.run("get", "pods")          the command, as a person would type it
    node.apply(manifest)             a dict, a list of dicts, or YAML
    node.get("web")                  the object, from -o json
    node.look()                      a Host, for the leak check; node.leaks(before) waits for the rest to go

Nothing of it outlives the tests: its PID namespace ends with pytest, and takes everything but cgroups and files along.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from minipod.image import importer
from minipod.names import layout
from minipod.observe import mounts
from tests.support import host
from tests.support.namespaces import finished, inside, spawn
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
# As scripts/setup's launcher does it: isolated from the environment, and without the cost of importing `site`.
_LAUNCHER = (
    "import sys; sys.path.insert(0, {root!r}); sys.path.append({packages!r}); "
    "from minipod.cli.main import main; main()"
)
MINIPOD = [
    sys.executable,
    "-IS",
    "-c",
    _LAUNCHER.format(root=str(ROOT), packages=sysconfig.get_path("purelib")),
]
# What the node itself makes when it needs it for the first time, and keeps.
_KEPT = ("last-address", "start.lock", "store.sqlite-wal", "store.sqlite-shm")

# Sleeps, but ends at once when it is told to: a PID 1 without a handler would use up its grace period.
_IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"

Manifest = str | dict[str, Any] | Sequence[dict[str, Any]]


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Pod; a container only needs what matters to the test, and idles unless it has a command."""
    full = [
        {"name": f"c{number}", "image": "busybox", "command": ["sh", "-c", _IDLE]} | each
        for number, each in enumerate(containers)
    ]
    metadata = {"name": name} | spec.pop("metadata", {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": full} | spec}


def sh(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a script to its end."""
    return {"command": ["sh", "-c", script], **fields}


def idle_after(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a script, and then idles."""
    return sh(f"{script}\n{_IDLE}", **fields)


def mounted(**paths: str) -> list[dict[str, str]]:
    """volumeMounts: volume=path."""
    return [{"name": name, "mountPath": path} for name, path in paths.items()]


class Node:
    """One private node. It is started by the first command, as anywhere."""

    def __init__(self, home: str, beside: "Node | None" = None) -> None:
        """In namespaces of its own, or in those of another node."""
        self.home = home
        self.layout = layout(home)
        self.is_guest = beside is not None
        self.keeper = beside.keeper if beside else spawn(_become_init)
        self.init = wait_until(lambda: _first_child(self.keeper), what="the PID namespace's init")
        wait_until(lambda: psutil.Process(self.init).name() == "catatonit", what="the init to be ready")
        self.proc = f"/proc/{self.init}/root/proc"  # /proc of its PID namespace, from outside

    # --- commands

    def popen(self, *words: str, program: Sequence[str] = MINIPOD, **options: Any) -> "subprocess.Popen[str]":
        """Start a command in the node's namespaces. See interrupt() for signals."""
        enter = ["nsenter", "-t", str(self.init), "-m", "-n", "-i", "-u", "-p", "--"]
        environment = {**os.environ, "MINIPOD_HOME": self.home, "LC_ALL": "C.UTF-8"}
        return subprocess.Popen([*enter, *program, *words], text=True, env=environment, cwd="/", **options)

    def run(
        self, *words: str, stdin: str = "", check: bool = True, seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command line of minipod to its end."""
        return self._run(MINIPOD, words, stdin, check, seconds)

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script of the host's in the node's namespaces; its output."""
        return self._run(["sh", "-c"], (script,), "", check, 60).stdout

    def _run(
        self, program: Sequence[str], words: Sequence[str], stdin: str, check: bool, seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.popen(*words, program=program, **pipes) as process:
            try:
                out, err = process.communicate(stdin, timeout=seconds)
            except subprocess.TimeoutExpired:
                interrupt(process, signal.SIGKILL)
                raise
        done = subprocess.CompletedProcess(words, process.returncode, out, err)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: exit code {done.returncode}\n{out}{err}{self.log()}")
        return done

    def apply(
        self, manifest: Manifest, *flags: str, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """minipod apply --wait -f - unless other flags are given."""
        if not isinstance(manifest, str):
            documents = [manifest] if isinstance(manifest, dict) else manifest
            manifest = "\n---\n".join(json.dumps(document) for document in documents)
        return self.run("apply", "-f", "-", *(flags or ("--wait",)), stdin=manifest, check=check)

    def get(self, name: str, namespace: str = "default") -> dict[str, Any]:
        return json.loads(self.run("get", "pod", name, "-n", namespace, "-o", "json").stdout)

    def names(self) -> list[str]:
        """namespace/name of every pod."""
        items = json.loads(self.run("get", "pods", "-A", "-o", "json").stdout)["items"]
        return [f"{item['metadata']['namespace']}/{item['metadata']['name']}" for item in items]

    def exec(
        self, name: str, *command: str, container: str = "", stdin: str | None = None, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """minipod exec [-i] [-c container] name -- command."""
        flags = [*(["-c", container] if container else []), *(["-i"] if stdin is not None else [])]
        return self.run("exec", *flags, name, "--", *command, stdin=stdin or "", check=check)

    def logs(self, name: str, *flags: str) -> str:
        return self.run("logs", name, *flags).stdout

    def delete(self, *names: str, flags: Sequence[str] = ("--now",)) -> None:
        self.run("delete", "pod", *names, *flags)

    def delete_all(self, keep: Sequence[str] = ()) -> None:
        for namespace, names in _by_namespace(sorted({*self.names()} - {*keep})).items():
            self.run("delete", "pod", *names, "-n", namespace, "--now", seconds=20)

    # --- what a pod is

    def status(self, name: str) -> dict[str, Any]:
        return self.get(name)["status"]

    def wait(
        self, name: str, condition: Callable[[dict[str, Any]], Any], seconds: float = 15
    ) -> dict[str, Any]:
        """The pod's status, once `condition` accepts it. What isn't in it yet (KeyError) is waited for, too."""
        found: dict[str, Any] = {}

        def holds() -> bool:
            found.update(status=self.status(name))
            try:
                return bool(condition(found["status"]))
            except KeyError:
                return False

        try:
            wait_until(holds, seconds)
        except AssertionError:
            raise AssertionError(f"{name} is still: {json.dumps(found, indent=1)}\n{self.log()}") from None
        return found["status"]

    def wait_phase(self, name: str, phase: str, seconds: float = 15) -> dict[str, Any]:
        return self.wait(name, lambda status: status["phase"] == phase, seconds)

    def observe(self, name: str) -> dict[str, Any]:
        return json.loads(self.run("observe", name, "-o", "json").stdout)

    def pids(self, name: str) -> dict[str, int]:
        """pause's and each container's pid, in the node's PID namespace: the directory below `proc`."""
        return {process["name"]: process["pid"] for process in self.observe(name)["processes"]}

    def namespace(self, pid: int | str, kind: str) -> int:
        """The inode of a namespace of a process, read from /proc directly; pid "self" is the node's init."""
        return os.stat(f"{self.proc}/{1 if pid == 'self' else pid}/ns/{kind}").st_ino

    def read(self, pid: int, file: str) -> str:
        """A file of /proc/PID."""
        return Path(f"{self.proc}/{pid}/{file}").read_text()

    def log(self) -> str:
        """The end of what the node itself has logged, for messages."""
        try:
            return "--- node log ---\n" + Path(f"{self.layout.log}/minipod.log").read_text()[-4000:]
        except OSError:
            return ""

    # --- leaks

    def look(self) -> host.Host:
        return inside(self.init, self._look)

    def _look(self) -> host.Host:
        seen = host.snapshot([self.home], cgroups=self.layout.cgroup)
        files = {path: "" for path in seen.facts["file"] if not path.endswith(_KEPT)}
        return host.Host(seen.facts | {"file": files} | self._without_blanks(seen))

    def _without_blanks(self, seen: host.Host) -> dict[str, host.Facts]:
        """The forge keeps a number of blank supervisors, each in a cgroup of its own: others after every pod."""
        own = re.compile(r"^\d+ started at tick \d+: (minipod: (?!supervisor).*)")
        processes = host.counted(own.sub(r"\1", line) for line in seen.facts["process"])
        blank = re.compile(rf"({self.layout.cgroup}/supervisors)/[0-9a-f]{{12}}$")
        return {
            "process": processes,
            "cgroup": host.counted(blank.sub(r"\1/<id>", path) for path in seen.facts["cgroup"]),
        }

    def leaks(self, before: host.Host, stays: tuple[str, ...] = ()) -> list[str]:
        return host.leaks(before, self.look, stays=stays)

    # --- beginning and end

    def start(self) -> None:
        """Start it, and wait until its helpers are there: what they hold is part of what pods leave as it was."""
        self.run("node", "start")
        ready = {"minipod: netlink worker", "minipod: forge", "minipod: blank supervisor (#2)"}
        wait_until(
            lambda: ready <= self.look().facts["process"].keys(), what="the node's helpers to be ready"
        )

    def stop(self, pods: bool = True) -> None:
        if pods:
            self.delete_all()  # at once: node stop --pods asks nicely, and waits
        self.run("node", "stop", *(["--pods"] if pods else []))

    def close(self) -> None:
        """End everything in the PID namespace, then remove what doesn't go with it; a guest after its host."""
        if not self.is_guest:
            os.kill(self.init, signal.SIGKILL)
            finished(self.keeper, 10)
        hierarchies = [each for each in mounts.of_process("/proc/self") if each.fstype.startswith("cgroup")]
        for hierarchy in hierarchies:
            for directory, _, _ in os.walk(f"{hierarchy.mountpoint}/{self.layout.cgroup}", topdown=False):
                wait_until(lambda d=directory: _rmdir(d), what=f"{directory} to be empty")
        shutil.rmtree(self.home)


def _by_namespace(names: Sequence[str]) -> dict[str, list[str]]:
    grouped: dict[str, list[str]] = {}
    for namespace, name in (each.split("/") for each in names):
        grouped.setdefault(namespace, []).append(name)
    return grouped


def _become_init() -> None:
    """catatonit -P: does nothing but reap. The loopback is up, as on any machine that has booted."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    os.execvp("catatonit", ["catatonit", "-P"])


def _first_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _rmdir(directory: str) -> bool:
    try:
        os.rmdir(directory)
    except OSError:
        return False
    return True


def interrupt(process: "subprocess.Popen[str]", number: int = signal.SIGINT) -> None:
    """Signal the command that nsenter(1) started (it forks to get into the PID namespace), not nsenter."""
    child = _first_child(process.pid)
    if child:
        os.kill(child, number)


def busybox(folder: Path) -> tuple[str, Any]:
    """The image, made once: (tar, configuration)."""
    tar = folder / "busybox.tar"
    subprocess.run([str(ROOT / "rootfs/busybox"), str(tar)], check=True)
    return str(tar), importer.read_config(str(tar.with_suffix(".json")))


def make(home: Path, image: tuple[str, Any], beside: Node | None = None) -> Node:
    """A node with the image busybox in its store, not started yet."""
    home.mkdir(parents=True)
    images = layout(str(home)).images
    os.makedirs(images)
    importer.import_tar(images, image[0], "busybox", image[1])
    return Node(str(home), beside)
