"""Why an operation is in a plan: the field of the manifest that asked for it; "" for what every pod has. Pure."""

from minipod.plan.core import Op, Stage
from minipod.plan.ops import host, mounts, namespaces, process
from minipod.spec.types import Container, Pod

_LIMITS = {  # by the name of the cgroup's file
    "cpu.shares": "requests.cpu",
    "cpu.weight": "requests.cpu",
    "cpu.cfs_period_us": "limits.cpu",
    "cpu.cfs_quota_us": "limits.cpu",
    "cpu.max": "limits.cpu",
    "memory.limit_in_bytes": "limits.memory",
    "memory.memsw.limit_in_bytes": "limits.memory",
    "memory.max": "limits.memory",
    "memory.swap.max": "limits.memory",
    "memory.oom.group": "limits.memory",
}


def field(pod: Pod, stage: Stage, op: Op) -> str:
    """The path of the field, e.g. spec.containers[0].resources.limits.memory."""
    part, _, name = stage.name.partition("/")
    if part == "container":
        name = name.removesuffix("/objects")
        return _of_container(pod, *_find(pod, name), op)
    return _of_volume(pod, op) if part == "pod" else _of_sandbox(pod, op)


def _find(pod: Pod, name: str) -> tuple[str, Container]:
    lists = {"initContainers": pod.spec.init_containers, "containers": pod.spec.containers}
    return next(
        (f"spec.{kind}[{index}]", container)
        for kind, containers in lists.items()
        for index, container in enumerate(containers)
        if container.name == name
    )


def _of_volume(pod: Pod, op: Op) -> str:
    if isinstance(op, host.SetLimit):
        asked = _LIMITS.get(op.name, "")
        all_asked = (*pod.spec.containers, *pod.spec.init_containers)
        return f"spec.containers[*].resources.{asked}" if any(_asks(c, asked) for c in all_asked) else ""
    if isinstance(op, host.MakeDirectory | host.MountTmpfs):
        for index, volume in enumerate(pod.spec.volumes):
            if op.path.endswith(f"/volumes/{volume.name}"):
                size = isinstance(op, host.MountTmpfs) and volume.empty_dir and volume.empty_dir.size_limit
                return f"spec.volumes[{index}].emptyDir" + (".sizeLimit" if size else "")
    return ""


def _of_sandbox(pod: Pod, op: Op) -> str:
    hostname = "spec.hostname" if pod.spec.hostname else "metadata.name"
    match op:
        case namespaces.SetHostname():
            return "spec.hostNetwork" if pod.spec.host_network else hostname
        case host.MakeFile() if op.path.endswith(("/hosts", "/hostname")):
            return "spec.hostNetwork" if pod.spec.host_network else hostname
        case host.MakeFile() if op.path.endswith("/resolv.conf"):
            changed = pod.spec.dns_policy not in ("", "ClusterFirst")
            return "spec.dnsConfig" if pod.spec.dns_config else "spec.dnsPolicy" if changed else ""
        case host.Pin() if op.kind == "pid":
            return "spec.shareProcessNamespace"
    return ""


def _of_container(pod: Pod, at: str, container: Container, op: Op) -> str:
    match op:
        case host.SetLimit():
            asked = _LIMITS.get(op.name, "")
            return f"{at}.resources.{asked}" if _asks(container, asked) else ""
        case host.AllowDevices() | mounts.Mask() | mounts.MakeReadonly():
            return f"{at}.securityContext.privileged" if _says(container, "privileged") else ""
        case host.MakeFile():
            return f"{at}.terminationMessagePath"
        case namespaces.Join():
            return "spec.shareProcessNamespace" if "pid" in op.kinds else ""
        case mounts.MountRoot():
            return f"{at}.image"
        case mounts.Bind():
            return _of_bind(at, container, op)
        case mounts.RemountRootReadonly():
            return f"{at}.securityContext.readOnlyRootFilesystem"
    return _of_process(pod, at, container, op)


def _of_process(pod: Pod, at: str, container: Container, op: Op) -> str:
    match op:
        case process.SetOomScore():
            return f"{at}.resources" if container.resources.requests else ""
        case process.Terminal():
            return f"{at}.tty"
        case mounts.MakeWorkdir() | process.ChangeDirectory():
            return f"{at}.workingDir" if container.working_dir else ""
        case process.NoNewPrivileges():
            return f"{at}.securityContext.allowPrivilegeEscalation"
        case process.LimitCapabilities() | process.SetCapabilities():
            return f"{at}.securityContext.capabilities" if _says(container, "capabilities") else ""
        case process.SetUser():
            return _of_user(pod, at, container)
        case process.Exec():
            return ", ".join(
                f"{at}.{name}" for name in ("command", "args", "env") if getattr(container, name)
            )
    return ""


def _of_bind(at: str, container: Container, op: mounts.Bind) -> str:
    for index, mount in enumerate(container.volume_mounts):
        if "/" + mount.mount_path.strip("/") == op.path:
            return f"{at}.volumeMounts[{index}]"
    return f"{at}.terminationMessagePath" if op.source.endswith("/termination-log") else ""


def _of_user(pod: Pod, at: str, container: Container) -> str:
    if _says(container, "run_as_user") or _says(container, "run_as_group"):
        return f"{at}.securityContext.runAsUser"
    own = pod.spec.security_context
    asked = own is not None and (own.run_as_user is not None or own.run_as_group is not None)
    return "spec.securityContext.runAsUser" if asked else ""


def _says(container: Container, name: str) -> bool:
    return getattr(container.security_context, name, None) is not None


def _asks(container: Container, what: str) -> bool:
    kind, _, name = what.partition(".")
    return name in getattr(container.resources, kind, {})
