"""Copies files and folders between descriptors, one name at a time and never through a link.

What is copied may belong to a container, which can change it meanwhile: everything is opened without following it
(O_PATH), looked at, and only a regular file is then opened to be read or written: not a device, not a pipe.
"""

import os
import stat

from minipod.cli.console import err

PIECE = 1 << 20
_LOOK = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Copier:
    """One copy. `failed`: something could not be copied, and that was told."""

    def __init__(self, owner: tuple[int, int] | None, preserve: bool, links: bool) -> None:
        """Copies belong to `owner`, None: to whom the originals do. With `preserve` they have all of their mode, else
        what the umask leaves of it. `links` are copied as such, or left out with a warning."""
        self.owner, self.preserve, self.links = owner, preserve, links
        self.failed = False

    def copy(self, fd: int, folder: int, name: str, shown: str) -> None:
        """Copy what the O_PATH descriptor `fd` is to `name` in `folder`; `shown` is what to call it."""
        mode = os.fstat(fd).st_mode
        try:
            if stat.S_ISDIR(mode) and _is_the_kernels(fd):
                _tell(f"warning: skipping {shown}: a file system like /proc, which keeps no files")
            elif stat.S_ISDIR(mode):
                into = _folder(folder, name, mode)
                try:
                    self.contents(fd, into, shown)
                    self._finish(into, fd)
                finally:
                    os.close(into)
            elif stat.S_ISREG(mode):
                self.write(fd, _create(folder, name, mode))
            elif stat.S_ISLNK(mode):
                self._link(fd, folder, name, shown)
            else:
                _tell(f"warning: skipping {shown}: neither a file nor a folder")
        except OSError as error:
            self.failed = True
            _tell(f"error: {shown}: {(error.strerror or str(error)).lower()}")

    def contents(self, fd: int, into: int, shown: str) -> None:
        """Copy what is in a folder."""
        listing = os.open(again(fd), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for name in sorted(os.listdir(listing)):
                try:
                    child = os.open(name, _LOOK, dir_fd=listing)
                except FileNotFoundError:  # removed meanwhile
                    continue
                try:
                    self.copy(child, into, name, f"{shown.rstrip('/')}/{name}")
                finally:
                    os.close(child)
        finally:
            os.close(listing)

    def write(self, fd: int, target: int) -> None:
        """Copy a regular file to a descriptor, which is closed."""
        try:
            source = os.open(again(fd), os.O_RDONLY | os.O_CLOEXEC)
            try:
                while data := os.read(source, PIECE):
                    while data:
                        data = data[os.write(target, data) :]
            finally:
                os.close(source)
            self._finish(target, fd)
        finally:
            os.close(target)

    def _finish(self, fd: int, original: int) -> None:
        """Owner and mode. In this order: a change of owner takes setuid away."""
        seen = os.fstat(original)
        if self.owner or self.preserve:
            os.chown(fd, *(self.owner or (seen.st_uid, seen.st_gid)))
        if self.preserve:
            os.chmod(fd, stat.S_IMODE(seen.st_mode) if not self.owner else seen.st_mode & 0o777)

    def _link(self, fd: int, folder: int, name: str, shown: str) -> None:
        to = os.readlink("", dir_fd=fd)
        if not self.links:
            _tell(f'warning: skipping symlink: "{shown}" -> "{to}"')
            return
        try:
            os.symlink(to, name, dir_fd=folder)
        except FileExistsError:
            os.unlink(name, dir_fd=folder)
            os.symlink(to, name, dir_fd=folder)
        if self.owner:
            os.chown(name, *self.owner, dir_fd=folder, follow_symlinks=False)


def _tell(text: str) -> None:
    """A container names its files as it likes, with escape sequences for a terminal, too."""
    err("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def again(fd: int) -> str:
    """The file of a descriptor, to be opened again in another way; no name is looked up for it."""
    return f"/proc/self/fd/{fd}"


def _is_the_kernels(fd: int) -> bool:
    """/proc, /sys and the like, by what all of them say of their size: simple_statfs() of fs/libfs.c. To read them to
    the end takes for ever. (A tmpfs without a size has inodes at least; FUSE has no blocks of a page, or no answer.)"""
    try:
        said = os.fstatvfs(fd)
    except OSError:
        return False
    empty = (0, 0, os.sysconf("SC_PAGE_SIZE"), 255)
    return (said.f_blocks, said.f_files, said.f_bsize, said.f_namemax) == empty


def _folder(parent: int, name: str, mode: int) -> int:
    """A folder, new or there already."""
    try:
        os.mkdir(name, mode & 0o777, dir_fd=parent)
    except FileExistsError:
        pass
    return os.open(name, _FOLDER, dir_fd=parent)


def _create(folder: int, name: str, mode: int) -> int:
    """A file to write, empty. A link, pipe or device of that name gives way, as with tar: it may lead anywhere."""
    while True:
        try:
            return os.open(name, _NEW, mode & 0o777, dir_fd=folder)
        except FileExistsError:
            there = os.open(name, _LOOK, dir_fd=folder)
        try:
            kind = os.fstat(there).st_mode
            if stat.S_ISREG(kind) or stat.S_ISDIR(kind):  # of a folder: EISDIR
                return os.open(again(there), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
        finally:
            os.close(there)
        os.unlink(name, dir_fd=folder)
