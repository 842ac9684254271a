"""Kubernetes' defaults, for the fields that are applied (pkg/apis/core/v1/defaults.go). Pure."""

from typing import TypeVar

from msgspec.structs import replace

from minipod.spec.handlers import HTTPGetAction, Lifecycle, LifecycleHandler, Probe
from minipod.spec.types import (
    Container,
    EmptyDirVolumeSource,
    Pod,
    PodSecurityContext,
    ResourceRequirements,
    Volume,
)

AnyContainer = TypeVar("AnyContainer", bound=Container)
GRACE_PERIOD = 30  # seconds between SIGTERM and SIGKILL


def default(pod: Pod) -> Pod:
    """The pod with every absent field filled in. Applied twice it changes nothing more."""
    spec = pod.spec
    grace = spec.termination_grace_period_seconds
    return replace(
        pod,
        metadata=replace(pod.metadata, namespace=pod.metadata.namespace or "default"),
        spec=replace(
            spec,
            containers=tuple(map(_container, spec.containers)),
            init_containers=tuple(map(_container, spec.init_containers)),
            ephemeral_containers=tuple(map(_container, spec.ephemeral_containers)),
            volumes=tuple(map(_volume, spec.volumes)),
            restart_policy=spec.restart_policy or "Always",
            dns_policy=spec.dns_policy or "ClusterFirst",
            # A negative period means the shortest there is (validation.go, ValidatePodUpdate).
            termination_grace_period_seconds=GRACE_PERIOD if grace is None else grace if grace >= 0 else 1,
            security_context=spec.security_context or PodSecurityContext(),
            scheduler_name=spec.scheduler_name or "default-scheduler",
        ),
    )


def _container(container: AnyContainer) -> AnyContainer:
    return replace(
        container,
        image_pull_policy=container.image_pull_policy or _pull_policy(container.image),
        ports=tuple(replace(port, protocol=port.protocol or "TCP") for port in container.ports),
        resources=_resources(container.resources),
        termination_message_path=container.termination_message_path or "/dev/termination-log",
        termination_message_policy=container.termination_message_policy or "File",
        startup_probe=_probe(container.startup_probe),
        liveness_probe=_probe(container.liveness_probe),
        readiness_probe=_probe(container.readiness_probe),
        lifecycle=_lifecycle(container.lifecycle),
    )


def _probe(probe: Probe | None) -> Probe | None:
    return probe and replace(
        probe,
        timeout_seconds=probe.timeout_seconds or 1,
        period_seconds=probe.period_seconds or 10,
        success_threshold=probe.success_threshold or 1,
        failure_threshold=probe.failure_threshold or 3,
        http_get=_http_get(probe.http_get),
    )


def _lifecycle(lifecycle: Lifecycle | None) -> Lifecycle | None:
    return lifecycle and replace(
        lifecycle, post_start=_handler(lifecycle.post_start), pre_stop=_handler(lifecycle.pre_stop)
    )


def _handler(handler: LifecycleHandler | None) -> LifecycleHandler | None:
    return handler and replace(handler, http_get=_http_get(handler.http_get))


def _http_get(action: HTTPGetAction | None) -> HTTPGetAction | None:
    return action and replace(action, path=action.path or "/", scheme=action.scheme or "HTTP")


def _pull_policy(image: str) -> str:
    """A tag that moves is looked up each time; a digest never moves."""
    if "@" in image:
        return "IfNotPresent"
    tag = image.rpartition("/")[2].partition(":")[2]
    return "Always" if tag in ("", "latest") else "IfNotPresent"


def _resources(resources: ResourceRequirements) -> ResourceRequirements:
    """A limit is also requested when nothing else is, resource by resource."""
    if not resources.limits:
        return resources
    return replace(resources, requests={**resources.limits, **resources.requests})


def _volume(volume: Volume) -> Volume:
    if volume.host_path is not None and volume.host_path.type is None:
        return replace(volume, host_path=replace(volume.host_path, type=""))
    if volume.host_path is None and volume.empty_dir is None:
        return replace(volume, empty_dir=EmptyDirVolumeSource())
    return volume
