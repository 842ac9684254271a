"""Changes in a folder, from the kernel: inotify(7)."""

import ctypes
import os

from minipod.errors import KernelError

IN_CLOSE_WRITE = 0x8
IN_MOVED_FROM = 0x40
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_ONLYDIR = 0x1000000

_libc = ctypes.CDLL(None, use_errno=True)
_init = _libc.inotify_init1
_init.argtypes = (ctypes.c_int,)
_add_watch = _libc.inotify_add_watch
_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)


def watch_folder(path: str) -> int:
    """A descriptor, not blocking, that is readable when something has changed in a folder: a file was written and
    closed, came or went; or the folder itself has gone. Raises KernelError: ENOENT, ENOTDIR, ENOSPC for too many."""
    changes = (
        IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
    )
    fd = _init(os.O_NONBLOCK | os.O_CLOEXEC)
    if fd < 0:
        raise KernelError(ctypes.get_errno(), "inotify_init1", "a new descriptor")
    if _add_watch(fd, os.fsencode(path), changes | IN_ONLYDIR) < 0:
        number = ctypes.get_errno()
        os.close(fd)
        raise KernelError(number, "inotify_add_watch", path)
    return int(fd)
