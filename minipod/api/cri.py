"""What the mechanism is told to build and what it says about it: the records of the Container Runtime Interface.

They travel inside the messages of api/messages.py, and grow by fields with defaults only.
"""

from typing import Literal

import msgspec


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of the records inside messages."""


class Resources(Record, frozen=True):
    """Limits in the units of the kernel's files; 0 means: leave the kernel's default."""

    cpu_shares: int = 0  # as cpu.shares of cgroup v1; cpu.weight is derived
    cpu_quota: int = 0  # microseconds of CPU in each 100000
    memory_limit: int = 0  # bytes
    pids_limit: int = 0


class Mount(Record, frozen=True):
    """A directory or file of the host, bind-mounted into a container."""

    host_path: str
    container_path: str
    readonly: bool = False
    propagation: Literal["private", "rslave", "rshared"] = "private"


class SandboxConfig(Record, frozen=True):
    """Everything about a sandbox that the mechanism must know. Addresses are settled before planning."""

    name: str
    namespace: str
    uid: str
    hostname: str
    cgroup_parent: str  # relative to each hierarchy; exists already
    attempt: int = 0
    log_directory: str = ""
    host_network: bool = False
    share_pid: bool = False
    address4: str = ""  # without prefix length; empty: the next free one, and its IPv6 sibling
    address6: str = ""
    hosts: str = ""  # the text of /etc/hosts; empty: the pod's own
    resolv_conf: str = ""


class ContainerConfig(Record, frozen=True):
    """Everything about a container that the mechanism must know."""

    name: str
    image: str  # as in the manifest, for status
    rootfs: str  # the image's unpacked root, the overlay's lower directory
    argv: tuple[str, ...]
    env: tuple[str, ...] = ()  # NAME=value
    cwd: str = "/"
    attempt: int = 0
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    mounts: tuple[Mount, ...] = ()
    resources: Resources = Resources()
    oom_score_adj: int = 0
    privileged: bool = False
    capabilities: tuple[str, ...] = ()  # names without CAP_; empty: containerd's default set
    no_new_privileges: bool = False
    readonly_rootfs: bool = False
    log_path: str = ""  # relative to the sandbox's log_directory
    termination_message_path: str = ""  # where an empty file of its own is mounted; empty: nowhere
    stop_signal: int = 15
    stdin: bool = False  # keep standard input open for Attach
    stdin_once: bool = False  # until the first one that asks for it has gone
    tty: bool = False  # a terminal instead of pipes
    pid_target: str = ""  # id of the container whose PID namespace it joins (CRI: NamespaceMode TARGET)
    image_id: str = ""


# --- what it says about them (CRI's PodSandboxStatus and ContainerStatus) -----------------------------------


class SandboxInfo(Record, frozen=True):
    id: str
    state: Literal["ready", "notready"]
    created_at: float  # seconds since the epoch
    pid: int = 0  # of pause, in the supervisor's PID namespace
    attempt: int = 0
    address4: str = ""
    address6: str = ""


class ContainerInfo(Record, frozen=True):
    id: str
    sandbox_id: str
    name: str
    attempt: int
    state: Literal["created", "running", "exited"]
    image: str = ""
    image_id: str = ""
    pid: int = 0
    created_at: float = 0
    started_at: float = 0
    finished_at: float = 0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""  # Completed | Error | OOMKilled | StartError | ContainerStatusUnknown
    message: str = ""


class RuntimeStatus(Record, frozen=True):
    sandboxes: tuple[SandboxInfo, ...] = ()
    containers: tuple[ContainerInfo, ...] = ()


class ContainerStats(Record, frozen=True):
    """What a running container has used and uses; None where this host has no controller that counts it."""

    id: str
    at: float  # seconds since the epoch
    cpu_usec: int | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    pids: int | None = None


class Timing(Record, frozen=True):
    """One executed operation of a plan. Times are CLOCK_MONOTONIC nanoseconds."""

    plan: str  # pod, sandbox/<id> or container/<id>
    stage: str
    index: int
    command: str
    pid: int
    start: int
    duration: int
    error: str = ""
    where: str = ""  # of the stage: supervisor, child or netlink
    op: str = ""  # the operation's class, with its module; empty: the process was killed, nobody knows where
    word: str = ""  # what the operation is called, e.g. pivot_root
