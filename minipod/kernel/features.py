"""What this machine needs to run pods, tried out one by one. Each probe leaves nothing behind.

Most probes run in a child with namespaces of its own: what they make is gone with it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import msgspec

from minipod.errors import KernelError
from minipod.kernel import caps, cgroups, devices, process, syscalls
from minipod.kernel.netlink import Netlink

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Without one of these nothing works; the others are missed only by a container that wants them.
_NEEDED_CAPS = (
    "SYS_ADMIN",
    "NET_ADMIN",
    "SETUID",
    "SETGID",
    "SETPCAP",
    "SYS_CHROOT",
    "MKNOD",
    "DAC_OVERRIDE",
    "KILL",
)
_NAMESPACES = {
    "net": (syscalls.CLONE_NEWNET, "CONFIG_NET_NS"),
    "ipc": (syscalls.CLONE_NEWIPC, "CONFIG_IPC_NS"),
    "uts": (syscalls.CLONE_NEWUTS, "CONFIG_UTS_NS"),
    "pid": (syscalls.CLONE_NEWPID, "CONFIG_PID_NS"),
    "mnt": (syscalls.CLONE_NEWNS, "CONFIG_NAMESPACES"),
    "cgroup": (syscalls.CLONE_NEWCGROUP, "CONFIG_CGROUPS"),
}
_MASQUERADE = """
table inet check {
  map sources { type ifname : verdict; }
  chain out {
    type nat hook postrouting priority srcnat
    ip saddr 10.0.0.0/8 masquerade
    ip6 saddr fd00::/8 masquerade
  }
}
"""


class Feature(msgspec.Struct, frozen=True):
    """One thing that pods need: what was found or what went wrong, and how to get it ("" if it is there)."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def probe() -> list[Feature]:
    """Try everything; as root, else most of it fails for that reason."""
    hierarchies = cgroups.detect()
    return [
        _root(),
        _capabilities(),
        _kernel(),
        *[_namespace(kind) for kind in _NAMESPACES],
        _tried("overlay", _mount_overlay, "mounted", "modprobe overlay, or a kernel with CONFIG_OVERLAY_FS"),
        _tried("mount API", _detached_mount, "works", "needs Linux 5.12: mount_setattr(2)"),
        _cgroup2(hierarchies),
        _controllers(hierarchies),
        _tried(
            "device allow-list",
            _device_program,
            "loaded",
            "a kernel with CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF",
        ),
        _tried(
            "bridge and veth",
            _bridge_and_veth,
            "made",
            "modprobe bridge veth, or CONFIG_BRIDGE and CONFIG_VETH",
        ),
        _binary("nft", "nftables"),
        _tried(
            "nf_tables",
            _masquerade,
            "masquerades",
            "modprobe nf_tables nft_masq nf_nat, or CONFIG_NFT_MASQ and CONFIG_NFT_NAT",
        ),
        _binary("catatonit", "catatonit"),
    ]


# --- probes ----------------------------------------------------------------------------------------------------------


def _root() -> Feature:
    uid = os.geteuid()
    return Feature("root", uid == 0, f"user id {uid}", "" if uid == 0 else "run as root: sudo minipod ...")


def _capabilities() -> Feature:
    has = int(process.status("self")["CapEff"], 16)
    missing = caps.to_names(caps.of_kernel() & ~has)
    vital = caps.to_names(caps.to_mask(_NEEDED_CAPS) & ~has)
    detail = f"without {', '.join(missing)}" if missing else "all"
    return Feature("capabilities", not vital, detail, f"needs {', '.join(vital)}" if vital else "")


def _kernel() -> Feature:
    release = os.uname().release
    major, minor = (int("".join(filter(str.isdigit, part)) or 0) for part in release.split(".")[:2])
    ok = (major, minor) >= (5, 14)
    return Feature(
        "kernel", ok, f"Linux {release}", "" if ok else "needs Linux 5.14: cgroup.kill, the mount API"
    )


