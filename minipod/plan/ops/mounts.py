"""Mounts inside a container's own mount namespace. All run in a forked child and go with that namespace.

Until PivotRoot a container's root is known by the descriptor `root`. Everything in it belongs to whoever made the
image: a target is opened with openat2(RESOLVE_IN_ROOT) and mounted on by descriptor, never by name.
"""

import errno
import os
import stat

from minipod.errors import KernelError
from minipod.kernel import syscalls
from minipod.plan.core import Context, Op
from minipod.plan.words import ROOT, quote

_FLAGS = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "relatime": syscalls.MS_RELATIME,
}
_PROPAGATION = {"private": syscalls.MS_PRIVATE, "rslave": syscalls.MS_SLAVE, "rshared": syscalls.MS_SHARED}
_RECURSIVE = {"private": "rprivate"}  # what mount(8) calls it
_ATTRIBUTES = {"ro": syscalls.MOUNT_ATTR_RDONLY}


def target(root: int, path: str, directory: bool) -> int:
    """A descriptor (O_PATH) of `path` inside `root`, made if it is missing: folders 0755, a file 0644.

    Symbolic links are followed as if `root` were the root directory, so that none leads outside.
    """
    path = path.strip("/") or "."
    try:
        return syscalls.openat2(root, path, os.O_PATH)
    except KernelError as error:
        if error.errno != errno.ENOENT:
            raise
    parent, _, name = path.rpartition("/")
    folder = target(root, parent, True) if parent else os.dup(root)
    try:
        if directory:
            os.mkdir(name, 0o755, dir_fd=folder)
        else:
            os.close(
                os.open(name, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder)
            )
    finally:
        os.close(folder)
    return syscalls.openat2(root, path, os.O_PATH)


class OpenTrees(Op, frozen=True):
    """Detached copies of what is mounted at these places of the host and below, for the binds that follow.

    Before the base is joined: it has none of the mounts that the pod itself has made, and maybe not the latest ones of
    the host.
    """

    paths: tuple[str, ...]

    def run(self, context: Context) -> None:
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE
        for path in self.paths:
            tree = syscalls.open_tree(syscalls.AT_FDCWD, path, flags)
            context.trees.setdefault(path, []).append(tree)

    def explain(self) -> str:
        return f"# open_tree: taken along for the binds below: {' '.join(map(quote, self.paths))}"


class MountRoot(Op, frozen=True):
    """A container's root: an overlay, whose lower directory is the image and whose upper one takes what is written."""

    lower: str
    upper: str
    work: str
    path: str

    def run(self, context: Context) -> None:
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.work}"
        syscalls.mount("overlay", self.path, "overlay", 0, options)
        context.fds["root"] = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def explain(self) -> str:
        options = f"lowerdir={self.lower},upperdir={self.upper},workdir={self.work}"
        return f"mount -t overlay -o {quote(options)} overlay {quote(ROOT)}"


