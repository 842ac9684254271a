"""What scripts/bench measures, each with the same few verbs: minipod, podman, and crictl with containerd."""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import time
from typing import Any

import yaml

from minipod.api import cri, messages
from minipod.api.channel import Channel
from minipod.names import layout

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMAGE = "docker.io/library/busybox"
# A workload that ends at SIGTERM, so that deleting measures the tool and not the grace period.
POD = """\
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  containers:
  - name: a
    image: docker.io/library/busybox
    imagePullPolicy: Never
    command: [sh, -c, "trap 'exit 0' TERM; sleep 100000 & wait"]
    volumeMounts: [{{name: shared, mountPath: /shared}}]
  - name: b
    image: docker.io/library/busybox
    imagePullPolicy: Never
    command: [sh, -c, "trap 'exit 0' TERM; sleep 100000 & wait"]
    volumeMounts: [{{name: shared, mountPath: /shared}}]
  volumes: [{{name: shared, emptyDir: {{}}}}]
"""


class Failed(Exception):
    """A command, with what it said; or a peer that isn't there, with what to install."""


def run(*command: str, text: str = "", check: bool = True) -> str:
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if check and result.returncode:
        raise Failed(f"{' '.join(command)}: {(result.stderr or result.stdout).strip()}")
    return result.stdout


class Minipod:
    """A node of its own; `layers` says where it keeps what containers write (node.toml)."""

    name = "minipod"

    def __init__(self, folder: str, layers: str = "disk") -> None:
        self.home = f"{folder}/{layers}"
        self.layout = layout(self.home)
        os.makedirs(self.layout.etc)
        pathlib.Path(f"{self.layout.etc}/node.toml").write_text(f'layers = "{layers}"\n')
        tar = f"{folder}/busybox.tar"
        run(str(ROOT / "rootfs/busybox"), tar)
        self.run("image", "import", tar, "busybox")

    def run(self, *words: str, text: str = "") -> str:
        os.environ["MINIPOD_HOME"] = self.home
        return run(str(ROOT / ".venv/bin/minipod"), *words, text=text)

    def start(self, manifest: str) -> None:
        self.run("apply", "-f", "-", "--wait", text=manifest)

    def exec(self, name: str) -> None:
        self.run("exec", name, "-c", "a", "--", "true")

    def delete(self, name: str) -> None:
        self.run("delete", "pod", name, "--now")

    def delete_all(self) -> None:
        self.run("delete", "pod", "--all", "--now")

    def processes(self) -> list[int]:
        """Everything of minipod's own: node, forge, worker, supervisors, pauses."""
        cgroup = f"{mount_of_cgroup2()}/{self.layout.cgroup}"
        pids = pids_below(f"{cgroup}/supervisors")
        for status in self.statuses():
            pids += [sandbox.pid for sandbox in status.sandboxes]
        return pids + self.daemons()

    def daemons(self) -> list[int]:
        text = self.run("node", "status")
        return [int(pid) for pid in re.findall(r"^ *(?:Pid|Forge|NetlinkWorker): (\d+)$", text, re.MULTILINE)]

    def ask(self, request: messages.Message) -> list[messages.Done]:
        answers = []
        for uid in os.listdir(f"{self.layout.run}/pods"):
            channel = Channel.connect(f"{self.layout.pod_run(uid)}/supervisor.sock")
            channel.send(messages.encode(request))
            answer = messages.notices.decode(channel.recv()[0])
            assert isinstance(answer, messages.Done)
            answers.append(answer)
            channel.close()
        return answers

    def statuses(self) -> list[cri.RuntimeStatus]:
        return [answer.status for answer in self.ask(messages.Status()) if answer.status]

    def inside(self) -> float:
        """Of the only pod there is: from the request read to the last exec, milliseconds."""
        timings = self.ask(messages.Trace())[0].timings
        begin = next(timing.start for timing in timings if timing.stage == "node/apply")
        return (max(timing.start + timing.duration for timing in timings) - begin) / 1e6

    def close(self) -> None:
        self.run("node", "stop", "--pods")


