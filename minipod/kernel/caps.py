"""Capabilities: masks as the kernel shows them in /proc/PID/status, and the order in which a process gives them up.

    drop_bounding(mask)          needs CAP_SETPCAP, so it comes first
    set_user(uid, gid, groups)   leaving uid 0 empties permitted and effective, unless they are to be kept
    set_caps(...)                last; what a program gets at its exec follows from these (capabilities(7))

A seccomp filter that is loaded without no_new_privs needs CAP_SYS_ADMIN: before set_caps, and for a user that isn't
root with `keep_caps`.
"""

import errno
import os
from collections.abc import Iterable

import prctl

from minipod.errors import KernelError
from minipod.kernel import files, syscalls

# By number: linux/capability.h. A newer kernel's capabilities without a name here are called CAP_41 and so on.
# fmt: off
NAMES = (
    "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
    "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
    "SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
    "SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
    "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
    "CHECKPOINT_RESTORE",
)
# fmt: on

# What containerd gives a container that asks for nothing (oci/spec.go, defaultUnixCaps).
# fmt: off
DEFAULT = (
    "CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
    "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
)
# fmt: on


def to_mask(names: Iterable[str]) -> int:
    """The mask of capability names, with or without CAP_. EINVAL names one that doesn't exist."""
    mask = 0
    for name in names:
        short = name.upper().removeprefix("CAP_")
        if short in NAMES:
            mask |= 1 << NAMES.index(short)
        elif short.isdigit() and int(short) < 64:
            mask |= 1 << int(short)
        else:
            raise KernelError(
                errno.EINVAL, "capability", name, "names are in capabilities(7), for example NET_ADMIN"
            )
    return mask


def to_names(mask: int) -> list[str]:
    """The names in a mask, each with CAP_, by number."""
    numbers = (number for number in range(mask.bit_length()) if mask >> number & 1)
    return [f"CAP_{NAMES[number] if number < len(NAMES) else number}" for number in numbers]


def of_kernel() -> int:
    """Every capability this kernel has."""
    return (2 << int(files.read("/proc/sys/kernel/cap_last_cap"))) - 1


def drop_bounding(keep: int) -> None:
    """Leave only `keep` in the bounding set, for ever: no exec gives the others back. Needs CAP_SETPCAP."""
    for number in range(64):
        if not keep >> number & 1 and not syscalls.capbset_drop(number):
            return


def set_user(uid: int, gid: int, groups: Iterable[int] = (), keep_caps: bool = False) -> None:
    """Become that user and group with exactly these supplementary groups; the uid last, with it goes the right to.

    The effective capabilities are empty afterwards unless `uid` is 0. With `keep_caps` the permitted ones stay, to be
    raised or given up with set_caps; otherwise they are gone too.
    """
    try:
        os.setgroups(list(groups))
        os.setresgid(gid, gid, gid)
        prctl.set_keepcaps(int(keep_caps))
        os.setresuid(uid, uid, uid)
        prctl.set_keepcaps(0)
    except OSError as error:
        raise KernelError(error.errno or 0, "setuid", f"user {uid}, group {gid}") from None


def set_caps(permitted: int, effective: int, inheritable: int = 0) -> None:
    """Set this thread's three sets, as masks. EPERM: `permitted` has one that this thread hasn't."""
    syscalls.capset(permitted, effective, inheritable)
