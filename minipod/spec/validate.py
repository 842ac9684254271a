"""Which pods are valid: Kubernetes' rules and texts for the fields that are applied.

Facts: pkg/apis/core/validation/validation.go and apimachinery's util/validation, v1.35. A problem is a pair of field
path and message; all of them are found, never only the first.
"""

import re
from typing import Any

from msgspec.structs import replace

from minipod.errors import Invalid
from minipod.spec import quantity
from minipod.spec.decode import Decoded, read
from minipod.spec.defaults import default
from minipod.spec.problems import Problems, between, choice, invalid
from minipod.spec.types import (
    Container,
    ContainerPort,
    EphemeralContainer,
    ObjectMeta,
    Pod,
    PodSpec,
    ResourceRequirements,
    Volume,
)
from minipod.spec.validate_dns import dns
from minipod.spec.validate_handlers import ephemeral, handlers

_LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN = rf"{_LABEL}(\.{_LABEL})*"
_NAME = r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_is_label = re.compile(_LABEL).fullmatch
_is_subdomain = re.compile(_SUBDOMAIN).fullmatch
_is_name = re.compile(_NAME).fullmatch
_is_port_name = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*").fullmatch
_is_variable = re.compile(r"[ -<>-~]+").fullmatch  # printable ASCII except "="

_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end"
    f" with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{_LABEL}')"
)
_SUBDOMAIN_TEXT = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start"
    f" and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{_SUBDOMAIN}')"
)
_NAME_TEXT = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is"
    f" '{_NAME}')"
)
_VALUE_TEXT = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start"
    " and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation"
    f" is '({_NAME})?')"
)
_VARIABLE_TEXT = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_PORT_NAME_TEXT = (
    "must contain only alpha-numeric characters (a-z, 0-9), hyphens (-) that neither begin, end nor follow each"
    " other, and at least one letter"
)
_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_MAX_ID = 2**31 - 1
_MAX_ANNOTATIONS = 256 * 1024  # bytes of all keys and values


def manifest(value: dict[str, Any], source: str = "-", namespace: str = "default") -> Decoded:
    """Decode, default and validate one object; `namespace` holds where the manifest names none.

    Raises BadManifest when it is no Pod, and Invalid with all that decoding and validation find wrong.
    """
    decoded = read(value, source)
    pod = decoded.pod
    if not pod.metadata.namespace:
        pod = replace(pod, metadata=replace(pod.metadata, namespace=namespace))
    pod = default(pod)
    # What decoding has refused is missing from the pod: that must not be reported a second time as absent.
    refused = [path for path, _ in decoded.problems if path]
    found = [*decoded.problems, *(one for one in problems(pod) if not _covered(one[0], refused))]
    if found:
        raise Invalid("Pod", pod.metadata.name, found)
    return Decoded(pod, decoded.notes)


