"""What a pod is, whoever built it: from what its containers say of themselves, and from /proc and cgroupfs.

reporting(manifest)        the pod with containers that report, then do what they did before, and then idle
Pod.seen(...)              everything of one pod; two of them can be compared
"""

import contextlib
import copy
import glob
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from minipod.observe import mounts

LIMITS = (
    "cpu.shares",
    "cpu.cfs_period_us",
    "cpu.cfs_quota_us",
    "cpu.weight",
    "cpu.max",
    "memory.limit_in_bytes",
    "memory.memsw.limit_in_bytes",
    "memory.max",
    "memory.swap.max",
    "memory.oom.group",
    "pids.max",
)
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")
_MNT = KINDS.index("mnt")
CREDENTIALS = re.compile(
    r"^((?:Uid|Gid|Groups|Cap\w+|NoNewPrivs|Seccomp|SigIgn|SigBlk|Umask):.*?)\s*$", re.MULTILINE
)
END = "=== end"
# The first process, as it was begun: $$ of the shell, and twice that in a manifest, where $$ is a dollar.
_REPORT = f"""
echo "=== credentials"; cat /proc/$$$$/status
echo "=== mounts"; cat /proc/$$$$/mountinfo
echo "=== environment"; tr '\\000' '\\n' </proc/$$$$/environ
echo "=== place"; readlink /proc/$$$$/cwd; readlink /proc/$$$$/root; hostname; cat /proc/$$$$/oom_score_adj
echo "=== session"; awk '{{print ($1 == $5), ($1 == $6)}}' /proc/$$$$/stat
echo "=== descriptors"; ls /proc/$$$$/fd
echo "=== cgroup"; cat /proc/$$$$/cgroup
echo "=== network"; ip -o address; ip route; ip -6 route; grep -s . /proc/sys/net/ipv6/conf/*/accept_*
echo "=== files"; cat /etc/hosts /etc/hostname /etc/resolv.conf; stat -c '%n %A %u %g %t,%T' /dev/* / /tmp /etc/hosts
echo "=== namespaces"; for kind in {" ".join(KINDS)}; do readlink /proc/$$$$/ns/$kind; done
echo "{END}"
"""


def reporting(manifest: dict[str, Any]) -> dict[str, Any]:
    manifest = copy.deepcopy(manifest)
    spec = manifest["spec"]
    for container in spec.get("initContainers", []):
        container["command"] = ["sh", "-c", f'{_REPORT}\nexec "$@"', "sh", *container["command"]]
    for container in spec["containers"]:
        container["command"] = ["sh", "-c", f'{_REPORT}\n"$@"; exec sleep 86400', "sh", *container["command"]]
    return manifest


class Pod(msgspec.Struct):
    """What was seen. Of everything that is counted or chosen anew for each pod only the shape is kept."""

    containers: dict[str, dict[str, Any]]  # what each said, by its name
    pause: dict[str, Any]
    namespaces: dict[str, dict[str, str]]  # by kind: who is in whose, of host, pause and containers
    limits: dict[str, dict[str, str]]  # by cgroup and file
    strangers: list[str]  # cgroups with a process that isn't in that container's mount namespace


def seen(logs: dict[str, str], host: int, pod_cgroup: str, names: dict[str, str], ended: set[str]) -> Pod:
    """`logs` by container, `host` a process outside; `names` says which cgroup below the pod's is whose.

    What a container that has ended had for itself is gone, and the number may be another's by now.
    """
    said = {name: _sections(text) for name, text in logs.items()}
    groups = _cgroups(pod_cgroup, names)
    (pause,) = {pid for directory in groups["pause"] for pid in _pids(directory)}
    everybody = {"host": _namespaces(host), "pause": _namespaces(pause)}
    everybody |= {name: each["namespaces"] for name, each in said.items()}
    return Pod(
        containers={name: _container(each) for name, each in said.items()},
        pause=_pause(pause),
        namespaces={
            kind: _shape({name: each[number] for name, each in everybody.items()}, ended)
            for number, kind in enumerate(KINDS)
        },
        limits={name: _limits(directories) for name, directories in groups.items()},
        strangers=[
            directory
            for name, directories in groups.items()
            for directory in directories
            if _mount_namespaces(directory) - {everybody.get(name, ["", "", ""])[_MNT]}
        ],
    )