def _namespace(kind: str) -> Feature:
    flag, option = _NAMESPACES[kind]
    return _tried(f"{kind} namespace", lambda: syscalls.unshare(flag), "made", f"a kernel with {option}")


def _cgroup2(hierarchies: cgroups.Hierarchies) -> Feature:
    if not hierarchies.v2:
        return Feature("cgroup2", False, "not mounted", "mount -t cgroup2 none /sys/fs/cgroup/unified")
    directory = f"{hierarchies.v2}/minipod-check-{os.urandom(4).hex()}"
    try:
        cgroups.mkdir(directory)
        try:
            fd = os.open(directory, os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                pid, _ = syscalls.clone3_fork(cgroup_fd=fd)
                if pid == 0:
                    os._exit(0)
            finally:
                os.close(fd)
            cgroups.kill(directory)
            os.waitpid(pid, 0)
            cgroups.wait_empty(directory, 1)
        finally:
            cgroups.rmdir(directory)
    except KernelError as error:
        return Feature("cgroup2", False, str(error), "mount cgroup2 writable; Linux 5.14 for cgroup.kill")
    return Feature("cgroup2", True, hierarchies.v2)


def _controllers(hierarchies: cgroups.Hierarchies) -> Feature:
    places = {name: hierarchies.directory(name, "") for name in ("cpu", "memory", "pids")}
    missing = [name for name, place in places.items() if not place]
    detail = ", ".join(
        f"{name} on {'v2' if name in hierarchies.v2_controllers else 'v1'}" for name in places if places[name]
    )
    hint = f"no {', '.join(missing)}: limits of that kind are refused; see cgroup_disable= on the kernel's command line"
    return Feature("cgroup controllers", not missing, detail or "none", hint if missing else "")


def _mount_overlay() -> None:
    # In this child's own mount namespace, over a directory that exists everywhere.
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    syscalls.mount("tmpfs", "/proc", "tmpfs")
    for name in ("lower", "upper", "work", "root"):
        os.mkdir(f"/proc/{name}")
    syscalls.mount(
        "overlay", "/proc/root", "overlay", 0, "lowerdir=/proc/lower,upperdir=/proc/upper,workdir=/proc/work"
    )


def _detached_mount() -> None:
    tree = syscalls.open_tree(syscalls.AT_FDCWD, "/", syscalls.OPEN_TREE_CLONE)
    syscalls.mount_setattr(tree, "", syscalls.AT_EMPTY_PATH, attr_set=syscalls.MOUNT_ATTR_RDONLY)


def _device_program() -> None:
    os.close(devices.load())


def _bridge_and_veth() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with Netlink() as netlink:
        here = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        bridge = netlink.ensure_bridge("check0", [("10.0.0.1", 24), ("fd00::1", 64)])
        netlink.create_veth("check1", bridge, here)


def _masquerade() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    nft = shutil.which("nft", path=_PATH)
    if not nft:
        raise FileNotFoundError("nft is not installed")
    done = subprocess.run([nft, "-f", "-"], input=_MASQUERADE, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


def _binary(name: str, package: str) -> Feature:
    path = shutil.which(name, path=_PATH)
    return Feature(name, bool(path), path or "not installed", "" if path else f"apt-get install {package}")


# --- how a probe is run ----------------------------------------------------------------------------------------------


def _tried(name: str, attempt: Callable[[], None], success: str, hint: str) -> Feature:
    problem = _in_child(attempt)
    return Feature(name, not problem, problem or success, hint if problem else "")


def _in_child(attempt: Callable[[], None]) -> str:
    """Run `attempt` in a child; "" or what went wrong."""
    reader, writer = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        try:
            attempt()
            os.write(writer, b"ok")
        except (KernelError, OSError) as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        problem = answer.read()
    os.waitpid(pid, 0)
    return "" if problem == "ok" else problem or "the probe died"
