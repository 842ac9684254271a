"""What a machine looks like, so that a test can tell whether it left something behind.

Everything is read in the namespaces of the caller, from the kernel or from ip(8) and nft(8), never from minipod.
"""

import json
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from minipod.observe import mounts
from minipod.testing.wait import wait_until

MARK = "MINIPOD_TESTS"  # in the environment of everything a test session starts
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/conf/default/forwarding",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/ipv4/ip_unprivileged_port_start",
    "net/ipv4/ping_group_range",
    "kernel/hostname",
    "kernel/domainname",
    "kernel/shmmax",
    "fs/mqueue/queues_max",
)
NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
Facts = dict[str, str]  # what there is -> what helps to find where it came from


class Host(msgspec.Struct, frozen=True):
    """One look at a machine: facts by kind, e.g. "link" or "mount"."""

    facts: dict[str, Facts]


def snapshot(
    roots: Sequence[str] = (),
    cgroups: str = "minipod",
    only_ours: bool = False,
    without: Sequence[str] = (),
) -> Host:
    """Look around: files below `roots`, cgroups whose path begins with `cgroups`; all of everything else.

    `only_ours` leaves out processes (and their namespaces and cgroups) that aren't of this test session: on a machine
    that others use too, processes come and go. So they do in some pods: `without` leaves out processes (and their
    namespaces) in cgroups whose path holds one of these texts.
    """
    table = mounts.of_process("/proc/self")
    networking = {
        "link": counted(_links()),
        "address": counted(_addresses()),
        "route": counted(_routes()),
        "rule": counted(_rules()),
        "neighbour": counted(_neighbours()),
        "nft": counted(_nft()),
        "socket": counted(_listening_sockets()),
    }
    pids = [pid for pid in _pids() if not ((only_ours and not _is_ours(pid)) or _is_in(pid, without))]
    return Host(
        {
            **networking,
            "mount": counted(_mounts(table)),
            "cgroup": counted(_cgroups(table, cgroups, only_ours)),
            "process": counted(_processes(pids)),
            "namespace": _namespaces(pids, table),
            "ipc": counted(_ipc()),
            "file": counted(_files(roots)),
            "sysctl": counted(_sysctls()),
        }
    )


def difference(before: Host, after: Host) -> list[str]:
    """One line for everything that is there now and wasn't, or was and isn't."""
    lines = []
    for kind, old in before.facts.items():
        new = after.facts[kind]
        lines += [f"{kind} left behind: {key}{new[key]}" for key in new if key not in old]
        lines += [f"{kind} gone: {key}{old[key]}" for key in old if key not in new]
    return lines


def leaks(
    before: Host, look: Callable[[], Host], seconds: float = 0, stays: tuple[str, ...] = ()
) -> list[str]:
    """The difference that remains: namespaces, links and zombies go away a moment after their last user.

    Lines that begin with one of `stays` are no leaks. `seconds`, if not given, are MINIPOD_LEAK_SECONDS, or 5.
    """
    last: list[str] = []

    def nothing() -> bool:
        last[:] = [line for line in difference(before, look()) if not line.startswith(stays)]
        return not last

    try:
        wait_until(nothing, seconds or float(os.environ.get("MINIPOD_LEAK_SECONDS", "5")))
    except AssertionError:
        pass
    return last


def counted(facts: Iterable[str]) -> Facts:
    """Two of the same (a mount over itself, say) are two facts."""
    seen: dict[str, int] = {}
    for fact in facts:
        seen[fact] = seen.get(fact, 0) + 1
    return {
        key if number == 0 else f"{key} (#{number + 1})": "" for key in seen for number in range(seen[key])
    }


# --- networking ------------------------------------------------------------------------------------------------------


def _ip(*arguments: str) -> list[dict[str, object]]:
    output = subprocess.run(["ip", "-j", *arguments], capture_output=True, check=True).stdout
    return [entry for entry in json.loads(output or b"[]") if entry]


def _pick(entry: dict[str, object], *keys: str) -> str:
    return " ".join(f"{key} {entry[key]}" for key in keys if key in entry)


def _links() -> Iterator[str]:
    for link in _ip("-d", "link"):
        kind = link.get("linkinfo", {}).get("info_kind", "")  # type: ignore[attr-defined]
        alias = f" alias {link['ifalias']}" if "ifalias" in link else ""
        up = " up" if "UP" in link["flags"] else ""  # type: ignore[operator]
        yield f"{link['ifname']} {kind} {_pick(link, 'ifindex', 'mtu', 'master')}{up}{alias}"


def _addresses() -> Iterator[str]:
    for link in _ip("addr"):
        for address in link["addr_info"]:  # type: ignore[attr-defined]
            # The kernel makes link-local IPv6 addresses when a link finds its carrier.
            if address["scope"] != "link" or address["family"] != "inet6":
                yield f"{address['local']}/{address['prefixlen']} on {link['ifname']}"


def _routes() -> Iterator[str]:
    for family in ("-4", "-6"):
        for route in _ip(family, "route", "show", "table", "all"):
            # Local, anycast and multicast routes follow addresses; `flags` only say whether there is a carrier.
            if route.get("table") != "local" and not str(route["dst"]).startswith(
                ("fe80:", "ff00:", "multicast")
            ):
                yield _pick(route, "type", "dst", "gateway", "dev", "prefsrc", "metric", "table")


def _rules() -> Iterator[str]:
    for family in ("-4", "-6"):
        for rule in _ip(family, "rule"):
            yield f"{family} {json.dumps(rule, sort_keys=True)}"


def _neighbours() -> Iterator[str]:
    """Those that somebody set; learned ones come and go."""
    for neighbour in _ip("neigh", "show", "nud", "permanent"):
        yield _pick(neighbour, "dst", "lladdr", "dev")


