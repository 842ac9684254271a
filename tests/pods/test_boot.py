"""A machine that boots: what was in the kernel is gone, what was on disk is there."""

import json
import os
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.support.faults import Api, Object, busybox_pod, running
from tests.support.node import Node, idle_after, make, pod, sh
from tests.support.wait import wait_until


def power_cut(node: Node) -> None:
    """Take everything away that lives in the kernel: processes, mounts, links, tables, cgroups."""
    layout = node.layout
    node.sh("kill -9 -1")
    wait_until(lambda: not [name for name in os.listdir(node.proc) if name.isdecimal() and name != "1"])
    node.sh(f"umount -l {layout.run}; umount /run/netns/* /run/netns; rm -rf /run/netns", check=False)
    node.sh(f"ip link del {layout.bridge}; nft delete table inet {layout.table}")
    for mount in node.sh("findmnt -n -o TARGET -t cgroup,cgroup2").split():
        for folder, _, _ in os.walk(f"{mount}/{layout.cgroup}", topdown=False):
            wait_until(lambda path=folder: gone(path))


def gone(cgroup: str) -> bool:
    try:
        os.rmdir(cgroup)
    except OSError:
        return False
    return True


def containers(pod: Object) -> list[Object]:
    return pod["status"]["containerStatuses"]


class Booted(NamedTuple):
    """A node after its machine has lost power, and its pods as they were before."""

    node: Node
    api: Api
    before: dict[str, Object]

    def now(self, name: str) -> Object:
        return self.api.pods()[name]


def ended(pod: Object) -> Object:
    """How the only container ended, or its last attempt."""
    (container,) = containers(pod)
    return {**container["state"], **container.get("lastState", {})}["terminated"]


@pytest.fixture(scope="module")
def booted(tmp_path_factory, minipod_images) -> Iterator[Booted]:
    settings = 'emptydir_medium = "disk"\nnode_name = "lab"\nbackoff_scale = 0.01\n'
    node = make(tmp_path_factory.mktemp("boot") / "home", minipod_images, settings=settings)
    api = Api(node)
    os.makedirs(f"{node.layout.etc}/manifests")
    with open(f"{node.layout.etc}/manifests/static.json", "w") as file:
        json.dump(pod("static", {}), file)
    node.start()
    node.apply(
        [
            busybox_pod("web"),
            pod("on-failure", idle_after("true"), restartPolicy="OnFailure"),
            pod("never", idle_after("true"), restartPolicy="Never"),
            pod("done", sh("true"), restartPolicy="Never"),
            pod("broken", sh("exit 3"), restartPolicy="Never"),
        ],
        "--wait=false",
    )
    for name, phase in (("done", "Succeeded"), ("broken", "Failed")):
        node.wait_phase(name, phase)
    for name in ("web", "on-failure", "never", "static-lab"):
        wait_until(lambda name=name: running(api.pods().get(name)))
    wait_until(lambda: api.heard(api.pods()["web"]))
    node.exec("web", "sh", "-c", "echo kept >/d/file")
    before = api.pods()
    power_cut(node)
    node.start()
    yield Booted(node, api, before)
    node.close()


def again(booted: Booted, name: str) -> bool:
    """Until its new supervisor has spoken, the pod is shown as it was seen last: running."""
    now = booted.now(name)
    return running(now) and all(each["restartCount"] == 1 for each in containers(now))


@pytest.mark.parametrize("name", ["web", "on-failure", "static-lab"])
def test_a_pod_that_restarts_runs_again_after_a_boot(booted, name):
    wait_until(lambda: again(booted, name))
    now, before = booted.now(name), booted.before[name]
    assert now["metadata"]["uid"] == before["metadata"]["uid"]
    for container in containers(now):
        last = container["lastState"]["terminated"]
        assert (last["reason"], last["exitCode"]) == ("ContainerStatusUnknown", 137)
        assert last["containerID"] != container["containerID"]


def test_its_init_containers_run_again_and_what_was_on_disk_is_there(booted):
    wait_until(lambda: again(booted, "web"))
    assert booted.node.exec("web", "sh", "-c", "cat /d/file; wc -l </d/init").stdout == "kept\n2\n"


def test_a_pod_that_never_restarts_has_failed_if_it_was_running(booted):
    wait_until(lambda: booted.now("never")["status"]["phase"] == "Failed")
    how = ended(booted.now("never"))
    assert (how["reason"], how["exitCode"]) == ("ContainerStatusUnknown", 137)
    assert containers(booted.now("never"))[0]["restartCount"] == 0


@pytest.mark.parametrize("name", ["done", "broken"])
def test_what_had_ended_before_stays_as_it_was(booted, name):
    wait_until(lambda: again(booted, "web") and booted.api.helpers(f"supervisor default/{name}"))
    now, before = booted.now(name)["status"], booted.before[name]["status"]
    assert (now["phase"], now["containerStatuses"]) == (before["phase"], before["containerStatuses"])
