"""The node's own folders, mounts and cgroups, made and removed in a mount namespace of the test's own."""

import os
import subprocess
from pathlib import Path

import pytest

from minipod.errors import MinipodError, Unsuitable
from minipod.kernel import cgroups, syscalls
from minipod.names import layout
from minipod.node import folders


@pytest.fixture
def here(tmp_path):
    """A layout of its own; its cgroups are gone afterwards, whoever made them."""
    made = layout(str(tmp_path / "home"))
    yield made
    for directory in cgroups.detect().directories(made.cgroup):
        for folder, _, _ in os.walk(directory, topdown=False):
            os.rmdir(folder)


@pytest.fixture
def hierarchies():
    return cgroups.detect()


def everything(here, hierarchies):
    """All that the module makes, as text."""
    made = [path for base in (here.run, here.log) for path, _, _ in os.walk(base)]
    groups = [path for base in hierarchies.directories(here.cgroup) for path, _, _ in os.walk(base)]
    return sorted(made + groups), [point for point in folders.mount_points() if here.home in point]


def ensure(here, hierarchies):
    """As a node does; its lock is given back."""
    os.close(folders.lock(here))
    folders.ensure(here, hierarchies)


def remove(here, hierarchies):
    folders.remove(here, hierarchies)


def test_what_is_made_is_made_once_and_goes_again(here, hierarchies):
    ensure(here, hierarchies)
    first = everything(here, hierarchies)
    ensure(here, hierarchies)
    assert everything(here, hierarchies) == first
    made, mounts = first
    assert f"{hierarchies.v2}/{here.cgroup}/supervisors" in made
    for directory in hierarchies.directories(here.cgroup):
        assert {f"{directory}/{qos}" for qos in ("guaranteed", "burstable", "besteffort")} <= set(made)
    assert mounts == [here.run]
    remove(here, hierarchies)
    assert everything(here, hierarchies) == ([here.log, f"{here.log}/pods"], [])
    assert not os.path.exists(here.run)
    assert os.path.isdir(here.images)


def test_there_is_one_node_of_a_layout(here):
    first = folders.lock(here)
    with pytest.raises(MinipodError, match="another node runs already"):
        folders.lock(here)
    os.close(first)
    os.close(folders.lock(here))


@pytest.mark.parametrize("which", ["lib", "run"])
def test_a_folder_of_somebody_else_is_left_alone(here, hierarchies, which):
    theirs = Path(getattr(here, which))
    theirs.mkdir(parents=True)
    (theirs / "diary").write_text("mine")
    theirs.chmod(0o750)
    with pytest.raises(MinipodError, match=r"isn't minipod's \(there is diary in it\)"):
        ensure(here, hierarchies)
    assert (theirs / "diary").read_text() == "mine"
    assert theirs.stat().st_mode & 0o777 == 0o750


def test_what_the_command_line_leaves_before_the_first_start_is_no_obstacle(here, hierarchies):
    Path(here.lib).mkdir(parents=True)
    Path(here.lib, "start.lock").touch()
    Path(here.images).mkdir(parents=True)
    ensure(here, hierarchies)
    remove(here, hierarchies)


def test_a_cgroup_of_somebody_else_is_left_alone(here, hierarchies):
    theirs = f"{hierarchies.v2}/{here.cgroup}"
    os.mkdir(theirs)
    with pytest.raises(MinipodError, match=f"the cgroup {theirs} isn't minipod's"):
        ensure(here, hierarchies)
    assert not [entry for entry in os.scandir(theirs) if entry.is_dir()]


def test_a_cgroup_we_died_on_before_it_was_marked_is_ours(here, hierarchies):
    ensure(here, hierarchies)
    for directory in hierarchies.directories(here.cgroup):
        os.removexattr(directory, "trusted.minipod")
    ensure(here, hierarchies)
    remove(here, hierarchies)
    assert not any(map(os.path.exists, hierarchies.directories(here.cgroup)))


def test_a_cgroup_given_by_name_is_used_and_stays(here, hierarchies, monkeypatch):
    given = f"minipod-test-{os.getpid()}-{os.urandom(4).hex()}"
    monkeypatch.setenv("MINIPOD_CGROUP", given)
    unit = f"{hierarchies.v2}/{given}"
    os.mkdir(unit)
    there = layout(here.home)
    ensure(there, hierarchies)
    assert os.path.isdir(f"{unit}/supervisors")
    remove(there, hierarchies)
    for directory in hierarchies.directories(given):
        assert [entry.name for entry in os.scandir(directory) if entry.is_dir()] == []
        os.rmdir(directory)


