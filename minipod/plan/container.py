"""The plan of a container start, and of a command run in one. Pure."""

from minipod.api.cri import ContainerConfig, SandboxConfig
from minipod.api.messages import Exec, NodeFacts
from minipod.kernel.caps import DEFAULT
from minipod.plan import sandbox as sandboxes
from minipod.plan.core import Op, Plan, Stage
from minipod.plan.ops import process
from minipod.plan.ops.host import AllowDevices, MakeDirectory, MakeFile, MakeTree
from minipod.plan.ops.mounts import (
    Bind,
    DetachOldRoot,
    MakeDevice,
    MakeLink,
    MakeReadonly,
    MakeWorkdir,
    Mask,
    Mount,
    MountRoot,
    OpenTrees,
    PivotRoot,
    RemountRootReadonly,
)
from minipod.plan.ops.namespaces import EnterCgroup, Fork, Join, JoinBase, Unshare
from minipod.plan.ops.process import (
    ChangeDirectory,
    LimitCapabilities,
    NoNewPrivileges,
    SetCapabilities,
    SetOomScore,
    SetUser,
    Stdio,
    Terminal,
)
from minipod.plan.pod import enter_cgroup, make_cgroup

# name, major, minor: Documentation/admin-guide/devices.txt
_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
# containerd's lists (oci/spec.go, populateDefaultUnixSpec); a kernel has only some of them.
MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
_KERNEL = "nosuid,nodev,noexec"


def container(
    facts: NodeFacts, sandbox_id: str, sandbox: SandboxConfig, container_id: str, config: ContainerConfig
) -> Plan:
    """One container start, in a sandbox that is ready."""
    return (
        Stage(
            f"container/{config.name}/objects",
            "supervisor",
            tuple(_objects(facts, sandbox, container_id, config)),
        ),
        _process(facts, sandbox_id, sandbox, container_id, config),
    )


def command(
    facts: NodeFacts, sandbox: SandboxConfig, container_id: str, config: ContainerConfig, request: Exec
) -> Stage:
    """A command in a running container (exec): all its namespaces, its cgroup, its user, its environment."""
    enter, born = enter_cgroup(facts, cgroup(sandbox, container_id))
    env = (*config.env, "TERM=xterm") if request.tty else config.env
    ops: list[Op] = [EnterCgroup(path) for path in enter]
    ops += [
        SetOomScore(config.oom_score_adj),
        Join("container", ("mnt", "net", "ipc", "uts", "cgroup", "pid")),
        Fork(),
        Terminal(request.rows, request.columns, config.uid) if request.tty else Stdio(config.uid),
        *_privileges(config),
        process.Exec(request.argv, env),
    ]
    return Stage(f"exec/{config.name}", "child", tuple(ops), born)


def cgroup(sandbox: SandboxConfig, container_id: str) -> str:
    return f"{sandbox.cgroup_parent}/{container_id}"


def layers(facts: NodeFacts, uid: str, container_id: str) -> str:
    """The folder of a container's writable layer; `uid` is the pod's."""
    layout = facts.layout
    where = layout.pod_run if facts.settings.layers == "tmpfs" else layout.pod_lib
    return f"{where(uid)}/{container_id}"


def termination_log(facts: NodeFacts, sandbox: SandboxConfig, container_id: str) -> str:
    """The file that is mounted at the container's terminationMessagePath."""
    return f"{layers(facts, sandbox.uid, container_id)}/termination-log"


def _objects(
    facts: NodeFacts, sandbox: SandboxConfig, container_id: str, config: ContainerConfig
) -> list[Op]:
    here = layers(facts, sandbox.uid, container_id)
    own = cgroup(sandbox, container_id)
    return [
        *make_cgroup(facts, own, config.resources),
        *([] if config.privileged else [AllowDevices(f"{facts.cgroups.v2}/{own}")]),
        MakeDirectory(here, 0o711),
        MakeTree(f"{here}/upper"),
        MakeTree(f"{here}/work"),
        *_termination_log(facts, sandbox, container_id, config),
    ]


def _termination_log(
    facts: NodeFacts, sandbox: SandboxConfig, container_id: str, config: ContainerConfig
) -> list[Op]:
    wanted = config.termination_message_path
    return [MakeFile(termination_log(facts, sandbox, container_id), mode=0o666)] if wanted else []


