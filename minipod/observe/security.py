"""What a container's first process may do: users, capabilities, seccomp, no_new_privs, LSM. See proc_pid_status(5)."""

import textwrap
from collections.abc import Sequence

import msgspec

from minipod.errors import KernelError
from minipod.kernel import caps, files, process
from minipod.observe.members import Member

_SETS = {
    "effective": "CapEff",
    "permitted": "CapPrm",
    "inheritable": "CapInh",
    "bounding": "CapBnd",
    "ambient": "CapAmb",
}
_SECCOMP = {"0": "disabled", "1": "strict", "2": "filter"}  # seccomp(2)


class IdRange(msgspec.Struct, frozen=True):
    """One line of uid_map or gid_map (user_namespaces(7)): `count` ids from `inside` are those from `outside` here."""

    inside: int
    outside: int
    count: int


class Security(msgspec.Struct, frozen=True):
    """Of one process. Ids are as seen from the node's user namespace."""

    name: str
    pid: int
    uids: tuple[int, ...]  # real, effective, saved, file system
    gids: tuple[int, ...]
    groups: tuple[int, ...]
    uid_map: tuple[IdRange, ...]
    gid_map: tuple[IdRange, ...]
    capabilities: dict[str, tuple[str, ...]]  # by set: effective, permitted, inheritable, bounding, ambient
    seccomp: str  # disabled, strict, filter; "" if the kernel hasn't got it
    seccomp_filters: int
    no_new_privs: bool
    lsm: str  # the label, "" without AppArmor, SELinux or Smack
    oom_score_adj: int


def look(members: Sequence[Member]) -> tuple[Security, ...]:
    """Of each member that lives."""
    found: list[Security] = []
    for member in members:
        try:
            found.append(_security(member.name, member.pid))
        except KernelError:  # it has ended
            continue
    return tuple(found)


def _security(name: str, pid: int) -> Security:
    status = process.status(pid)
    return Security(
        name=name,
        pid=pid,
        uids=_numbers(status["Uid"]),
        gids=_numbers(status["Gid"]),
        groups=_numbers(status["Groups"]),
        uid_map=_map(files.read(f"/proc/{pid}/uid_map")),
        gid_map=_map(files.read(f"/proc/{pid}/gid_map")),
        capabilities={kind: tuple(caps.to_names(int(status[key], 16))) for kind, key in _SETS.items()},
        seccomp=_SECCOMP.get(status.get("Seccomp", ""), ""),
        seccomp_filters=int(status.get("Seccomp_filters", 0)),
        no_new_privs=status.get("NoNewPrivs") == "1",
        lsm=_label(pid),
        oom_score_adj=int(files.read(f"/proc/{pid}/oom_score_adj")),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split()))


def _map(text: str) -> tuple[IdRange, ...]:
    return tuple(IdRange(*map(int, line.split())) for line in text.splitlines())


def _label(pid: int) -> str:
    """proc_pid_attr(5): reading it fails with EINVAL where no security module has labels."""
    try:
        return files.read(f"/proc/{pid}/attr/current").rstrip("\0")
    except KernelError:
        return ""


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(found: Sequence[Security], width: int) -> str:
    """A block for each process, long lists folded at `width` columns."""
    return "\n\n".join(_block(each, width) for each in found) or "SECURITY\nnobody in the pod runs"


def _block(each: Security, width: int) -> str:
    filters = f", {each.seccomp_filters} filters" if each.seccomp_filters > 1 else ""
    lines = [
        ("user", f"{each.uids[1]}:{each.gids[1]}, groups {' '.join(map(str, each.groups)) or 'none'}"),
        ("uid map", _ranges(each.uid_map)),
        ("gid map", _ranges(each.gid_map)),
        *_capabilities(each.capabilities),
        ("seccomp", (each.seccomp or "not in this kernel") + filters),
        ("no_new_privs", "yes" if each.no_new_privs else "no"),
        ("LSM label", each.lsm or "none"),
        ("oom_score_adj", str(each.oom_score_adj)),
    ]
    return "\n".join([f"{each.name} (process {each.pid})", *(_fold(*line, width) for line in lines)])


def _ranges(ranges: Sequence[IdRange]) -> str:
    whole = (IdRange(0, 0, 0xFFFFFFFF),)
    if tuple(ranges) == whole:
        return "the host's"
    return ", ".join(f"{each.inside} is {each.outside} ({each.count} ids)" for each in ranges) or "none"


def _capabilities(sets: dict[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Sets that are equal on one line."""
    kinds: dict[tuple[str, ...], list[str]] = {}
    for kind, names in sets.items():
        kinds.setdefault(names, []).append(kind)
    everything = tuple(caps.to_names(caps.of_kernel()))
    return [
        (
            f"{', '.join(each)} caps",
            "all" if names == everything else " ".join(name.removeprefix("CAP_") for name in names) or "none",
        )
        for names, each in kinds.items()
    ]


def _fold(key: str, value: str, width: int) -> str:
    first = f"  {key}: "
    return textwrap.fill(
        value, max(width, 40), initial_indent=first, subsequent_indent="      ", break_on_hyphens=False
    )
