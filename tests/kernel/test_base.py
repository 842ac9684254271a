"""The mount namespace of which every container's is a copy, made from the mount namespace of the test's own."""

import os

import pytest

from minipod.kernel import process, syscalls
from minipod.names import layout
from minipod.node import folders
from minipod.runtime import base


def tmpfs(path):
    os.makedirs(path, exist_ok=True)
    syscalls.mount("tmpfs", str(path), "tmpfs")
    return str(path)


@pytest.fixture
def here(tmp_path):
    """A layout with what a node mounts."""
    made = layout(str(tmp_path / "home"))
    syscalls.mount("", tmpfs(made.run), flags=syscalls.MS_PRIVATE)
    syscalls.mount("", tmpfs(made.netns), flags=syscalls.MS_SHARED)
    os.makedirs(made.images)
    return made


def mount_points(namespace):
    """What is mounted in it."""
    ours = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    syscalls.setns(namespace, syscalls.CLONE_NEWNS, "the base")
    try:
        return folders.mount_points()
    finally:
        syscalls.setns(ours, syscalls.CLONE_NEWNS, "the test's")
        os.close(ours)


def test_it_has_what_a_container_is_built_of_and_nothing_of_the_pods(here):
    images = tmpfs(here.images)
    pods = [tmpfs(f"{here.run}/pods/volume"), tmpfs(f"{here.run}/ns/pin"), tmpfs(f"{here.netns}/pod")]
    there = mount_points(base.make(here))
    assert {"/", "/proc", here.run, images} <= {*there}
    assert not {here.netns, *pods} & {*there}


def test_an_image_may_be_a_link_to_another_file_system(here, tmp_path):
    others = [tmpfs(tmp_path / "store"), tmpfs(tmp_path / "others")]
    os.symlink(f"{others[0]}/image", f"{here.images}/image")
    there = mount_points(base.make(here))
    assert [path in there for path in others] == [True, False]


def test_it_holds_no_other_file_system_of_the_host(here, tmp_path):
    others = [tmpfs(tmp_path / "others"), tmpfs(tmp_path / "others/below"), tmpfs(tmp_path / "with a space")]
    assert not {*others} & {*mount_points(base.make(here))}


def test_what_the_host_mounts_in_lib_later_arrives_and_what_a_pod_mounts_does_not(here):
    syscalls.mount("", tmpfs(here.lib), flags=syscalls.MS_SHARED)
    os.makedirs(here.images)
    made = base.make(here)
    pods = [tmpfs(f"{here.run}/pods/volume"), tmpfs(f"{here.netns}/pod")]
    late = tmpfs(f"{here.lib}/late")
    there = mount_points(made)
    assert late in there
    assert not {*pods} & {*there}


def test_what_is_mounted_in_it_is_not_seen_outside(here):
    syscalls.mount("", tmpfs(here.lib), flags=syscalls.MS_SHARED)
    os.makedirs(here.images)
    made, before = base.make(here), folders.mount_points()
    ours = os.open("/proc/self/ns/mnt", os.O_RDONLY)
    syscalls.setns(made, syscalls.CLONE_NEWNS, "the base")
    tmpfs(f"{here.lib}/inside")
    syscalls.setns(ours, syscalls.CLONE_NEWNS, "the test's")
    assert folders.mount_points() == before
    assert f"{here.lib}/inside" in mount_points(made)


def test_whoever_makes_it_stays_where_it_is(here):
    before = process.ns_inode(os.getpid(), "mnt"), folders.mount_points()
    made = base.make(here)
    assert (process.ns_inode(os.getpid(), "mnt"), folders.mount_points()) == before
    assert os.fstat(made).st_ino != before[0]


def test_a_folder_that_somebody_has_unmounted_is_no_obstacle(here):
    syscalls.umount2(here.netns)
    assert here.run in mount_points(base.make(here))
