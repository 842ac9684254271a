"""System calls that Python 3.11 doesn't offer, one function each, through ctypes.

Everything is looked up once, at import: a forked child calls these functions after pivot_root into a root that belongs
to somebody else, where neither an import nor a dlopen may happen any more.

A function raises KernelError with the call, the object and errno; it never returns an error code. Descriptors it
returns are close-on-exec. Numbers are from the kernel's uapi headers (linux/sched.h, linux/mount.h, linux/openat2.h).
"""

import ctypes
import errno
import os
import signal
import struct
from collections.abc import Iterable

from minipod.errors import KernelError

# clone(2), unshare(2), setns(2)
CLONE_NEWTIME = 0x00000080
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000

# mount(2), umount2(2)
MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MS_RELATIME = 0x200000
MNT_DETACH = 0x2
UMOUNT_NOFOLLOW = 0x8

# open_tree(2), move_mount(2), mount_setattr(2)
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 0x1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
MOUNT_ATTR_RDONLY = 0x1

# openat2(2)
RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_IN_ROOT = 0x10

# Numbers above 423 are the same on every architecture Debian has.
_SYS_CLONE3 = 435
_SYS_OPENAT2 = 437
_SYS_BPF = 321 if os.uname().machine == "x86_64" else 280  # 280: arm64, riscv64 (asm-generic)
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_PR_CAPBSET_DROP = 24
_PR_GET_TID_ADDRESS = 40

_libc = ctypes.CDLL(None, use_errno=True)
# PyDLL keeps the interpreter lock: clone3 returns in two processes, and only one of them could take it back.
_locked_libc = ctypes.PyDLL(None, use_errno=True)

_int, _str, _ptr, _size = ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t

# Structures are packed bytes, and their formats are made here: making a ctypes type in a fresh child costs 0.2 ms.
_MOUNT_ATTR = struct.Struct("=4Q")  # attr_set, attr_clr, propagation, userns_fd
_OPEN_HOW = struct.Struct("=3Q")  # flags, mode, resolve
_SIGSET = struct.Struct("=16Q")  # glibc's sigset_t has 1024 bits
_CAP_HEADER = struct.Struct("=Ii")  # version, pid
_CAP_DATA = struct.Struct("=6I")  # effective, permitted, inheritable: the low words, then the high ones
# flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup
_CLONE_ARGS = struct.Struct("=11Q")


def _prototype(name: str, *argtypes: type, library: ctypes.CDLL = _libc) -> "ctypes._NamedFuncPointer":
    function = library[name]  # a new object every time, unlike library.name: syscall() has several prototypes
    function.argtypes = argtypes
    function.restype = ctypes.c_long if name == "syscall" else ctypes.c_int
    return function


_unshare = _prototype("unshare", _int)
_setns = _prototype("setns", _int, _int)
_mount = _prototype("mount", _str, _str, _str, ctypes.c_ulong, _str)
_umount2 = _prototype("umount2", _str, _int)
_pivot_root = _prototype("pivot_root", _str, _str)
_open_tree = _prototype("open_tree", _int, _str, ctypes.c_uint)
_move_mount = _prototype("move_mount", _int, _str, _int, _str, ctypes.c_uint)
_mount_setattr = _prototype("mount_setattr", _int, _str, ctypes.c_uint, _ptr, _size)
_openat2 = _prototype("syscall", ctypes.c_long, _int, _str, _ptr, _size)
_bpf = _prototype("syscall", ctypes.c_long, _int, _ptr, ctypes.c_uint)
_close_range = _prototype("close_range", ctypes.c_uint, ctypes.c_uint, _int)
_signalfd = _prototype("signalfd", _int, _ptr, _int)
_capset = _prototype("capset", _ptr, _ptr)
_prctl = _prototype("prctl", _int, _ptr, ctypes.c_ulong, ctypes.c_ulong, ctypes.c_ulong)
_clone3 = _prototype("syscall", ctypes.c_long, _ptr, _size, library=_locked_libc)
_before_fork = ctypes.pythonapi.PyOS_BeforeFork
_after_fork_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_fork_child = ctypes.pythonapi.PyOS_AfterFork_Child
for _hook in (_before_fork, _after_fork_parent, _after_fork_child):
    _hook.argtypes, _hook.restype = (), None