def _sections(text: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in text.partition(END)[0].splitlines():
        if line.startswith("=== "):
            found[line[4:]] = lines = []
        else:
            lines.append(line)
    return found


def _container(said: dict[str, list[str]]) -> dict[str, Any]:
    """Without what is another one for each pod: hardware addresses, and the link-local ones made of them, which are
    tentative for a moment."""
    chosen = re.compile(r"fe80::[0-9a-f:]+|link/ether \S+|eth0@if\d+|cgroup:\[\d+\]| tentative")
    return {
        **{name: lines for name, lines in said.items() if name != "namespaces"},
        "credentials": CREDENTIALS.findall("\n".join(said["credentials"])),
        # Sorted: a bind that was taken along has an older number than what was mounted before it.
        "mounts": sorted(_mount(each) for each in mounts.parse("\n".join(said["mounts"]))),
        "network": [chosen.sub("", line) for line in said["network"]],
        "environment": sorted(said["environment"]),
    }


# Files that lie in a folder of the node's, or of the script's: they have the flags of the file system it is on.
LENT = ("hosts", "hostname", "resolv.conf", "termination-log")


def _mount(one: mounts.Mount) -> tuple[str, ...]:
    if os.path.basename(one.root) in LENT:
        return (one.mountpoint, one.propagation, os.path.basename(one.root))
    options = re.sub(r"(lowerdir|upperdir|workdir)=[^,]*", r"\1=...", one.super_options)
    return (one.mountpoint, one.fstype, one.root, one.options, one.propagation, one.source, options)


def _pause(pid: int) -> dict[str, Any]:
    proc = Path(f"/proc/{pid}")
    return {
        "credentials": CREDENTIALS.findall((proc / "status").read_text()),
        "mounts": [_mount(each) for each in mounts.parse((proc / "mountinfo").read_text())],
        "environment": (proc / "environ").read_text(),
        "descriptors": sorted(os.listdir(proc / "fd")),
        "oom_score_adj": (proc / "oom_score_adj").read_text(),
        "cwd": os.path.samefile(proc / "cwd", proc / "root"),
        "program": os.path.basename(os.readlink(proc / "exe")),
        "parent": next(
            line.split()[1] for line in (proc / "status").read_text().splitlines() if "PPid" in line
        ),
    }


def _namespaces(pid: int) -> list[str]:
    return [os.readlink(f"/proc/{pid}/ns/{kind}") for kind in KINDS]


def _shape(namespaces: dict[str, str], ended: set[str]) -> dict[str, str]:
    """Each one's namespace, called after the first that is in it."""
    first: dict[str, str] = {}
    shape: dict[str, str] = {}
    for name, namespace in namespaces.items():
        shape[name] = first.get(namespace, name)
        if name not in ended:
            first.setdefault(namespace, name)
    return shape


def cgroup(top: str, uid: str) -> str:
    """A pod's, relative to every hierarchy; its class is whatever is there."""
    hierarchies = [
        each.mountpoint for each in mounts.of_process("/proc/self") if each.fstype.startswith("cgroup")
    ]
    found = (path for mount in hierarchies for path in glob.glob(f"{top}/*/pod{uid}", root_dir=mount))
    return next(found)


def _cgroups(pod_cgroup: str, names: dict[str, str]) -> dict[str, list[str]]:
    """The directories of the pod's cgroup (""), of pause's and of each container's, in every hierarchy."""
    found: dict[str, list[str]] = {"": []}
    for mount in mounts.of_process("/proc/self"):
        here = f"{mount.mountpoint}/{pod_cgroup}"
        if not mount.fstype.startswith("cgroup") or not os.path.isdir(here):
            continue
        found[""].append(here)
        for name in (entry.name for entry in os.scandir(here) if entry.is_dir()):
            found.setdefault(names[name], []).append(f"{here}/{name}")
    return found


def _limits(directories: list[str]) -> dict[str, str]:
    paths = [Path(directory, name) for directory in directories for name in LIMITS]
    return {path.name: path.read_text() for path in paths if path.exists()}


def _mount_namespaces(directory: str) -> set[str]:
    found = set()
    for pid in _pids(directory):
        with contextlib.suppress(FileNotFoundError):  # it has ended meanwhile
            found.add(_namespaces(pid)[_MNT])
    return found


def _pids(directory: str) -> list[int]:
    return [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
