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

from minipod.api.cri import (
    ContainerConfig,
    ContainerInfo,
    ContainerStats,
    Record,
    Resources,
    RuntimeStatus,
    SandboxConfig,
    Timing,
)
from minipod.kernel.cgroups import Hierarchies
from minipod.names import Layout, layout
from minipod.spec.types import Event, Pod, PodStatus

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
    """Its stop signal, then SIGKILL to all of it after `timeout` seconds.

    Done when it has ended; what is asked meanwhile is answered before: who has more to ask does it on another channel.
    """

    id: str
    timeout: float = 0


class RemoveContainer(Message, frozen=True):
    id: str


class UpdateResources(Message, frozen=True):
    """Other limits for a running container; what is 0 stays as it is. Not remembered over a restart: that is another
    container."""

    id: str
    resources: Resources


class ReopenLog(Message, frozen=True):
    """Go on in a new file: somebody has renamed the log of a running container."""

    id: str


class Stats(Message, frozen=True):
    """Ask for a ContainerStats."""

    id: str = ""  # empty: of every container that runs


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


class PortForward(Message, frozen=True):
    """Connect to a TCP port on the localhost of a sandbox.

    With a descriptor: a stream socket, on which the connection itself comes back. See runtime/forward.py.
    """

    sandbox: str  # id; empty: the one that is ready
    port: int


class Step(Message, frozen=True):
    """Run the next `count` operations of a build that is stopped, and stop again.

    With a descriptor: a packet socket on which a Done with a Build comes for every stage that is left behind and, as
    the last word, for the place where it is stopped again, or that it isn't; or Failed if an operation failed.
    """

    count: int = 1


class Continue(Message, frozen=True):
    """Go on with a build that is stopped, to its end. With a descriptor, as Step."""


class AwaitStop(Message, frozen=True):
    """Ask where the build is stopped, or to be told when it is. With a descriptor, as Step."""


class Enter(Message, frozen=True):
    """Run a program of the host in the namespaces and the root of a build that is stopped.

    With a descriptor, as Exec.
    """

    program: str  # path on the host; linked statically, as there may be no library where it runs
    argv: tuple[str, ...]
    prompt: str = ""  # PS1
    stdin: bool = False
    tty: bool = False
    rows: int = 0
    columns: int = 0


class Status(Message, frozen=True):
    """Ask for a RuntimeStatus."""


class Trace(Message, frozen=True):
    """Ask for the timings of every operation done so far."""


class Subscribe(Message, frozen=True):
    """Send every Notice on this channel from now on, beginning with the present status."""


class Update(Message, frozen=True):
    """The pod's object as it is now: an ephemeral container more, other labels, a condition that somebody has set."""

    pod: Pod


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
    | UpdateResources
    | ReopenLog
    | Stats
    | Exec
    | Attach
    | PortForward
    | Step
    | Continue
    | AwaitStop
    | Enter
    | Status
    | Trace
    | Subscribe
    | Update
    | Delete
)

# Those that come with a socket of the asker's, on which everything else is said.
WithSocket = Exec | Attach | PortForward | Enter | Step | Continue | AwaitStop

# --- replies ---------------------------------------------------------------------------------------------------


class Build(Record, frozen=True):
    """How far a build that stops has come."""

    done: tuple[str, ...] = ()  # the commands since the last word about it
    stage: str = ""  # where it is stopped: before operation `index`; empty: it isn't
    index: int = 0
    word: str = ""  # the operation's, e.g. pivot_root
    command: str = ""  # ... and its command
    pid: int = 0  # of the process that is stopped; 0: the supervisor itself
    over: bool = False  # it isn't stopped, and has gone on as far as it could
    armed: bool = False  # ... but it will stop before its next operation


class Done(Message, frozen=True):
    """It is so now (or was already). `status` answers Status, `stats` Stats, `timings` Trace and NetStage."""

    status: RuntimeStatus | None = None
    timings: tuple[Timing, ...] = ()
    exit_code: int | None = None
    stats: tuple[ContainerStats, ...] = ()
    build: Build | None = None


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
    """Where the process that runs a plan is to stop before an operation, or to be failed or killed there."""

    stage: str  # e.g. sandbox/pause, container/app; for a stop "" is whichever stage comes next
    index: int
    action: Literal["fail", "kill-before", "kill-after", "stop"]


class Settings(Record, frozen=True):
    """The node's settings that reach a pod (node.toml)."""

    emptydir_medium: Literal["tmpfs", "disk"] = "tmpfs"
    layers: Literal["disk", "tmpfs"] = "disk"  # where writable layers are kept
    backoff_scale: float = 1.0  # 1: the kubelet's 10 s to 300 s
    silent_after: float = 40.0  # seconds until a supervisor that doesn't answer is told of
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
