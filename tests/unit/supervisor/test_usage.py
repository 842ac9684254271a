"""How much a pod takes up on disk, and what comes of too much."""

import os
import subprocess

import pytest

from minipod.api.cri import ContainerInfo, RuntimeStatus
from minipod.api.messages import NodeFacts, Settings
from minipod.kernel.cgroups import Hierarchies
from minipod.runtime.loop import Loop
from minipod.spec.types import EmptyDirVolumeSource, ResourceRequirements, Volume
from minipod.supervisor import usage
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


def turn_until(loop, condition):
    for _ in range(100_000):
        if condition():
            return
        loop.turn()
    raise AssertionError("it was never told")


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


@pytest.mark.parametrize(("levels", "counted"), [(200, True), (1100, False)])
def test_what_is_nested_too_deep_to_be_counted_is_more_than_any_limit(tmp_path, levels, counted):
    before, here = len(os.listdir("/proc/self/fd")), os.open(tmp_path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert (sum(usage.sizes(str(tmp_path))) < 1 << 60) == counted
    assert len(os.listdir("/proc/self/fd")) == before
    subprocess.run(["rm", "-rf", tmp_path / "d"], check=True)  # pytest's own way of removing it would recurse


def test_what_is_not_there_takes_up_nothing(tmp_path):
    assert list(usage.sizes(str(tmp_path / "none"))) == []


def test_a_pod_that_takes_more_than_its_limit_is_told_of(tmp_path, volume):
    loop, said = Loop(), []
    usage.watch(limited_pod(), facts(tmp_path), loop, RuntimeStatus, said.append)
    for number in range(1000):  # more than are looked at in one go
        write(volume / str(number), 0)
    for _ in range(10):
        loop.turn()
    assert said == []
    write(volume / "large", 2 * MEBIBYTE)
    turn_until(loop, lambda: said)
    assert said == ['Usage of EmptyDir volume "d" exceeds the limit "1Mi". ']


@pytest.mark.parametrize(
    ("limit", "medium", "setting"), [("", "", "disk"), ("1Mi", "Memory", "disk"), ("1Mi", "", "tmpfs")]
)
def test_a_volume_without_a_limit_or_with_the_kernels_is_not_looked_at(tmp_path, limit, medium, setting):
    assert list(usage.places(limited_pod(limit, medium), facts(tmp_path, setting), ())) == []


# --- ephemeral-storage


def with_limits(inits="", volumes=(), **limits):
    """A pod whose containers have these limits; "" for none."""
    fields = {
        name: {"resources": ResourceRequirements(limits={"ephemeral-storage": limit} if limit else {})}
        for name, limit in limits.items()
    }
    apps = "".join(name for name in limits if name not in inits)
    return make_pod(apps, inits, fields=fields, volumes=volumes)


def ran(name, attempt):
    return ContainerInfo(id=f"{name}{attempt}", sandbox_id="s", name=name, attempt=attempt, state="exited")


def test_a_pod_with_a_limit_has_its_volumes_and_its_containers_layers_and_logs_counted(tmp_path):
    pod = with_limits(a="1Gi", b="", volumes=(Volume(name="d", empty_dir=EmptyDirVolumeSource()),))
    assert list(usage.places(pod, facts(tmp_path), [ran("a", 0), ran("b", 0), ran("a", 1)])) == [
        (("volume", "d"), f"{tmp_path}/lib/pods/u/volumes/d"),
        (("container", "a"), f"{tmp_path}/lib/pods/u/a1/upper"),
        (("container", "a"), f"{tmp_path}/log/pods/default_p_u/a"),
        (("container", "b"), f"{tmp_path}/lib/pods/u/b0/upper"),
        (("container", "b"), f"{tmp_path}/log/pods/default_p_u/b"),
    ]


def test_what_a_container_writes_and_logs_counts_towards_its_limit(tmp_path):
    loop, said, there = Loop(), [], RuntimeStatus(containers=(ran("a", 0),))
    for folder in ("lib/pods/u/a0/upper/etc", "log/pods/default_p_u/a"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "file", MEBIBYTE)
    usage.watch(with_limits(a="2Mi"), facts(tmp_path), loop, lambda: there, said.append)
    turn_until(loop, lambda: len(said) >= 2)
    assert said[:2] == [whole("2Mi"), own("a", "2Mi")]


def whole(limit):
    return f"Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "


def own(name, limit):
    return f'Container {name} exceeded its local ephemeral storage limit "{limit}". '


SIZED = (Volume(name="d", empty_dir=EmptyDirVolumeSource(size_limit="1Mi")),)
TOO_LARGE = 'Usage of EmptyDir volume "d" exceeds the limit "1Mi". '


@pytest.mark.parametrize(
    ("pod", "used", "said"),
    [
        (with_limits(a="1Mi"), {"a": 1}, []),
        (with_limits(a="1Mi", b="2Mi"), {"a": 2, "b": 1}, [own("a", "1Mi")]),
        (with_limits(a="1Mi", b="512Ki"), {"b": 2}, [whole("1536Ki"), own("b", "512Ki")]),
        (with_limits(a="1Mi", b=""), {"b": 2}, [whole("1Mi")]),
        (with_limits(a="1Mi", i="4Mi", inits="i"), {"a": 2}, [own("a", "1Mi")]),
        (with_limits(a="1Mi"), {"d": 2}, [whole("1Mi")]),
        (with_limits(a="", volumes=SIZED), {"a": 9, "d": 2}, [TOO_LARGE]),
        (with_limits(a="1Mi", volumes=SIZED), {"a": 2, "d": 2}, [TOO_LARGE, whole("1Mi"), own("a", "1Mi")]),
    ],
)
def test_first_a_volume_is_too_large_then_the_pod_then_a_container(pod, used, said):
    in_bytes = {
        ("volume" if name == "d" else "container", name): size * MEBIBYTE for name, size in used.items()
    }
    assert list(usage.too_much(pod, in_bytes)) == said
