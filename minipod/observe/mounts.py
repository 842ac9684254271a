"""/proc/PID/mountinfo, read. Pure except for the reading."""

import os
import re

import msgspec

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(msgspec.Struct, frozen=True):
    """One line of mountinfo; the names are those of proc_pid_mountinfo(5)."""

    id: int
    parent: int
    device: str  # major:minor
    root: (
        str  # the directory of the file system that is mounted; for nsfs the namespace, e.g. net:[4026532288]
    )
    mountpoint: str  # as seen from the process's root
    options: str  # per mount, e.g. rw,nosuid
    propagation: str  # "" private, else e.g. "shared:4 master:2"
    fstype: str
    source: str
    super_options: str


def parse(text: str) -> list[Mount]:
    """Every mount in `text`, in the kernel's order."""
    return [_line(line) for line in text.splitlines()]


def of_process(proc: str) -> list[Mount]:
    """The mounts that the process behind `proc` (a directory such as /proc/42) sees. Raises OSError when it is gone."""
    with open(f"{proc}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return parse(file.read())


def mount_id(fd: int) -> int:
    """The id of the mount that `fd`, which may be O_PATH, was opened through (proc_pid_fdinfo(5))."""
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
        fields = dict(line.split(":\t", 1) for line in file.read().splitlines() if ":\t" in line)
    return int(fields["mnt_id"])


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