def _nft() -> Iterator[str]:
    """Every table, chain, rule, map and element. Handles only count up."""
    output = subprocess.run(["nft", "-j", "-s", "list", "ruleset"], capture_output=True, check=True).stdout
    for entry in json.loads(output)["nftables"]:
        for kind, body in entry.items():
            if kind == "metainfo":
                continue
            body.pop("handle", None)
            for element in body.pop("elem", []):
                yield f"element of {body['table']} {body['name']}: {json.dumps(element)}"
            yield f"{kind} {json.dumps(body, sort_keys=True)}"


def _listening_sockets() -> Iterator[str]:
    """Unix sockets somebody listens on, abstract ones with @ (proc_pid_net(5): flag 0x10000 is accepting)."""
    with open("/proc/self/net/unix", encoding="utf-8", errors="surrogateescape") as file:
        for line in file.read().splitlines()[1:]:
            fields = line.split(maxsplit=7)
            if len(fields) == 8 and int(fields[3], 16) & 0x10000:
                yield fields[7]


# --- mounts, cgroups, files ------------------------------------------------------------------------------------------


def _mounts(table: list[mounts.Mount]) -> Iterator[str]:
    for mount in table:
        shared = " shared" if "shared:" in mount.propagation else ""
        root = f" of {mount.root}" if mount.root != "/" else ""
        yield f"{mount.mountpoint} {mount.fstype}{root} from {mount.source} {mount.options}{shared}"


def _cgroups(table: list[mounts.Mount], prefix: str, only_ours: bool) -> Iterator[str]:
    for mount in table:
        if not mount.fstype.startswith("cgroup"):
            continue
        for name in sorted(os.listdir(mount.mountpoint)):
            if name.startswith(prefix) and os.path.isdir(f"{mount.mountpoint}/{name}"):
                tree = [directory for directory, _, _ in os.walk(f"{mount.mountpoint}/{name}")]
                if not (only_ours and any(map(_is_in_foreign_use, tree))):
                    yield from tree


def _is_in_foreign_use(cgroup: str) -> bool:
    return any(not _is_ours(int(pid)) for pid in _read(f"{cgroup}/cgroup.procs").split())


def _files(roots: Sequence[str]) -> Iterator[str]:
    for root in roots:
        for directory, directories, files in os.walk(root):
            yield from (f"{directory}/{name}/" for name in directories)
            yield from (f"{directory}/{name}{_kind(f'{directory}/{name}')}" for name in files)


def _kind(path: str) -> str:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return " (just gone)"  # while others still undo what they made: look again
    return " (socket)" if stat.S_ISSOCK(mode) else " (fifo)" if stat.S_ISFIFO(mode) else ""


# --- processes and what they hold ------------------------------------------------------------------------------------


def _pids() -> Iterator[int]:
    """Everybody but this process and kernel threads (which have no memory, so no VmSize)."""
    for name in os.listdir("/proc"):
        if name.isdecimal() and int(name) != os.getpid():
            status = _read(f"/proc/{name}/status")
            if "VmSize:" in status or "State:\tZ" in status:
                yield int(name)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:  # gone meanwhile
        return ""


def _is_ours(pid: int) -> bool:
    if f"{MARK}={os.environ.get(MARK)}" in _read(f"/proc/{pid}/environ").split("\0"):
        return True
    ancestor = pid
    while ancestor not in (0, 1, os.getpid()):
        ancestor = int((_stat(ancestor) or ["", "0"])[1])
    return ancestor == os.getpid()


def _is_in(pid: int, cgroups: Sequence[str]) -> bool:
    path = _read(f"/proc/{pid}/cgroup") if cgroups else ""
    return any(part in path for part in cgroups)


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on: state, ppid ..."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _processes(pids: list[int]) -> Iterator[str]:
    for pid in pids:
        fields = _stat(pid)
        if fields:
            zombie = " (zombie)" if fields[0] == "Z" else ""
            command = (
                _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip() or _read(f"/proc/{pid}/comm").strip()
            )
            yield f"{pid} started at tick {fields[19]}{zombie}: {command[:120]}"


def _namespaces(pids: list[int], table: list[mounts.Mount]) -> Facts:
    """Every namespace that a process is in, has open, or that is bound somewhere; with who holds it."""
    found: dict[str, list[str]] = {}
    for mount in table:
        if mount.fstype == "nsfs":
            found.setdefault(mount.root, []).append(mount.mountpoint)
    for pid in (*pids, os.getpid()):
        for link in (*(f"/proc/{pid}/ns/{kind}" for kind in NAMESPACES), *_descriptors(pid)):
            try:
                target = os.readlink(link)
            except OSError:  # gone, or no longer anybody's business
                continue
            if target.endswith("]") and target.split(":")[0] in NAMESPACES:
                found.setdefault(target, []).append(link)
    return {key: f" held by {', '.join(holders[:3])}" for key, holders in found.items()}


def _descriptors(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []


def _ipc() -> Iterator[str]:
    """System V objects by key and id, POSIX message queues and shared memory by name."""
    for kind in ("shm", "sem", "msg"):
        for line in _read(f"/proc/sysvipc/{kind}").splitlines()[1:]:
            yield f"{kind} {' '.join(line.split()[:2])}"
    for directory in ("/dev/mqueue", "/dev/shm"):
        if os.path.isdir(directory):
            yield from (f"{directory}/{name}" for name in os.listdir(directory))


def _sysctls() -> Iterator[str]:
    for name in SYSCTLS:
        yield f"{name.replace('/', '.')} = {_read(f'/proc/sys/{name}').strip()}"
    yield f"hostname {socket.gethostname()}"
