"""From plain values (as YAML or JSON gave them) to a Pod: strictly, by the field table, with every error found at once.

Only what a field may hold is checked here (its name, its type, whether it is supported); what its value must be, and
how fields belong together, is validate.py's part.
"""

from typing import Any, Literal

import msgspec

from minipod.errors import BadManifest
from minipod.spec import quantity
from minipod.spec.fields import TYPES, Field, Type
from minipod.spec.types import EphemeralContainer, Pod

# What Kubernetes has besides Pods: known by name, so that a manifest for it isn't taken for a typing error.
_OTHER_KINDS = {
    kind: version
    for version, kinds in {
        "v1": "Binding ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim"
        " PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount",
        "apps/v1": "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
        "batch/v1": "CronJob Job",
        "autoscaling/v2": "HorizontalPodAutoscaler",
        "networking.k8s.io/v1": "Ingress IngressClass IPAddress NetworkPolicy ServiceCIDR",
        "policy/v1": "PodDisruptionBudget",
        "rbac.authorization.k8s.io/v1": "ClusterRole ClusterRoleBinding Role RoleBinding",
        "scheduling.k8s.io/v1": "PriorityClass",
        "storage.k8s.io/v1": "CSIDriver CSINode StorageClass VolumeAttachment VolumeAttributesClass",
        "node.k8s.io/v1": "RuntimeClass",
        "discovery.k8s.io/v1": "EndpointSlice",
        "coordination.k8s.io/v1": "Lease",
        "apiextensions.k8s.io/v1": "CustomResourceDefinition",
    }.items()
    for kind in kinds.split()
}
_APPLIED = (
    "applied",
    "",
)  # "" is the class of the parent, and below another class nothing is looked at any more
_JSON_NAMES = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}
_EXPECTED = {
    "int32": "integer",
    "int64": "integer",
    "bool": "boolean",
    "Time": "string",
    "Quantity": "string or number",
}
_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "bool": bool,
    "Time": str,
    "IntOrString": (int, str),
    "object": dict,
}


class Decoded(msgspec.Struct, frozen=True):
    """A Pod as its manifest has it, and what is to be told about it."""

    pod: Pod
    notes: tuple[str, ...] = ()  # a sentence for each field that is accepted without effect
    problems: tuple[tuple[str, str], ...] = ()  # (field path, message)


def read(value: dict[str, Any], source: str = "-") -> Decoded:
    """The Pod that `value` describes, without defaults.

    With every unknown, mistyped and unsupported field as a problem; the Pod is then of all that isn't affected by them,
    for further checks. Raises BadManifest when it isn't a Pod at all.
    """
    check_kind(value, source)
    reader = _Reader()
    fields = reader.struct(value, TYPES["Pod"], "", quiet=False)
    pod = msgspec.convert(fields, Pod)
    return Decoded(pod, (*reader.notes, *_pull_notes(pod)), tuple(reader.problems))


def ephemeral_containers(value: Any) -> tuple[tuple[EphemeralContainer, ...], list[tuple[str, str]]]:
    """Those of spec.ephemeralContainers, which only a pod that is there can have, and what is wrong with them."""
    reader = _Reader()
    found = reader.value(value, "[]EphemeralContainer", "spec.ephemeralContainers", quiet=False)
    return msgspec.convert(found, tuple[EphemeralContainer, ...]), reader.problems


def items(value: dict[str, Any], source: str = "-") -> list[dict[str, Any]]:
    """The objects of a List, and of Lists within it; of any other object, itself."""
    if value.get("kind") not in ("List", "PodList"):
        return [value]
    members = value.get("items") or []
    if not isinstance(members, list) or not all(isinstance(item, dict) for item in members):
        raise BadManifest(f"{source}: items: Invalid type: expected array of objects")
    return [found for item in members for found in items(item, source)]


def check_kind(value: dict[str, Any], source: str) -> None:
    """Raise BadManifest unless `value` says that it is a Pod of version v1."""
    missing = [f"{key} not set" for key in ("apiVersion", "kind") if not value.get(key)]
    if missing:
        raise BadManifest(f"{source}: {', '.join(missing)}")
    kind, version = str(value["kind"]), str(value["apiVersion"])
    if kind == "Pod" and version == "v1":
        return
    known = {"Pod": "v1", **_OTHER_KINDS}.get(kind)
    if kind != "Pod" and known and known.partition("/")[0] == version.partition("/")[0]:
        raise BadManifest(f"{source}: kind {kind} is not supported yet")
    hint = f"; {kind} is of {known}" if known else ""
    raise BadManifest(f'{source}: no kind "{kind}" is registered for version "{version}"{hint}')


def _pull_notes(pod: Pod) -> list[str]:
    """Always means to ask the registry each time; as long as images are local, there is none to ask."""
    return [
        f"spec.{group}[{index}].imagePullPolicy: no effect for now: Always takes the local image"
        for group, containers in (
            ("initContainers", pod.spec.init_containers),
            ("containers", pod.spec.containers),
        )
        for index, container in enumerate(containers)
        if container.image_pull_policy == "Always"
    ]


