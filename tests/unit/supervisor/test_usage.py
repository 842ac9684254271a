"""How much a pod's emptyDirs on disk take up, and what comes of too much."""

import os

import pytest

from minipod.api.messages import NodeFacts, Settings
from minipod.kernel.cgroups import Hierarchies
from minipod.runtime.loop import Loop
from minipod.spec.types import EmptyDirVolumeSource, Volume
from minipod.supervisor import usage
from minipod.supervisor.volumes import limited
from tests.unit.supervisor.simulation import make_pod

MEBIBYTE = 1 << 20


def facts(home, medium="disk"):
    settings = Settings(emptydir_medium=medium, backoff_scale=0.0001)
    return NodeFacts(
        home=str(home),
        node_name="n",
        host_ip="",
        memory_bytes=1,
        cgroups=Hierarchies("/none", (), {}),
        pause="",
        settings=settings,
    )


def limited_pod(limit="1Mi", medium=""):
    source = EmptyDirVolumeSource(medium=medium, size_limit=limit)
    return make_pod("a", volumes=(Volume(name="d", empty_dir=source), Volume(name="other")))


@pytest.fixture
def volume(tmp_path):
    """The folder of the pod's volume d."""
    folder = tmp_path / "lib/pods/u/volumes/d"
    folder.mkdir(parents=True)
    return folder


def write(path, size):
    path.write_bytes(b"x" * size)


def test_all_files_are_counted_as_du_does(tmp_path):
    (tmp_path / "a/b").mkdir(parents=True)
    write(tmp_path / "a/one", 3 * MEBIBYTE)
    write(tmp_path / "a/b/two", MEBIBYTE)
    os.link(tmp_path / "a/one", tmp_path / "linked")
    (tmp_path / "elsewhere").symlink_to("/")
    with open(tmp_path / "hole", "wb") as hole:
        hole.truncate(1 << 40)
    total = sum(usage.sizes(str(tmp_path)))
    assert 4 * MEBIBYTE <= total < 5 * MEBIBYTE


def test_what_is_not_there_takes_up_nothing(tmp_path):
    assert list(usage.sizes(str(tmp_path / "none"))) == []


def test_a_pod_that_takes_more_than_its_limit_is_told_of(tmp_path, volume):
    loop, said = Loop(), []
    usage.watch(limited_pod(), facts(tmp_path), loop, said.append)
    for number in range(1000):  # more than are looked at in one go
        write(volume / str(number), 0)
    for _ in range(10):
        loop.turn()
    assert said == []
    write(volume / "large", 2 * MEBIBYTE)
    while not said:
        loop.turn()
    assert said == ['Usage of EmptyDir volume "d" exceeds the limit "1Mi". ']


@pytest.mark.parametrize(
    ("limit", "medium", "setting"), [("", "", "disk"), ("1Mi", "Memory", "disk"), ("1Mi", "", "tmpfs")]
)
def test_a_volume_without_a_limit_or_with_the_kernels_is_not_looked_at(tmp_path, limit, medium, setting):
    assert limited(limited_pod(limit, medium), facts(tmp_path, setting)) == {}
