"""The kernel's own files (/proc, /sys, cgroups): one read or one write is one request, with the answer in errno."""

import os

from minipod.errors import KernelError


def read(path: str) -> str:
    """The whole text of a file of the kernel, without the newline at its end."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            chunks = []
            while chunk := os.read(fd, 65536):
                chunks.append(chunk)
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError(error.errno or 0, "read", path) from None
    return b"".join(chunks).decode("utf-8", "surrogateescape").rstrip("\n")


def write(path: str, text: str, hint: str = "") -> None:
    """Write `text` with one write(2), as the kernel's files want it. The file is never created."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)
    except OSError as error:
        raise KernelError(error.errno or 0, "write", f"{text} to {path}", hint) from None


def mount_points() -> list[str]:
    """Every mount point of this mount namespace, in the order of mounting (proc_pid_mountinfo(5))."""
    return [unescape(line.split(" ")[4]) for line in read("/proc/self/mountinfo").split("\n")]


def unescape(path: str) -> str:
    """A path as mountinfo writes it: blank, tab, newline and backslash are three octal digits there."""
    for character in " \t\n\\":
        path = path.replace(f"\\{ord(character):03o}", character)
    return path
