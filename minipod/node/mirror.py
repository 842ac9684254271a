"""The objects of static pods. In Kubernetes a kubelet runs a static pod by itself and shows it to the API server as a
mirror pod; here it is one object, with the name and annotations of a mirror pod. Pure.

Source: pkg/kubelet/config/common.go (applyDefaults, generatePodName), pkg/kubelet/types/pod_update.go.
"""

import hashlib

import msgspec
from msgspec.structs import replace

from minipod.errors import Invalid
from minipod.node.gates import gated
from minipod.spec.types import OwnerReference, Pod

SOURCE = "kubernetes.io/config.source"  # file
HASH = "kubernetes.io/config.hash"  # of the manifest and where it is: another one means another pod
SEEN = "kubernetes.io/config.seen"  # when it was read
MIRROR = "kubernetes.io/config.mirror"  # the same hash; says that this is no pod of the API's
PATH = "minipod/manifest"  # the file


def mirror(pod: Pod, path: str, node_name: str, now: str) -> Pod:
    """The object of a pod that is in a file. Names of static pods end with that of their node.

    Raises Invalid for a pod with scheduling gates: this one has its node already (validation.go, ValidatePodCreate).
    """
    if gated(pod):
        raise _forbidden(pod, "spec.nodeName", "cannot be set until all schedulingGates have been cleared")
    meta = pod.metadata
    spelled = f"host:{node_name}\0file:{path}\0".encode() + msgspec.json.encode(pod)
    digest = hashlib.md5(spelled, usedforsecurity=False).hexdigest()
    annotations = {**meta.annotations, HASH: digest, MIRROR: digest, SEEN: now, SOURCE: "file", PATH: path}
    owner = OwnerReference(api_version="v1", kind="Node", name=node_name, uid=node_name, controller=True)
    name = f"{meta.name}-{node_name.lower()}"
    return replace(pod, metadata=replace(meta, name=name, annotations=annotations, owner_references=(owner,)))


def is_mirror(pod: Pod) -> bool:
    return MIRROR in pod.metadata.annotations


def digest(pod: Pod) -> str:
    return pod.metadata.annotations.get(HASH, "")


def path(pod: Pod) -> str:
    """The file it is from."""
    return pod.metadata.annotations.get(PATH, "")


def refuse(pod: Pod, there: Pod | None = None) -> None:
    """Raises Invalid for a pod that is to be applied if `there` is a static one, or if it claims to be one itself."""
    field = f"metadata.annotations[{MIRROR}]"
    if there and is_mirror(there):
        raise _forbidden(pod, field, f"this is a static pod: change {path(there)} instead")
    if not there and is_mirror(pod):
        raise _forbidden(pod, field, "only the node makes static pods, from files; take the annotation away")


def _forbidden(pod: Pod, field: str, why: str) -> Invalid:
    return Invalid("Pod", pod.metadata.name, [(field, f"Forbidden: {why}")])