def _covered(path: str, refused: list[str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in refused)


def problems(pod: Pod) -> list[tuple[str, str]]:
    """Everything that is wrong with a pod that has its defaults, as (field path, message)."""
    return [*_metadata(pod.metadata), *_spec(pod.spec)]


# --- texts shared by the rules -------------------------------------------------------------------------------------


def _dns_label(path: str, value: str) -> Problems:
    if not value:
        yield path, "Required value"
        return
    if len(value) > 63:
        yield invalid(path, value, "must be no more than 63 bytes")
    if not _is_label(value):
        yield invalid(path, value, _LABEL_TEXT)


class _Unique:
    """Reports a value that came before."""

    def __init__(self) -> None:
        self.seen: set[str] = set()

    def check(self, path: str, value: str) -> Problems:
        if value and value in self.seen:
            yield path, f'Duplicate value: "{value}"'
        self.seen.add(value)


# --- metadata ------------------------------------------------------------------------------------------------------


def _metadata(meta: ObjectMeta) -> Problems:
    if not meta.name:
        yield "metadata.name", "Required value: name or generateName is required"
    else:
        yield from _subdomain("metadata.name", meta.name)
    yield from _dns_label("metadata.namespace", meta.namespace)
    for key, value in meta.labels.items():
        yield from _qualified("metadata.labels", key)
        if len(value) > 63:
            yield invalid("metadata.labels", value, "must be no more than 63 bytes")
        if value and not _is_name(value):
            yield invalid("metadata.labels", value, _VALUE_TEXT)
    for key in meta.annotations:
        yield from _qualified("metadata.annotations", key.lower())
        if key.startswith(_APPARMOR):  # the one annotation that stands for a field: appArmorProfile
            yield f"metadata.annotations[{key}]", "not supported yet"
    size = sum(len(key.encode()) + len(value.encode()) for key, value in meta.annotations.items())
    if size > _MAX_ANNOTATIONS:
        yield "metadata.annotations", f"Too long: may not be more than {_MAX_ANNOTATIONS} bytes"


def _subdomain(path: str, value: str) -> Problems:
    if len(value) > 253:
        yield invalid(path, value, "must be no more than 253 bytes")
    if not _is_subdomain(value):
        yield invalid(path, value, _SUBDOMAIN_TEXT)


def _qualified(path: str, key: str) -> Problems:
    """The key of a label or annotation: a name, or a domain, a slash and a name."""
    prefix, slash, name = key.rpartition("/")
    if slash and not prefix:
        yield invalid(path, key, "prefix part must be non-empty")
    elif slash and (len(prefix) > 253 or not _is_subdomain(prefix)):
        yield invalid(path, key, f"prefix part {_SUBDOMAIN_TEXT}")
    if not name:
        yield invalid(path, key, "name part must be non-empty")
    elif len(name) > 63:
        yield invalid(path, key, "name part must be no more than 63 bytes")
    if not _is_name(name):
        yield invalid(path, key, _NAME_TEXT)


# --- the pod -------------------------------------------------------------------------------------------------------


def _spec(spec: PodSpec) -> Problems:
    volumes = _Unique()
    for index, volume in enumerate(spec.volumes):
        path = f"spec.volumes[{index}]"
        yield from _dns_label(f"{path}.name", volume.name)
        yield from volumes.check(f"{path}.name", volume.name)
        yield from _volume(path, volume)
    if not spec.containers:
        yield "spec.containers", "Required value"
    names = _Unique()
    for group, containers in (
        ("containers", spec.containers),
        ("initContainers", spec.init_containers),
        ("ephemeralContainers", spec.ephemeral_containers),
    ):
        for index, container in enumerate(containers):
            path = f"spec.{group}[{index}]"
            yield from _dns_label(f"{path}.name", container.name)
            yield from names.check(f"{path}.name", container.name)
            yield from _container(path, container, volumes.seen)
            yield from handlers(path, spec, container, init=group == "initContainers")
            if isinstance(container, EphemeralContainer):
                yield from ephemeral(path, spec, container)
    for index, gate in enumerate(spec.readiness_gates):
        yield from _qualified(f"spec.readinessGates[{index}].conditionType", gate.condition_type)
    gates = _Unique()
    for index, waits in enumerate(spec.scheduling_gates):
        yield from _qualified(f"spec.schedulingGates[{index}]", waits.name)
        yield from gates.check(f"spec.schedulingGates[{index}]", waits.name)
    yield from dns(spec)
    yield from choice("spec.restartPolicy", spec.restart_policy, ("Always", "OnFailure", "Never"))
    if spec.active_deadline_seconds is not None:
        yield from between("spec.activeDeadlineSeconds", spec.active_deadline_seconds, 1, _MAX_ID)
    if spec.hostname:
        yield from _dns_label("spec.hostname", spec.hostname)
    if spec.security_context is not None:
        yield from _ids(
            "spec.securityContext", spec.security_context.run_as_user, spec.security_context.run_as_group
        )
    if spec.os is not None:
        yield from choice("spec.os.name", spec.os.get("name", ""), ("linux",))


def _ids(path: str, user: int | None, group: int | None) -> Problems:
    if user is not None:
        yield from between(f"{path}.runAsUser", user, 0, _MAX_ID)
    if group is not None:
        yield from between(f"{path}.runAsGroup", group, 0, _MAX_ID)


def _volume(path: str, volume: Volume) -> Problems:
    if volume.empty_dir is not None:
        limit, medium = volume.empty_dir.size_limit, volume.empty_dir.medium
        if limit and quantity.milli_value(limit) < 0:
            yield f"{path}.emptyDir.sizeLimit", "Forbidden: SizeLimit field must be a valid resource quantity"
        if medium.startswith("HugePages"):
            yield f"{path}.emptyDir.medium", "not supported yet"
        else:
            yield from choice(f"{path}.emptyDir.medium", medium, ("", "Memory"))
    if volume.host_path is None:
        return
    if volume.empty_dir is not None:
        yield f"{path}.hostPath", "Forbidden: may not specify more than 1 volume type"
    host = volume.host_path
    if not host.path:
        yield f"{path}.hostPath.path", "Required value"
    elif ".." in host.path.split("/"):
        yield invalid(f"{path}.hostPath.path", host.path, "must not contain '..'")
    elif not host.path.startswith("/"):
        yield invalid(f"{path}.hostPath.path", host.path, "must be an absolute path")
    yield from choice(f"{path}.hostPath.type", host.type or "", _HOST_PATH_TYPES)


# --- a container ---------------------------------------------------------------------------------------------------


def _container(path: str, container: Container, volumes: set[str]) -> Problems:
    image = container.image
    if not image:
        yield f"{path}.image", "Required value"
    elif image != image.strip():
        yield invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
    pull = container.image_pull_policy
    yield from choice(f"{path}.imagePullPolicy", pull, ("Always", "IfNotPresent", "Never"))
    port_names = _Unique()
    for index, port in enumerate(container.ports):
        yield from _port(f"{path}.ports[{index}]", port)
        yield from port_names.check(f"{path}.ports[{index}].name", port.name)
    for index, variable in enumerate(container.env):
        where = f"{path}.env[{index}].name"
        if not variable.name:
            yield where, "Required value"
        elif not _is_variable(variable.name):
            yield invalid(where, variable.name, _VARIABLE_TEXT)
    yield from _mounts(path, container, volumes)
    yield from _resources(f"{path}.resources", container.resources)
    if container.security_context is not None:
        context = container.security_context
        yield from _ids(f"{path}.securityContext", context.run_as_user, context.run_as_group)


def _port(path: str, port: ContainerPort) -> Problems:
    if port.name:
        if len(port.name) > 15:
            yield invalid(f"{path}.name", port.name, "must be no more than 15 characters long")
        if not _is_port_name(port.name):
            yield invalid(f"{path}.name", port.name, _PORT_NAME_TEXT)
    if port.container_port == 0:
        yield f"{path}.containerPort", "Required value"
    else:
        yield from between(f"{path}.containerPort", port.container_port, 1, 65535)
    yield from choice(f"{path}.protocol", port.protocol, ("SCTP", "TCP", "UDP"))


def _mounts(path: str, container: Container, volumes: set[str]) -> Problems:
    places: set[str] = set()
    for index, mount in enumerate(container.volume_mounts):
        where = f"{path}.volumeMounts[{index}]"
        if not mount.name:
            yield f"{where}.name", "Required value"
        elif mount.name not in volumes:
            yield f"{where}.name", f'Not found: "{mount.name}"'
        if not mount.mount_path:
            yield f"{where}.mountPath", "Required value"
        elif mount.mount_path in places:
            yield invalid(f"{where}.mountPath", mount.mount_path, "must be unique")
        places.add(mount.mount_path)


def _resources(path: str, resources: ResourceRequirements) -> Problems:
    for which, amounts in (("limits", resources.limits), ("requests", resources.requests)):
        for name, amount in amounts.items():
            if quantity.milli_value(amount) < 0:
                yield invalid(f"{path}.{which}[{name}]", amount, "must be greater than or equal to 0")
    for name, amount in resources.requests.items():
        limit = resources.limits.get(name)
        if limit is not None and quantity.milli_value(amount) > quantity.milli_value(limit):
            why = f"must be less than or equal to {name} limit of {limit}"
            yield invalid(f"{path}.requests", amount, why)
