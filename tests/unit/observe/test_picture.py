"""The picture of a pod: everything is in it, and everything in it can be read."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from minipod.kernel.process import NAMESPACES
from minipod.observe.context import Namespace, Observation, Process, View, Volume
from minipod.observe.members import Holder
from minipod.observe.net import Interface, Network, PodRoute, Socket
from minipod.observe.picture import draw
from tests.support.drawing import overlapping, sticking_out, words

HELD = ("net", "ipc", "uts")
NUMBERS = itertools.count(4026532000)
HOST = {kind: Namespace(4026531800 + i, "host") for i, kind in enumerate(NAMESPACES)}
POD = {kind: Namespace(next(NUMBERS), "pod") for kind in HELD}


def own(*kinds: str) -> dict[str, Namespace]:
    return {kind: Namespace(next(NUMBERS), "own") for kind in kinds}


def container(name: str, **namespaces: Namespace) -> Process:
    there = HOST | POD | own("mnt", "pid", "cgroup") | namespaces
    return Process(name, "container", next(NUMBERS) - 4026500000, "running", there)


def gone(name: str, state: str = "ended") -> Process:
    return Process(name, "container", 0, state, {})


def pod(*containers: Process, volumes: tuple[Volume, ...] = ()) -> Observation:
    host = Process("host", "host", 1, "running", HOST)
    pause = Process("pause", "pause", 4711, "running", HOST | POD | own("mnt"))
    return Observation((host, pause, *containers), volumes)


def volume(name: str, *views: tuple[str, str], inode: int = 7) -> Volume:
    found = tuple(View(who, path, "0:52", inode, "tmpfs", 64 << 20) for who, path in views)
    return Volume(name, len(found) > 1, found)


def network(*ports: tuple[str, str]) -> Network:
    """Of a pod; `ports` are containers and where they listen."""
    addresses = ("10.244.0.17/24", "fd6d:706f:6400:1::11/64")
    eth0 = Interface(2, "eth0", "veth", True, "", 1500, addresses, "mpod0123456789a", "minipod0")
    holders = [(local, Holder(name, 9, "httpd")) for name, local in ports]
    return Network(
        POD["net"].inode,
        False,
        (Interface(1, "lo", "", True, "", 65536, ("127.0.0.1/8",)), eth0),
        (PodRoute("default", "10.244.0.1", "eth0", 254),),
        (),
        tuple(Socket("tcp", "LISTEN", local, "", 0, 128, 0, 1, (holder,)) for local, holder in holders),
    )


SIX = (
    "frontend",
    "api",
    "worker",
    "log-shipper",
    "metrics-exporter",
    "a-name-that-is-as-long-as-names-may-be" * 2,
)
PODS = {
    "one container": pod(container("app")),
    "two": pod(
        gone("setup"),
        container("web"),
        container("client"),
        volumes=(volume("shared", ("web", "/www"), ("client", "/data")),),
    ),
    "six, with three volumes": pod(
        *map(container, SIX),
        gone("migrate", "waiting"),
        volumes=(
            volume("content", (SIX[0], "/usr/share/nginx/html"), (SIX[5], "/git")),
            volume(
                "sockets", (SIX[1], "/run/app"), (SIX[1], "/run/again"), (SIX[4], "/a/very/long/path" * 5)
            ),
            volume("a-volume-whose-name-is-as-long-as-it-can-be", (SIX[2], "/cache")),
        ),
    ),
    "one whose processes have ended": pod(gone("app"), gone("other", "waiting")),
    "one in the host's network": pod(container("app", net=HOST["net"])),
}


@pytest.fixture(params=PODS)
def seen(request) -> Observation:
    return PODS[request.param]


@pytest.fixture
def picture(seen) -> str:
    here = ("*:80", "*:443", "*:1")
    others = (
        ("web", "127.0.0.1:8080"),
        (SIX[1], "[fd6d:706f:6400:1:1234:5678:9abc:def0]:65535"),
        (SIX[2], "*:9"),
    )
    return draw("shop", seen, network(*others, *((SIX[0], each) for each in here)))


def test_every_container_is_named(seen, picture):
    written = words(picture)
    missing = [each.name for each in seen.processes if each.name not in written]
    assert missing == []


def test_every_namespace_has_its_inode(seen, picture):
    written = words(picture)
    inodes = {each.inode for process in seen.processes for each in process.namespaces.values()}
    assert [inode for inode in inodes if str(inode) not in written] == []


def test_every_volume_has_its_name_and_its_paths(seen, picture):
    written = words(picture)
    wanted = [word for each in seen.volumes for word in (each.name, *(view.path for view in each.views))]
    assert [word for word in wanted if word not in written] == []


def test_the_network_is_told_from_the_address_to_the_bridge():
    written = words(draw("shop", PODS["two"], network(("web", "127.0.0.1:8080"))))
    wanted = ("10.244.0.17/24", "fd6d:706f:6400:1::11/64", "mpod0123456789a", "minipod0", "127.0.0.1:8080")
    assert [word for word in wanted if word not in written] == []


def test_every_text_fits_into_the_shape_it_stands_in(picture):
    assert sticking_out(picture) == []


def test_no_text_lies_on_another(picture):
    assert overlapping(picture) == []


def bars(document: str) -> dict[str, list[float]]:
    """How wide the shapes of each namespace are, by their note."""
    found: dict[str, list[float]] = {}
    for rect in ET.fromstring(document).iter("{http://www.w3.org/2000/svg}rect"):
        for title in rect:
            found.setdefault(str(title.text), []).append(float(rect.attrib["width"]))
    return found


def test_what_is_shared_is_one_shape_and_what_is_not_is_several():
    widths = bars(draw("shop", PODS["two"]))
    shared = [note for note in widths if note.endswith(": pause, web, client")]
    assert [note.split()[0] for note in shared] == list(HELD)
    own_ones = [note for note in widths if note.endswith((": web", ": client"))]
    assert sorted(note.split()[0] for note in own_ones) == ["cgroup", "cgroup", "mnt", "mnt", "pid", "pid"]
    assert {len(found) for found in widths.values()} == {1}
    assert min(widths[note] for note in shared) > [2 * max(widths[note][0] for note in own_ones)]


def test_somebody_who_is_not_in_a_namespace_is_passed_by():
    alone = container("alone", ipc=Namespace(next(NUMBERS), "own"))
    shapes = bars(draw("shop", pod(container("a"), alone, container("b"))))
    assert len(shapes[f"ipc namespace {POD['ipc'].inode}: pause, a, b"]) == 2
    assert len(shapes[f"ipc namespace {alone.namespaces['ipc'].inode}: alone"]) == 1


def test_a_container_may_be_called_host_or_pause():
    seen = pod(
        container("host"), container("pause"), volumes=(volume("data", ("host", "/a"), ("pause", "/b")),)
    )
    document = draw("shop", seen)
    assert (sticking_out(document), overlapping(document)) == ([], [])


def test_a_name_cannot_write_markup():
    seen = pod(container("app"), volumes=(volume("data", ("app", "/<b>&\"'\x1b[31m")),))
    assert "/<b>&\"'" in words(draw("<i>", seen))


def test_another_directory_under_the_same_name_is_not_drawn_as_shared():
    views = (View("web", "/www", "0:52", 7, "tmpfs"), View("client", "/data", "0:52", 8, "tmpfs"))
    seen = pod(container("web"), container("client"), volumes=(Volume("shared", False, views),))
    assert "0:52 inode 8" in words(draw("shop", seen))


def test_which_of_a_containers_paths_is_read_only_is_told():
    views = tuple(
        View("app", path, "0:52", 7, "tmpfs", readonly=readonly)
        for path, readonly in (("/ro", True), ("/rw", False))
    )
    seen = pod(container("app"), volumes=(Volume("data", False, views),))
    assert "read-only at /ro" in words(draw("shop", seen))
