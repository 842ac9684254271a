"""The base: a mount namespace that has as little of the host's as the building of a container needs.

Every container's mount namespace, and pause's, is a copy of it. A copy takes as long as there are mounts, and so does
letting go of them with the old root: from the host's own namespace, a start would take twice as long with two hundred
pods as with one. What is bound into a container is taken along as descriptors (OpenTrees in plan/ops/mounts.py).
"""

import errno
import os

from minipod.errors import KernelError
from minipod.kernel import files, syscalls
from minipod.names import Layout


def make(layout: Layout) -> int:
    """Make it; a descriptor of it, which is all that keeps it. For a process with a single thread, whose working
    directory is / from then on. Raises KernelError.

    It has /proc, `run` without what pods have mounted there, `lib` with all there is, images wherever they are, and
    what these are mounted on: no other file system of the host's is held by it. It is a slave of the host's namespace
    (mount_namespaces(7)).
    """
    run, lib = os.path.realpath(layout.run), os.path.realpath(layout.lib)
    # The store, or an image in it, may be a link to elsewhere (minipod.testing makes such stores).
    images = [layout.images, *(f"{layout.images}/{name}" for name in os.listdir(layout.images))]
    needed = ("/proc", run, lib, *map(os.path.realpath, images))
    host = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    syscalls.unshare(syscalls.CLONE_NEWNS)
    try:
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        alone = syscalls.open_tree(syscalls.AT_FDCWD, run)
        _leave(run)  # the whole tree at once: what is below may go at any moment, with its pod
        syscalls.move_mount(alone, "", syscalls.AT_FDCWD, run, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
        os.close(alone)
        for path in reversed(files.mount_points()):
            above = f"{path.rstrip('/')}/"
            if not path.startswith(f"{lib}/") and not any(f"{each}/".startswith(above) for each in needed):
                _leave(path)
        return os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        syscalls.setns(host, syscalls.CLONE_NEWNS, "the host's mount namespace")
        os.close(host)


def _leave(path: str) -> None:
    """Unmount it with all below, and what it was mounted over, and again."""
    while True:
        try:
            syscalls.umount2(path, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
        except KernelError as error:
            # EINVAL: no mount point (any more). ENOENT: it went with its folder, or something is mounted above it.
            if error.errno not in (errno.EINVAL, errno.ENOENT):
                raise
            return
