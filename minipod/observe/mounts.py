"""/proc/PID/mountinfo: what is mounted where in which container, and what of it is the same."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from minipod.errors import KernelError
from minipod.kernel import process
from minipod.kernel.syscalls import RESOLVE_IN_ROOT, RESOLVE_NO_MAGICLINKS, openat2
from minipod.observe.members import Member
from minipod.observe.text import Row, printable, table

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """One line of mountinfo; the names are those of proc_pid_mountinfo(5)."""

    id: int
    parent: int
    device: str  # major:minor
    root: str  # the directory of the file system that is mounted; of nsfs the namespace, net:[4026532288]
    mountpoint: str  # as seen from the process's root
    options: str  # per mount, e.g. rw,nosuid
    propagation: str  # "" private, else e.g. "shared:4 master:2"
    fstype: str
    source: str
    super_options: str


class Spot(msgspec.Struct, frozen=True):
    """Where one container has it. The options are those of the mount, not of the file system."""

    container: str
    path: str
    options: str
    propagation: str  # "" is private


class Place(msgspec.Struct, frozen=True):
    """One directory or file of a file system, and everywhere in the pod that it is mounted."""

    device: str
    root: str  # its path in the file system
    inode: int  # 0 where another mount covers it everywhere
    fstype: str
    source: str
    options: str  # of the file system
    volume: str  # the manifest's name for it, "" if it is no volume
    shared: bool  # by more than one container
    host: str  # where the node sees the same, "" if nowhere
    spots: tuple[Spot, ...]


def parse(text: str) -> list[Mount]:
    """Every mount in `text`, in the kernel's order."""
    return [_line(line) for line in filter(None, text.split("\n"))]  # a name may hold any other line's end


def of_process(proc: str) -> list[Mount]:
    """The mounts that the process behind `proc` (a directory such as /proc/42) sees. Raises OSError when it is gone."""
    with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape", newline="\n") as file:
        return parse(file.read())


