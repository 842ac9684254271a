"""Requests and limits become classes, shares, quotas and scores as in the kubelet."""

import msgspec
import pytest

from minipod.spec import qos
from minipod.spec.defaults import default
from minipod.spec.types import Container, Pod, PodSpec, ResourceRequirements

GI = 2**30


def container(name="app", limits=None, **requests):
    return Container(name=name, resources=ResourceRequirements(limits=limits or {}, requests=requests))


def pod(*containers, init=()):
    return default(Pod(spec=PodSpec(containers=containers, init_containers=init)))


FULL = {"cpu": "500m", "memory": "64Mi"}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (pod(container()), "BestEffort"),
        (pod(container(cpu="0", memory="0")), "BestEffort"),
        (pod(container(limits=FULL)), "Guaranteed"),
        (pod(container(limits=FULL, cpu="0.5", memory="65536Ki")), "Guaranteed"),
        (pod(container(limits=FULL, cpu="400m")), "Burstable"),
        (pod(container(limits={"memory": "64Mi"})), "Burstable"),
        (pod(container(memory="64Mi")), "Burstable"),
        (pod(container(limits=FULL), container("other")), "Burstable"),
        (pod(container(limits=FULL), init=(container("init"),)), "Burstable"),
        (pod(container(limits=FULL), init=(container("init", limits=FULL),)), "Guaranteed"),
        (pod(container(), init=(container("init", cpu="1m"),)), "Burstable"),
    ],
)
def test_the_class_of_a_pod(found, expected):
    assert qos.qos_class(found) == expected


@pytest.mark.parametrize(
    ("milli", "shares"),
    [(0, 2), (1, 2), (100, 102), (250, 256), (500, 512), (1000, 1024), (2000, 2048), (10**21, 262_144)],
)
def test_a_core_is_1024_shares_within_the_kernels_bounds(milli, shares):
    assert qos.cpu_shares(milli) == shares


@pytest.mark.parametrize(("milli", "quota"), [(0, 0), (1, 1000), (10, 1000), (100, 10_000), (1500, 150_000)])
def test_a_core_is_the_whole_period_and_a_hundredth_of_it_the_least_quota(milli, quota):
    assert qos.cpu_quota(milli) == quota


def test_the_amounts_of_a_container_are_in_thousandths_and_bytes():
    amounts = qos.container_amounts(
        container(limits={"cpu": "1.5", "memory": "1Gi"}, cpu="250m", memory="64Mi")
    )
    assert amounts == qos.Amounts(cpu_request=250, cpu_limit=1500, memory_request=64 * 2**20, memory_limit=GI)
    assert (amounts.shares, amounts.quota) == (256, 150_000)


def test_the_pod_requests_the_sum_of_its_apps_or_its_largest_init_container():
    found = qos.pod_amounts(
        pod(
            container("a", cpu="100m", memory="1Gi"),
            container("b", cpu="100m", memory="1Gi"),
            init=(container("i", cpu="500m", memory="1Gi"), container("j", cpu="300m", memory="1Gi")),
        )
    )
    assert (found.cpu_request, found.memory_request) == (500, 2 * GI)


def sidecar(name, **resources):
    return msgspec.structs.replace(container(name, **resources), restart_policy="Always")


def test_a_sidecar_runs_beside_the_apps_and_the_init_containers_after_it():
    small = {"limits": {"memory": "64Mi"}}
    apps = (container("app", {"memory": "128Mi"}, cpu="300m"),)
    alone, beside = container("setup", **small, cpu="200m"), sidecar("shipper", **small, cpu="50m")
    found = qos.pod_amounts(pod(*apps, init=(alone, beside)))
    assert (found.cpu_request, found.memory_limit) == (350, 192 * 2**20)
    large = container("large", {"memory": "1Gi"}, cpu="1")
    assert qos.pod_amounts(pod(*apps, init=(large, beside))).cpu_request == 1000
    found = qos.pod_amounts(pod(*apps, init=(beside, large)))
    assert (found.cpu_request, found.memory_limit) == (1050, GI + 64 * 2**20)


def test_a_sidecar_is_killed_no_sooner_than_the_app_that_requests_least():
    inits = (container("setup"), sidecar("small", memory="64Mi"), sidecar("large", memory="2Gi"))
    found = pod(container("a", memory="1Gi"), container("b", memory="128Mi"), init=inits)
    every = (*found.spec.init_containers, *found.spec.containers)
    mebibytes = [qos.reserved_memory(found, each) // 2**20 for each in every]
    assert mebibytes == [0, 128, 2048, 1024, 128]


def test_the_pod_has_a_limit_only_if_every_container_has_one():
    limited = container("a", limits={"cpu": "1", "memory": "1Gi"})
    half = container("b", limits={"memory": "1Gi"})
    assert qos.pod_amounts(pod(limited, limited)).cpu_limit == 2000
    both = qos.pod_amounts(pod(limited, half))
    assert (both.cpu_limit, both.quota, both.memory_limit) == (0, 0, 2 * GI)
    assert qos.pod_amounts(pod(limited, init=(container("i"),))).memory_limit == 0


@pytest.mark.parametrize(
    ("name", "request_bytes", "score"),
    [
        ("Guaranteed", GI, -997),
        ("BestEffort", 0, 1000),
        ("Burstable", 0, 999),
        ("Burstable", GI, 750),
        ("Burstable", 4 * GI, 3),
        ("Burstable", 8 * GI, 3),
    ],
)
def test_who_requested_more_of_the_machine_is_killed_later(name, request_bytes, score):
    assert qos.oom_score_adj(name, request_bytes, 4 * GI) == score
