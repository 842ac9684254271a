"""The device allow-list's program, run by an interpreter of the few instructions it uses."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.kernel import devices
from minipod.kernel.devices import BLOCK, CHARACTER, MKNOD, READ, WRITE, Rule

NUMBERS = st.integers(0, 5)
ACCESS = st.integers(1, 7)
TYPES = st.sampled_from([BLOCK, CHARACTER])
RULES = st.builds(Rule, TYPES, st.none() | NUMBERS, st.none() | NUMBERS, ACCESS)


def run(program, kind, major, minor, access):
    """What the kernel's interpreter would return (Documentation/bpf/standardization/instruction-set.rst)."""
    context, registers, position = struct.pack("=III", access << 16 | kind, major, minor), [0] * 10, 0
    instructions = list(struct.iter_unpack("=BBhi", program))
    while True:
        code, pair, offset, immediate = instructions[position]
        destination, source = pair & 15, pair >> 4
        position += 1
        if code == 0x95:
            return registers[0]
        if code == 0x61:
            assert source == 1
            registers[destination] = struct.unpack_from("=I", context, offset)[0]
        elif code == 0x54:
            registers[destination] &= immediate
        elif code == 0x74:
            registers[destination] >>= immediate
        elif code == 0xB4:
            registers[destination] = immediate
        elif code == 0xBC:
            registers[destination] = registers[source]
        elif code == 0x56:
            position += offset if registers[destination] != immediate else 0
        elif code == 0x5E:
            position += offset if registers[destination] != registers[source] else 0
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def allowed(rules, kind, major, minor, access):
    """The same in a sentence: some rule fits."""
    return any(
        rule.type == kind
        and rule.major in (None, major)
        and rule.minor in (None, minor)
        and access & ~rule.access == 0
        for rule in rules
    )


@given(st.lists(RULES, max_size=6), TYPES, NUMBERS, NUMBERS, ACCESS)
def test_the_program_allows_what_some_rule_allows(rules, kind, major, minor, access):
    assert run(devices.assemble(rules), kind, major, minor, access) == allowed(
        rules, kind, major, minor, access
    )


@pytest.mark.parametrize(
    ("kind", "major", "minor", "access", "answer"),
    [
        (CHARACTER, 1, 3, READ | WRITE, 1),
        (CHARACTER, 136, 4711, READ | WRITE, 1),
        (CHARACTER, 1, 1, MKNOD, 1),
        (CHARACTER, 1, 1, READ, 0),
        (BLOCK, 1, 3, READ, 0),
        (BLOCK, 8, 0, MKNOD | READ, 0),
    ],
)
def test_what_a_container_may_do_by_default(kind, major, minor, access, answer):
    assert run(devices.assemble(devices.DEFAULT), kind, major, minor, access) == answer
