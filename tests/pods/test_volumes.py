"""emptyDir and hostPath."""

import os
import stat

import pytest

from tests.support.node import idle_after, mounted, pod, sh
from tests.support.wait import wait_until


def empty(name: str, **source) -> dict:
    return {"name": name, "emptyDir": source}


def host(name: str, path, kind: str | None = None) -> dict:
    return {"name": name, "hostPath": {"path": str(path)} | ({} if kind is None else {"type": kind})}


def test_an_empty_dir_is_one_tmpfs_for_all_who_mount_it(node):
    pair = [{"volumeMounts": mounted(data=path)} for path in ("/one", "/two")]
    node.apply(pod("web", *pair, volumes=[empty("data")]))
    views = node.observe("web")["volumes"][0]["views"]
    assert {view["fstype"] for view in views} == {"tmpfs"}
    assert len({(view["device"], view["inode"]) for view in views}) == 1


def test_an_empty_dir_can_be_written_by_anybody(node):
    nobody = {"securityContext": {"runAsUser": 65534}, "volumeMounts": mounted(data="/data")}
    node.apply(pod("web", nobody, volumes=[empty("data")]))
    node.exec("web", "touch", "/data/mine")
    assert node.exec("web", "stat", "-c", "%a", "/data").stdout == "777\n"


def test_a_volume_without_a_source_is_an_empty_dir(node):
    node.apply(pod("web", {"volumeMounts": mounted(data="/data")}, volumes=[{"name": "data"}]))
    node.exec("web", "touch", "/data/file")


def test_a_size_limit_is_enforced(node):
    node.apply(pod("web", {"volumeMounts": mounted(data="/data")}, volumes=[empty("data", sizeLimit="1Mi")]))
    full = node.exec("web", "dd", "if=/dev/zero", "of=/data/file", "bs=64k", "count=32", check=False)
    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert node.exec("web", "stat", "-c", "%s", "/data/file").stdout == f"{1 << 20}\n"


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_a_size_limit_is_the_size_of_the_file_system(node, medium):
    volume = empty("data", sizeLimit="4Mi", medium=medium)
    node.apply(pod("web", {"volumeMounts": mounted(data="/data")}, volumes=[volume]))
    room = os.statvfs(f"{node.proc}/{node.pids('web')['c0']}/root/data")
    assert room.f_blocks * room.f_frsize == 4 << 20


def test_two_pods_with_a_volume_of_the_same_name_do_not_share_it(node):
    mount = {"volumeMounts": mounted(data="/data")}
    node.apply([pod(name, mount, volumes=[empty("data")]) for name in ("one", "two")])
    node.exec("one", "touch", "/data/mine")
    assert node.exec("two", "ls", "/data").stdout == ""


def test_an_empty_dir_survives_a_restart_of_its_container(node):
    once = idle_after(
        "[ -e /data/first ] || { touch /data/first; exit 3; }", volumeMounts=mounted(data="/data")
    )
    node.apply(pod("web", once, volumes=[empty("data")]))
    status = node.wait("web", lambda status: status["containerStatuses"][0]["restartCount"] == 1)
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    node.wait("web", lambda status: "running" in status["containerStatuses"][0]["state"])
    assert node.exec("web", "ls", "/data").stdout == "first\n"


def test_a_root_file_system_does_not_survive_a_restart(node):
    once = idle_after(
        "[ -e /data/first ] || { touch /data/first /mark; exit 3; }", volumeMounts=mounted(data="/data")
    )
    node.apply(pod("web", once, volumes=[empty("data")]))
    node.wait("web", lambda status: status["containerStatuses"][0]["restartCount"] == 1)
    node.wait("web", lambda status: "running" in status["containerStatuses"][0]["state"])
    assert node.exec("web", "ls", "/mark", check=False).returncode == 1


def test_a_volume_can_be_mounted_read_only(node):
    mounts = [*mounted(data="/rw"), {"name": "data", "mountPath": "/ro", "readOnly": True}]
    node.apply(pod("web", {"volumeMounts": mounts}, volumes=[empty("data")]))
    node.exec("web", "touch", "/rw/file")
    assert node.exec("web", "ls", "/ro").stdout == "file\n"
    assert "Read-only file system" in node.exec("web", "touch", "/ro/other", check=False).stderr


def test_a_mount_path_is_made_in_the_image(node):
    node.apply(pod("web", {"volumeMounts": mounted(data="/a/b/c")}, volumes=[empty("data")]))
    node.exec("web", "touch", "/a/b/c/file")


# --- hostPath


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("from the host\n")
    return tmp_path


def test_a_host_path_shows_what_is_on_the_host(node, folder):
    node.apply(pod("web", {"volumeMounts": mounted(h="/h")}, volumes=[host("h", folder / "there")]))
    assert node.exec("web", "cat", "/h/file").stdout == "from the host\n"
    node.exec("web", "sh", "-c", "echo back >/h/file")
    assert (folder / "there/file").read_text() == "back\n"


def test_a_host_path_can_be_one_file(node, folder):
    node.apply(
        pod("web", {"volumeMounts": mounted(h="/h")}, volumes=[host("h", folder / "there/file", "File")])
    )
    assert node.exec("web", "cat", "/h").stdout == "from the host\n"


@pytest.mark.parametrize(
    ("kind", "mode"), [("DirectoryOrCreate", 0o40755), ("FileOrCreate", 0o100644), (None, 0o40755)]
)
def test_a_host_path_is_made_when_its_type_says_so(node, folder, kind, mode):
    node.apply(pod("web", {"volumeMounts": mounted(h="/h")}, volumes=[host("h", folder / "new", kind)]))
    assert oct((folder / "new").stat().st_mode) == oct(mode)


def test_what_was_made_for_a_host_path_stays_when_the_pod_goes(node, folder):
    volume = host("h", folder / "new", "DirectoryOrCreate")
    node.apply(pod("web", idle_after("echo data >/h/file", volumeMounts=mounted(h="/h")), volumes=[volume]))
    node.delete("web")
    assert (folder / "new/file").read_text() == "data\n"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Directory", "there/file"),
        ("File", "there"),
        ("Directory", "missing"),
        ("File", "missing"),
        ("Socket", "there/file"),
        ("CharDevice", "there/file"),
        ("BlockDevice", "there/file"),
    ],
)
def test_a_host_path_of_another_type_keeps_the_pod_waiting(node, folder, kind, path):
    volume = host("h", folder / path, kind)
    node.apply(pod("web", {"volumeMounts": mounted(h="/h")}, volumes=[volume]), "--namespace=default")
    wait_until(lambda: "FailedMount" in node.run("get", "events").stdout)
    assert "hostPath type check failed" in node.run("get", "events").stdout
    assert node.status("web")["phase"] == "Pending"


def test_a_device_of_the_host_is_a_device_in_the_container(node):
    volume = host("null", "/dev/null", "CharDevice")
    node.apply(pod("web", {"volumeMounts": mounted(null="/null")}, volumes=[volume]))
    assert stat.S_ISCHR(os.stat(f"{node.proc}/{node.pids('web')['c0']}/root/null").st_mode)


def test_what_one_container_finishes_another_finds(node):
    first = sh("echo prepared >/data/file", volumeMounts=mounted(data="/data"))
    app = {"volumeMounts": mounted(data="/data")}
    init = [{"name": "first", "image": "busybox", **first}]
    node.apply(pod("web", app, initContainers=init, volumes=[empty("data")]))
    assert node.exec("web", "cat", "/data/file").stdout == "prepared\n"
