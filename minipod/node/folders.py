"""The node's own folders, mounts and cgroups: made when it starts, if they aren't there, and never somebody else's.

What is ours is marked: a folder by a file in it, a cgroup by an extended attribute (trusted.*, which the kernel keeps
for cgroups of both versions, fs/kernfs/inode.c). What bears the name but not the mark is refused and left alone.
"""

import contextlib
import errno
import fcntl
import os

from minipod.errors import KernelError, MinipodError, Unsuitable
from minipod.kernel import cgroups, syscalls
from minipod.kernel.cgroups import Hierarchies
from minipod.kernel.files import mount_points
from minipod.names import Layout
from minipod.observe import mounts
from minipod.plan.undo import RemoveTree, Tools

# Of an overlay's options (filesystems/overlayfs in the kernel's documentation).
_SEPARATORS = frozenset(",:\\")
_MARK = ".minipod"  # in lib
_ATTRIBUTE = "trusted.minipod"  # of a cgroup
_BEFORE_US = {"images", "start.lock", "node.lock"}  # may be there before the mark is
_QOS = ("guaranteed", "burstable", "besteffort")
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def lock(layout: Layout) -> int:
    """Be the only node of this layout for as long as the descriptor is open. Raises MinipodError."""
    if found := _SEPARATORS & set(layout.home):
        raise MinipodError(
            f"MINIPOD_HOME={layout.home}: no {min(found)} may be in it, overlay mounts end there"
        )
    _own_folder(layout.lib, 0o711, _MARK)
    fd = os.open(f"{layout.lib}/node.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise MinipodError(f"another node runs already: it holds {layout.lib}/node.lock") from None
    return fd


def ensure(layout: Layout, hierarchies: Hierarchies) -> None:
    """Everything in this module. The caller holds the lock. Raises MinipodError."""
    check_mount_namespace(layout)
    _write(f"{layout.lib}/{_MARK}", "minipod's state: `minipod node stop --pods` removes pods, not images\n")
    _own_folder(layout.run, 0o711, "boot_id")
    _mount_run(layout.run)
    clear_after_boot(layout)
    for path, mode in _plain(layout):
        os.makedirs(path, mode=mode, exist_ok=True)
    share_netns_folder(layout.netns)
    ensure_cgroups(layout, hierarchies)


def _plain(layout: Layout) -> list[tuple[str, int]]:
    """Those that are nothing but folders, with their modes; parents first."""
    run, lib = layout.run, layout.lib
    return [
        (f"{run}/pods", 0o711),
        (f"{run}/ns", 0o700),
        (layout.mountpoint, 0o755),
        (layout.addresses, 0o700),
        (f"{lib}/pods", 0o711),
        (layout.images, 0o700),
        (f"{layout.images}/names", 0o700),
        (layout.log, 0o755),
        (f"{layout.log}/pods", 0o755),
    ]


def check_mount_namespace(layout: Layout) -> None:
    """The machine's own node belongs into the machine's mount namespace: pins made elsewhere are seen by nobody."""
    if layout.home:
        return
    try:
        first = os.readlink("/proc/1/ns/mnt")
    except OSError:  # some kernels hide it even from root
        return
    if first != os.readlink("/proc/self/ns/mnt"):
        raise Unsuitable(
            "this is not the host's mount namespace: leave it, or set MINIPOD_HOME if that is meant"
        )


def _own_folder(path: str, mode: int, mark: str) -> None:
    """Make `path`, or find it to be ours: bearing the mark, or empty but for what the command line makes."""
    os.makedirs(path, mode=mode, exist_ok=True)
    entries = set(os.listdir(path))
    if mark not in entries and entries - _BEFORE_US:
        what = min(entries - _BEFORE_US)
        raise MinipodError(
            f"{path} isn't minipod's (there is {what} in it): move it away, or set MINIPOD_HOME"
        )
    os.chmod(path, mode)


def _write(path: str, text: str) -> None:
    """A small file, whole or not at all."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{path}.new", path)


# --- boots ---------------------------------------------------------------------------------------------------------


def clear_after_boot(layout: Layout) -> bool:
    """Empty `run` if it is of an earlier boot: a lasting /run looks as if pods were there. True if it was so."""
    with open(_BOOT_ID, encoding="ascii") as file:
        boot = file.read().strip()
    try:
        with open(f"{layout.run}/boot_id", encoding="ascii") as file:
            stale = file.read().strip() != boot
    except FileNotFoundError:
        stale = False
    if stale:
        sandboxes = _entries(f"{layout.run}/ns")
        for path in mounts_below(layout.run):
            syscalls.umount2(path, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
        for name in set(os.listdir(layout.run)) - {"boot_id"}:
            _remove(f"{layout.run}/{name}")
        _drop_dead_pins(layout.netns, sandboxes)
    _write(f"{layout.run}/boot_id", boot + "\n")
    return stale


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        RemoveTree(path).run(Tools(lambda _: None))
    else:
        os.unlink(path)


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def _drop_dead_pins(netns: str, sandboxes: list[str]) -> None:
    """Remove the pin files that an earlier boot left on a lasting /run; a mounted one can't be unlinked."""
    ours = {sandbox[:8] for sandbox in sandboxes}
    for name in _entries(netns):
        if name.rpartition("-")[2] in ours:
            try:
                os.unlink(f"{netns}/{name}")
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.ENOENT):
                    raise


