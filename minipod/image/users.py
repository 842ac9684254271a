"""Who a container's process is, from the image's own /etc/passwd and /etc/group.

Both files are the image's, so they are opened without leaving its root (openat2(2), RESOLVE_IN_ROOT) and parsed here:
NSS would read the host's files, and may load libraries from the image. Formats: passwd(5), group(5).
"""

import errno
import os
import stat

import msgspec

from minipod.errors import KernelError, MinipodError
from minipod.kernel import syscalls

_LARGEST_FILE = 1 << 20  # bytes read of either file; a hostile image may bring terabytes
_LARGEST_ID = 2**32 - 2  # (uid_t)-1 means "unchanged" to the kernel


class User(msgspec.Struct, frozen=True):
    """Credentials for a container's process. `groups` are its supplementary groups, `gid` among them."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


class _Account(msgspec.Struct, frozen=True):
    name: str
    uid: int
    gid: int
    home: str


def resolve(
    rootfs: str, image_user: str, run_as_user: int | None = None, run_as_group: int | None = None
) -> User:
    """The user a container runs as; runs in the host's mount namespace and needs `rootfs` (a path) there.

    `image_user` is the image's USER: "", "name", "uid", "name:group" or "uid:gid" in any mix (image-spec, config.md).
    `run_as_user` replaces all of it, as in Kubernetes. Without `run_as_group` the group is USER's, else the user's
    primary group in the image, else 0. An unknown uid is allowed, an unknown name isn't: MinipodError.
    """
    fd = os.open(rootfs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        accounts, groups = _accounts(_read(fd, "/etc/passwd")), _groups(_read(fd, "/etc/group"))
    finally:
        os.close(fd)
    name, _, group = image_user.partition(":")
    if run_as_user is not None:
        name, group = str(run_as_user), ""
    account = _account(accounts, name or "0")
    if run_as_group is not None:
        gid = run_as_group
    elif group:
        gid = _group_id(groups, group)
    else:
        gid = account.gid
    memberships = {number for number, members in groups.values() if account.name in members}
    return User(account.uid, gid, (gid, *sorted(memberships - {gid})), account.home or "/")


def _account(accounts: list[_Account], user: str) -> _Account:
    """A name is looked up first, as every runtime does: a user may be called 1000."""
    for account in accounts:
        if account.name == user:
            return account
    uid = _number(user)
    if uid is None:
        raise MinipodError(f"unable to find user {user}: no matching entries in passwd file")
    for account in accounts:
        if account.uid == uid:
            return account
    return _Account("", uid, 0, "/")


def _group_id(groups: dict[str, tuple[int, frozenset[str]]], group: str) -> int:
    if group in groups:
        return groups[group][0]
    gid = _number(group)
    if gid is None:
        raise MinipodError(f"unable to find group {group}: no matching entries in group file")
    return gid


def _accounts(text: str) -> list[_Account]:
    accounts = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[0] and (uid := _number(fields[2])) is not None:
            accounts.append(_Account(fields[0], uid, _number(fields[3]) or 0, fields[5]))
    return accounts


def _groups(text: str) -> dict[str, tuple[int, frozenset[str]]]:
    """Name -> id and members; the first line of a name counts."""
    groups: dict[str, tuple[int, frozenset[str]]] = {}
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] and (gid := _number(fields[2])) is not None:
            groups.setdefault(fields[0], (gid, frozenset(fields[3].split(",")) - {""}))
    return groups


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()) or len(text) > 10:
        return None
    number = int(text)
    return number if number <= _LARGEST_ID else None


def _read(rootfs_fd: int, path: str) -> str:
    """A regular file of the image as text, or "" if it has none."""
    try:
        # O_NONBLOCK: opening a FIFO or a device that the image put there must not wait.
        fd = syscalls.openat2(rootfs_fd, path, os.O_RDONLY | os.O_NONBLOCK, 0, syscalls.RESOLVE_IN_ROOT)
    except KernelError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return ""
        raise
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return ""
        return os.read(fd, _LARGEST_FILE).decode("utf-8", "replace")
    finally:
        os.close(fd)