class OnTmpfs(Minipod):
    """Writable layers in memory, as the floor has them: what the disk costs is the difference."""

    name = "minipod, layers on tmpfs"

    def __init__(self, folder: str) -> None:
        super().__init__(folder, "tmpfs")


class Podman:
    name = "podman"

    def __init__(self, folder: str) -> None:
        if not shutil.which("podman"):
            raise Failed("it isn't installed: apt-get install podman")
        if subprocess.run(["podman", "image", "exists", IMAGE], check=False).returncode:
            tar = f"{folder}/podman.tar"
            run(str(ROOT / "rootfs/busybox"), tar)
            run("podman", "import", "--change", "CMD sh", tar, f"{IMAGE}:latest")
        self._not_ours = {*self._pods()}

    def start(self, manifest: str) -> None:
        run("podman", "kube", "play", "-", text=manifest)

    def exec(self, name: str) -> None:
        run("podman", "exec", f"{name}-a", "true")

    def delete(self, name: str) -> None:
        run("podman", "pod", "rm", "-f", "-t0", name)

    def delete_all(self) -> None:
        """Side by side: each waits some seconds for its conmons' cgroup. They share a volume, over which some fail."""
        command = ("podman", "pod", "rm", "-f", "-t0")
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda name: run(*command, name, check=False), self._ours()))
        if self._ours():
            run(*command, *self._ours())

    def _pods(self) -> list[str]:
        return run("podman", "pod", "ls", "--format", "{{.Name}}").split()

    def _ours(self) -> list[str]:
        return [name for name in self._pods() if name not in self._not_ours]

    def processes(self) -> list[int]:
        return pids_named("conmon", "catatonit", "podman", "podman-pause")

    def daemons(self) -> list[int]:
        return []

    def close(self) -> None:
        self.delete_all()


class Crictl:
    """crictl with containerd. It knows no manifests: what a kubelet makes of one is made here, in the time measured."""

    name = "crictl"

    def __init__(self, folder: str) -> None:
        if not shutil.which("crictl"):
            raise Failed(
                "it isn't installed: crictl is at https://github.com/kubernetes-sigs/cri-tools/releases"
            )
        self.folder = f"{folder}/crictl"
        self.pods: dict[str, list[str]] = {}  # name: the sandbox's ID, then the containers'
        os.mkdir(self.folder)
        # Left to itself it tries several sockets, and waits for each.
        if not os.path.exists("/etc/crictl.yaml"):
            os.environ.setdefault("CONTAINER_RUNTIME_ENDPOINT", "unix:///run/containerd/containerd.sock")
        try:
            self.run("info")
        except Failed as why:
            raise Failed(f"no runtime answers (apt-get install containerd, and start it): {why}") from None
        if not self.has_image():
            self.load_image()
        try:
            self.start(POD.format(name="trial"))
        except Failed as why:
            needs = "a network in /etc/cni/net.d (apt-get install containernetworking-plugins) and its pause image"
            raise Failed(f"a pod failed; containerd needs {needs}: {why}") from None
        finally:
            self.delete_all()

    def run(self, *words: str) -> str:
        """By itself it gives up after two seconds."""
        return run("crictl", "--timeout", "60s", *words).strip()

    def has_image(self) -> bool:
        try:
            return bool(self.run("inspecti", "-q", f"{IMAGE}:latest"))
        except Failed:
            return False

    def load_image(self) -> None:
        """Into the namespace that containerd keeps for Kubernetes. Its CRI side hears of the image a moment later."""
        if not shutil.which("ctr"):
            raise Failed(f"{IMAGE} isn't in its store, and ctr, which imports it, isn't on the PATH")
        run("ctr", "-n", "k8s.io", "images", "import", image_archive(self.folder))
        for _ in range(50):
            if self.has_image():
                return
            time.sleep(0.1)
        raise Failed(
            f"ctr imported {IMAGE}, which crictl doesn't see: has it another runtime? (/etc/crictl.yaml)"
        )

    def start(self, manifest: str) -> None:
        for pod in yaml.safe_load_all(manifest):
            name = pod["metadata"]["name"]
            sandbox, containers = cri_configs(pod, f"{self.folder}/{name}")
            ids = self.pods[name] = [self.run("runp", sandbox)]
            for container in containers:
                ids.append(self.run("create", ids[0], container, sandbox))
            self.run("start", *ids[1:])

    def exec(self, name: str) -> None:
        self.run("exec", self.pods[name][1], "true")

    def delete(self, name: str) -> None:
        """With its containers; -f has it stopped first, as `crictl stopp` would, without a grace period."""
        self.run("rmp", "-f", self.pods.pop(name)[0])

    def delete_all(self) -> None:
        if self.pods:
            self.run("rmp", "-f", *(ids[0] for ids in self.pods.values()))
        self.pods.clear()

    def processes(self) -> list[int]:
        return pids_named("containerd", "containerd-shim", "pause")

    def daemons(self) -> list[int]:
        return pids_named("containerd")

    def close(self) -> None:
        self.delete_all()


