"""Operations that leave one object on the host: directories, files, claims, mounts, pins, cgroups.

All run in the supervisor, in the node's own mount namespace.
"""

import functools
import os

from minipod.errors import Conflict
from minipod.kernel import cgroups, devices, syscalls
from minipod.plan.core import Context, HostOp, Op
from minipod.plan.undo import RemoveCgroup, RemoveTree, Rmdir, Umount, Unclaim, Undo, Unlink
from minipod.plan.words import PAUSE, quote


class MakeDirectory(HostOp, frozen=True):
    """An empty directory, removed when it is empty again."""

    path: str
    mode: int = 0o755
    kept: bool = False  # may be there already: what is on disk outlives a boot

    def run(self, context: Context) -> None:
        try:
            os.mkdir(self.path)
        except FileExistsError:
            if not self.kept:
                raise
        if self.mode != 0o755:  # mkdir(2) takes the umask off, chmod doesn't
            os.chmod(self.path, self.mode)

    def explain(self) -> str:
        return f"mkdir {'-p ' if self.kept else ''}-m {self.mode:04o} {quote(self.path)}"

    def undo(self) -> Undo:
        return Rmdir(self.path)


class MakeTree(MakeDirectory, frozen=True):
    """A directory that others fill: removed with everything in it, but never across a mount."""

    def undo(self) -> Undo:
        return RemoveTree(self.path)


class MakeFile(HostOp, frozen=True):
    """A file with a text."""

    path: str
    text: str = ""
    mode: int = 0o644

    def run(self, context: Context) -> None:
        fd = os.open(
            self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, self.mode
        )
        try:
            if self.mode != 0o644:  # open(2) takes the umask off, fchmod doesn't
                os.fchmod(fd, self.mode)
            if self.text:
                os.write(fd, self.text.encode())
        finally:
            os.close(fd)

    def explain(self) -> str:
        path = quote(self.path)
        text = self.text.replace("\\", "\\\\").replace("%", "%%").replace("\n", "\\n").replace("\t", "\\t")
        make = f"printf {quote(text)} >{path}" if text else f": >{path}"
        return make + (f" && chmod {self.mode:04o} {path}" if self.mode != 0o644 else "")

    def undo(self) -> Undo:
        return Unlink(self.path)


class Claim(HostOp, frozen=True):
    """Take a name that only one may have: a symbolic link is made or refused in one step, and its text is the owner."""

    path: str
    owner: str

    def run(self, context: Context) -> None:
        try:
            os.symlink(self.owner, self.path)
        except FileExistsError:
            raise Conflict(f"{self.path} is taken") from None

    def explain(self) -> str:
        return f"ln -s {quote(self.owner)} {quote(self.path)}"

    def undo(self) -> Undo:
        return Unclaim(self.path, self.owner)


class MountTmpfs(HostOp, frozen=True):
    """A tmpfs on an existing directory: an emptyDir or a pod's /dev/shm."""

    path: str
    options: str
    noexec: bool = False

    def run(self, context: Context) -> None:
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | (syscalls.MS_NOEXEC if self.noexec else 0)
        syscalls.mount("tmpfs", self.path, "tmpfs", flags, self.options)

    def explain(self) -> str:
        noexec = "noexec," if self.noexec else ""
        return f"mount -t tmpfs -o nosuid,nodev,{noexec}{self.options} tmpfs {quote(self.path)}"

    def undo(self) -> Undo:
        return Umount(self.path)


class Pin(HostOp, frozen=True):
    """Bind one of pause's namespaces to a file, so that it has a name as long as the pod lives."""

    kind: str  # net, ipc, uts, pid
    path: str  # an existing file

    def run(self, context: Context) -> None:
        syscalls.mount(f"/proc/{context.fds['sandbox-pid']}/ns/{self.kind}", self.path, "", syscalls.MS_BIND)

    def explain(self) -> str:
        return f"mount --bind {quote(f'/proc/{PAUSE}/ns/{self.kind}')} {quote(self.path)}"

    def undo(self) -> Undo:
        return Umount(self.path)


class MakeCgroup(HostOp, frozen=True):
    """One cgroup in one hierarchy."""

    path: str  # absolute

    def run(self, context: Context) -> None:
        cgroups.mkdir(self.path)

    def explain(self) -> str:
        return f"mkdir {quote(self.path)}"

    def undo(self) -> Undo:
        return RemoveCgroup(self.path)


class EnableControllers(Op, frozen=True):
    """Let the children of a cgroup2 cgroup have controllers (cgroup-v2.rst, Enabling and Disabling)."""

    path: str
    controllers: tuple[str, ...]

    def run(self, context: Context) -> None:
        cgroups.enable_controllers(self.path, self.controllers)

    def explain(self) -> str:
        given = " ".join(f"+{name}" for name in self.controllers)
        return f"echo {given} >{quote(f'{self.path}/cgroup.subtree_control')}"


class SetLimit(Op, frozen=True):
    """One file of a cgroup. It goes with the cgroup."""

    path: str
    name: str
    text: str

    def run(self, context: Context) -> None:
        if not cgroups.set_limit(self.path, self.name, self.text):
            context.notes.append(f"this kernel has no {self.name}: {self.text} isn't enforced")

    def explain(self) -> str:
        return f"echo {self.text} >{quote(f'{self.path}/{self.name}')}"


class AllowDevices(Op, frozen=True):
    """Let the processes of a cgroup2 cgroup open the usual devices only: a BPF program that goes with the cgroup."""

    path: str

    def run(self, context: Context) -> None:
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            devices.attach(fd, _device_rules())
        finally:
            os.close(fd)

    def explain(self) -> str:
        return f"# device rules for {quote(self.path)}: a BPF program (BPF_CGROUP_DEVICE), which no command loads"


@functools.cache
def _device_rules() -> int:
    """One program for all containers of this process, loaded at the first."""
    return devices.load()
