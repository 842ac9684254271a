"""Two pods, or a pod and the host, side by side."""

from minipod.kernel.process import NAMESPACES
from minipod.observe import compare
from minipod.observe.context import Namespace, Process
from minipod.observe.report import Report


def of_which(name: str, role: str, inode: int) -> Process:
    return Process(name, role, inode, "running", dict.fromkeys(NAMESPACES, Namespace(inode, "own")))


def table(*containers: str) -> list[str]:
    """A pod called host with these containers, beside the host, in whose namespaces pause is."""
    processes = [of_which(name, "container", 200 + number) for number, name in enumerate(containers)]
    report = Report((of_which("host", "host", 1), of_which("pause", "pause", 1), *processes), ())
    host = compare.of_host(report)
    return compare.as_text(compare.compare(compare.of_pod("host", report), host, host), 1000).split("\n")


def test_a_pod_called_host_is_told_from_the_host():
    assert table("app")[0].split() == ["NAMESPACE", "pod/host", "host", "SHARED"]


def test_a_container_called_pause_does_not_stand_for_pause():
    assert table("pause")[1].split() == ["net", "2", "different", "1", "only", "pause,", "with", "host"]