def mount_id(fd: int) -> int:
    """The id of the mount that `fd`, which may be O_PATH, was opened through (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    return int(fields["mnt_id"])


@contextlib.contextmanager
def inside(pid: int, cgroup: str, path: str) -> Iterator[int]:
    """`path` opened (O_PATH) with a process's root as root: its symbolic links, however wicked, can't lead out of it.

    Raises KernelError: ESRCH when the process has ended (or isn't in `cgroup`, see kernel.process.root), else why there
    is nothing at `path`.
    """
    root = process.root(pid, cgroup)
    try:
        fd = openat2(root, path, os.O_PATH, resolve=RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    finally:
        os.close(root)
    try:
        yield fd
    finally:
        os.close(fd)


def mount_of(pid: int, fd: int) -> Mount | None:
    """The mount that a descriptor from inside() was opened through; None if the process has ended meanwhile."""
    wanted = mount_id(fd)
    try:
        return next((each for each in of_process(f"/proc/{pid}") if each.id == wanted), None)
    except OSError:
        return None


def look(members: Sequence[Member], volume_mounts: Sequence[tuple[str, str, str]] = ()) -> tuple[Place, ...]:
    """Everything that is mounted in pause and in the containers: volumes first, then what several share.

    `volume_mounts` are (volume, container, mount path). Two mounts are of the same thing if they have the same device
    and, in its file system, the same root.
    """
    volumes = dict(_mount_points(members, volume_mounts))
    host = of_process("/proc/self")
    found: dict[tuple[str, str], list[tuple[Member, Mount]]] = {}
    for member in members:
        try:
            table = of_process(f"/proc/{member.pid}")
        except OSError:  # it has ended
            continue
        for mount in table:
            found.setdefault((mount.device, mount.root), []).append((member, mount))
    places = [_place(each, volumes, host) for each in found.values()]
    return tuple(sorted(places, key=lambda place: (not place.volume, not place.shared)))


def _mount_points(
    members: Sequence[Member], volume_mounts: Sequence[tuple[str, str, str]]
) -> Iterator[tuple[tuple[str, str], str]]:
    """((container, mount point), volume): a link in the image may lead from the mount path to somewhere else."""
    containers = {member.name: member for member in members}
    for name, container, path in volume_mounts:
        if member := containers.get(container):
            try:
                with inside(member.pid, member.cgroup, path) as fd:
                    yield (container, os.readlink(f"/proc/self/fd/{fd}")), name
            except KernelError:  # it has ended, or has taken the path away
                continue


def _place(
    mounted: list[tuple[Member, Mount]], volumes: dict[tuple[str, str], str], host: list[Mount]
) -> Place:
    first = mounted[0][1]
    names = {volumes.get((member.name, mount.mountpoint), "") for member, mount in mounted}
    inode = next(filter(None, (_root_inode(member, mount) for member, mount in mounted)), 0)
    return Place(
        device=first.device,
        root=printable(first.root),
        inode=inode,
        fstype=first.fstype,
        source=printable(first.source),
        options=printable(first.super_options),
        volume=max(names),
        shared=len({member.name for member, _ in mounted}) > 1,
        host=on_host(first.device, first.root, inode, host) if inode else "",
        spots=tuple(
            Spot(member.name, printable(mount.mountpoint), mount.options, mount.propagation)
            for member, mount in mounted
        ),
    )


def _root_inode(member: Member, mount: Mount) -> int:
    """The inode at a mount point, 0 if another mount is on top of it."""
    try:
        with inside(member.pid, member.cgroup, mount.mountpoint) as fd:
            return os.fstat(fd).st_ino if mount_id(fd) == mount.id else 0
    except KernelError:
        return 0


def on_host(device: str, root: str, inode: int, host: Sequence[Mount]) -> str:
    """Where the node sees the directory or file `root` of a file system, "" if it doesn't."""
    for mount in host:
        rest = os.path.relpath(root, mount.root)
        if mount.device != device or rest.startswith(".."):
            continue
        path = os.path.normpath(os.path.join(mount.mountpoint, rest))
        try:
            status = os.lstat(path)
        except OSError:
            continue
        if (device_name(status.st_dev), status.st_ino) == (device, inode):  # else covered by another mount
            return path
    return ""


def _line(line: str) -> Mount:
    left, _, right = line.partition(" - ")
    first, second, device, root, mountpoint, options, *propagation = left.split(" ")
    fstype, source, super_options = right.split(" ", 2)
    return Mount(
        id=int(first),
        parent=int(second),
        device=device,
        root=_plain(root),
        mountpoint=_plain(mountpoint),
        options=options,
        propagation=" ".join(propagation),
        fstype=fstype,
        source=_plain(source),
        super_options=super_options,
    )


def _plain(field: str) -> str:
    """Blank, tab, newline and backslash are written as three octal digits, byte by byte."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field)


def device_name(st_dev: int) -> str:
    """major:minor, as mountinfo writes it."""
    return f"{os.major(st_dev)}:{os.minor(st_dev)}"


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(places: Sequence[Place], width: int) -> str:
    """A line for each mount, then where the host sees what is a volume or shared; at most `width` columns."""
    if not places:
        return "MOUNTS\nnobody in the pod runs"
    rows = [row for place in places for row in _rows(place)]
    head = ("VOLUME", "TYPE", "DEVICE", "INODE", "CONTAINER", "PATH", "PROPAGATION", "OPTIONS")
    text = table(head, rows, width)
    seen = [place for place in places if place.host and (place.volume or place.shared)]
    if seen:
        lines = [(place.device, str(place.inode), place.host) for place in seen]
        text += "\n\n" + table(("DEVICE", "INODE", "ON THE HOST"), lines, width)
    return text


def _rows(place: Place) -> list[Row]:
    first = (place.volume or "-", place.fstype, place.device, str(place.inode or "-"))
    return [
        (
            *(("", "", "", "") if number else first),
            spot.container,
            spot.path,
            spot.propagation or "private",
            spot.options,
        )
        for number, spot in enumerate(place.spots)
    ]
