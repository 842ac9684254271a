"""What can be set, and what is found out about the machine."""

import os
import shutil
import socket
from typing import Annotated, Literal

import msgspec

from minipod.api.messages import NodeFacts, Settings
from minipod.errors import MinipodError, Unsuitable
from minipod.kernel import cgroups
from minipod.names import Layout
from minipod.plan import container as container_plan

_Count = Annotated[int, msgspec.Meta(ge=1)]


class NodeToml(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """node.toml, every key of it. An environment variable MINIPOD_<KEY> of the node wins over the file."""

    # tmpfs: an emptyDir without a medium is in memory. disk: below /var/lib/minipod.
    emptydir_medium: Literal["tmpfs", "disk"] = "tmpfs"
    # Where what a container writes to its root is kept: disk, or tmpfs (faster; it takes memory).
    layers: Literal["disk", "tmpfs"] = "disk"
    # Multiplies the waits before restarts (10 s, 20 s ... 300 s) and between looks at the size of emptyDirs on disk
    # (10 s): 0.01 for impatient tests.
    backoff_scale: Annotated[float, msgspec.Meta(gt=0)] = 1.0
    # Seconds after which a pod whose supervisor is alive but doesn't answer is shown as neither ready nor not.
    silent_after: Annotated[float, msgspec.Meta(gt=0)] = 40.0
    # A container's log is rotated at this size, and this many files are kept.
    log_max_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 10 << 20
    log_max_files: _Count = 5
    # What pods see as spec.nodeName; "": the host name.
    node_name: str = ""
    # Of the bridge and the pods' interfaces; 0: that of the interface of the default route.
    mtu: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    # Path of catatonit, which becomes each pod's pause process; "": where the distributions put it.
    pause: str = ""


_PATH = "/usr/local/bin:/usr/bin:/usr/local/libexec/podman:/usr/libexec/podman:/usr/lib/podman:/usr/libexec/catatonit"
_RESOLV = "/etc/resolv.conf"
_RESOLVED = (
    "/run/systemd/resolve/resolv.conf"  # what systemd-resolved really asks, instead of itself on 127.0.0.53
)


def read(path: str, environment: dict[str, str]) -> NodeToml:
    """The settings in the file at `path` (it need not exist) and in MINIPOD_*. Raises MinipodError naming the key."""
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        text = b""
    try:
        values = msgspec.to_builtins(msgspec.toml.decode(text, type=NodeToml))
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise MinipodError(f"{path}: {error}{_known(error)}") from None
    for key in values:
        name = f"MINIPOD_{key.upper()}"
        if environment.get(name):
            values[key] = environment[name]
    try:
        return msgspec.convert(values, NodeToml, strict=False)
    except msgspec.ValidationError as error:
        raise MinipodError(f"{_variable(error)}: {error}") from None


def _variable(error: Exception) -> str:
    """The environment variable a ValidationError is about: it ends in - at `$.key`."""
    return f"environment variable MINIPOD_{str(error).rpartition('$.')[2].strip('`').upper()}"


def _known(error: Exception) -> str:
    keys = ", ".join(field.name for field in msgspec.structs.fields(NodeToml))
    return f" (the keys are {keys})" if "unknown field" in str(error) else ""


def facts(layout: Layout, toml: NodeToml) -> NodeFacts:
    """The machine, as supervisors must know it. Raises Unsuitable."""
    hierarchies = cgroups.detect()
    if not hierarchies.v2:
        raise Unsuitable(
            "no cgroup2 is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified, or see minipod node check"
        )
    pause = toml.pause or shutil.which("catatonit", path=_PATH)
    if not pause or not os.access(pause, os.X_OK):
        raise Unsuitable(f"catatonit isn't at {pause or _PATH}: apt-get install catatonit")
    return NodeFacts(
        home=layout.home,
        node_name=toml.node_name or socket.gethostname().lower(),
        host_ip=host_ip(),
        memory_bytes=memory(),
        cgroups=hierarchies,
        pause=pause,
        masked=tuple(path for path in container_plan.MASKED if os.path.exists(path)),
        readonly=tuple(path for path in container_plan.READONLY if os.path.exists(path)),
        ipv6=os.path.exists("/proc/sys/net/ipv6"),
        dns=resolv_conf(),
        mtu=toml.mtu or default_mtu(),
        settings=Settings(
            emptydir_medium=toml.emptydir_medium,
            layers=toml.layers,
            backoff_scale=toml.backoff_scale,
            silent_after=toml.silent_after,
            log_max_bytes=toml.log_max_bytes,
            log_max_files=toml.log_max_files,
        ),
    )


def host_ip() -> str:
    """The address this machine would use towards the internet; connecting a datagram socket sends nothing."""
    for family, somewhere in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((somewhere, 9))
                return str(sock.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1"


def memory(text: str = "") -> int:
    """Bytes of memory, from /proc/meminfo."""
    for line in (text or _read("/proc/meminfo")).splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise Unsuitable("/proc/meminfo has no MemTotal: is /proc mounted?")


def resolv_conf() -> str:
    """The resolver configuration for pods: they can't reach the host's 127.0.0.53."""
    text = _read(_RESOLV)
    servers = [line.split()[1] for line in text.splitlines() if line.startswith("nameserver ")]
    if servers and all(server.startswith("127.") for server in servers):
        return _read(_RESOLVED) or text
    return text


def default_mtu() -> int:
    """Of the interface the IPv4 default route leaves by (/proc/net/route, proc_pid_net(5)); 1500 if there is none."""
    for line in _read("/proc/net/route").splitlines()[1:]:
        interface, destination, _, _, _, _, _, mask = line.split()[:8]
        if destination == mask == "00000000":
            return int(_read(f"/sys/class/net/{interface}/mtu") or 1500)
    return 1500


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
