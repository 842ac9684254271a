"""Whatever a container or a person does to it, a pod can be removed whole."""

import os
import subprocess

import pytest

from tests.support.node import Node, idle_after, mounted, pod
from tests.support.wait import wait_until

DEEPER = 2000  # levels, than Python's stack, and than a process may have open files


@pytest.fixture(autouse=True)
def clean(node: Node) -> Node:
    """Every test's node is as it was: conftest looks after that."""
    return node


def ready(node: Node, manifest: dict) -> None:
    node.apply(manifest)
    name = manifest["metadata"]["name"]
    wait_until(lambda: "ready" in node.logs(name), what=f"{name} to be ready")


def gone(node: Node, name: str = "web") -> bool:
    node.delete(name)
    return node.names() == []


def test_a_tree_that_is_deeper_than_our_stack(node):
    dig = f"path=$(yes d/ | head -n {DEEPER} | tr -d '\\n'); mkdir -p $path && touch ${{path}}x && echo ready"
    ready(node, pod("web", idle_after(dig)))
    assert gone(node)


def test_cgroups_that_a_privileged_container_made_below_its_own(node):
    make = (
        "for each in /sys/fs/cgroup /sys/fs/cgroup/*/; do"
        ' mkdir -p "$each/mine/inner" 2>/dev/null && made="$made x"; done; [ "$made" ] && echo ready'
    )
    ready(node, pod("web", idle_after(make, securityContext={"privileged": True})))
    assert gone(node)


def test_a_volume_in_which_somebody_stands(node):
    ready(node, pod("web", idle_after("echo ready", volumeMounts=mounted(d="/d")), volumes=[{"name": "d"}]))
    uid = node.get("web")["metadata"]["uid"]
    volume = f"{node.layout.pod_run(uid)}/volumes/d"
    with node.popen("-c", f"cd {volume} && exec sleep 1000", program=["sh"]) as shell:
        try:
            wait_until(
                lambda: "sleep" in node.sh(f"fuser -v -m {volume} 2>&1", check=False) or stands(node, volume)
            )
            assert gone(node)
        finally:
            node.sh("pkill -x sleep", check=False)
            shell.wait()


def stands(node: Node, volume: str) -> bool:
    for entry in os.scandir(node.proc):
        if entry.name.isdecimal():
            try:
                if os.readlink(f"{entry.path}/cwd") == volume:
                    return True
            except OSError:
                continue
    return False


def test_a_pod_whose_folder_somebody_mounted_on_goes_when_that_is_gone(node):
    ready(node, pod("web", idle_after("echo ready")))
    uid = node.get("web")["metadata"]["uid"]
    folder = f"{node.layout.pod_lib(uid)}/mine"
    node.sh(f"mkdir {folder}; mount -t tmpfs mine {folder}; echo years >{folder}/work")
    with node.popen("delete", "pod", "web", "--now", stdout=subprocess.DEVNULL) as delete:
        wait_until(lambda: "trying again" in node.log())
        assert node.sh(f"cat {folder}/work") == "years\n"
        node.sh(f"umount {folder}")
    assert delete.returncode == 0
    assert node.names() == []