_HINTS = {
    errno.ENOSYS: "the kernel doesn't have this call; minipod needs Linux 5.14",
    errno.EPERM: "minipod must run as root, with all its capabilities",
    errno.ENODEV: "the kernel lacks this file system; `modprobe` it or use a kernel that has it",
}


def _check(result: int, call: str, obj: str, hint: str = "") -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise KernelError(number, call, obj, hint or _HINTS.get(number, ""))
    return result


# --- namespaces ------------------------------------------------------------------------------------------------------

_NAMESPACES = {
    CLONE_NEWNS: "mnt",
    CLONE_NEWUTS: "uts",
    CLONE_NEWIPC: "ipc",
    CLONE_NEWNET: "net",
    CLONE_NEWPID: "pid",
    CLONE_NEWCGROUP: "cgroup",
    CLONE_NEWUSER: "user",
    CLONE_NEWTIME: "time",
}


def _kinds(flags: int) -> str:
    return ",".join(name for flag, name in _NAMESPACES.items() if flags & flag) or hex(flags)


def unshare(flags: int) -> None:
    """Move this process into new namespaces (CLONE_NEW*); CLONE_NEWPID is for its next child. See unshare(2)."""
    _check(_unshare(flags), "unshare", f"namespaces {_kinds(flags)}")


def setns(fd: int, flags: int, what: str) -> None:
    """Join the namespace behind `fd`, or with a pidfd all those of the process in `flags`. `what` is for the error.

    CLONE_NEWPID is for the next child only. See setns(2).
    """
    _check(_setns(fd, flags), "setns", what)


# --- mounts ----------------------------------------------------------------------------------------------------------


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str = "") -> None:
    """mount(2) in this process's mount namespace. `data` are the file system's own options."""
    encode = os.fsencode
    result = _mount(encode(source), encode(target), encode(fstype), flags, encode(data) or None)
    if result < 0:
        _check(
            result,
            "mount",
            f"{fstype or source or 'propagation'} on {target}" + (f" ({data})" if data else ""),
        )


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2). EINVAL means that `target` is no mount point in this mount namespace."""
    _check(_umount2(os.fsencode(target), flags), "umount2", target)


def pivot_root(new: str, old: str) -> None:
    """Make `new` the root mount and put the old one at `old`; both may be "." (pivot_root(2), NOTES)."""
    hint = "the new root must be a mount point, and neither it nor its parent shared"
    _check(_pivot_root(os.fsencode(new), os.fsencode(old)), "pivot_root", new, hint)


def open_tree(dirfd: int, path: str, flags: int = OPEN_TREE_CLONE) -> int:
    """A descriptor of the mount at `path`; OPEN_TREE_CLONE: of a detached copy (AT_RECURSIVE: and what is below it)."""
    return _check(
        _open_tree(dirfd, os.fsencode(path), flags | os.O_CLOEXEC), "open_tree", path or f"descriptor {dirfd}"
    )


def move_mount(from_fd: int, from_path: str, to_fd: int, to_path: str, flags: int = 0) -> None:
    """Attach or move a mount. An empty path with MOVE_MOUNT_{F,T}_EMPTY_PATH means the descriptor itself."""
    result = _move_mount(from_fd, os.fsencode(from_path), to_fd, os.fsencode(to_path), flags)
    if result < 0:
        source, target = from_path or f"descriptor {from_fd}", to_path or f"descriptor {to_fd}"
        _check(result, "move_mount", f"{source} to {target}")


def mount_setattr(
    fd: int, path: str, flags: int, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0
) -> None:
    """Change MOUNT_ATTR_* and propagation (MS_PRIVATE ...) of a mount, with AT_RECURSIVE of all below it."""
    attr = _MOUNT_ATTR.pack(attr_set, attr_clr, propagation, 0)
    result = _mount_setattr(fd, os.fsencode(path), flags, attr, len(attr))
    _check(result, "mount_setattr", path or f"descriptor {fd}")


def detached_copy(path: str) -> int:
    """A descriptor (O_PATH) of the file at `path` in a read-only mount of its own that is attached nowhere."""
    fd = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE)
    try:
        mount_setattr(fd, "", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)
    except KernelError:
        os.close(fd)
        raise
    return fd


# --- files -----------------------------------------------------------------------------------------------------------


def openat2(dirfd: int, path: str, flags: int, mode: int = 0, resolve: int = RESOLVE_IN_ROOT) -> int:
    """Open `path` below `dirfd` without leaving it: the way to touch a path that belongs to an image or a volume."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    result = _openat2(_SYS_OPENAT2, dirfd, os.fsencode(path), how, len(how))
    return _check(result, "openat2", path)


