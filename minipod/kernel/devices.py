"""Which device nodes the processes of a cgroup may open and make: an allow-list as a BPF program on cgroup2.

cgroup2 has no devices controller: a BPF program of type CGROUP_DEVICE decides, and it works on the cgroup2 hierarchy of
a hybrid host as well, so the v1 controller is never needed. The program is short enough to be assembled by hand. A node
in /dev is only a name; this is what refuses the device behind a node the container made itself with mknod.

Sources: Documentation/admin-guide/cgroup-v2.rst (device controller), linux/bpf.h, Documentation/bpf/standardization.
"""

import struct
from collections.abc import Sequence

import msgspec

from minipod.kernel import syscalls

MKNOD, READ, WRITE = 1, 2, 4  # BPF_DEVCG_ACC_*
BLOCK, CHARACTER = 1, 2  # BPF_DEVCG_DEV_*
_ANY_ACCESS = MKNOD | READ | WRITE

_PROG_LOAD, _PROG_ATTACH = 5, 8
_PROG_TYPE_CGROUP_DEVICE = 15
_ATTACH_TYPE_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2  # a parent may have a program too; all must agree
_HINT = "needs a kernel with CONFIG_CGROUP_BPF"


class Rule(msgspec.Struct, frozen=True):
    """One line of the allow-list; None means any."""

    type: int
    major: int | None = None
    minor: int | None = None
    access: int = _ANY_ACCESS


# What containerd allows every container (oci/spec_opts_unix.go, WithDefaultUnixDevices).
DEFAULT = (
    Rule(CHARACTER, access=MKNOD),
    Rule(BLOCK, access=MKNOD),
    Rule(CHARACTER, 1, 3),  # null
    Rule(CHARACTER, 1, 5),  # zero
    Rule(CHARACTER, 1, 7),  # full
    Rule(CHARACTER, 1, 8),  # random
    Rule(CHARACTER, 1, 9),  # urandom
    Rule(CHARACTER, 5, 0),  # tty
    Rule(CHARACTER, 5, 1),  # console
    Rule(CHARACTER, 5, 2),  # ptmx
    Rule(CHARACTER, 136),  # pts/*
)

# struct bpf_insn: code, registers (source << 4 | destination), offset, immediate
_INSN = struct.Struct("=BBhi")
_LOAD_U32, _AND, _SHIFT_RIGHT, _MOVE, _MOVE_REGISTER = 0x61, 0x54, 0x74, 0xB4, 0xBC
_JUMP_UNLESS_EQUAL, _JUMP_UNLESS_EQUAL_REGISTER, _EXIT = 0x56, 0x5E, 0x95
_RESULT, _CONTEXT, _TYPE, _ACCESS, _MAJOR, _MINOR, _SCRATCH = 0, 1, 2, 3, 4, 5, 1


def assemble(rules: Sequence[Rule]) -> bytes:
    """The program: 1 (allow) at the first rule that fits what is asked for, 0 at the end.

    Its context is struct bpf_cgroup_dev_ctx: access in the high and type in the low half of one word, major, minor.
    """
    insn = _INSN.pack
    program = [
        insn(_LOAD_U32, _CONTEXT << 4 | _TYPE, 0, 0),
        insn(_AND, _TYPE, 0, 0xFFFF),
        insn(_LOAD_U32, _CONTEXT << 4 | _ACCESS, 0, 0),
        insn(_SHIFT_RIGHT, _ACCESS, 0, 16),
        insn(_LOAD_U32, _CONTEXT << 4 | _MAJOR, 4, 0),
        insn(_LOAD_U32, _CONTEXT << 4 | _MINOR, 8, 0),
    ]
    for rule in rules:
        program += _rule(rule)
    return b"".join([*program, insn(_MOVE, _RESULT, 0, 0), insn(_EXIT, 0, 0, 0)])


def _rule(rule: Rule) -> list[bytes]:
    """Allow if the rule fits. Each test that fails jumps over what is left of the rule."""
    tests = [(_JUMP_UNLESS_EQUAL, _TYPE, rule.type)]
    if rule.major is not None:
        tests.append((_JUMP_UNLESS_EQUAL, _MAJOR, rule.major))
    if rule.minor is not None:
        tests.append((_JUMP_UNLESS_EQUAL, _MINOR, rule.minor))
    if rule.access != _ANY_ACCESS:
        tests.append((_MOVE_REGISTER, _ACCESS << 4 | _SCRATCH, 0))
        tests.append((_AND, _SCRATCH, rule.access))
        tests.append((_JUMP_UNLESS_EQUAL_REGISTER, _ACCESS << 4 | _SCRATCH, 0))
    allow = [_INSN.pack(_MOVE, _RESULT, 0, 1), _INSN.pack(_EXIT, 0, 0, 0)]
    jumps = (_JUMP_UNLESS_EQUAL, _JUMP_UNLESS_EQUAL_REGISTER)
    lines = []
    for position, (code, registers, immediate) in enumerate(tests):
        left = len(tests) - position - 1 + len(allow)
        lines.append(_INSN.pack(code, registers, left if code in jumps else 0, immediate))
    return lines + allow


def load(rules: Sequence[Rule] = DEFAULT) -> int:
    """Check the program in with the kernel; the descriptor can be attached to any number of cgroups, then closed."""
    program, license_name = assemble(rules), b"GPL\0"
    attr = struct.pack(
        "=IIQQ",
        _PROG_TYPE_CGROUP_DEVICE,
        len(program) // _INSN.size,
        syscalls.address(program),
        syscalls.address(license_name),
    )
    return syscalls.bpf(_PROG_LOAD, attr, "load the device allow-list", _HINT)


def attach(cgroup_fd: int, program_fd: int) -> None:
    """Let the program decide for a cgroup2 cgroup (a descriptor of its directory) and all below; it goes with it."""
    attr = struct.pack("=IIII", cgroup_fd, program_fd, _ATTACH_TYPE_CGROUP_DEVICE, _ALLOW_MULTI)
    syscalls.bpf(_PROG_ATTACH, attr, "attach the device allow-list to the cgroup", _HINT)
