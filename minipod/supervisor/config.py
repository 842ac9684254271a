"""From a pod's specification to what the mechanism is told: the kubelet's part of a container start. No state."""

import os
import re
import signal

from minipod.api.cri import ContainerConfig, Resources, SandboxConfig
from minipod.api.messages import NodeFacts
from minipod.errors import ImageNotFound, InvalidImageName, MinipodError
from minipod.image import store, users
from minipod.spec import qos
from minipod.spec.types import Container, Pod
from minipod.supervisor import dns
from minipod.supervisor.volumes import mounts

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


class StartError(MinipodError):
    """A container can't be started, with the kubelet's word for why."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


def sandbox(pod: Pod, facts: NodeFacts, attempt: int) -> SandboxConfig:
    meta, spec = pod.metadata, pod.spec
    own_hosts = "# Kubernetes-managed hosts file (host network).\n" + _host_file("/etc/hosts")
    return SandboxConfig(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        hostname=os.uname().nodename if spec.host_network else hostname(pod),
        cgroup_parent=cgroup(pod, facts),
        attempt=attempt,
        log_directory=facts.layout.pod_log(meta.namespace, meta.name, meta.uid),
        host_network=spec.host_network,
        share_pid=spec.share_process_namespace,
        hosts=own_hosts if spec.host_network else "",
        resolv_conf=dns.resolv_conf(pod, facts),
    )


def container(pod: Pod, spec: Container, facts: NodeFacts, attempt: int) -> ContainerConfig:
    """Raises StartError: ErrImagePull, ErrImageNeverPull, InvalidImageName, CreateContainerConfigError."""
    image = _image(spec, facts)
    own, pods = spec.security_context, pod.spec.security_context
    try:
        user = users.resolve(
            image.rootfs,
            image.user,
            _first(own.run_as_user if own else None, pods.run_as_user if pods else None),
            _first(own.run_as_group if own else None, pods.run_as_group if pods else None),
        )
    except MinipodError as error:
        raise StartError("CreateContainerConfigError", str(error)) from error
    env, amounts = environment(pod, spec, image), qos.container_amounts(spec)
    argv = tuple(expand(word, env) for word in arguments(spec, image))
    if not argv:
        raise StartError(
            "CreateContainerError", f'image "{spec.image}" has no command, and the container none either'
        )
    return ContainerConfig(
        name=spec.name,
        image=spec.image,
        image_id=f"sha256:{image.id}",
        rootfs=image.rootfs,
        argv=argv,
        env=tuple(f"{name}={value}" for name, value in {"HOME": user.home, **env}.items()),
        cwd=spec.working_dir or image.workdir or "/",
        attempt=attempt,
        uid=user.uid,
        gid=user.gid,
        groups=user.groups,
        mounts=mounts(pod, spec, facts),
        resources=resources(amounts),
        oom_score_adj=qos.oom_score_adj(
            qos.qos_class(pod), qos.reserved_memory(pod, spec), facts.memory_bytes
        ),
        privileged=bool(own and own.privileged),
        log_path=f"{spec.name}/{attempt}.log",
        termination_message_path=_absolute(spec.termination_message_path),
        stop_signal=signal_number(spec.lifecycle.stop_signal if spec.lifecycle else "")
        or signal_number(image.stop_signal)
        or signal.SIGTERM,
        stdin=spec.stdin,
        stdin_once=spec.stdin_once,
        tty=spec.tty,
    )


def hostname(pod: Pod) -> str:
    """At most 63 characters, as the kernel's and DNS's limits want it."""
    return pod.spec.hostname or pod.metadata.name[:63].rstrip("-.")


def cgroup(pod: Pod, facts: NodeFacts) -> str:
    return facts.layout.pod_cgroup(qos.qos_class(pod).lower(), pod.metadata.uid)


def resources(amounts: qos.Amounts) -> Resources:
    return Resources(cpu_shares=amounts.shares, cpu_quota=amounts.quota, memory_limit=amounts.memory_limit)


def environment(pod: Pod, spec: Container, image: store.Image) -> dict[str, str]:
    """The image's variables, then HOSTNAME, then the container's own, each seeing those before it."""
    env = dict(entry.partition("=")[::2] for entry in (_PATH, *image.env))
    env["HOSTNAME"] = hostname(pod)
    declared: dict[str, str] = {}
    for variable in spec.env:
        declared[variable.name] = expand(variable.value, declared)
    return {**env, **declared}


def expand(text: str, env: dict[str, str]) -> str:
    """$(NAME) becomes the variable, $$ becomes $, what is unknown stays (third_party/forked/golang/expansion)."""

    def one(match: re.Match[str]) -> str:
        name = match.group(1)
        return "$" if name is None else env.get(name, match.group(0))

    return _REFERENCE.sub(one, text)


def arguments(spec: Container, image: store.Image) -> tuple[str, ...]:
    """command replaces ENTRYPOINT and drops CMD; args replaces CMD."""
    if spec.command:
        return (*spec.command, *spec.args)
    return (*image.entrypoint, *(spec.args or image.cmd))


def _image(spec: Container, facts: NodeFacts) -> store.Image:
    try:
        return store.find(facts.layout.images, spec.image)
    except InvalidImageName as error:
        raise StartError(
            "InvalidImageName", f'Failed to apply default image tag "{spec.image}": {error}'
        ) from error
    except ImageNotFound as error:
        if spec.image_pull_policy == "Never":
            message = f'Container image "{spec.image}" is not present with pull policy of Never'
            raise StartError("ErrImageNeverPull", message) from error
        raise StartError("ErrImagePull", str(error)) from error


def signal_number(name: str) -> int:
    """SIGUSR1, USR1, SIGRTMIN+3 or 10 as a number; 0 if there is no such signal."""
    name, _, more = name.upper().removeprefix("SIG").partition("+")
    if name.isdecimal():
        return int(name) if int(name) in signal.valid_signals() else 0
    number = int(getattr(signal, f"SIG{name}", 0)) if name else 0
    return number + int(more) if more.isdecimal() and number == signal.SIGRTMIN else number


def _absolute(path: str) -> str:
    return f"/{path.strip('/')}" if path else ""


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _host_file(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""
