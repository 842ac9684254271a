"""Absent fields get Kubernetes' defaults; present ones are left alone."""

import pytest

from minipod.spec.defaults import default
from minipod.spec.types import (
    Container,
    ContainerPort,
    EmptyDirVolumeSource,
    HostPathVolumeSource,
    ObjectMeta,
    Pod,
    PodSecurityContext,
    PodSpec,
    ResourceRequirements,
    Volume,
)


def only(container):
    return default(Pod(spec=PodSpec(containers=(container,)))).spec.containers[0]


def test_the_pod_gets_its_defaults():
    pod = default(Pod())
    assert pod.metadata.namespace == "default"
    assert pod.spec == PodSpec(
        restart_policy="Always",
        dns_policy="ClusterFirst",
        termination_grace_period_seconds=30,
        security_context=PodSecurityContext(),
        scheduler_name="default-scheduler",
    )


def test_what_is_said_is_left_alone():
    spec = PodSpec(
        restart_policy="Never",
        dns_policy="None",
        termination_grace_period_seconds=0,
        security_context=PodSecurityContext(run_as_user=1),
        scheduler_name="mine",
    )
    pod = Pod(metadata=ObjectMeta(namespace="other"), spec=spec)
    assert default(pod) == pod


def test_a_negative_grace_period_is_the_shortest_one():
    pod = default(Pod(spec=PodSpec(termination_grace_period_seconds=-5)))
    assert pod.spec.termination_grace_period_seconds == 1


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("busybox", "Always"),
        ("busybox:latest", "Always"),
        ("busybox:1.28", "IfNotPresent"),
        ("localhost:5000/busybox", "Always"),
        ("localhost:5000/busybox:1", "IfNotPresent"),
        ("busybox@sha256:" + "0" * 64, "IfNotPresent"),
        ("busybox:latest@sha256:" + "0" * 64, "IfNotPresent"),
    ],
)
def test_an_image_whose_tag_moves_is_pulled_always(image, policy):
    assert only(Container(image=image)).image_pull_policy == policy


def test_init_containers_get_the_same_defaults_as_app_containers():
    container = Container(image="busybox", ports=(ContainerPort(container_port=80),))
    pod = default(Pod(spec=PodSpec(containers=(container,), init_containers=(container,))))
    assert pod.spec.init_containers == pod.spec.containers != (container,)


def test_a_port_is_tcp():
    container = Container(
        ports=(ContainerPort(container_port=80), ContainerPort(container_port=53, protocol="UDP"))
    )
    assert [port.protocol for port in only(container).ports] == ["TCP", "UDP"]


def test_a_limit_is_requested_too_unless_something_else_is():
    limits = {"cpu": "1", "memory": "64Mi"}
    resources = only(
        Container(resources=ResourceRequirements(limits=limits, requests={"cpu": "100m"}))
    ).resources
    assert resources == ResourceRequirements(limits=limits, requests={"cpu": "100m", "memory": "64Mi"})


def test_a_volume_without_a_source_is_an_emptydir_and_a_host_path_is_not_checked():
    volumes = (Volume(name="a"), Volume(name="b", host_path=HostPathVolumeSource(path="/x")))
    assert default(Pod(spec=PodSpec(volumes=volumes))).spec.volumes == (
        Volume(name="a", empty_dir=EmptyDirVolumeSource()),
        Volume(name="b", host_path=HostPathVolumeSource(path="/x", type="")),
    )


def test_defaults_applied_twice_change_nothing_more():
    container = Container(image="busybox", resources=ResourceRequirements(limits={"cpu": "1"}))
    once = default(Pod(spec=PodSpec(containers=(container,), volumes=(Volume(name="v"),))))
    assert default(once) == once
