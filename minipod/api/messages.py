"""What minipod's processes say to each other: one closed, versioned set of typed messages.

    node ──Launch──▶ forge ──Launch──▶ supervisor            (the forge passes it on with the node's socket)
    node, tests ──Request──▶ supervisor ──Reply──▶           (one reply to each request, in order)
    supervisor ──Notice──▶ node                              (whenever something happened, after Subscribe)
    supervisor ──NetStage──▶ netlink worker ──Reply──▶

All travel as one JSON object in one packet of a SOCK_SEQPACKET socket (api/channel.py), descriptors beside them.

What it is told to build is in api/cri.py. The mechanism's requests are those of the Container Runtime Interface:
idempotent, ids chosen by the caller, and ignorant of restart policies and probes. A message never loses a field; new
ones have defaults, so that a newer node understands an older supervisor.
"""

import functools
from typing import Literal

import msgspec

from minipod.api.cri import ContainerConfig, ContainerInfo, Record, RuntimeStatus, SandboxConfig, Timing
from minipod.kernel.cgroups import Hierarchies
from minipod.names import Layout, layout
from minipod.spec.types import Event, Pod, PodStatus

VERSION = 1
_layouts = functools.cache(layout)


class Message(msgspec.Struct, frozen=True, tag=True, tag_field="type", omit_defaults=True):
    """Base of all messages; its class name is the value of "type"."""


# --- requests to a supervisor --------------------------------------------------------------------------------


class RunSandbox(Message, frozen=True):
    """Make a sandbox: pause, its namespaces, its network. Done when pause runs and the addresses are usable."""

    id: str
    config: SandboxConfig


class StopSandbox(Message, frozen=True):
    """Kill what still runs in it, release its network. The record stays."""

    id: str


class RemoveSandbox(Message, frozen=True):
    """Stop it, remove its containers and its record."""

    id: str


class CreateContainer(Message, frozen=True):
    """Check and record a container; no process yet."""

    id: str
    sandbox_id: str
    config: ContainerConfig


class StartContainer(Message, frozen=True):
    """Run it. Done when its process has been exec'ed."""

    id: str


class StopContainer(Message, frozen=True):
    """Its stop signal, then SIGKILL to all of it after `timeout` seconds. Done when it has ended."""

    id: str
    timeout: float = 0


class RemoveContainer(Message, frozen=True):
    id: str


class Exec(Message, frozen=True):
    """Run a command in a running container.

    With a descriptor: a stream socket on which the supervisor answers `streams` with the descriptors of stdin, stdout
    and stderr (or of the terminal) and later `exit N`. See api/streams.py.
    """

    container: str  # id, or a container's name while the engine is on
    argv: tuple[str, ...]
    stdin: bool = False
    tty: bool = False
    rows: int = 0
    columns: int = 0


class Attach(Message, frozen=True):
    """Stand beside a running container: see what it writes from now on, and write what it reads.

    With a descriptor, as Exec; see runtime/attach.py for what is answered on it.
    """

    container: str
    stdin: bool = False
    rows: int = 0
    columns: int = 0


class Status(Message, frozen=True):
    """Ask for a RuntimeStatus."""


class Trace(Message, frozen=True):
    """Ask for the timings of every operation done so far."""


class Subscribe(Message, frozen=True):
    """Send every Notice on this channel from now on, beginning with the present status."""


class Delete(Message, frozen=True):
    """Stop the pod within `grace` seconds (None: the spec's), undo it, and exit. Replied to at once."""

    grace: float | None = None


Request = (
    RunSandbox
    | StopSandbox
    | RemoveSandbox
    | CreateContainer
    | StartContainer
    | StopContainer
    | RemoveContainer
    | Exec
    | Attach
    | Status
    | Trace
    | Subscribe
    | Delete
)

# --- replies ---------------------------------------------------------------------------------------------------


class Done(Message, frozen=True):
    """It is so now (or was already). `status` answers Status, `timings` answers Trace and NetStage."""

    status: RuntimeStatus | None = None
    timings: tuple[Timing, ...] = ()
    exit_code: int | None = None


class Failed(Message, frozen=True):
    """It isn't so. `reason` is one of CRI's and the kubelet's words where there is one."""

    error: str
    reason: str = ""


Reply = Done | Failed

# --- notices: supervisor to node ---------------------------------------------------------------------------------


class PodChanged(Message, frozen=True):
    """The pod's status, whole, as it is now. `sequence` grows by one each time, over supervisors too."""

    uid: str
    status: PodStatus
    sequence: int = 0


class EventHappened(Message, frozen=True):
    uid: str
    event: Event


class ContainerChanged(Message, frozen=True):
    """CRI's event: a container was created, started or has ended. Sent with the engine on or off."""

    container: ContainerInfo


class PodEnded(Message, frozen=True):
    """Everything in the pod is stopped and undone; the supervisor exits now and the object may go."""

    uid: str


Notice = PodChanged | EventHappened | ContainerChanged | PodEnded

# --- node to forge to supervisor -------------------------------------------------------------------------------


class Door(Record, frozen=True):
    """Where the process that runs a plan is to be failed or killed: fault injection."""

    stage: str  # e.g. sandbox/pause, container/app
    index: int
    action: Literal["fail", "kill-before", "kill-after"]


class Settings(Record, frozen=True):
    """The node's settings that reach a pod (node.toml)."""

    emptydir_medium: Literal["tmpfs", "disk"] = "tmpfs"
    layers: Literal["disk", "tmpfs"] = "disk"  # where writable layers are kept
    backoff_scale: float = 1.0  # 1: the kubelet's 10 s to 300 s
    log_max_bytes: int = 10 << 20
    log_max_files: int = 5


class NodeFacts(Record, frozen=True):
    """What a supervisor must know about the machine, found out once by the node."""

    home: str  # MINIPOD_HOME: from it every name follows
    node_name: str
    host_ip: str
    memory_bytes: int
    cgroups: Hierarchies
    pause: str  # path of catatonit
    masked: tuple[str, ...] = ()  # paths that exist on this kernel and that containers must not see
    readonly: tuple[str, ...] = ()  # ... and must not write
    ipv6: bool = True
    dns: str = ""  # text of the node's /etc/resolv.conf
    mtu: int = 1500
    settings: Settings = Settings()

    @property
    def layout(self) -> Layout:
        return _layouts(self.home)


class Launch(Message, frozen=True):
    """Become the supervisor of this pod. Sent with one end of a socket pair: the node's channel."""

    pod: Pod
    facts: NodeFacts
    engine: bool = True
    door: Door | None = None
    lost: bool = False  # an earlier supervisor died: what ran then is ContainerStatusUnknown, 137
    asked_at: int = 0  # when the node had read the request for it, ns of CLOCK_MONOTONIC; 0: nobody asked


class Launched(Message, frozen=True):
    """The forge's answer: which blank supervisor took it."""

    uid: str
    pid: int
    supervisor_id: str


def encode(message: Message) -> bytes:
    """One message as it goes over the wire."""
    return msgspec.json.encode(message)


requests = msgspec.json.Decoder(Request)
replies = msgspec.json.Decoder(Reply)
notices = msgspec.json.Decoder(Done | Failed | Notice)
launches = msgspec.json.Decoder(Launch)