# --- mounts --------------------------------------------------------------------------------------------------------


def mounts_below(path: str) -> list[str]:
    """Mount points below `path`, the last one mounted first."""
    return [point for point in reversed(mount_points()) if point.startswith(f"{path}/")]


def _mount_run(path: str) -> None:
    """Make `path` a private mount of its own: what is mounted in it is nobody else's to see or to hold.

    A tmpfs, where it isn't in one already: nothing in it is to survive a boot, and a pod makes two dozen files there,
    which cost half a millisecond each on a disk.
    """
    if os.path.realpath(path) in mount_points():
        return
    if _on_tmpfs(path):
        syscalls.mount(path, path, flags=syscalls.MS_BIND)
    else:
        syscalls.mount("minipod", path, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=711")
    syscalls.mount("", path, flags=syscalls.MS_PRIVATE)


def _on_tmpfs(path: str) -> bool:
    """By the longest mount point above `path`; of several there, the last one, which covers the others."""
    real = os.path.realpath(path) + "/"
    above = [
        mount
        for mount in mounts.of_process("/proc/self")
        if real.startswith(mount.mountpoint.rstrip("/") + "/")
    ]
    return max(reversed(above), key=lambda mount: len(mount.mountpoint)).fstype == "tmpfs"


def share_netns_folder(path: str) -> None:
    """A shared mount, so that a pin made later is seen wherever `ip netns` looks.

    The same steps as iproute2's (ip/ipnetns.c, netns_add): whoever of the two comes first, the other finds it so.
    """
    os.makedirs(path, mode=0o755, exist_ok=True)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            syscalls.mount("", path, "none", syscalls.MS_SHARED | syscalls.MS_REC)
        except KernelError as error:
            if error.errno != errno.EINVAL:  # EINVAL: not a mount point yet
                raise
            syscalls.mount(path, path, "none", syscalls.MS_BIND | syscalls.MS_REC)
            syscalls.mount("", path, "none", syscalls.MS_SHARED | syscalls.MS_REC)
    finally:
        os.close(fd)


# --- cgroups -------------------------------------------------------------------------------------------------------


def ensure_cgroups(layout: Layout, hierarchies: Hierarchies) -> None:
    """minipod/{supervisors,guaranteed,burstable,besteffort} in every hierarchy in use; supervisors on cgroup2 only."""
    mine = hierarchies.directories(layout.cgroup)
    if not os.path.isdir(f"{hierarchies.v2}/{layout.cgroup}/{_QOS[0]}"):
        _unmake_pods(layout)
    intent = f"{layout.run}/cgroups"  # written first: a cgroup that we died on before marking it is ours
    if not (_given() or os.path.exists(intent)):
        for directory in mine:
            _refuse_foreign(directory)
        _write(intent, "\n".join(mine) + "\n")
    for directory in mine:
        os.makedirs(directory, exist_ok=True)
        if not _given():
            os.setxattr(directory, _ATTRIBUTE, b"1")
        for qos in _QOS:
            os.makedirs(f"{directory}/{qos}", exist_ok=True)
    os.makedirs(f"{hierarchies.v2}/{layout.cgroup}/supervisors", exist_ok=True)
    # Only what every cgroup above gives can be given on: from the root down. None on a hybrid host.
    for cgroup in ("", layout.cgroup, *(f"{layout.cgroup}/{qos}" for qos in _QOS)):
        cgroups.enable_controllers(f"{hierarchies.v2}/{cgroup}", hierarchies.v2_controllers)


def _unmake_pods(layout: Layout) -> None:
    """No pod has its cgroup any more: systemd has stopped their unit, and removed it. They are to be made again.

    So their marks and undo lists go (supervisor/engine.py), with their volumes on tmpfs; as after a boot, what is on
    disk stays. What is left of sandboxes and containers has undo lists of its own, for the fence.
    """
    for uid in _entries(f"{layout.run}/pods"):
        here = layout.pod_run(uid)
        for path in mounts_below(f"{here}/volumes"):
            syscalls.umount2(path, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
        for name in {"made", "pod.undo", "volumes"}.intersection(os.listdir(here)):
            _remove(f"{here}/{name}")


def _given() -> bool:
    """Whether somebody else makes the top cgroup for us: systemd's unit for pods, for example (names.layout)."""
    return bool(os.environ.get("MINIPOD_CGROUP"))


def _refuse_foreign(directory: str) -> None:
    if os.path.isdir(directory) and not _marked(directory):
        raise MinipodError(f"the cgroup {directory} isn't minipod's: remove it (rmdir), or set MINIPOD_HOME")


def _marked(directory: str) -> bool:
    try:
        return bool(os.getxattr(directory, _ATTRIBUTE))
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        raise


# --- the way back --------------------------------------------------------------------------------------------------


def remove(layout: Layout, hierarchies: Hierarchies) -> None:
    """Undo ensure(), but for the state in `lib`, the logs, and the folder of `ip netns`, which is everybody's."""
    _end_blank_supervisors(f"{hierarchies.v2}/{layout.cgroup}/supervisors")
    for directory in hierarchies.directories(layout.cgroup):
        if not os.path.isdir(directory) or not (_given() or _marked(directory)):
            continue
        for name in (*_QOS, "supervisors"):
            cgroups.rmdir(f"{directory}/{name}")
        if not _given():
            cgroups.rmdir(directory)
    run = layout.run
    for name in os.listdir(run):
        _remove(f"{run}/{name}")
    if os.path.realpath(run) in mount_points():
        syscalls.umount2(run, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
    for name in os.listdir(run):  # of a boot before, below the mount
        _remove(f"{run}/{name}")
    with contextlib.suppress(OSError):  # a command line may be starting the next node just now
        os.rmdir(run)


def remove_unused(layout: Layout, hierarchies: Hierarchies) -> None:
    """After a start that failed: as remove(), unless a pod has something there, or `run` isn't ours."""
    pods = _entries(f"{layout.run}/pods") + _entries(f"{layout.lib}/pods")
    if "boot_id" in _entries(layout.run) and not pods:
        remove(layout, hierarchies)


def _end_blank_supervisors(directory: str) -> None:
    """Those that the forge had ready. No pod is left: whatever is there never had one."""
    if not os.path.isdir(directory):
        return
    cgroups.kill(directory)
    cgroups.wait_empty(directory, 5)
    for entry in os.scandir(directory):
        if entry.is_dir():
            cgroups.rmdir(entry.path)