class _Reader:
    """Walks over a manifest beside the field table, and keeps what is wrong and what is to be said.

    Every method returns what is to be put into the Pod: in place of something wrong, something empty of the right
    type, so that indices stay what they are in the manifest. `quiet` is set below a field that was already reported:
    there only names and types are still looked at.
    """

    def __init__(self) -> None:
        self.problems: list[tuple[str, str]] = []
        self.notes: list[str] = []

    def struct(self, value: Any, kind: Type, path: str, quiet: bool) -> dict[str, Any]:
        """An object with the fields of `kind`."""
        if type(value) is not dict:
            self._mistyped(path, "object", value)
            return {}
        found = {}
        for key, item in value.items():
            field = kind.find(key)
            if field is None:
                self._unknown(path, key, kind)
            elif item is not None:  # Go's decoder leaves a field alone that is null
                where = _join(path, key, kind)
                if not quiet:
                    self._report(field, item, where)
                result = self.value(item, field.type, where, quiet or field.support not in _APPLIED)
                if quiet or field.support in (*_APPLIED, "no effect"):
                    found[key] = result
        return found

    def _report(self, field: Field, item: Any, path: str) -> None:
        """Say what the table says of a field that isn't applied, unless `item` is what happens anyway."""
        if field.support in _APPLIED or field.accepts(item):
            return
        if field.support == "no effect":
            self.notes.append(f"{path}: no effect on one node ({field.meaning})")
        elif field.support == "later":
            self.problems.append((path, "not supported yet"))
        else:
            self.problems.append((path, f"Forbidden: {field.meaning}"))

    def value(self, item: Any, kind: str, path: str, quiet: bool) -> Any:
        """A value of any type of the table's."""
        if kind == "string" and type(item) is str:
            if "\0" in item:  # ends a text for the kernel
                self.problems.append((path, "Invalid value: must not contain NUL"))
                return ""
            return item
        if kind.startswith("[]"):
            if type(item) is not list:
                self._mistyped(path, "array", item)
                return []
            return [self.value(one, kind[2:], f"{path}[{index}]", quiet) for index, one in enumerate(item)]
        if kind.startswith("map["):
            if type(item) is not dict:
                self._mistyped(path, "object", item)
                return {}
            return {key: self.value(one, kind[11:], f"{path}[{key}]", quiet) for key, one in item.items()}
        if kind in TYPES:
            return self.struct(item, TYPES[kind], path, quiet)
        if kind == "int32":
            return self._integer(item, 32, path)
        if kind == "int64":
            return self._integer(item, 64, path)
        if kind == "Quantity":
            return self._quantity(item, path)
        wanted = _PYTHON_TYPES[kind]
        if isinstance(item, wanted) and (wanted is bool or type(item) is not bool):
            return item
        self._mistyped(path, kind, item)
        return False if wanted is bool else ""

    def _integer(self, item: Any, bits: Literal[32, 64], path: str) -> int:
        if type(item) is float and item.is_integer():  # 1e3 is a float in YAML, and 1000 when written as JSON
            item = int(item)
        if type(item) is not int:
            self._mistyped(path, "int64", item)
            return 0
        if not -(2 ** (bits - 1)) <= item < 2 ** (bits - 1):
            self.problems.append((path, f"Invalid value: {item}: must fit in {bits} bits"))
            return 0
        return item

    def _quantity(self, item: Any, path: str) -> str:
        if type(item) is float:
            item = str(int(item)) if item.is_integer() else repr(item)
        elif type(item) is int:
            item = str(item)
        if type(item) is not str:
            self._mistyped(path, "Quantity", item)
            return "0"
        try:
            return quantity.canonical(item)
        except ValueError as error:
            self.problems.append((path, f'Invalid value: "{item}": {error}'))
            return "0"

    def _mistyped(self, path: str, kind: str, item: Any) -> None:
        got = _JSON_NAMES.get(type(item), type(item).__name__)
        quotes = "; put it in quotes" if kind == "string" and got in ("number", "boolean") else ""
        message = f"Invalid type: expected {_EXPECTED.get(kind, kind)}, got {got}{quotes}"
        self.problems.append((path or "the manifest", message))

    def _unknown(self, path: str, key: str, kind: Type) -> None:
        from difflib import get_close_matches

        where = _join(path, key, kind)
        if "*/*" in kind.fields:
            message = f'Invalid value: "{key}": must be a standard resource type or fully qualified'
            self.problems.append((where, message))
            return
        close = get_close_matches(key, kind.fields, 1)
        hint = f' (did you mean "{close[0]}"?)' if close else ""
        self.problems.append(("", f'strict decoding error: unknown field "{where}"{hint}'))


def _join(path: str, key: str, kind: Type) -> str:
    if "*/*" in kind.fields:
        return f"{path}[{key}]"
    return f"{path}.{key}" if path else key
