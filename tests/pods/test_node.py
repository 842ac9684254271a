"""The node itself: it comes and goes while pods run, two live side by side, and what isn't theirs is left alone."""

from subprocess import PIPE

import pytest

from tests.support import host
from tests.support.node import ROOT, Node, idle_after, interrupt, mounted, pod


@pytest.fixture
def fresh(new_node) -> Node:
    return new_node()


def test_the_first_command_starts_the_node(fresh):
    assert fresh.run("node", "status", check=False).returncode == 3
    fresh.apply(pod("web", {}))
    assert fresh.run("node", "status").returncode == 0
    fresh.stop()


def test_a_stopped_node_leaves_its_pods_running_and_the_next_one_finds_them(fresh):
    fresh.apply(pod("web", {}))
    before = fresh.pids("web")
    fresh.run("node", "stop")
    assert fresh.namespace(before["c0"], "net") == fresh.namespace(before["pause"], "net")
    after = fresh.pids("web")  # which starts another node
    assert (after["pause"], after["c0"]) == (before["pause"], before["c0"])
    assert fresh.exec("web", "echo", "still here").stdout == "still here\n"
    assert fresh.status("web")["containerStatuses"][0]["restartCount"] == 0
    fresh.stop()


def test_a_node_that_stops_with_its_pods_leaves_nothing(fresh):
    before = fresh.look()
    fresh.apply(pod("web", {}, {"volumeMounts": mounted(data="/data")}, volumes=[{"name": "data"}]))
    fresh.run("node", "stop", "--pods")
    left = fresh.leaks(before, ("file ", "mount left behind: /run/netns tmpfs"))
    assert not left, "\n".join(left)


def test_two_nodes_side_by_side_do_not_touch_each_other(new_node):
    """In the same namespaces: another home is all that tells them apart."""
    first = new_node()
    second = new_node(beside=first)
    for node, name in ((first, "first"), (second, "second")):
        node.apply(pod("web", idle_after(f"mkdir /www; echo {name} >/www/name; httpd -p 80 -h /www")))
    for node, name in ((first, "first\n"), (second, "second\n")):
        address = node.status("web")["podIP"]
        assert node.exec("web", "wget", "-qO-", f"http://{address}/name").stdout == name
    before = first.look()
    second.stop()
    gone = [line for line in host.difference(before, first.look()) if first.layout.cgroup in line]
    assert not gone, "\n".join(gone)
    assert first.exec("web", "wget", "-qO-", "http://localhost/name").stdout == "first\n"
    first.stop()


def test_what_others_made_survives(fresh):
    fresh.sh(
        """ip netns add web-theirs
        ip link add theirs0 type bridge
        nft add table inet theirs
        mkdir -p /run/theirs; touch /run/theirs/file"""
    )
    before = fresh.look()
    fresh.apply(pod("web", {}))
    fresh.stop()
    gone = [line for line in fresh.leaks(before, ("file ",)) if " gone: " in line]
    assert not gone, "\n".join(gone)


def test_a_bridge_of_the_same_name_that_is_somebody_elses_is_left_alone(fresh):
    fresh.sh(f"ip link add {fresh.layout.bridge} type bridge")
    result = fresh.run("node", "start", check=False)
    assert result.returncode == 1
    assert fresh.layout.bridge in result.stderr
    fresh.sh(f"ip link show {fresh.layout.bridge}")


# --- images


def test_images_are_listed_imported_and_removed(fresh, tmp_path):
    fresh.sh(f"{ROOT}/rootfs/busybox {tmp_path}/rootfs.tar")
    assert (
        fresh.run("image", "import", f"{tmp_path}/rootfs.tar", "my/tools:1").stdout
        == "image/my/tools:1 imported\n"
    )
    assert "docker.io/my/tools" in fresh.run("image", "ls").stdout
    fresh.apply(pod("web", {"image": "my/tools:1"}))
    assert "my/tools:1" in fresh.run("image", "rm", "my/tools:1", check=False).stderr
    fresh.delete("web")
    fresh.run("image", "rm", "my/tools:1")
    assert "my/tools" not in fresh.run("image", "ls").stdout
    fresh.stop()


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/none.tar", "error: /none.tar: No such file or directory"),
        ("/etc", "error: /etc: Is a directory"),
        (
            "/etc/passwd",
            'Error from server (BadRequest): can\'t import "bad": tar: This does not look like a tar',
        ),
    ],
)
def test_what_is_no_image_is_not_imported(node, path, said):
    result = node.run("image", "import", path, "bad", check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(said)
    assert "bad" not in node.run("image", "ls").stdout


@pytest.mark.parametrize("name", ["busybox", "busybox:1.28", "docker.io/library/busybox", "busybox:latest"])
def test_busybox_is_found_under_every_customary_name(node, name):
    node.apply(pod("web", {"image": name}))
    assert node.status("web")["containerStatuses"][0]["image"]


# --- looking


def test_get_watches_until_it_is_interrupted(node):
    with node.popen("get", "pods", "-w", stdout=PIPE, stderr=PIPE) as process:
        node.apply(pod("web", {}))
        assert process.stdout.readline().split()[:3] == ["NAME", "READY", "STATUS"]
        while process.stdout.readline().split()[:3] != ["web", "1/1", "Running"]:
            pass
        interrupt(process)


def test_pods_are_listed_by_name(node):
    node.apply([pod("b", {}), pod("a", {})])
    assert node.run("get", "pods", "-o", "name").stdout == "pod/a\npod/b\n"


def test_wide_shows_the_address(node):
    node.apply(pod("web", {}))
    assert node.status("web")["podIP"] in node.run("get", "pods", "-o", "wide").stdout


def test_pods_are_selected_by_label(node):
    node.apply([pod(name, {}, metadata={"labels": {"tier": name}}) for name in ("front", "back")])
    assert node.run("get", "pods", "-l", "tier=front", "-o", "name").stdout == "pod/front\n"


@pytest.mark.parametrize("wish", ["run", "go"])
def test_a_pod_that_a_full_disk_kept_from_beginning_is_tried_again_until_it_is_deleted(new_node, wish):
    node = new_node()
    node.start()
    node.sh(f"mount -t tmpfs -o nr_inodes=1 full {node.layout.lib}/pods")
    result = node.apply(pod("web", {}), check=False)
    assert "pod/web can't be begun yet" in result.stderr
    assert "No space left on device" in result.stderr
    if wish == "run":
        node.sh(f"umount {node.layout.lib}/pods")
        node.wait_phase("web", "Running")
    else:
        node.run("delete", "pod", "web")
        assert node.names() == []
        node.sh(f"umount {node.layout.lib}/pods")
    node.stop(pods=True)
