"""The plan of a sandbox: pause, the namespaces it holds, their pins, and the network. Pure."""

from minipod.api.cri import Resources, SandboxConfig
from minipod.api.messages import NodeFacts
from minipod.plan.core import Op, Plan, Stage
from minipod.plan.ops.host import Claim, MakeDirectory, MakeFile, MountTmpfs, Pin
from minipod.plan.ops.mounts import DetachOldRoot, EmptyRoot, PivotRoot
from minipod.plan.ops.namespaces import Announce, EnterCgroup, JoinBase, SetHostname, SetSysctl, Unshare
from minipod.plan.ops.network import AddAddress, AddDefaultRoute, CreateVeth, LinkUp
from minipod.plan.ops.process import (
    ExecDescriptor,
    LimitCapabilities,
    SetCapabilities,
    SetOomScore,
    SetUser,
    Stdio,
)
from minipod.plan.pod import enter_cgroup, make_cgroup

SHM_SIZE = 64 << 20  # bytes, containerd's

OOM_SCORE = -998  # the containers before it: their end can be survived (the kubelet's sandboxOOMScoreAdj)

# nobody, as pause needs nothing at all.
_NOBODY = 65534


def sandbox(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> Plan:
    """One sandbox attempt. `config.cgroup_parent` exists in every hierarchy."""
    stages = [_objects(facts, sandbox_id, config), _pause(facts, sandbox_id, config)]
    if not config.host_network:
        # Before the pins: undone after them, when the namespace is going and takes the pair with it.
        stages.append(_network(facts, sandbox_id, config))
    stages.append(_pins(facts, sandbox_id, config))
    return tuple(stages)


def cgroup(sandbox_id: str, config: SandboxConfig) -> str:
    """pause's own leaf: on cgroup2 only leaves may have processes."""
    return f"{config.cgroup_parent}/{sandbox_id}"


def held(config: SandboxConfig) -> tuple[str, ...]:
    """The namespaces that pause holds for the containers to join."""
    net = () if config.host_network else ("net",)
    return (*net, "ipc", "uts", *(("pid",) if config.share_pid else ()))


def folder(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> str:
    """Files of the sandbox that are mounted into its containers."""
    return f"{facts.layout.pod_run(config.uid)}/{sandbox_id}"


def _objects(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> Stage:
    here = folder(facts, sandbox_id, config)
    ops: list[Op] = []
    if config.address4:
        ops.append(Claim(f"{facts.layout.addresses}/{config.address4}", sandbox_id))
    ops += [
        *make_cgroup(facts, cgroup(sandbox_id, config), Resources(cpu_shares=2)),
        MakeDirectory(here),
        MakeDirectory(f"{here}/shm"),
        MountTmpfs(f"{here}/shm", f"mode=1777,size={SHM_SIZE}", noexec=True),
        MakeFile(f"{here}/hosts", config.hosts),
        MakeFile(f"{here}/hostname", config.hostname + "\n"),
        MakeFile(f"{here}/resolv.conf", config.resolv_conf),
    ]
    return Stage("sandbox/objects", "supervisor", tuple(ops))


def _pause(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> Stage:
    enter, born = enter_cgroup(facts, cgroup(sandbox_id, config))
    ops: list[Op] = [EnterCgroup(path) for path in enter]
    made = tuple(kind for kind in held(config) if kind != "pid")  # in that one it is born
    ops += [
        SetOomScore(OOM_SCORE),
        JoinBase(),
        Unshare((*made, "mnt")),
        SetHostname(config.hostname),
    ]
    if config.address6:
        # Inherited by eth0, which comes later: it shall believe nobody but us about its addresses and routes.
        ops += [
            SetSysctl("net.ipv6.conf.default.accept_ra", "0"),
            SetSysctl("net.ipv6.conf.default.accept_dad", "0"),
        ]
    if not config.host_network:
        ops.append(Announce())
    ops += [
        EmptyRoot(facts.layout.mountpoint),
        Stdio(),
        PivotRoot(),
        DetachOldRoot(),
        LimitCapabilities(()),
        SetUser(_NOBODY, _NOBODY),
        SetCapabilities(()),
        ExecDescriptor("pause", ("pause", "-P")),
    ]
    return Stage("sandbox/pause", "child", tuple(ops), born, new_pid=config.share_pid)


def _network(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> Stage:
    layout = facts.layout
    ops: list[Op] = [
        CreateVeth(layout.veth_host(sandbox_id), layout.bridge, facts.mtu),
        LinkUp("lo"),
        LinkUp("eth0"),
    ]
    for address, length, gateway in (
        (config.address4, 24, layout.gateway4),
        (config.address6, 64, layout.gateway6),
    ):
        if address:
            ops += (AddAddress(f"{address}/{length}"), AddDefaultRoute(gateway))
    return Stage("sandbox/network", "netlink", tuple(ops))


def _pins(facts: NodeFacts, sandbox_id: str, config: SandboxConfig) -> Stage:
    pins = facts.layout.pins(sandbox_id)
    ops: list[Op] = [MakeDirectory(pins, 0o700)]
    for kind in held(config):
        ops += (MakeFile(f"{pins}/{kind}"), Pin(kind, f"{pins}/{kind}"))
    if not config.host_network:
        path = facts.layout.netns_pin(config.name, sandbox_id)
        ops += (MakeFile(path), Pin("net", path))
    return Stage("sandbox/pins", "supervisor", tuple(ops))
