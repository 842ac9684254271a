"""System calls, each tried on the kernel."""

import errno
import os
import select
import signal
import struct

import pytest

from minipod.errors import KernelError
from minipod.kernel import files, process, syscalls
from tests.kernel.child import in_child, sleeper


def mount_points():
    return [line.split()[4] for line in files.read("/proc/self/mountinfo").splitlines()]


@pytest.fixture
def folder(tmp_path):
    syscalls.mount("tmpfs", str(tmp_path), "tmpfs", data="size=1m")
    return str(tmp_path)


def test_unshare_makes_a_namespace():
    before = process.ns_inode("self", "uts")
    syscalls.unshare(syscalls.CLONE_NEWUTS)
    assert process.ns_inode("self", "uts") != before


def test_setns_goes_into_the_namespace_of_a_descriptor():
    first = process.ns_inode("self", "ipc")
    fd = os.open("/proc/self/ns/ipc", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWIPC)
    syscalls.setns(fd, syscalls.CLONE_NEWIPC, "the first one")
    os.close(fd)
    assert process.ns_inode("self", "ipc") == first


def test_setns_with_a_pidfd_joins_several_namespaces_at_once():
    pid, pidfd = syscalls.clone3_fork(syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC, want_pidfd=True)
    if pid == 0:
        signal.pause()
    theirs = [process.ns_inode(pid, kind) for kind in ("uts", "ipc")]
    syscalls.setns(pidfd, syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC, "pause")
    process.pidfd_kill(pidfd, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert [process.ns_inode("self", kind) for kind in ("uts", "ipc")] == theirs


def test_an_error_names_the_call_and_the_object():
    with pytest.raises(KernelError, match=r"^setns network namespace of web: .*\(EINVAL\)"):
        syscalls.setns(0, syscalls.CLONE_NEWNET, "network namespace of web")


def test_mount_and_umount(tmp_path):
    target = str(tmp_path)
    syscalls.mount("tmpfs", target, "tmpfs", syscalls.MS_NODEV, "size=1m")
    assert target in mount_points()
    syscalls.umount2(target, syscalls.UMOUNT_NOFOLLOW)
    assert target not in mount_points()


def test_a_mount_error_names_file_system_and_target():
    with pytest.raises(KernelError, match=r"^mount tmpfs on /nowhere: No such file or directory") as caught:
        syscalls.mount("tmpfs", "/nowhere", "tmpfs")
    assert caught.value.errno == errno.ENOENT


def test_a_missing_file_system_comes_with_a_hint(tmp_path):
    with pytest.raises(KernelError, match="modprobe"):
        syscalls.mount("none", str(tmp_path), "nosuchfs")


def test_umount_of_what_is_no_mount_point_says_so(tmp_path):
    with pytest.raises(KernelError) as caught:
        syscalls.umount2(str(tmp_path))
    assert caught.value.errno == errno.EINVAL


def test_pivot_root_makes_the_folder_the_root(folder):
    def pivot():
        syscalls.unshare(syscalls.CLONE_NEWNS)
        os.mkdir(f"{folder}/only-this")
        os.chdir(folder)
        syscalls.pivot_root(".", ".")
        syscalls.umount2(".", syscalls.MNT_DETACH)
        os.chdir("/")
        return os.listdir("/")

    assert in_child(pivot) == ["only-this"]


def test_pivot_root_into_no_mount_point_has_a_hint(tmp_path):
    with pytest.raises(KernelError, match="must be a mount point"):
        syscalls.pivot_root(str(tmp_path), str(tmp_path))


def test_a_cloned_tree_is_made_read_only_without_touching_the_original(folder, tmp_path_factory):
    elsewhere = str(tmp_path_factory.mktemp("elsewhere"))
    tree = syscalls.open_tree(syscalls.AT_FDCWD, folder, syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE)
    flags = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
    syscalls.mount_setattr(tree, "", flags, attr_set=syscalls.MOUNT_ATTR_RDONLY)
    syscalls.move_mount(tree, "", syscalls.AT_FDCWD, elsewhere, syscalls.MOVE_MOUNT_F_EMPTY_PATH)
    os.close(tree)
    os.mkdir(f"{folder}/written")
    with pytest.raises(OSError, match="Read-only") as caught:
        os.mkdir(f"{elsewhere}/refused")
    assert caught.value.errno == errno.EROFS
    assert os.listdir(elsewhere) == ["written"]


def test_openat2_keeps_symbolic_links_inside_the_root(folder):
    os.mkdir(f"{folder}/etc")
    os.symlink("/etc/../../../../etc/passwd", f"{folder}/link")
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    with pytest.raises(KernelError) as caught:
        syscalls.openat2(root, "link", os.O_RDONLY)
    assert caught.value.errno == errno.ENOENT
    os.close(syscalls.openat2(root, "link", os.O_CREAT | os.O_WRONLY, 0o600))
    os.close(root)
    assert os.listdir(f"{folder}/etc") == ["passwd"]


def test_a_descriptor_of_openat2_is_closed_by_exec(folder):
    root = os.open(folder, os.O_PATH)
    fd = syscalls.openat2(root, "/", os.O_RDONLY | os.O_DIRECTORY)
    assert not os.get_inheritable(fd)
    os.close(fd)
    os.close(root)


def test_a_signalfd_is_readable_when_a_child_has_ended():
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    fd = syscalls.signalfd([signal.SIGCHLD])
    assert select.select([fd], [], [], 0)[0] == []
    pid = sleeper()
    os.kill(pid, signal.SIGKILL)
    assert select.select([fd], [], [], 30)[0] == [fd]
    number, _, _, sender = struct.unpack_from("=iiiI", os.read(fd, 128))
    assert (number, sender) == (signal.SIGCHLD, pid)
    os.waitpid(pid, 0)
    os.close(fd)


def test_close_range_closes_both_ends_and_nothing_more():
    first = [os.dup(0) for _ in range(4)]
    syscalls.close_range(first[1], first[2])
    still_open = [fd for fd in first if os.path.exists(f"/proc/self/fd/{fd}")]
    assert still_open == [first[0], first[3]]
    for fd in still_open:
        os.close(fd)
