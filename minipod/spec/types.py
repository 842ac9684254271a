"""The Kubernetes objects minipod knows, as typed structs with Kubernetes' own field names in JSON.

Only the fields that have a meaning here are present: every other field of core/v1 is in fields.py with the reason why
it is refused. Absent values are "", 0, (), {} or None, and aren't written out. Quantities are canonical strings
(quantity.py reads them), times are RFC 3339 strings in UTC. Structs are frozen: use msgspec.structs.replace. What a
manifest must say is checked in validate.py, not here: a struct can hold an object that is still wrong.

This module is imported by every process that runs pods: it stays free of everything but msgspec.
Field names and meanings: Kubernetes API reference, core/v1, v1.35.
"""

from typing import Any

import msgspec

from minipod.spec.base import Object
from minipod.spec.handlers import ContainerRestartRule, Lifecycle, Probe


def _always(value: Any) -> Any:
    """A default that is written out all the same (omit_defaults leaves out only plain defaults)."""
    return msgspec.field(default_factory=lambda: value)


# --- metadata --------------------------------------------------------------------------------------------------


class OwnerReference(Object, frozen=True):
    """The object that made this one, and with which it goes."""

    api_version: str  # of the owner, e.g. apps/v1
    kind: str  # of the owner
    name: str  # of the owner
    uid: str  # of the owner
    controller: bool = False  # the owner manages this object
    block_owner_deletion: bool = False  # the owner stays until this object is gone


class ObjectMeta(Object, frozen=True):
    """What every object has: its names and its history."""

    name: str = ""  # unique within the namespace, an RFC 1123 subdomain
    namespace: str = ""  # "default" when the manifest doesn't say
    uid: str = ""  # unique over all objects that ever were; set by the node
    resource_version: str = ""  # changes with every write; set by the node
    generation: int = 0  # counts changes of the specification; set by the node
    creation_timestamp: str = ""  # set by the node
    deletion_timestamp: str = ""  # the object is to be gone by then; set by a delete
    deletion_grace_period_seconds: int | None = None  # the grace the delete was given
    labels: dict[str, str] = {}  # to select objects by
    annotations: dict[str, str] = {}  # for tools; not for selecting
    owner_references: tuple[OwnerReference, ...] = ()  # who made it


# --- the specification of a container --------------------------------------------------------------------------


class EnvVar(Object, frozen=True):
    """One environment variable of a container."""

    name: str = ""  # printable ASCII without "="
    value: str = ""  # the text of the variable


class ContainerPort(Object, frozen=True):
    """A port the container listens on. Information only: every port of a pod can be reached."""

    container_port: int = 0  # 1 to 65535
    name: str = ""  # an IANA service name, unique in the container
    protocol: str = ""  # TCP, UDP or SCTP


class ResourceRequirements(Object, frozen=True):
    """What a container needs and what it may use: cpu, memory and ephemeral-storage, in canonical quantities."""

    limits: dict[str, str] = {}  # the most it may use
    requests: dict[str, str] = {}  # what it is given for certain; the limits when absent


class VolumeMount(Object, frozen=True):
    """A volume of the pod at a path of the container."""

    name: str = ""  # of the volume
    mount_path: str = ""  # absolute, or relative to /
    read_only: bool = False  # mounted read-only


class SecurityContext(Object, frozen=True):
    """Who the container's process is and what it may do. What is None comes from the pod."""

    run_as_user: int | None = None  # uid of the first process; None: the image's
    run_as_group: int | None = None  # gid of the first process; None: the user's primary group
    privileged: bool | None = None  # all capabilities, all devices, nothing masked


class Container(Object, frozen=True):
    """One container of a pod."""

    name: str = ""  # an RFC 1123 label, unique in the pod
    image: str = ""  # OCI image reference
    command: tuple[str, ...] = ()  # replaces the image's ENTRYPOINT
    args: tuple[str, ...] = ()  # replaces the image's CMD
    working_dir: str = ""  # "": the image's
    env: tuple[EnvVar, ...] = ()  # later ones win
    ports: tuple[ContainerPort, ...] = ()  # information
    resources: ResourceRequirements = ResourceRequirements()  # cpu and memory
    volume_mounts: tuple[VolumeMount, ...] = ()  # which volumes it sees, and where
    image_pull_policy: str = ""  # Always, IfNotPresent or Never
    stdin: bool = False  # standard input stays open, for attach
    stdin_once: bool = False  # until the first attach ends
    tty: bool = False  # a terminal instead of three pipes
    security_context: SecurityContext | None = None  # overrides the pod's
    restart_policy: str = ""  # "": the pod's; Always makes an init container a sidecar
    restart_policy_rules: tuple[ContainerRestartRule, ...] = ()  # what comes before the policy
    lifecycle: Lifecycle | None = None  # what is done after its start and before its end
    startup_probe: Probe | None = None  # it is started when this succeeds
    liveness_probe: Probe | None = None  # it is restarted when this fails
    readiness_probe: Probe | None = None  # it is ready as long as this succeeds
    termination_message_path: str = ""  # the file whose text becomes the termination message
    termination_message_policy: str = ""  # File or FallbackToLogsOnError


