"""The node's own network: bridge, forwarding, and the nftables table in which pods add and remove elements.

The table's comment marks it as ours and remembers what forwarding was before. A node that finds another's table takes
that memory over, so that the last one to go puts forwarding back.

What our table accepts, another may still drop: each base chain of a hook decides for itself (nft(8), "verdict
statements"). Where one has a policy of drop for what is forwarded, as docker's does, it must be told about the bridge.
"""

import asyncio
import glob
import re

from minipod.errors import MinipodError
from minipod.names import Layout
from minipod.runtime.netlink import Worker

_COMMENT = re.compile(r'comment "minipod: forwarding was ipv4=(\d) ipv6=(\d)"')
_SYSCTL = "/proc/sys/net"
_FORWARD4 = f"{_SYSCTL}/ipv4/ip_forward"
_FORWARD6 = f"{_SYSCTL}/ipv6/conf/all/forwarding"


def skeleton(layout: Layout, before: tuple[str, str]) -> str:
    """The table as one transaction. It is written once: pods' elements are in its maps."""
    bridge, table = layout.bridge, layout.table
    return f"""
table inet {table} {{
  comment "minipod: forwarding was ipv4={before[0]} ipv6={before[1]}"
  map hostports4 {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
  map hostports6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local dnat ip to meta l4proto . th dport map @hostports4
    fib daddr type local dnat ip6 to meta l4proto . th dport map @hostports6
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local dnat ip to meta l4proto . th dport map @hostports4
    fib daddr type local dnat ip6 to meta l4proto . th dport map @hostports6
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" accept
    oifname "{bridge}" accept
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {layout.subnet4}.0/24 oifname != "{bridge}" masquerade
    ip6 saddr {layout.subnet6}::/64 oifname != "{bridge}" masquerade
  }}
}}
"""


async def ensure(layout: Layout) -> None:
    """Bridge, table, forwarding. Raises MinipodError; a bridge or table of that name that isn't ours is left alone."""
    addresses = (f"{layout.gateway4}/24", f"{layout.gateway6}/64")
    worker = Worker(layout)
    await asyncio.to_thread(
        worker.ensure_bridge, layout.bridge, f"minipod {layout.home or 'node'}", addresses
    )
    before = await _remembered(layout)
    if before is None:
        # The memory first: whoever finds forwarding on must find what it was.
        before = await _others_memory(layout) or _forwarding()
        await nft(skeleton(layout, before))
    _write(_FORWARD4, "1")
    _forward6(layout)


async def remove(layout: Layout) -> None:
    """Undo ensure(): forwarding is put back unless another node is there still."""
    before = await _remembered(layout)
    if before:
        if await _others_memory(layout) is None:
            _put_back(layout, before)
        await nft(f"delete table inet {layout.table}\n")
    await asyncio.to_thread(Worker(layout).delete_bridge, layout.bridge)


# --- nftables --------------------------------------------------------------------------------------------------------


async def nft(script: str, *arguments: str) -> str:
    """Run nft, with `script` on its standard input if there is one: one transaction. Raises MinipodError."""
    words = arguments or ("-f", "-")
    process = await asyncio.create_subprocess_exec(
        "nft",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaint = await process.communicate(script.encode())
    if process.returncode:
        what = " ".join(words) if arguments else script.strip().splitlines()[0].strip(" {")
        raise MinipodError(f"nft {what}: {complaint.decode(errors='replace').strip()}")
    return out.decode(errors="replace")


async def _tables() -> list[str]:
    """Names of the tables of family inet."""
    return [line.split()[2] for line in (await nft("", "list", "tables", "inet")).splitlines()]


async def _memory(table: str) -> tuple[str, str] | None:
    """What a table's comment remembers, or None if it isn't a table of minipod."""
    found = _COMMENT.search(await nft("", "list", "table", "inet", table))
    return (found[1], found[2]) if found else None


async def _remembered(layout: Layout) -> tuple[str, str] | None:
    """What our table remembers; None if there is none yet. Raises MinipodError if the name is somebody else's."""
    if layout.table not in await _tables():
        return None
    before = await _memory(layout.table)
    if before is None:
        raise MinipodError(
            f"the nftables table inet {layout.table} isn't minipod's: rename it, or set MINIPOD_HOME "
            f"(it is shown by: nft list table inet {layout.table})"
        )
    return before


async def _others_memory(layout: Layout) -> tuple[str, str] | None:
    """What another node of this machine remembers."""
    for table in await _tables():
        if table.startswith("minipod") and table != layout.table and (before := await _memory(table)):
            return before
    return None


# --- forwarding ------------------------------------------------------------------------------------------------------


def _forwarding() -> tuple[str, str]:
    return _read(_FORWARD4) or "0", _read(_FORWARD6) or "0"


def _put_back(layout: Layout, before: tuple[str, str]) -> None:
    _write(_FORWARD4, before[0])
    if before[1] == "0" and _read(_FORWARD6) == "1":
        _write(_FORWARD6, "0")
        for path in _read(f"{layout.run}/accept_ra").split():
            if _read(path) == "2":
                _write(path, "1")


def _forward6(layout: Layout) -> None:
    """Pods reach the outside over IPv6 only where the host does; without a default route there is nothing to forward.

    A router ignores router advertisements unless accept_ra is 2 (Documentation/networking/ip-sysctl.rst): a host that
    has its own route from one would lose it.
    """
    if _read(_FORWARD6) != "0" or not _has_default_route6():
        return
    paths = [path for path in glob.glob(f"{_SYSCTL}/ipv6/conf/*/accept_ra") if _read(path) == "1"]
    with open(f"{layout.run}/accept_ra", "w", encoding="ascii") as file:
        file.write("\n".join(paths))
    for path in paths:
        _write(path, "2")
    _write(_FORWARD6, "1")


def _has_default_route6() -> bool:
    """By /proc/net/ipv6_route: destination ::/0 on another interface than lo."""
    routes = [line.split() for line in _read("/proc/net/ipv6_route").splitlines()]
    return any(route[0] == "0" * 32 and route[1] == "00" and route[9] != "lo" for route in routes)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _write(path: str, text: str) -> None:
    """Only if it says something else: /proc/sys may be read-only, and already as it should be."""
    if _read(path) == text:
        return
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as error:
        raise MinipodError(f"write {text} to {path}: {error.strerror}") from None
