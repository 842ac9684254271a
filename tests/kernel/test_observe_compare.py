"""Two pods side by side, or a pod and the host. Pure."""

from minipod.kernel.process import NAMESPACES
from minipod.observe import compare
from minipod.observe.context import Namespace, Process
from minipod.observe.mounts import Place, Spot
from minipod.observe.report import Report

HOST = dict.fromkeys(NAMESPACES, 1)


def process(name: str, role="container", state="running", **inodes: int) -> Process:
    namespaces = {kind: Namespace(inode, "own") for kind, inode in (HOST | inodes).items()}
    return Process(name, role, 42, state, namespaces if state == "running" else {})


def place(inode: int, container: str, path: str, volume="data", host="") -> Place:
    spots = (Spot(container, path, "rw", ""),)
    return Place("0:42", "/", inode, "tmpfs", "tmpfs", "rw", volume, False, host, spots)


def report(*processes: Process, places: tuple[Place, ...] = ()) -> Report:
    return Report((process("host", "host"), *processes), (), mounts=places)


def pod(net: int, app_pid: int, *places: Place) -> Report:
    return report(
        process("pause", "pause", net=net), process("app", net=net, pid=app_pid), places=tuple(places)
    )


def of_two(first: Report, second: Report) -> compare.Comparison:
    return compare.compare(compare.of_pod("a", first), compare.of_pod("b", second), compare.of_host(first))


def with_host(first: Report) -> compare.Comparison:
    host = compare.of_host(first)
    return compare.compare(compare.of_pod("a", first), host, host)


def kinds(seen: compare.Comparison) -> dict[str, compare.Kind]:
    return {each.kind: each for each in seen.namespaces}


def cells(seen: compare.Comparison) -> dict[str, str]:
    return {
        line.split("   ")[0]: line.split("   ")[-1].strip()
        for line in compare.as_text(seen, 200).splitlines()
    }


def test_namespaces_with_one_inode_are_shared():
    seen = of_two(pod(7, 8), pod(7, 9))
    assert (kinds(seen)["net"].shared, kinds(seen)["net"].inodes) == ((7,), ((7,), (7,)))
    assert cells(seen)["net"] == "yes"


def test_namespaces_with_different_inodes_are_not_shared():
    seen = of_two(pod(6, 8), pod(7, 9))
    assert (kinds(seen)["net"].shared, cells(seen)["net"]) == ((), "no")


def test_what_both_have_from_the_host_is_called_so():
    assert cells(of_two(pod(6, 8), pod(7, 9)))["user"] == "yes, the host's"


def test_what_only_some_share_is_told_with_their_names():
    seen = of_two(pod(6, 8), pod(7, 9))
    assert kinds(seen)["pid"].by == (("pause",), ("pause",))
    assert cells(seen)["pid"] == "only pause, with pause"


def test_a_pod_shares_with_the_host_what_it_did_not_unshare():
    seen = with_host(pod(6, 8))
    assert {kind for kind, each in kinds(seen).items() if each.shared} == {*NAMESPACES} - {"net"}
    assert cells(seen)["user"] == "yes"


def test_who_has_ended_shares_nothing():
    seen = of_two(report(process("app", state="ended")), pod(7, 9))
    assert {each.shared for each in seen.namespaces} == {()}


def test_a_volume_in_both_pods_is_one_directory():
    seen = of_two(pod(6, 8, place(3, "app", "/in")), pod(7, 9, place(3, "web", "/out")))
    (found,) = seen.volumes
    assert (found.device, found.inode, found.paths) == ("0:42", 3, (("app:/in",), ("web:/out",)))


def test_different_directories_of_one_file_system_are_not_shared():
    assert of_two(pod(6, 8, place(3, "a", "/in")), pod(7, 9, place(4, "b", "/in"))).volumes == ()


def test_a_mount_that_is_no_volume_is_not_compared():
    both = [pod(6, 8, place(3, "app", "/sys", volume="")), pod(7, 9, place(3, "app", "/sys", volume=""))]
    assert of_two(*both).volumes == ()


def test_the_host_shares_a_volume_where_it_sees_it():
    seen = with_host(pod(6, 8, place(3, "app", "/in", host="/etc"), place(4, "app", "/own")))
    assert [each.paths for each in seen.volumes] == [(("app:/in",), ("/etc",))]


def test_a_person_is_told_that_there_is_no_volume_in_common():
    assert compare.as_text(with_host(pod(6, 8)), 80).endswith("\n\nno volume in common")