def close_range(first: int, last: int, flags: int = 0) -> None:
    """Close the descriptors first..last, both included."""
    _check(_close_range(first, last, flags), "close_range", f"{first}-{last}")


def signalfd(signals: Iterable[int]) -> int:
    """A non-blocking descriptor that is readable when one of `signals` (which the caller blocks) is pending.

    Each read of 128 bytes takes one struct signalfd_siginfo. See signalfd(2).
    """
    mask = 0
    for number in signals:
        mask |= 1 << (number - 1)
    return _check(
        _signalfd(-1, _SIGSET.pack(mask, *[0] * 15), os.O_NONBLOCK | os.O_CLOEXEC),
        "signalfd",
        "a new descriptor",
    )


# --- processes -------------------------------------------------------------------------------------------------------


def capset(permitted: int, effective: int, inheritable: int) -> None:
    """Set the calling thread's capability sets, each a mask. python-prctl's set_caps takes a hundred times as long."""
    sets = (effective, permitted, inheritable)
    data = _CAP_DATA.pack(*[mask & 0xFFFFFFFF for mask in sets], *[mask >> 32 for mask in sets])
    text = f"permitted={permitted:x} effective={effective:x} inheritable={inheritable:x}"
    _check(_capset(_CAP_HEADER.pack(_LINUX_CAPABILITY_VERSION_3, 0), data), "capset", text)


def capbset_drop(number: int) -> bool:
    """Drop one capability from the bounding set; False if this kernel has none of that number.

    python-prctl refuses those it wasn't compiled with: a newer kernel's would stay.
    """
    result = _prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)
    if result < 0 and ctypes.get_errno() == errno.EINVAL:
        return False
    if result < 0:
        _check(result, "prctl", f"PR_CAPBSET_DROP {number}")
    return True


def overwrite(position: int, data: bytes) -> None:
    """Write into this process's own memory: only where it is known to be writable and long enough."""
    ctypes.memmove(position, data, len(data))


# --- bpf -------------------------------------------------------------------------------------------------------------


def address(data: bytes) -> int:
    """Where `data` is in memory, for a structure that points to it; the caller keeps it alive during the call."""
    return _ptr.from_buffer(_str(data)).value or 0


def bpf(command: int, attr: bytes, what: str, hint: str = "") -> int:
    """bpf(2) with the union bpf_attr as packed bytes. `what` is for the error. Returns the new descriptor or 0."""
    return _check(_bpf(_SYS_BPF, command, attr, len(attr)), "bpf", what, hint)


def clone3_fork(flags: int = 0, cgroup_fd: int = -1, want_pidfd: bool = False) -> tuple[int, int]:
    """fork(2) with clone3's flags: (0, -1) in the child, (pid, pidfd or -1) in the parent. Single-threaded only.

    `flags` are CLONE_NEW* and CLONE_PARENT. With `cgroup_fd`, a directory of cgroup2, the child is born in that cgroup.
    With CLONE_PARENT the child is a sibling: this process's parent waits for it, and gets the signal that this process
    itself sends when it ends (clone(2)); the init of a PID namespace may not use it (EINVAL).

    glibc caches the thread's id at an address that its own fork has the kernel rewrite in the child: so do we.
    Python's own state is set right by the hooks that os.fork() calls as well.
    """
    tid_address, pidfd = _ptr(), _int(-1)
    _prctl(_PR_GET_TID_ADDRESS, ctypes.addressof(tid_address), 0, 0, 0)
    if tid_address.value:  # a kernel without CONFIG_CHECKPOINT_RESTORE doesn't tell
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    if want_pidfd:
        flags |= CLONE_PIDFD
    if cgroup_fd >= 0:
        flags |= CLONE_INTO_CGROUP
    exit_signal = 0 if flags & CLONE_PARENT else int(signal.SIGCHLD)
    pointers = ctypes.addressof(pidfd), tid_address.value or 0, 0
    args = _CLONE_ARGS.pack(flags, *pointers, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0))
    _before_fork()
    pid = _clone3(_SYS_CLONE3, args, len(args))
    if pid == 0:
        _after_fork_child()
        return 0, -1
    _after_fork_parent()
    _check(pid, "clone3", f"a process with flags {flags:#x}" + (" in a cgroup" if cgroup_fd >= 0 else ""))
    return pid, pidfd.value