def test_blank_supervisors_are_ended_with_the_last_node(here, hierarchies):
    ensure(here, hierarchies)
    blank = f"{hierarchies.v2}/{here.cgroup}/supervisors/blank"
    os.mkdir(blank)
    child = subprocess.Popen(["sleep", "1000"])
    Path(blank, "cgroup.procs").write_text(str(child.pid))
    remove(here, hierarchies)
    assert child.wait() == -9


# --- mounts ----------------------------------------------------------------------------------------------------------


def propagation(path):
    """Of the mount at `path`, from mountinfo's optional fields: shared, private."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, _ = line.partition(" - ")
        if before.split()[4] == path:
            return "shared" if "shared:" in before else "private"
    return "none"


def test_run_is_private_and_the_folder_of_ip_netns_shared(here, hierarchies):
    syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SHARED)
    ensure(here, hierarchies)
    assert propagation(here.run) == "private"
    assert propagation(here.netns) == "shared"
    remove(here, hierarchies)


def test_ip_netns_doesnt_shadow_a_pin_that_was_there_first(here):
    folders.share_netns_folder(here.netns)
    pin = Path(here.netns, "web-12345678")
    pin.touch()
    syscalls.mount("/proc/self/ns/net", str(pin), flags=syscalls.MS_BIND)
    before = folders.mount_points()
    subprocess.run(["ip", "netns", "add", "other"], check=True)
    folders.share_netns_folder(here.netns)
    assert pin.stat().st_ino == os.stat("/proc/self/ns/net").st_ino
    assert folders.mount_points() == [*before, f"{here.netns}/other"]


def test_a_folder_that_ip_netns_made_is_taken_as_it_is(here):
    subprocess.run(["ip", "netns", "add", "first"], check=True)
    before = folders.mount_points()
    folders.share_netns_folder(here.netns)
    assert folders.mount_points() == before


def test_a_mount_point_is_named_as_the_kernel_escapes_it(tmp_path):
    odd = tmp_path / "a b\\c"
    odd.mkdir()
    syscalls.mount("tmpfs", str(odd), "tmpfs")
    assert folders.mounts_below(str(tmp_path)) == [str(odd)]


def test_the_machines_own_node_belongs_into_the_machines_mount_namespace():
    try:
        os.readlink("/proc/1/ns/mnt")
    except OSError:
        pytest.skip("this kernel hides /proc/1/ns")
    folders.check_mount_namespace(layout(""))
    syscalls.unshare(syscalls.CLONE_NEWNS)
    with pytest.raises(Unsuitable, match="MINIPOD_HOME"):
        folders.check_mount_namespace(layout(""))
    folders.check_mount_namespace(layout("/somewhere"))


# --- boots -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def rebooted(here, hierarchies):
    """A run folder full of an earlier boot's things."""
    ensure(here, hierarchies)
    Path(here.run, "boot_id").write_text("an-earlier-boot\n")
    Path(here.pod_run("uid1")).mkdir()
    Path(here.pod_run("uid1"), "lock").touch()
    Path(here.pins("12345678abcdef")).mkdir()
    Path(here.netns, "web-12345678").touch()
    Path(here.netns, "mine-1234").touch()
    os.symlink("gone", f"{here.addresses}/10.0.0.2")
    yield here
    remove(here, hierarchies)


def test_an_earlier_boots_run_is_emptied(rebooted):
    assert folders.clear_after_boot(rebooted)
    assert set(os.listdir(rebooted.run)) == {"boot_id"}
    assert os.listdir(rebooted.netns) == ["mine-1234"]
    assert not folders.clear_after_boot(rebooted)


def test_nothing_mounted_there_is_followed_or_lost(rebooted, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").touch()
    volume = Path(rebooted.pod_run("uid1"), "volume")
    volume.mkdir()
    syscalls.mount(str(outside), str(volume), flags=syscalls.MS_BIND)
    pin = Path(rebooted.netns, "mine-12345678")
    pin.touch()
    syscalls.mount("/proc/self/ns/net", str(pin), flags=syscalls.MS_BIND)
    folders.clear_after_boot(rebooted)
    assert (outside / "precious").exists()
    assert pin.stat().st_ino == os.stat("/proc/self/ns/net").st_ino
    assert not volume.exists()


def test_this_boots_run_stays(here, hierarchies):
    ensure(here, hierarchies)
    Path(here.pod_run("uid1")).mkdir()
    ensure(here, hierarchies)
    assert os.path.isdir(here.pod_run("uid1"))
    os.rmdir(here.pod_run("uid1"))
    remove(here, hierarchies)
