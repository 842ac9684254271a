"""A pod's volumes: which directories on the host, and what a container mounts of them.

The kubelet's part: before a sandbox is asked for, emptyDirs are made (plan/pod.py) and host paths looked at.
"""

import os
import stat

from minipod.api.cri import Mount
from minipod.api.messages import NodeFacts
from minipod.errors import MinipodError
from minipod.plan.pod import EmptyDir
from minipod.spec.quantity import value
from minipod.spec.types import Container, HostPathVolumeSource, Pod, Volume

_TYPES = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def empty_dirs(pod: Pod, facts: NodeFacts) -> tuple[EmptyDir, ...]:
    """The emptyDirs of a pod. `medium: Memory` is always tmpfs; the node's setting decides for the others."""
    found = []
    for volume in pod.spec.volumes:
        source = volume.empty_dir
        if source is None:
            continue
        tmpfs = source.medium == "Memory" or facts.settings.emptydir_medium == "tmpfs"
        size = value(source.size_limit) if source.size_limit else 0
        found.append(EmptyDir(path=_path(pod, facts, volume, tmpfs), tmpfs=tmpfs, size=size))
    return tuple(found)


def on_disk(pod: Pod, facts: NodeFacts) -> tuple[tuple[Volume, str], ...]:
    """The emptyDirs whose size the kernel doesn't limit, and where they are."""
    if facts.settings.emptydir_medium == "tmpfs":
        return ()
    return tuple(
        (volume, _path(pod, facts, volume, False))
        for volume in pod.spec.volumes
        if volume.empty_dir and volume.empty_dir.medium != "Memory"
    )


def mounts(pod: Pod, container: Container, facts: NodeFacts) -> tuple[Mount, ...]:
    """What a container mounts. Raises MinipodError for a volume at /: the container's programs would be below it."""
    volumes = {volume.name: volume for volume in pod.spec.volumes}
    found = []
    for mount in container.volume_mounts:
        volume = volumes[mount.name]
        if volume.host_path:
            source = volume.host_path.path
        else:
            memory = bool(volume.empty_dir and volume.empty_dir.medium == "Memory")
            source = _path(pod, facts, volume, memory or facts.settings.emptydir_medium == "tmpfs")
        path = "/" + mount.mount_path.strip("/")
        if os.path.normpath(path) == "/":
            raise MinipodError(f'volume "{mount.name}" can\'t be mounted at /: that is where the image is')
        found.append(Mount(host_path=source, container_path=path, readonly=mount.read_only))
    return tuple(found)


def prepare_host_paths(pod: Pod) -> None:
    """Look at each hostPath and make it where its type says so (never undone: it is the user's from then on).

    Raises MinipodError in the kubelet's words (pkg/volume/hostpath).
    """
    for volume in pod.spec.volumes:
        if volume.host_path:
            problem = _prepare(volume.host_path)
            if problem:
                raise MinipodError(f'MountVolume.SetUp failed for volume "{volume.name}" : {problem}')


def _prepare(source: HostPathVolumeSource) -> str:
    path, kind = source.path, source.type or ""
    if not os.path.lexists(path):
        if kind == "DirectoryOrCreate" or not kind:
            os.makedirs(path, 0o755)  # without a type it is the container runtime that makes it
        elif kind == "FileOrCreate":
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    if not kind:
        return ""
    fits, words = _TYPES[kind]
    try:
        found = fits(os.stat(path).st_mode)
    except OSError:
        found = False
    return "" if found else f"hostPath type check failed: {path} is not a {words}"


def _path(pod: Pod, facts: NodeFacts, volume: Volume, tmpfs: bool) -> str:
    where = facts.layout.pod_run if tmpfs else facts.layout.pod_lib
    return f"{where(pod.metadata.uid)}/volumes/{volume.name}"
