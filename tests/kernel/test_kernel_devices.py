"""The device allow-list, tried with nodes that the process makes itself."""

import errno
import os
import stat

import pytest

from minipod.errors import KernelError
from minipod.kernel import devices, syscalls
from tests.kernel.child import in_child


def attached(cgroup, rules):
    """A fork into the cgroup, to which a program with these rules is attached."""
    program = devices.load(rules)
    directory = os.open(cgroup, os.O_DIRECTORY)
    devices.attach(directory, program)
    os.close(program)
    return lambda: syscalls.clone3_fork(cgroup_fd=directory)[0]


def outcome(folder, kind, major, minor, flags=os.O_RDWR):
    """What comes of making a node and opening it: "" or an errno's name."""
    node = f"{folder}/{major}:{minor}"
    try:
        os.mknod(node, 0o600 | kind, os.makedev(major, minor))
        os.close(os.open(node, flags | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""


@pytest.fixture
def folder(tmp_path):
    syscalls.mount("tmpfs", str(tmp_path), "tmpfs")
    return tmp_path


@pytest.mark.parametrize("minor", [3, 5, 7, 8, 9])
def test_the_devices_of_every_container_can_be_opened(cgroup, folder, minor):
    fork = attached(cgroup, devices.DEFAULT)
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, minor), fork) == ""


@pytest.mark.parametrize(
    ("kind", "major", "minor"),
    [
        pytest.param(stat.S_IFCHR, 1, 1, id="mem"),
        pytest.param(stat.S_IFCHR, 1, 11, id="kmsg"),
        pytest.param(stat.S_IFBLK, 7, 0, id="loop0"),
        pytest.param(stat.S_IFBLK, 1, 3, id="a block device with the numbers of null"),
    ],
)
def test_another_device_can_be_made_but_not_opened(cgroup, folder, kind, major, minor):
    fork = attached(cgroup, devices.DEFAULT)
    assert in_child(lambda: outcome(folder, kind, major, minor), fork) == "EPERM"
    assert os.listdir(folder) == [f"{major}:{minor}"]


def test_outside_the_cgroup_nothing_changes(cgroup, folder):
    os.close(os.open(cgroup, os.O_DIRECTORY))
    attached(cgroup, ())
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, 11)) == ""


def test_an_empty_list_allows_nothing_not_even_the_node(cgroup, folder):
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, 3), attached(cgroup, ())) == "EPERM"
    assert os.listdir(folder) == []


def test_what_may_be_read_may_not_be_written(cgroup, folder):
    rules = (devices.Rule(devices.CHARACTER, 1, 3, devices.READ | devices.MKNOD),)
    fork = attached(cgroup, rules)
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, 3, os.O_RDONLY), fork) == ""
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, 3, os.O_WRONLY), fork) == "EEXIST"
    os.unlink(f"{folder}/1:3")
    assert in_child(lambda: outcome(folder, stat.S_IFCHR, 1, 3, os.O_WRONLY), fork) == "EPERM"


def test_a_list_of_the_parent_holds_for_the_child_too(cgroup, folder):
    os.mkdir(f"{cgroup}/child")
    attached(cgroup, (devices.Rule(devices.CHARACTER, 1, 3),))
    fork = attached(f"{cgroup}/child", devices.DEFAULT)
    answers = [
        in_child(lambda minor=minor: outcome(folder, stat.S_IFCHR, 1, minor), fork) for minor in (3, 5)
    ]
    assert answers == ["", "EPERM"]
    os.rmdir(f"{cgroup}/child")


def test_attaching_to_what_is_no_cgroup_is_an_error(tmp_path):
    program, directory = devices.load(), os.open(tmp_path, os.O_DIRECTORY)
    with pytest.raises(KernelError, match="bpf attach the device allow-list"):
        devices.attach(directory, program)
    os.close(program)
    os.close(directory)
