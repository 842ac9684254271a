"""Observation against processes that unshare(1) and nsenter(1) have put into namespaces."""

import os
import shutil
import subprocess
from collections.abc import Callable

import pytest

from minipod.observe.context import Observation, shared_context
from tests.support.namespaces import inside
from tests.support.wait import wait_until

POD_KINDS = ("net", "ipc", "uts")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start():
    """Start a command; it has done what it does before its `sleep` when this returns."""
    started: list[subprocess.Popen[str]] = []

    def run(*enter: str, script: str = "") -> subprocess.Popen[str]:
        command = [*enter, "sh", "-c", f"{script or ':'} && echo ready && exec sleep 1000"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def pause(start: Start) -> int:
    return start("unshare", "--net", "--ipc", "--uts", "--mount").pid


@pytest.fixture
def container(start: Start, pause: int) -> Callable[..., subprocess.Popen[str]]:
    """Start a container's process: pause's namespaces, and mounts and cgroups of its own."""
    enter = ("nsenter", "-t", str(pause), "--net", "--ipc", "--uts", "unshare", "--mount", "--cgroup")
    return lambda script="": start(*enter, script=script)


def look(pause: int, *containers: int, mounts=()) -> Observation:
    names = [(f"c{number}", pid) for number, pid in enumerate(containers)]
    return shared_context(os.getpid(), pause, names, mounts)


def whose(observation: Observation, name: str) -> dict[str, str]:
    (process,) = [each for each in observation.processes if each.name == name]
    return {kind: namespace.whose for kind, namespace in process.namespaces.items()}


def test_a_container_shares_what_pause_holds_and_has_the_rest_for_itself(pause, container):
    observation = look(pause, container().pid, container().pid)
    expected = dict.fromkeys(POD_KINDS, "pod") | {
        "mnt": "own",
        "cgroup": "own",
        "pid": "host",
        "user": "host",
    }
    assert whose(observation, "c0") == whose(observation, "c1") == expected


def test_pause_holds_what_is_shared_and_has_its_mounts_for_itself(pause, container):
    assert whose(look(pause, container().pid), "pause") == dict.fromkeys(POD_KINDS, "pod") | {
        "mnt": "own",
        "cgroup": "host",
        "pid": "host",
        "user": "host",
    }


def test_the_host_has_its_own(pause):
    assert set(whose(look(pause), "host").values()) == {"host"}


def test_nobody_shares_with_a_pause_that_is_alone(pause):
    assert whose(look(pause), "pause")["net"] == "own"


def test_the_inodes_are_those_of_proc(pause, container):
    pid = container().pid
    process = look(pause, pid).processes[2]
    assert {kind: each.inode for kind, each in process.namespaces.items()} == {
        kind: os.stat(f"/proc/{pid}/ns/{kind}").st_ino for kind in process.namespaces
    }


def test_two_containers_in_a_namespace_that_is_not_pauses_share_it(start, pause, container):
    first = container().pid
    second = start("nsenter", "-t", str(first), "--mount").pid
    observation = look(pause, first, second)
    assert (whose(observation, "c0")["mnt"], whose(observation, "c1")["mnt"]) == ("shared", "shared")


def test_a_shared_pid_namespace_is_the_pods(start):
    pause = start("unshare", "--pid", "--fork", "--kill-child")
    init = int(wait_until(lambda: _children(pause.pid))[0])
    outer = start("nsenter", "-t", str(init), "--pid")
    member = int(wait_until(lambda: _children(outer.pid))[0])
    assert whose(look(init, member), "c0")["pid"] == "pod"


def _children(pid: int) -> list[str]:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return file.read().split()


def test_a_container_that_has_ended_is_told_so(pause, container):
    process = container()
    process.kill()
    process.wait()
    ended = look(pause, process.pid).processes[2]
    assert (ended.state, ended.namespaces) == ("ended", {})


def test_a_zombie_has_ended(pause, container):
    process = container()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert look(pause, process.pid).processes[2].state == "ended"


def test_a_container_without_a_process_waits(pause):
    assert look(pause, 0).processes[2].state == "waiting"


def test_what_the_kernel_does_not_show_is_hidden(pause, container):
    pid = container().pid

    def unprivileged() -> dict[str, str]:
        os.setuid(65534)
        return whose(look(pause, pid), "c0")

    assert set(inside(os.getpid(), unprivileged).values()) == {"hidden"}


# --- volumes


@pytest.fixture
def volume(tmp_path):
    path = tmp_path / "volume"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(path)], check=True)
    return path


