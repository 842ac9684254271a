"""What `minipod node check` tries: everything is there on a machine that runs these tests, and nothing stays."""

import os

from minipod.kernel import caps, cgroups, features, files, process
from tests.kernel.child import in_child


def results():
    return {feature.name: feature for feature in features.probe()}


def traces():
    """What a probe could leave: mounts, links, children."""
    children = files.read(f"/proc/self/task/{os.getpid()}/children")
    return files.read("/proc/self/mountinfo"), sorted(os.listdir("/sys/class/net")), children


def test_a_machine_that_runs_the_other_tests_has_everything():
    assert [feature for feature in results().values() if not feature.ok] == []


def test_nothing_is_left_behind(monkeypatch):
    made, mkdir = [], cgroups.mkdir

    def mkdir_noted(directory):
        made.append(directory)
        mkdir(directory)

    monkeypatch.setattr(cgroups, "mkdir", mkdir_noted)
    before = traces()
    features.probe()
    assert traces() == before
    assert made
    assert not any(os.path.exists(directory) for directory in made)


def test_who_is_not_root_is_told_so_and_what_follows_from_it():
    def probe_as_user():
        caps.set_user(1000, 1000)
        return results()

    found = in_child(probe_as_user)
    assert found["root"].hint == "run as root: sudo minipod ..."
    assert "CAP_SYS_ADMIN" in found["capabilities"].hint
    assert not found["net namespace"].ok
    assert "EPERM" in found["net namespace"].detail


def test_a_missing_capability_is_shown_but_only_a_needed_one_fails():
    def without(*names):
        left = int(process.status("self")["CapBnd"], 16) & ~caps.to_mask(names)
        caps.set_caps(left, left)
        return results()["capabilities"]

    lease = in_child(lambda: without("LEASE"))
    assert lease.ok
    assert "CAP_LEASE" in lease.detail
    admin = in_child(lambda: without("NET_ADMIN"))
    assert (admin.ok, admin.hint) == (False, "needs CAP_NET_ADMIN")


def test_a_missing_program_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr(features, "_PATH", str(tmp_path))
    found = results()
    assert [found[name].ok for name in ("catatonit", "nft", "nf_tables")] == [False] * 3
    assert found["catatonit"].hint == "apt-get install catatonit"
    assert found["nft"].hint == "apt-get install nftables"


def test_a_host_without_cgroup2_is_told_how_to_mount_it(monkeypatch):
    monkeypatch.setattr(cgroups, "detect", lambda: cgroups.Hierarchies("", (), {}))
    found = results()
    assert found["cgroup2"].hint.startswith("mount -t cgroup2")
    assert found["cgroup controllers"].detail == "none"
    assert not found["cgroup controllers"].ok


def test_a_probe_that_crashes_is_a_failure(monkeypatch):
    monkeypatch.setattr(features.devices, "load", lambda: 1 / 0)
    assert results()["device allow-list"].detail == "the probe died"


def test_an_old_kernel_is_told_which_one_is_needed(monkeypatch):
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result(("Linux", "vm", "5.10.0-30-amd64", "#1", "x86_64"))
    )
    kernel = results()["kernel"]
    assert (kernel.ok, kernel.detail) == (False, "Linux 5.10.0-30-amd64")
