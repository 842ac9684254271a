"""The base: a mount namespace that is the host's but for what pods have mounted.

Every container's mount namespace, and pause's, is a copy of it. A copy takes as long as there are mounts, and so does
letting go of them with the old root: from the host's own namespace, a start would take twice as long with two hundred
pods as with one.
"""

import errno
import os

from minipod.errors import KernelError
from minipod.kernel import syscalls
from minipod.names import Layout


def make(layout: Layout) -> int:
    """Make it; a descriptor of it, which is all that keeps it. For a process with a single thread, whose working
    directory is / from then on. Raises KernelError.

    It is a slave of the host's: what the host mounts later arrives in it (mount_namespaces(7)). Not what pods mount:
    `run` is private, and the folder of `ip netns` isn't mounted there at all.
    """
    host = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        # Whole trees at once: what is below may go at any moment, with its pod.
        alone = syscalls.open_tree(syscalls.AT_FDCWD, layout.run)
        for path in (layout.run, layout.netns):
            _leave(path)
        syscalls.move_mount(alone, "", syscalls.AT_FDCWD, layout.run, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(alone)
        return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        syscalls.setns(host, syscalls.CLONE_NEWNS, "the host's mount namespace")
        os.close(host)


def _leave(path: str) -> None:
    """Unmount it, and what it was mounted over, and again."""
    while True:
        try:
            syscalls.umount2(path, syscalls.MNT_DETACH)
        except KernelError as error:
            if error.errno != errno.EINVAL:  # EINVAL: no mount point any more
                raise
            return