def test_a_volume_is_one_directory_at_different_paths(pause, container, volume):
    one, two = container(f"mount --bind {volume} /mnt"), container(f"mount --bind {volume} /media")
    (seen,) = look(pause, one.pid, two.pid, mounts=[("v", "c0", "/mnt"), ("v", "c1", "/media")]).volumes
    status = os.stat(volume)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    assert seen.shared
    assert [(view.device, view.inode) for view in seen.views] == [(device, status.st_ino)] * 2


def test_a_volume_is_told_with_its_file_system_and_its_room(pause, container, volume):
    (volume / "file").write_bytes(b"x" * 8192)
    one = container(f"mount --bind {volume} /mnt")
    (view,) = look(pause, one.pid, mounts=[("v", "c0", "/mnt")]).volumes[0].views
    assert (view.fstype, view.size, view.used, view.readonly) == ("tmpfs", 4 << 20, 8192, False)


def test_a_read_only_mount_is_told(pause, container, volume):
    one = container(f"mount --bind {volume} /mnt && mount -o remount,bind,ro /mnt")
    assert look(pause, one.pid, mounts=[("v", "c0", "/mnt")]).volumes[0].views[0].readonly


def test_two_directories_under_one_name_are_not_shared(pause, container):
    one, two = container("mount -t tmpfs a /mnt"), container("mount -t tmpfs b /mnt")
    (seen,) = look(pause, one.pid, two.pid, mounts=[("v", "c0", "/mnt"), ("v", "c1", "/mnt")]).volumes
    assert not seen.shared


def test_a_volume_in_one_container_only_is_not_shared(pause, container, volume):
    one = container(f"mount --bind {volume} /mnt && mount --bind {volume} /media")
    (seen,) = look(pause, one.pid, mounts=[("v", "c0", "/mnt"), ("v", "c0", "/media")]).volumes
    assert not seen.shared


def test_a_container_that_has_ended_does_not_hide_what_the_others_share(pause, container, volume):
    script = f"mount --bind {volume} /mnt"
    pids = [container(script).pid, container(script).pid, 0]
    (seen,) = look(pause, *pids, mounts=[("v", f"c{number}", "/mnt") for number in range(3)]).volumes
    assert seen.shared
    assert seen.views[2].problem == "not started"


def test_a_mount_path_that_is_not_there_is_told(pause, container):
    (view,) = look(pause, container().pid, mounts=[("v", "c0", "/nowhere")]).volumes[0].views
    assert view.problem == "No such file or directory"


@pytest.mark.parametrize("target", ["{secret}", "../../../../../../../..{secret}", "/proc/self/root{secret}"])
def test_a_link_in_a_containers_root_does_not_lead_out_of_it(start, pause, tmp_path, target):
    secret, root = tmp_path / "secret", tmp_path / "root"
    secret.mkdir()
    (root / "bin").mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/sh")
    shutil.copy("/bin/busybox", root / "bin/sleep")
    (root / "data").symlink_to(target.format(secret=secret))
    one = start(
        "unshare", "--mount", "chroot", str(root), "/bin/sh", "-c", "echo ready; exec /bin/sleep 1000"
    )
    (view,) = look(pause, one.pid, mounts=[("v", "c0", "/data")]).volumes[0].views
    assert view.problem == "No such file or directory"
