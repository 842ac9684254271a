"""The way back: a small, versioned vocabulary, so that a newer node can undo what an older one has made.

Each word removes one object and succeeds if it is gone already. It touches only what is minipod's: an object's name
derives from an id that nobody else has, or the word carries the mark that the object must bear. Nothing here follows a
mount: a folder under which something is still mounted is refused.
"""

import errno
import os
import stat
import time
from collections.abc import Callable

import msgspec

from minipod.errors import KernelError
from minipod.kernel import syscalls

VERSION = 1


class Tools(msgspec.Struct, frozen=True):
    """What undoing needs of other processes."""

    delete_link: Callable[[str], None]  # in the host's network namespace


class Undo(msgspec.Struct, frozen=True, tag=True, tag_field="undo", omit_defaults=True):
    def run(self, tools: Tools) -> None:
        raise NotImplementedError


class Umount(Undo, frozen=True):
    """Detach the mount at `path`. Lazily: a person's shell may stand in it, and nobody else may reach it any more."""

    path: str

    def run(self, tools: Tools) -> None:
        try:
            syscalls.umount2(self.path, syscalls.UMOUNT_NOFOLLOW | syscalls.MNT_DETACH)
        except KernelError as error:
            if error.errno not in (errno.ENOENT, errno.EINVAL):  # EINVAL: no mount point
                raise


class Unlink(Undo, frozen=True):
    """Remove a file."""

    path: str

    def run(self, tools: Tools) -> None:
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            pass


class Unclaim(Undo, frozen=True):
    """Remove a claim (a symbolic link whose text is the owner's id), if it is still ours."""

    path: str
    owner: str

    def run(self, tools: Tools) -> None:
        try:
            if os.readlink(self.path) == self.owner:
                os.unlink(self.path)
        except FileNotFoundError:
            pass


class Rmdir(Undo, frozen=True):
    """Remove an empty directory."""

    path: str

    def run(self, tools: Tools) -> None:
        try:
            os.rmdir(self.path)
        except FileNotFoundError:
            pass


class RemoveCgroup(Undo, frozen=True):
    """Remove a cgroup, and those that a privileged container made below it.

    One whose last process has just died is busy for a moment.
    """

    path: str

    def run(self, tools: Tools) -> None:
        for attempt in range(200):
            try:
                if attempt:
                    for folder, below, _ in os.walk(self.path, topdown=False):
                        for name in below:
                            os.rmdir(f"{folder}/{name}")
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or attempt == 199:
                    raise
            time.sleep(0.005 if attempt else 0)


class RemoveTree(Undo, frozen=True):
    """Remove a directory and all in it, never crossing into another file system or through a symbolic link."""

    path: str

    def run(self, tools: Tools) -> None:
        parent, name = os.path.split(self.path)
        try:
            parent_fd = os.open(parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            _remove_tree(parent_fd, name)
        finally:
            os.close(parent_fd)


class DeleteLink(Undo, frozen=True):
    """Delete a network interface. A pair's host end goes with its namespace, a little later: wait for that first."""

    name: str

    def run(self, tools: Tools) -> None:
        tools.delete_link(self.name)


AnyUndo = Umount | Unlink | Unclaim | Rmdir | RemoveCgroup | RemoveTree | DeleteLink


class Saved(msgspec.Struct, frozen=True):
    """An undo list on disk, written before the plan runs. Addresses and paths only: no secret is ever in it."""

    undo: tuple[AnyUndo, ...]
    version: int = VERSION


_decoder = msgspec.json.Decoder(Saved)


def encode(undo: tuple[Undo, ...]) -> bytes:
    return msgspec.json.encode(Saved(undo))  # type: ignore[arg-type]


def save(path: str, undo: tuple[Undo, ...]) -> None:
    """Write an undo list, whole or not at all (rename), readable by root only."""
    text = msgspec.json.encode(Saved(undo))  # type: ignore[arg-type]
    fd = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        if os.write(fd, text) < len(text):
            raise KernelError(errno.ENOSPC, "write", path, "nothing is made that couldn't be undone")
    finally:
        os.close(fd)
    os.rename(path + ".new", path)


def run_saved(path: str, tools: Tools) -> list[str]:
    """Undo what the list at `path` says, then remove the list. Returns the errors; with any, the list stays."""
    try:
        with open(path, "rb", buffering=0) as file:
            saved = _decoder.decode(file.read())
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        return [f"the undo list {path} can't be read: {error}"]
    errors = []
    for word in saved.undo:
        try:
            word.run(tools)
        except (OSError, KernelError) as error:
            errors.append(str(error))
    if not errors:
        os.unlink(path)
    return errors


def _remove_tree(parent: int, name: str) -> None:
    """However deep it is, which a container decides: a folder in a folder is moved up to the top before its turn comes,
    so that neither the stack nor the descriptors run out."""
    if _unlinked(parent, name):
        return
    top = _open_folder(parent, name)
    try:
        while entries := os.listdir(top):
            for entry in entries:
                _flatten(top, entry)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _flatten(top: int, name: str) -> None:
    """Remove an entry of `top`; the folders in it become entries of `top`."""
    if _unlinked(top, name):
        return
    folder = _open_folder(top, name)
    try:
        for entry in os.listdir(folder):
            if not _unlinked(folder, entry):
                os.rename(entry, f".{os.urandom(8).hex()}", src_dir_fd=folder, dst_dir_fd=top)
    finally:
        os.close(folder)
    os.rmdir(name, dir_fd=top)


def _unlinked(parent: int, name: str) -> bool:
    """Whether it is gone now; False for a folder."""
    try:
        if stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode):
            return False
        os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        pass
    return True


def _open_folder(parent: int, name: str) -> int:
    # NO_XDEV refuses every mount point, also a bind mount of the same file system, which st_dev doesn't show.
    resolve = syscalls.RESOLVE_NO_XDEV | syscalls.RESOLVE_NO_SYMLINKS
    return syscalls.openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY, 0, resolve)