def _process(
    facts: NodeFacts, sandbox_id: str, sandbox: SandboxConfig, container_id: str, config: ContainerConfig
) -> Stage:
    enter, born = enter_cgroup(facts, cgroup(sandbox, container_id))
    here = layers(facts, sandbox.uid, container_id)
    binds = (
        *_volumes(facts, sandbox_id, sandbox, config),
        *_termination_mount(facts, sandbox, container_id, config),
    )
    joins_pid = sandbox.share_pid or bool(config.pid_target)
    ops: list[Op] = [EnterCgroup(path) for path in enter]
    ops += [
        SetOomScore(config.oom_score_adj),
        Join(
            "sandbox",
            tuple(kind for kind in sandboxes.held(sandbox) if kind != "pid" or not config.pid_target),
        ),
        *([Join("target", ("pid",))] if config.pid_target else []),
        OpenTrees(tuple(bind.source for bind in binds)),
        JoinBase(),
        # After the cgroup was entered: that cgroup becomes the root of what the container sees.
        Unshare(("mnt", "cgroup")),
        # A process doesn't change its own PID namespace, only its children's. /proc, mounted below, shows the
        # PID namespace of whoever mounts it: so fork first.
        *([Fork()] if joins_pid else []),
        MountRoot(config.rootfs, f"{here}/upper", f"{here}/work", facts.layout.mountpoint),
        *_kernel_mounts(facts, config),
        *_devices(),
        *binds,
        MakeWorkdir(config.cwd),
        *([] if config.tty else [Stdio(config.uid)]),
        PivotRoot(),
        DetachOldRoot(),
        *_hidden(facts, config),
        # Of its own devpts: only here is that at /dev/pts.
        *([Terminal(uid=config.uid)] if config.tty else []),
        *_privileges(config),
        process.Exec(config.argv, ("TERM=xterm", *config.env) if config.tty else config.env),
    ]
    return Stage(f"container/{config.name}", "child", tuple(ops), born, new_pid=not joins_pid)


def _kernel_mounts(facts: NodeFacts, config: ContainerConfig) -> list[Op]:
    readonly = "" if config.privileged else ",ro"
    ops: list[Op] = [Mount("proc", "/proc", _KERNEL), Mount("sysfs", "/sys", _KERNEL + readonly)]
    if not facts.cgroups.v1:
        ops.append(Mount("cgroup2", "/sys/fs/cgroup", _KERNEL + ",relatime" + readonly))
        return ops
    ops.append(Mount("tmpfs", "/sys/fs/cgroup", _KERNEL, "mode=755"))
    for place in dict.fromkeys(facts.cgroups.v1.values()):
        # A hierarchy is named by all its controllers (cpu,cpuacct are often one).
        controllers = ",".join(name for name, where in facts.cgroups.v1.items() if where == place)
        folder = f"/sys/fs/cgroup/{place.rpartition('/')[2]}"
        ops.append(Mount("cgroup", folder, _KERNEL + ",relatime" + readonly, controllers))
    return ops


def _devices() -> list[Op]:
    return [
        Mount("tmpfs", "/dev", "nosuid", "mode=755,size=65536k"),
        *(MakeDevice(*device) for device in _DEVICES),
        *(MakeLink(*link) for link in _LINKS),
        Mount("devpts", "/dev/pts", "nosuid,noexec", "newinstance,ptmxmode=0666,mode=0620,gid=5"),
        Mount("mqueue", "/dev/mqueue", _KERNEL),
    ]


def _volumes(
    facts: NodeFacts, sandbox_id: str, sandbox: SandboxConfig, config: ContainerConfig
) -> list[Bind]:
    here = sandboxes.folder(facts, sandbox_id, sandbox)
    ops = [Bind(f"{here}/shm", "/dev/shm")]
    taken = {mount.container_path for mount in config.mounts}
    files = (name for name in ("hosts", "hostname", "resolv.conf") if f"/etc/{name}" not in taken)
    ops += [Bind(f"{here}/{name}", f"/etc/{name}") for name in files]
    # Outer paths before the ones inside them.
    mounts = sorted(config.mounts, key=lambda mount: mount.container_path.count("/"))
    return [*ops, *(Bind(m.host_path, m.container_path, m.readonly, m.propagation) for m in mounts)]


def _termination_mount(
    facts: NodeFacts, sandbox: SandboxConfig, container_id: str, config: ContainerConfig
) -> list[Bind]:
    path = config.termination_message_path
    if not path or any(mount.container_path == path for mount in config.mounts):
        return []
    return [Bind(termination_log(facts, sandbox, container_id), path)]


def _hidden(facts: NodeFacts, config: ContainerConfig) -> list[Op]:
    ops: list[Op] = []
    if not config.privileged:
        ops += [Mask(path) for path in facts.masked]
        ops += [MakeReadonly(path) for path in facts.readonly]
    if config.readonly_rootfs:
        ops.append(RemountRootReadonly())
    return ops


def _privileges(config: ContainerConfig) -> list[Op]:
    ops: list[Op] = [ChangeDirectory(config.cwd)]
    if config.no_new_privileges:
        ops.append(NoNewPrivileges())
    if config.privileged:
        return [*ops, SetUser(config.uid, config.gid, config.groups)]
    names = config.capabilities or DEFAULT
    ops += [LimitCapabilities(names), SetUser(config.uid, config.gid, config.groups)]
    if config.uid == 0:
        ops.append(SetCapabilities(names))
    return ops
