"""A private node: minipod in namespaces, folders and cgroups of its own, used through its command line.

    node.run("get", "pods")          the command, as a person would type it
    node.sh("nft list ruleset")      a command of the host's, in the node's namespaces
    node.apply(manifest)             a dict, a list of dicts, or YAML
    node.get("web")                  the object, from -o json
    node.look()                      a Host, for the leak check; node.leaks(before) waits for the rest to go

Nothing of it outlives the tests: its PID namespace ends with pytest, and takes everything but cgroups and files along.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from minipod.errors import MinipodError
from minipod.names import layout
from minipod.observe import mounts
from minipod.testing import host
from minipod.testing.namespaces import finished, inside, spawn
from minipod.testing.wait import PATIENCE, wait_until

# As scripts/setup's launcher does it: isolated from the environment, and without the cost of importing `site`. Of the
# test's own paths only those of installed packages: in others a test may hide a module of Python's.
_PACKAGES = [folder for folder in sys.path if folder.endswith(("site-packages", "dist-packages"))]
_LAUNCHER = "import sys; sys.path[:0] = [{root!r}]; sys.path += {packages!r}; from minipod.cli.main import main; main()"
MINIPOD = [
    sys.executable,
    "-IS",
    "-c",
    _LAUNCHER.format(root=str(Path(__file__).parents[2]), packages=_PACKAGES),
]
# A node that was stopped with its pods leaves its store and its log, and /run/netns as ip(8) has it.
STAYS = ("file ", "mount left behind: /run/netns tmpfs")
# What the node itself makes when it needs it for the first time, and keeps.
_KEPT = ("last-address", "start.lock", "store.sqlite-wal", "store.sqlite-shm")

Manifest = str | dict[str, Any] | Sequence[dict[str, Any]]


class Node:
    """One private node. It is started by the first command, as anywhere."""

    def __init__(self, home: str, beside: "Node | None" = None) -> None:
        """In namespaces of its own, or in those of another node."""
        self.home = home
        self.layout = layout(home)
        self.is_guest = beside is not None
        if not shutil.which("catatonit"):
            raise MinipodError("there is no catatonit; `minipod node check` tells what this machine lacks")
        self._inherited = _mountpoints()
        self.keeper: int = beside.keeper if beside else spawn(_become_init)
        self.init = wait_until(lambda: _first_child(self.keeper), what="the PID namespace's init")
        command = Path(f"/proc/{self.init}/comm")
        wait_until(lambda: command.read_text() == "catatonit\n", what="the init to be ready")
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
        __tracebackhide__ = True  # pytest shows the caller's line instead
        return self._run(MINIPOD, words, stdin, check, seconds)

    def sh(self, script: str, check: bool = True) -> str:
        """Run a shell script of the host's in the node's namespaces; its output."""
        return self._run(["sh", "-c"], (script,), "", check, 60).stdout

    def _run(
        self, program: Sequence[str], words: Sequence[str], stdin: str, check: bool, seconds: float
    ) -> "subprocess.CompletedProcess[str]":
        __tracebackhide__ = True
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.popen(*words, program=program, **pipes) as process:
            try:
                out, err = process.communicate(stdin, timeout=seconds * PATIENCE)
            except subprocess.TimeoutExpired:
                interrupt(process, signal.SIGKILL)
                raise
        done = subprocess.CompletedProcess(words, process.returncode, out, err)
        if check and done.returncode:
            raise AssertionError(f"{' '.join(words)}: exit code {done.returncode}\n{out}{err}{self.log()}")
        return done

    def apply(
        self, manifest: Manifest, *flags: str, check: bool = True, seconds: float = 60
    ) -> "subprocess.CompletedProcess[str]":
        """minipod apply --wait -f - unless other flags are given."""
        if not isinstance(manifest, str):
            documents = [manifest] if isinstance(manifest, dict) else manifest
            manifest = "\n---\n".join(json.dumps(document) for document in documents)
        return self.run(
            "apply", "-f", "-", *(flags or ("--wait",)), stdin=manifest, check=check, seconds=seconds
        )

    def _json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "-o", "json").stdout)

    def get(self, name: str, namespace: str = "default") -> dict[str, Any]:
        found: dict[str, Any] = self._json("get", "pod", name, "-n", namespace)
        return found

    def pods(self) -> dict[str, str]:
        """namespace/name of every pod, and its uid."""
        found = [item["metadata"] for item in self._json("get", "pods", "-A")["items"]]
        return {f"{each['namespace']}/{each['name']}": each["uid"] for each in found}

    def names(self) -> list[str]:
        """namespace/name of every pod."""
        return list(self.pods())

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

    def delete_all(self, keep: Iterable[str] = ()) -> None:
        for namespace, names in _by_namespace(sorted({*self.names()} - {*keep})).items():
            # One that was deleted already may end meanwhile.
            self.run("delete", "pod", *names, "-n", namespace, "--now", "--ignore-not-found", seconds=20)

    # --- what a pod is

    def status(self, name: str, namespace: str = "default") -> dict[str, Any]:
        status: dict[str, Any] = self.get(name, namespace)["status"]
        return status

    def wait(
        self,
        name: str,
        condition: Callable[[dict[str, Any]], Any],
        seconds: float = 15,
        namespace: str = "default",
    ) -> dict[str, Any]:
        """The pod's status, once `condition` accepts it. What isn't in it yet (KeyError) is waited for, too."""
        status: dict[str, Any] = {}

        def holds() -> bool:
            nonlocal status
            status = self.status(name, namespace)
            try:
                return bool(condition(status))
            except KeyError:
                return False

        try:
            wait_until(holds, seconds)
        except AssertionError:
            raise AssertionError(f"{name} is still: {json.dumps(status, indent=1)}\n{self.log()}") from None
        return status

    def wait_phase(self, name: str, phase: str, seconds: float = 15) -> dict[str, Any]:
        return self.wait(name, lambda status: status["phase"] == phase, seconds)

    def observe(self, name: str, namespace: str = "default") -> dict[str, Any]:
        seen: dict[str, Any] = self._json("observe", name, "-n", namespace)
        return seen

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

    def look(self, pods: Iterable[str] = ()) -> host.Host:
        """What there is; but for the processes of these pods (uids), who come and go as they like."""
        return inside(self.init, self._look, [f"/pod{uid}/" for uid in pods])

    def _look(self, without: Sequence[str]) -> host.Host:
        seen = host.snapshot([self.home], cgroups=self.layout.cgroup, without=without)
        files = {path: "" for path in seen.facts["file"] if not path.endswith(_KEPT)}
        return host.Host(seen.facts | {"file": files} | self._without_blanks(seen))

    def _without_blanks(self, seen: host.Host) -> dict[str, host.Facts]:
        """The forge keeps a number of blank supervisors, each in a cgroup of its own: others after every pod. A mount
        namespace that nobody is in is its base, by descriptor: another forge has another one."""
        own = re.compile(r"^\d+ started at tick \d+: (minipod: (?!supervisor).*)")
        processes = host.counted(own.sub(r"\1", line) for line in seen.facts["process"])
        blank = re.compile(rf"({self.layout.cgroup}/supervisors)/[0-9a-f]{{12}}$")
        held = seen.facts["namespace"]
        bases = [name for name, by in held.items() if name.startswith("mnt:") and "/ns/" not in by]
        others = {name: by for name, by in held.items() if name not in bases}
        return {
            "namespace": others | host.counted("mnt:[base]" for _ in bases),
            "process": processes,
            "cgroup": host.counted(blank.sub(r"\1/<id>", path) for path in seen.facts["cgroup"]),
        }

    def leaks(self, before: host.Host, stays: tuple[str, ...] = (), pods: Iterable[str] = ()) -> list[str]:
        """What is there now and wasn't, or was and isn't; see host.leaks and look.

        A mount of the machine goes here, too, when its directory is removed there (rmdir(2) detaches it everywhere).
        """
        removed = tuple(f"mount gone: {path} " for path in self._inherited - _mountpoints())
        return host.leaks(before, lambda: self.look(pods), stays=(*stays, *removed))

    @contextlib.contextmanager
    def clean(self) -> Iterator[None]:
        """What is applied meanwhile is removed at the end; AssertionError if it leaves anything in the node."""
        stay = self.pods()
        before = self.look(stay.values())
        yield
        self.delete_all(keep=stay)
        left = self.leaks(before, pods=stay.values())
        assert not left, "\n".join(left)

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
                wait_until(functools.partial(_rmdir, directory), what=f"{directory} to be empty")
        shutil.rmtree(self.home)


def _mountpoints() -> set[str]:
    return {each.mountpoint for each in mounts.of_process("/proc/self")}


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


def make(home: str | os.PathLike[str], images: str, beside: Node | None = None, settings: str = "") -> Node:
    """A node with the images of a store, not started yet. `settings` is its node.toml."""
    here = layout(os.fspath(home))
    link_images(images, here.images)
    if settings:
        os.makedirs(here.etc)
        Path(here.etc, "node.toml").write_text(settings)
    return Node(here.home, beside)


def link_images(store: str, images: str) -> None:
    """A store that has every image of another, without a copy: they are never written again (image/store.py)."""
    os.makedirs(f"{images}/names", mode=0o700)
    for entry in os.listdir(store) if os.path.isdir(store) else ():
        if entry != "names" and not entry.startswith("."):
            os.symlink(f"{store}/{entry}", f"{images}/{entry}")
    if os.path.isdir(f"{store}/names"):
        shutil.copytree(f"{store}/names", f"{images}/names", symlinks=True, dirs_exist_ok=True)


@contextlib.contextmanager
def private_node(
    home: str | os.PathLike[str], images: str, settings: str = "", stays: tuple[str, ...] = STAYS
) -> Iterator[Node]:
    """A node that runs, with the images of a store; in the end it is stopped with its pods.

    AssertionError if more is left than what begins with one of `stays`.
    """
    node = make(home, images, settings=settings)
    try:
        empty = node.look()
        node.start()
        yield node
        node.stop(pods=True)
        left = node.leaks(empty, stays)
        assert not left, "\n".join([*left, node.log()])
    finally:
        node.close()