class EphemeralContainer(Container, frozen=True):
    """A container added to a running pod, to look around in it: never restarted, never counted as ready."""

    target_container_name: str = ""  # whose PID namespace it joins; "": the pod's, or its own


# --- the specification of a pod --------------------------------------------------------------------------------


class EmptyDirVolumeSource(Object, frozen=True):
    """A directory that is empty at first and lives as long as the pod."""

    medium: str = ""  # "" the node's default, Memory for a tmpfs
    size_limit: str = ""  # quantity of bytes; "": none


class HostPathVolumeSource(Object, frozen=True):
    """A path of the host."""

    path: str = ""  # on the host
    type: str | None = None  # what must be there or is made; "": no check


class Volume(Object, frozen=True):
    """A named volume of the pod; exactly one source is set."""

    name: str = ""  # an RFC 1123 label, unique in the pod
    empty_dir: EmptyDirVolumeSource | None = None  # scratch space shared by the containers
    host_path: HostPathVolumeSource | None = None  # a piece of the host's file system


class PodSecurityContext(Object, frozen=True):
    """Defaults for every container of the pod."""

    run_as_user: int | None = None  # uid of the first process of each container
    run_as_group: int | None = None  # its gid


class PodReadinessGate(Object, frozen=True):
    """A condition, set by somebody else, that Ready waits for."""

    condition_type: str = ""  # of the condition in status.conditions


class PodSchedulingGate(Object, frozen=True):
    """Something the pod waits for before it gets a node."""

    name: str = ""  # a qualified name, unique in the pod


class PodDNSConfigOption(Object, frozen=True):
    """An option of the resolver, as in resolv.conf(5)."""

    name: str = ""  # e.g. ndots
    value: str = ""  # what follows the colon; "": the name stands alone


class PodDNSConfig(Object, frozen=True):
    """What /etc/resolv.conf has beyond what the policy gives."""

    nameservers: tuple[str, ...] = ()  # addresses
    searches: tuple[str, ...] = ()  # domains names are looked up in
    options: tuple[PodDNSConfigOption, ...] = ()  # one of the same name comes in place of the policy's


class PodSpec(Object, frozen=True):
    """What the pod shall be."""

    containers: tuple[Container, ...] = ()  # the app containers, started in this order
    init_containers: tuple[Container, ...] = ()  # run to completion one after another, before the others
    ephemeral_containers: tuple[EphemeralContainer, ...] = ()  # added while it runs, in this order
    readiness_gates: tuple[PodReadinessGate, ...] = ()  # conditions that must be True for Ready
    scheduling_gates: tuple[PodSchedulingGate, ...] = ()  # as long as there is one, nothing is started
    volumes: tuple[Volume, ...] = ()  # what containers may mount
    restart_policy: str = ""  # Always, OnFailure or Never
    termination_grace_period_seconds: int | None = None  # between SIGTERM and SIGKILL
    active_deadline_seconds: int | None = None  # after so long the pod is ended and Failed
    hostname: str = ""  # "": the pod's name
    host_network: bool = False  # the host's network namespace instead of one of its own
    dns_policy: str = ""  # ClusterFirst, ClusterFirstWithHostNet, Default or None
    dns_config: PodDNSConfig | None = None  # what is added to what the policy gives
    share_process_namespace: bool = False  # one PID namespace for all containers
    security_context: PodSecurityContext | None = None  # defaults for the containers

    # Accepted and shown, without effect on one node (see fields.py); as written in the manifest.
    node_selector: dict[str, str] = {}  # labels a node must have
    affinity: dict[str, Any] | None = None  # nodes and pods to be near to or far from
    tolerations: tuple[dict[str, Any], ...] = ()  # taints of nodes the pod tolerates
    topology_spread_constraints: tuple[dict[str, Any], ...] = ()  # how evenly pods are spread over nodes
    scheduler_name: str = ""  # who chooses the node
    priority: int | None = None  # rank among pods that wait for a node
    priority_class_name: str = ""  # the class the rank comes from
    preemption_policy: str = ""  # whether lower ranks are evicted for it
    os: dict[str, Any] | None = None  # the operating system; linux
    workload_ref: dict[str, Any] | None = None  # the group of pods it is scheduled with


# --- status ----------------------------------------------------------------------------------------------------


class ContainerStateWaiting(Object, frozen=True):
    """Not started yet, or waiting to be started again."""

    reason: str = ""  # one CamelCase word, e.g. CrashLoopBackOff
    message: str = ""  # a sentence


