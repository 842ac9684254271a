"""What cp goes into, by the file system: real mounts."""

import os

import pytest

from minipod.cli.tree import Copier
from minipod.kernel import syscalls
from tests.support.namespaces import isolated

pytestmark = isolated


def copied(source, target) -> list[str]:
    """What is in the copy of a folder's contents."""
    target.mkdir()
    copier = Copier(None, preserve=False, links=False)
    copier.contents(os.open(source, os.O_PATH), os.open(target, os.O_RDONLY), "pod:")
    assert not copier.failed
    return os.listdir(target)


@pytest.fixture
def mount(tmp_path):
    """Mount a file system on a folder of the one to be copied."""
    point = tmp_path / "from" / "fs"
    point.mkdir(parents=True)

    def mounted(fstype: str, options: str = ""):
        syscalls.mount(fstype, str(point), fstype, 0, options)
        return point

    return mounted


@pytest.mark.parametrize("fstype", ["proc", "sysfs", "cgroup2", "mqueue", "devpts"])
def test_the_kernels_own_files_are_left_out_with_a_warning(mount, tmp_path, capfd, fstype):
    assert copied(mount(fstype).parent, tmp_path / "to") == []
    assert capfd.readouterr().err.startswith("warning: skipping pod:/fs: a file system like /proc")


@pytest.mark.parametrize("options", ["", "size=0", "size=1m,nr_inodes=0", "size=0,nr_inodes=9"])
def test_a_tmpfs_is_copied_also_without_a_size(mount, tmp_path, options):
    (mount("tmpfs", options) / "file").write_text("x")
    assert copied(tmp_path / "from", tmp_path / "to") == ["fs"]
    assert (tmp_path / "to/fs/file").read_text() == "x"
