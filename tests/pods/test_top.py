"""minipod top pod: what containers use, as the kernel counts it."""

import re

import pytest

from tests.support.node import Node, idle_after, pod, sh
from tests.support.wait import wait_until

HOARD = "head -c 20000000 /dev/zero >/dev/shm/hoard; echo full"  # charged to who writes it (tmpfs)


@pytest.fixture(scope="module")
def busy(shared_node: Node) -> Node:
    spin = sh("trap 'exit 0' TERM; while :; do :; done", name="spin")
    limit = {"resources": {"limits": {"cpu": "50m"}}}  # be gentle with the machine
    pods = [
        pod("busy", {**spin, **limit}, idle_after(HOARD, name="hoard")),
        pod("idle", {}, metadata={"labels": {"app": "idle"}}),
        pod("done", sh("true"), restartPolicy="Never"),
    ]
    for each in pods:
        shared_node.apply(each)
    wait_until(lambda: "full" in shared_node.logs("busy", "-c", "hoard"))
    shared_node.wait_phase("done", "Succeeded")
    shared_node.wait_phase("idle", "Running")
    return shared_node


def table(node: Node, *flags: str) -> list[list[str]]:
    return [line.split() for line in node.run("top", "pod", *flags).stdout.splitlines()]


def numbers(cpu: str, memory: str) -> tuple[int, int]:
    """Thousandths of a core, and MiB."""
    found = re.fullmatch(r"(\d+)m", cpu), re.fullmatch(r"(\d+)Mi", memory)
    assert all(found), (cpu, memory)
    return int(found[0][1]), int(found[1][1])


def test_each_container_has_its_own_numbers(busy):
    head, hoard, spin = table(busy, "busy", "--containers", "--sort-by=memory")
    assert head == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert (hoard[:2], spin[:2]) == (["busy", "hoard"], ["busy", "spin"])
    assert numbers(*hoard[2:])[1] >= 19
    assert numbers(*spin[2:])[0] > numbers(*hoard[2:])[0]


def test_a_pods_numbers_are_the_sums_and_the_busiest_comes_first(busy):
    head, *rows = table(busy, "--sort-by=cpu")
    assert head == ["NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert [row[0] for row in rows] == ["busy", "idle"]
    assert numbers(*rows[0][1:])[1] >= 19


def test_processes_are_told_with_their_pids_here(busy):
    _, *rows = table(busy, "busy", "--processes")
    spin = next(row for row in rows if row[1] == "spin")
    assert int(spin[2]) == busy.pids("busy")["spin"]
    assert busy.read(int(spin[2]), "cmdline").split("\0")[0] == spin[5]


def test_pods_are_chosen_by_label_and_over_all_namespaces(busy):
    assert [row[0] for row in table(busy, "-l", "app=idle", "--no-headers")] == ["idle"]
    assert [row[:2] for row in table(busy, "-A", "--no-headers")] == [
        ["default", "busy"],
        ["default", "idle"],
    ]


@pytest.mark.parametrize(
    ("flags", "error"),
    [
        (("done",), "error: Metrics not available for pod default/done"),
        (("nobody",), 'pods "nobody" not found'),
        (("busy", "--sort-by=name"), "error: --sort-by accepts only cpu or memory"),
        (("busy", "-A"), "only one of NAME or --selector or --all-namespaces can be provided"),
    ],
)
def test_what_has_no_numbers_is_told(busy, flags, error):
    result = busy.run("top", "pod", *flags, check=False)
    assert (result.returncode, error in result.stderr) == (1, True), result.stderr


def test_a_namespace_without_pods_is_told(busy):
    result = busy.run("top", "pods", "-n", "empty")
    assert (result.stdout, result.stderr) == ("", "No resources found in empty namespace.\n")