class ContainerStateRunning(Object, frozen=True):
    """Its first process lives."""

    started_at: str = ""  # when


class ContainerStateTerminated(Object, frozen=True):
    """It ran and ended."""

    exit_code: int = _always(0)  # 128 + n when signal n ended it
    signal: int = 0  # the signal that ended it
    reason: str = ""  # Completed, Error, OOMKilled, ...
    message: str = ""  # from the termination message
    started_at: str = ""  # when it was started
    finished_at: str = ""  # when it ended
    container_id: str = msgspec.field(name="containerID", default="")  # minipod://<id>


class ContainerState(Object, frozen=True):
    """Exactly one of the three is set; none means waiting."""

    waiting: ContainerStateWaiting | None = None  # not running yet or again
    running: ContainerStateRunning | None = None  # running
    terminated: ContainerStateTerminated | None = None  # ended


class ContainerStatus(Object, frozen=True):
    """How one container is."""

    name: str  # as in the specification
    state: ContainerState = _always(ContainerState())  # now
    last_state: ContainerState = _always(ContainerState())  # the attempt before
    ready: bool = _always(False)  # running and its readiness probe, if any, passes
    restart_count: int = _always(0)  # number of the current attempt
    image: str = _always("")  # as in the specification
    image_id: str = msgspec.field(name="imageID", default_factory=str)  # digest of what runs
    container_id: str = msgspec.field(name="containerID", default="")  # minipod://<id>
    started: bool | None = None  # its startup probe, if any, has passed


class PodCondition(Object, frozen=True):
    """One aspect of how the pod is."""

    type: str  # PodScheduled, Initialized, ContainersReady, Ready, ...
    status: str  # True, False or Unknown
    reason: str = ""  # one CamelCase word for the last change
    message: str = ""  # a sentence
    last_probe_time: str | None = _always(None)  # not used by Kubernetes either
    last_transition_time: str = ""  # when status last changed


class IPAddress(Object, frozen=True):
    """One address, in podIPs and hostIPs."""

    ip: str  # in its canonical text form


class PodStatus(Object, frozen=True):
    """How the pod is."""

    phase: str = ""  # Pending, Running, Succeeded, Failed or Unknown
    conditions: tuple[PodCondition, ...] = ()  # in the kubelet's order
    message: str = ""  # why it is in this phase, a sentence
    reason: str = ""  # the same in one word, e.g. Evicted
    host_ip: str = msgspec.field(name="hostIP", default="")  # the node's address
    host_ips: tuple[IPAddress, ...] = msgspec.field(name="hostIPs", default=())  # all of them
    pod_ip: str = msgspec.field(name="podIP", default="")  # the pod's first address
    pod_ips: tuple[IPAddress, ...] = msgspec.field(
        name="podIPs", default=()
    )  # all of them, at most one per family
    start_time: str = ""  # when the node took the pod on
    init_container_statuses: tuple[ContainerStatus, ...] = ()  # in the order of the specification
    container_statuses: tuple[ContainerStatus, ...] = ()  # sorted by name
    ephemeral_container_statuses: tuple[ContainerStatus, ...] = ()  # sorted by name
    qos_class: str = ""  # Guaranteed, Burstable or BestEffort


class Pod(Object, frozen=True):
    """A group of containers that share a network, volumes and a fate."""

    api_version: str = _always("v1")  # v1
    kind: str = _always("Pod")  # Pod
    metadata: ObjectMeta = _always(ObjectMeta())  # names, labels, history
    spec: PodSpec = _always(PodSpec())  # what it shall be
    status: PodStatus = PodStatus()  # how it is


# --- events ----------------------------------------------------------------------------------------------------


class ObjectReference(Object, frozen=True):
    """The object an event is about."""

    kind: str = ""  # e.g. Pod
    namespace: str = ""  # of the object
    name: str = ""  # of the object
    uid: str = ""  # of the object
    api_version: str = ""  # e.g. v1
    resource_version: str = ""  # of the object at that time
    field_path: str = ""  # a part of it, e.g. spec.containers{web}


class EventSource(Object, frozen=True):
    """Who reports."""

    component: str = ""  # e.g. kubelet
    host: str = ""  # on which node


class Event(Object, frozen=True):
    """Something that happened to an object; a repetition raises count instead of making another event."""

    api_version: str = _always("v1")  # v1
    kind: str = _always("Event")  # Event
    metadata: ObjectMeta = _always(ObjectMeta())  # <object>.<hex number>, in the object's namespace
    involved_object: ObjectReference = _always(ObjectReference())  # what it is about
    reason: str = ""  # one CamelCase word, e.g. Started
    message: str = ""  # a sentence
    type: str = ""  # Normal or Warning
    source: EventSource = _always(EventSource())  # who reports
    count: int = _always(1)  # how often it happened
    first_timestamp: str = ""  # the first time
    last_timestamp: str = ""  # the last time