def cri_configs(pod: dict[str, Any], folder: str) -> tuple[str, list[str]]:
    """The files of a PodSandboxConfig and of each ContainerConfig (cri-api, runtime/v1/api.proto), and what a kubelet
    makes for them: folders for logs and volumes. Namespaces are a pod's defaults: PID namespaces of the containers'
    own (CONTAINER is 1), network and IPC shared (POD, 0)."""
    name = pod["metadata"]["name"]
    namespaces = {"security_context": {"namespace_options": {"network": 0, "pid": 1, "ipc": 0}}}
    for volume in pod["spec"]["volumes"]:
        os.makedirs(f"{folder}/{volume['name']}", exist_ok=True)
    sandbox = {
        "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "default"},
        "hostname": name,
        "log_directory": folder,
        "linux": namespaces,
    }
    configs = {"pod": sandbox}
    for container in pod["spec"]["containers"]:
        configs[container["name"]] = {
            "metadata": {"name": container["name"]},
            "image": {"image": f"{container['image']}:latest"},
            "command": container["command"],
            "mounts": [
                {"container_path": mount["mountPath"], "host_path": f"{folder}/{mount['name']}"}
                for mount in container["volumeMounts"]
            ],
            "log_path": f"{container['name']}.log",
            "linux": namespaces,
        }
    for key, config in configs.items():
        pathlib.Path(f"{folder}/{key}.json").write_text(json.dumps(config))
    paths = [f"{folder}/{key}.json" for key in configs]
    return paths[0], paths[1:]


def image_archive(folder: str) -> str:
    """busybox as `docker save` writes images, which ctr imports: it takes no bare root file system."""
    layer = f"{folder}/layer.tar"
    run(str(ROOT / "rootfs/busybox"), layer)
    with open(layer, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = json.loads(pathlib.Path(f"{folder}/layer.json").read_text())
    machine = platform.machine()
    config |= {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),  # Go's names
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [f"{IMAGE}:latest"], "Layers": ["layer.tar"]}]
    for name, content in (("config.json", config), ("manifest.json", manifest)):
        pathlib.Path(f"{folder}/{name}").write_text(json.dumps(content))
    with tarfile.open(f"{folder}/image.tar", "w") as archive:
        for name in ("manifest.json", "config.json", "layer.tar"):
            archive.add(f"{folder}/{name}", name)
    return f"{folder}/image.tar"


PEERS = (Podman, Crictl)


def others(folder: str) -> list[Podman | Crictl]:
    """The peers that are there. Of those that aren't, it says what is missing."""
    found: list[Podman | Crictl] = []
    for kind in PEERS:
        try:
            found.append(kind(folder))
        except Failed as why:
            print(f"{kind.name} is left out: {why}")
    return found


# --- processes -----------------------------------------------------------------------------------------------------


def pids_named(*names: str) -> list[int]:
    """By the first 15 characters of a program's name (proc_pid_comm(5))."""
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and comm(pid) in names]


def comm(pid: str) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def mount_of_cgroup2() -> str:
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return place
    sys.exit("bench: no cgroup2 is mounted")


def pids_below(cgroup: str) -> list[int]:
    return [
        int(pid) for path in pathlib.Path(cgroup).rglob("cgroup.procs") for pid in path.read_text().split()
    ]
