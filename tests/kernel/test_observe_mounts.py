"""What is mounted where, and what of it is the same directory."""

import os

import pytest

from minipod.kernel import syscalls
from minipod.observe import mounts
from minipod.observe.members import Member
from tests.support.namespaces import isolated

pytestmark = isolated


@pytest.fixture
def member(start):
    """Start a member with mounts of its own."""

    def run(name: str, *binds: tuple[str, str], then=lambda: None) -> Member:
        def prepare() -> None:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
            for source, target in binds:
                syscalls.mount(source, target, flags=syscalls.MS_BIND)
            then()

        pid = start(prepare)
        return Member(name, pid, "", (pid,))

    return run


@pytest.fixture
def volume(tmp_path) -> str:
    path = tmp_path / "volume"
    path.mkdir()
    syscalls.mount("tmpfs", str(path), "tmpfs")
    return str(path)


def at(places, path: str) -> mounts.Place:
    (found,) = [place for place in places if path in [spot.path for spot in place.spots]]
    return found


def test_one_directory_in_two_containers_is_one_place(member, volume):
    both = [member("a", (volume, "/mnt")), member("b", (volume, "/media"))]
    place = at(mounts.look(both), "/mnt")
    status = os.stat(volume)
    assert place.shared
    assert (place.device, place.inode) == (mounts.device_name(status.st_dev), status.st_ino)
    assert {("a", "/mnt"), ("b", "/media")} <= {(spot.container, spot.path) for spot in place.spots}


def test_two_directories_of_one_file_system_are_two_places(member, volume):
    for name in ("one", "two"):
        os.mkdir(f"{volume}/{name}")
    both = [member("a", (f"{volume}/one", "/mnt")), member("b", (f"{volume}/two", "/media"))]
    found = mounts.look(both)
    assert at(found, "/mnt").device == at(found, "/media").device
    assert not at(found, "/mnt").shared


def test_a_volume_has_its_name_and_comes_first(member, volume):
    found = mounts.look([member("a", (volume, "/mnt"))], [("data", "a", "/mnt/")])
    assert (found[0].volume, found[0].inode) == ("data", os.stat(volume).st_ino)
    assert {place.volume for place in found[1:]} == {""}


def test_the_host_sees_a_volume_where_it_has_it_mounted(member, volume):
    os.mkdir(f"{volume}/sub")
    assert at(mounts.look([member("a", (f"{volume}/sub", "/mnt"))]), "/mnt").host == f"{volume}/sub"


def test_the_host_does_not_see_what_it_has_not_mounted(member):
    found = mounts.look([member("a", then=lambda: syscalls.mount("tmpfs", "/mnt", "tmpfs"))])
    assert at(found, "/mnt").host == ""


def test_the_host_does_not_see_what_it_has_covered(member, volume):
    os.mkdir(f"{volume}/sub")
    inside = member("a", (f"{volume}/sub", "/mnt"))
    syscalls.mount("tmpfs", f"{volume}/sub", "tmpfs")
    assert at(mounts.look([inside]), "/mnt").host == ""


def test_what_another_mount_covers_has_no_inode(member):
    def twice() -> None:
        for _ in range(2):
            syscalls.mount("tmpfs", "/mnt", "tmpfs")

    found = [place for place in mounts.look([member("a", then=twice)]) if place.spots[0].path == "/mnt"]
    assert [place.inode for place in found] == [0, 1]


def test_options_and_propagation_are_those_of_the_mount(member, volume):
    def change() -> None:
        syscalls.mount("", "/mnt", flags=syscalls.MS_SHARED)
        flags = syscalls.MS_BIND | syscalls.MS_REMOUNT | syscalls.MS_RDONLY | syscalls.MS_NOEXEC
        syscalls.mount("", "/mnt", flags=flags)

    (spot,) = [
        spot
        for spot in at(mounts.look([member("a", (volume, "/mnt"), then=change)]), "/mnt").spots
        if spot.path == "/mnt"
    ]
    assert {"ro", "noexec"} <= set(spot.options.split(","))
    assert spot.propagation.startswith("shared:")


def test_a_person_reads_a_line_for_each_mount(member, volume):
    both = [member("a", (volume, "/mnt")), member("b", (volume, "/media"))]
    text = mounts.as_text(mounts.look(both, [("data", "a", "/mnt"), ("data", "b", "/media")]), 200)
    rows = [line.split() for line in text.splitlines()]
    inode = str(os.stat(volume).st_ino)
    assert rows[1][:2] == ["data", "tmpfs"]
    assert [row for row in rows if row[-1:] == [volume] and inode in row]
    assert any(row[:3] == ["b", "/media", "private"] for row in rows)


def test_somebody_who_has_ended_has_nothing_mounted():
    assert mounts.look([Member("gone", 1 << 22, "", ())]) == ()


def test_a_mount_point_may_have_a_name_with_the_end_of_a_line(member, volume, tmp_path):
    path = tmp_path / "one\rtwo\x1cthree"
    path.mkdir()
    found = mounts.of_process(f"/proc/{member('app', (volume, str(path))).pid}")
    assert str(path) in [each.mountpoint for each in found]
