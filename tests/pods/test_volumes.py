"""emptyDir and hostPath."""

import errno
import os
import stat
from pathlib import Path

import pytest

from tests.support.node import idle_after, mounted, sh
from tests.support.node import pod as manifest
from tests.support.wait import wait_until

FILES = {"mnt"}  # whose, when a function asks


def write(path: str, size: int) -> None:
    with open(path, "wb", buffering=0) as file:
        while size:
            size -= file.write(bytes(min(size, 65536)))


def empty(name: str, **source) -> dict:
    return {"name": name, "emptyDir": source}


def host(name: str, path, kind: str | None = None) -> dict:
    return {"name": name, "hostPath": {"path": str(path)} | ({} if kind is None else {"type": kind})}


def test_an_empty_dir_is_one_tmpfs_for_all_who_mount_it(pod):
    pair = [{"volumeMounts": mounted(data=path)} for path in ("/one", "/two")]
    web = pod(manifest("web", *pair, volumes=[empty("data")]))
    one, two = (
        web[name].run(os.stat, path, namespaces=FILES) for name, path in (("c0", "/one"), ("c1", "/two"))
    )
    assert os.path.samestat(one, two)
    assert {view["fstype"] for view in web.observe()["volumes"][0]["views"]} == {"tmpfs"}


def test_an_empty_dir_can_be_written_by_anybody(pod):
    nobody = {"securityContext": {"runAsUser": 65534}, "volumeMounts": mounted(data="/data")}
    web = pod(manifest("web", nobody, volumes=[empty("data")]))
    web["c0"].exec("touch", "/data/mine")
    assert oct(web["c0"].run(os.stat, "/data", namespaces=FILES).st_mode) == "0o40777"
    assert web["c0"].run(os.stat, "/data/mine", namespaces=FILES).st_uid == 65534


def test_a_volume_without_a_source_is_an_empty_dir(pod):
    web = pod(manifest("web", {"volumeMounts": mounted(data="/data")}, volumes=[{"name": "data"}]))
    web["c0"].run(write, "/data/file", 1, namespaces=FILES)


def test_a_size_limit_is_enforced(pod):
    limited = empty("data", sizeLimit="1Mi")
    web = pod(manifest("web", {"volumeMounts": mounted(data="/data")}, volumes=[limited]))
    with pytest.raises(OSError, match="No space left") as full:
        web["c0"].run(write, "/data/file", 2 << 20, namespaces=FILES)
    assert full.value.errno == errno.ENOSPC
    assert web["c0"].run(os.stat, "/data/file", namespaces=FILES).st_size == 1 << 20


@pytest.mark.parametrize("medium", ["", "Memory"])
def test_a_size_limit_is_the_size_of_the_file_system(pod, medium):
    volume = empty("data", sizeLimit="4Mi", medium=medium)
    web = pod(manifest("web", {"volumeMounts": mounted(data="/data")}, volumes=[volume]))
    room = os.statvfs(f"/proc/{web['c0'].pid}/root/data")
    assert room.f_blocks * room.f_frsize == 4 << 20


def test_two_pods_with_a_volume_of_the_same_name_do_not_share_it(pod):
    mount = {"volumeMounts": mounted(data="/data")}
    one, two = (pod(manifest(name, mount, volumes=[empty("data")])) for name in ("one", "two"))
    one["c0"].run(write, "/data/mine", 1, namespaces=FILES)
    assert two["c0"].run(os.listdir, "/data", namespaces=FILES) == []


def test_an_empty_dir_survives_a_restart_of_its_container(node):
    once = idle_after(
        "[ -e /data/first ] || { touch /data/first; exit 3; }", volumeMounts=mounted(data="/data")
    )
    node.apply(manifest("web", once, volumes=[empty("data")]))
    status = node.wait("web", lambda status: status["containerStatuses"][0]["restartCount"] == 1)
    assert status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"] == 3
    node.wait("web", lambda status: "running" in status["containerStatuses"][0]["state"])
    assert node.exec("web", "ls", "/data").stdout == "first\n"


