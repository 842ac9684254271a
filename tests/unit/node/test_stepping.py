"""Which busybox `minipod enter` runs: one that needs nothing of the root it will be in."""

import os
import shutil
import sys

import pytest

from minipod.errors import Conflict
from minipod.node.stepping import busybox


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_a_static_one_is_found_on_the_path(path):
    shutil.copy("/bin/busybox", path / "busybox")
    assert busybox(str(path)) == str(path / "busybox")


def test_one_that_needs_the_dynamic_linker_or_is_a_script_is_none(path):
    os.symlink(os.path.realpath(sys.executable), path / "busybox")
    with pytest.raises(Conflict, match="busybox-static"):
        busybox(str(path))
    os.unlink(path / "busybox")
    (path / "busybox").write_text("#!/bin/sh\n")
    (path / "busybox").chmod(0o755)
    with pytest.raises(Conflict, match="busybox-static"):
        busybox(str(path))


def test_else_it_is_that_of_the_image(path):
    image = "1" * 64
    (path / image / "rootfs/bin").mkdir(parents=True)
    (path / image / "config.json").write_text("{}")
    (path / "names").mkdir()
    os.symlink(f"../{image}", path / "names/docker.io+library+busybox")
    shutil.copy("/bin/busybox", path / image / "rootfs/bin/busybox")
    assert busybox(str(path)) == str(path / image / "rootfs/bin/busybox")