class EmptyRoot(Op, frozen=True):
    """A root with nothing in it, for pause: whoever shares its PID namespace finds nothing in /proc/1/root."""

    path: str

    def run(self, context: Context) -> None:
        syscalls.mount(
            "tmpfs", self.path, "tmpfs", _flags("ro,nosuid,nodev,noexec"), "size=0,nr_inodes=1,mode=555"
        )
        context.fds["root"] = os.open(self.path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def explain(self) -> str:
        options = "ro,nosuid,nodev,noexec,size=0,nr_inodes=1,mode=555"
        return f"mount -t tmpfs -o {options} tmpfs {quote(ROOT)}"


class Mount(Op, frozen=True):
    """A new mount of a kernel file system in the container."""

    fstype: str
    path: str  # in the container
    flags: str = ""  # as in mount(8): ro,nosuid,nodev,noexec
    options: str = ""

    def run(self, context: Context) -> None:
        fd = target(context.fds["root"], self.path, True)
        try:
            syscalls.mount(self.fstype, f"/proc/self/fd/{fd}", self.fstype, _flags(self.flags), self.options)
        finally:
            os.close(fd)

    def explain(self) -> str:
        options = ",".join(filter(None, ("X-mount.mkdir", self.flags, self.options)))
        return f"mount -t {self.fstype} -o {options} {self.fstype} {quote(ROOT + self.path)}"


class Bind(Op, frozen=True):
    """A file or directory of the host in the container: the tree that OpenTrees has taken along."""

    source: str  # on the host
    path: str  # in the container
    readonly: bool = False
    propagation: str = "private"

    def run(self, context: Context) -> None:
        tree = context.trees[self.source].pop()
        try:
            directory = stat.S_ISDIR(os.fstat(tree).st_mode)
            attributes = _ATTRIBUTES["ro"] if self.readonly else 0
            # On the detached copy, before anybody can use it.
            flags = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
            syscalls.mount_setattr(tree, "", flags, attributes, 0, _PROPAGATION[self.propagation])
            fd = target(context.fds["root"], self.path, directory)
            try:
                empty = syscalls.MOVE_MOUNT_F_EMPTY_PATH | syscalls.MOVE_MOUNT_T_EMPTY_PATH
                syscalls.move_mount(tree, "", fd, "", empty)
            finally:
                os.close(fd)
        finally:
            os.close(tree)

    def explain(self) -> str:
        options, at = _RECURSIVE.get(self.propagation, self.propagation), quote(ROOT + self.path)
        # Not with ro among the options: mount(8) would take nosuid and the like off.
        readonly = f" && mount -o remount,bind,ro {at}" if self.readonly else ""
        return f"mount --rbind -o {options} {quote(self.source)} {at}{readonly}"


class MakeDevice(Op, frozen=True):
    """A character device in the container's own /dev. Whether it may be opened is the cgroup's device rules' matter."""

    name: str
    major: int
    minor: int

    def run(self, context: Context) -> None:
        root, path = context.fds["root"], f"dev/{self.name}"
        os.mknod(path, stat.S_IFCHR, os.makedev(self.major, self.minor), dir_fd=root)
        os.chmod(path, 0o666, dir_fd=root)  # mknod(2) takes the umask off

    def explain(self) -> str:
        return f"mknod -m 666 {quote(f'{ROOT}/dev/{self.name}')} c {self.major} {self.minor}"


class MakeLink(Op, frozen=True):
    """A symbolic link in the container's own /dev."""

    name: str
    text: str

    def run(self, context: Context) -> None:
        os.symlink(self.text, f"dev/{self.name}", dir_fd=context.fds["root"])

    def explain(self) -> str:
        return f"ln -s {self.text} {quote(f'{ROOT}/dev/{self.name}')}"


class MakeWorkdir(Op, frozen=True):
    """The container's working directory, made if the image lacks it, as containerd does."""

    path: str

    def run(self, context: Context) -> None:
        os.close(target(context.fds["root"], self.path, True))

    def explain(self) -> str:
        return f"mkdir -p {quote(ROOT + self.path)}"


class PivotRoot(Op, frozen=True):
    """Make the container's root this process's root; the host's is left mounted on top of it for one more moment."""

    def run(self, context: Context) -> None:
        os.fchdir(context.fds["root"])
        syscalls.pivot_root(".", ".")

    def explain(self) -> str:
        return f"pivot_root {quote(ROOT)} {quote(ROOT)}"


class DetachOldRoot(Op, frozen=True):
    """Nothing of the host is reachable any more: its root and every mount below it leave this mount namespace."""

    def run(self, context: Context) -> None:
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        os.close(context.fds.pop("root"))

    def explain(self) -> str:
        return "umount -l /"


class Mask(Op, frozen=True):
    """Hide a path of /proc or /sys: /dev/null on a file, an empty tmpfs on a directory."""

    path: str

    def run(self, context: Context) -> None:
        if os.path.isdir(self.path):
            syscalls.mount("tmpfs", self.path, "tmpfs", syscalls.MS_RDONLY, "size=0,nr_inodes=1")
        else:
            syscalls.mount("/dev/null", self.path, "", syscalls.MS_BIND)

    def explain(self) -> str:
        path = quote(self.path)
        folder = f"mount -t tmpfs -o ro,size=0,nr_inodes=1 tmpfs {path}"
        return f"if [ -d {path} ]; then {folder}; else mount --bind /dev/null {path}; fi"


class MakeReadonly(Op, frozen=True):
    """Bind a path of /proc onto itself, read-only; the flags of the mount it lies on are kept."""

    path: str
    flags: str = "nosuid,nodev,noexec"

    def run(self, context: Context) -> None:
        syscalls.mount(self.path, self.path, "", syscalls.MS_BIND | syscalls.MS_REC)
        syscalls.mount(
            "none", self.path, "", syscalls.MS_BIND | syscalls.MS_REMOUNT | _flags("ro," + self.flags)
        )

    def explain(self) -> str:
        path = quote(self.path)
        return f"mount --rbind {path} {path} && mount -o remount,bind,ro,{self.flags} none {path}"


class RemountRootReadonly(Op, frozen=True):
    """readOnlyRootFilesystem: the root itself, not what is mounted in it."""

    def run(self, context: Context) -> None:
        syscalls.mount("none", "/", "", syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY)

    def explain(self) -> str:
        return "mount -o remount,bind,ro none /"


def _flags(names: str) -> int:
    flags = 0
    for name in filter(None, names.split(",")):
        flags |= _FLAGS[name]
    return flags