def test_a_root_file_system_does_not_survive_a_restart(node):
    once = idle_after(
        "[ -e /data/first ] || { touch /data/first /mark; exit 3; }", volumeMounts=mounted(data="/data")
    )
    node.apply(manifest("web", once, volumes=[empty("data")]))
    node.wait("web", lambda status: status["containerStatuses"][0]["restartCount"] == 1)
    node.wait("web", lambda status: "running" in status["containerStatuses"][0]["state"])
    assert node.exec("web", "ls", "/mark", check=False).returncode == 1


def test_a_volume_can_be_mounted_read_only(pod):
    mounts = [*mounted(data="/rw"), {"name": "data", "mountPath": "/ro", "readOnly": True}]
    web = pod(manifest("web", {"volumeMounts": mounts}, volumes=[empty("data")]))
    web["c0"].run(write, "/rw/file", 1, namespaces=FILES)
    assert web["c0"].run(os.listdir, "/ro", namespaces=FILES) == ["file"]
    with pytest.raises(OSError, match="Read-only") as refused:
        web["c0"].run(write, "/ro/other", 1, namespaces=FILES)
    assert refused.value.errno == errno.EROFS


def test_a_mount_path_is_made_in_the_image(pod):
    web = pod(manifest("web", {"volumeMounts": mounted(data="/a/b/c")}, volumes=[empty("data")]))
    assert web["c0"].run(os.path.ismount, "/a/b/c", namespaces=FILES)


# --- hostPath


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/file").write_text("from the host\n")
    return tmp_path


def test_a_host_path_shows_what_is_on_the_host(pod, folder):
    web = pod(manifest("web", {"volumeMounts": mounted(h="/h")}, volumes=[host("h", folder / "there")]))
    file = Path("/h/file")
    assert web["c0"].run(file.read_text, namespaces=FILES) == "from the host\n"
    web["c0"].run(file.write_text, "back\n", namespaces=FILES)
    assert (folder / "there/file").read_text() == "back\n"


def test_a_host_path_can_be_one_file(pod, folder):
    volume = host("h", folder / "there/file", "File")
    web = pod(manifest("web", {"volumeMounts": mounted(h="/h")}, volumes=[volume]))
    assert web["c0"].run(Path("/h").read_text, namespaces=FILES) == "from the host\n"


@pytest.mark.parametrize(
    ("kind", "mode"), [("DirectoryOrCreate", 0o40755), ("FileOrCreate", 0o100644), (None, 0o40755)]
)
def test_a_host_path_is_made_when_its_type_says_so(node, folder, kind, mode):
    node.apply(manifest("web", {"volumeMounts": mounted(h="/h")}, volumes=[host("h", folder / "new", kind)]))
    assert oct((folder / "new").stat().st_mode) == oct(mode)


def test_what_was_made_for_a_host_path_stays_when_the_pod_goes(node, folder):
    volume = host("h", folder / "new", "DirectoryOrCreate")
    node.apply(
        manifest("web", idle_after("echo data >/h/file", volumeMounts=mounted(h="/h")), volumes=[volume])
    )
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
    node.apply(manifest("web", {"volumeMounts": mounted(h="/h")}, volumes=[volume]), "--namespace=default")
    wait_until(lambda: "FailedMount" in node.run("get", "events").stdout)
    assert "hostPath type check failed" in node.run("get", "events").stdout
    assert node.status("web")["phase"] == "Pending"


def test_a_device_of_the_host_is_a_device_in_the_container(pod):
    volume = host("null", "/dev/null", "CharDevice")
    web = pod(manifest("web", {"volumeMounts": mounted(null="/null")}, volumes=[volume]))
    there = web["c0"].run(os.stat, "/null", namespaces=FILES)
    assert stat.S_ISCHR(there.st_mode)
    assert there.st_rdev == os.stat("/dev/null").st_rdev


def test_what_one_container_finishes_another_finds(node):
    first = sh("echo prepared >/data/file", volumeMounts=mounted(data="/data"))
    app = {"volumeMounts": mounted(data="/data")}
    init = [{"name": "first", "image": "busybox", **first}]
    node.apply(manifest("web", app, initContainers=init, volumes=[empty("data")]))
    assert node.exec("web", "cat", "/data/file").stdout == "prepared\n"
