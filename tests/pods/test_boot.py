"""A machine that boots: what was in the kernel is gone, what was on disk is there."""

import os

from tests.support.faults import Api, Object, busybox_pod, running
from tests.support.node import Node
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


def test_pods_come_back_after_a_boot_with_what_they_had_on_disk(new_node):
    node = new_node()
    api = Api(node)
    os.makedirs(node.layout.etc)
    with open(f"{node.layout.etc}/node.toml", "w") as file:
        file.write('emptydir_medium = "disk"\n')
    node.start()
    node.apply(busybox_pod("web"))
    wait_until(lambda: api.heard(api.pods()["web"]))
    node.exec("web", "sh", "-c", "echo kept >/d/file")
    power_cut(node)
    node.start()
    # Until its new supervisor has spoken, the pod is shown as it was seen last: running.
    wait_until(lambda: running(api.pods()["web"]) and containers(api.pods()["web"])[0]["restartCount"] == 1)
    (a, _) = containers(api.pods()["web"])
    assert a["lastState"]["terminated"]["reason"] == "ContainerStatusUnknown"
    assert node.exec("web", "cat", "/d/file").stdout == "kept\n"
    node.stop(pods=True)
