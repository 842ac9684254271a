"""Which addresses are free. A claim is a symbolic link, addresses/10.244.0.5 -> <sandbox id>: see plan.ops.host.Claim.

Any supervisor can claim without asking anybody, and a claim survives the process that made it.
"""

import os

from minipod.errors import MinipodError
from minipod.names import Layout

_FIRST, _LAST = 2, 254  # 1 is the bridge's, 255 broadcast


def free(here: Layout) -> tuple[str, str]:
    """A free IPv4 address and its IPv6 sibling; the one that was given last comes last (least recently used first).

    Free at this moment: only the claim itself decides. Raises MinipodError when the subnet is full.
    """
    taken = {int(name.rpartition(".")[2]) for name in os.listdir(here.addresses)}
    last = _read_last(here)
    span = _LAST - _FIRST + 1
    for step in range(1, span + 1):
        number = _FIRST + (last - _FIRST + step) % span
        if number not in taken:
            return f"{here.subnet4}.{number}", f"{here.subnet6}::{number:x}"
    raise MinipodError(
        f"no free address in {here.subnet4}.0/24 (Hint: {span} pods can have one; delete some)"
    )


def remember(here: Layout, address4: str) -> None:
    """The next search begins after this address. Written by several supervisors at a time: only a preference."""
    fd = os.open(f"{here.run}/last-address", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(fd, f"{address4.rpartition('.')[2]:>3}".encode(), 0)
    finally:
        os.close(fd)


def _read_last(here: Layout) -> int:
    try:
        with open(f"{here.run}/last-address", "rb", buffering=0) as file:
            return int(file.read(3))
    except (FileNotFoundError, ValueError):
        return _FIRST - 1
