"""An observation as a person and as a program read it."""

import msgspec
import pytest

from minipod.kernel.process import NAMESPACES
from minipod.observe.context import Namespace, Observation, Process, View, Volume
from minipod.observe.render import as_json, as_table
from minipod.observe.text import size


def process(name: str, role="container", state="running", whose="pod") -> Process:
    namespaces = {kind: Namespace(4026532000 + number, whose) for number, kind in enumerate(NAMESPACES)}
    return Process(name, role, 4321, state, namespaces if state == "running" else {})


def observation(*containers: Process, volumes: tuple[Volume, ...] = ()) -> Observation:
    return Observation(
        (process("host", "host", whose="host"), process("pause", "pause"), *containers), volumes
    )


def rows(text: str) -> dict[str, list[str]]:
    return {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.strip()}


SHARED = Volume(
    "data", True, (View("a", "/in", "0:42", 1, "tmpfs", 64 << 20), View("b", "/out", "0:42", 1, "tmpfs"))
)


def test_every_kind_of_namespace_has_a_line_with_everybodys_inode():
    found = rows(as_table(observation(process("app", whose="own"))))
    assert found["net"] == ["4026532000", "4026532000", "pod", "4026532000", "own"]
    assert set(NAMESPACES) < set(found)


def test_the_columns_are_host_pause_and_the_containers_in_order():
    assert as_table(observation(process("b"), process("a"))).split("\n", 1)[0].split() == [
        "NAMESPACE",
        "HOST",
        "PAUSE",
        "b",
        "a",
    ]


@pytest.mark.parametrize("count", range(6))
def test_it_fits_a_terminal_of_80_columns(count):
    text = as_table(observation(*[process(f"container-{number}") for number in range(count)]))
    assert max(map(len, text.splitlines())) <= 80
    assert all(f"container-{number}" in text for number in range(count))


def test_a_wider_terminal_takes_more_containers_side_by_side():
    text = as_table(observation(*[process(f"c{number}") for number in range(5)]), width=200)
    assert text.count("NAMESPACE") == 1


def test_a_name_wider_than_the_terminal_still_gets_its_column():
    assert "n" * 100 in as_table(observation(process("n" * 100)))


def test_a_container_that_has_ended_says_so_in_every_line():
    assert as_table(observation(process("app", state="ended"))).count("ended") == len(NAMESPACES)


def test_a_hidden_namespace_has_no_number():
    hidden = {kind: Namespace(0, "hidden") for kind in NAMESPACES}
    text = as_table(observation(Process("app", "container", 1, "running", hidden)))
    assert rows(text)["net"][-1] == "hidden"


def test_a_volume_has_a_line_for_each_mount_and_a_verdict():
    text = as_table(observation(volumes=(SHARED,)))
    assert ["data", "a", "/in", "0:42", "1", "tmpfs", "64Mi", "0"] in [
        line.split() for line in text.splitlines()
    ]
    assert text.endswith("\n\ndata: one directory, shared by a, b\n")


def test_directories_that_differ_are_called_so():
    views = (View("a", "/in", "0:42", 1), View("b", "/in", "0:43", 1))
    assert "data: not the same directory in a, b" in as_table(
        observation(volumes=(Volume("data", False, views),))
    )


def test_json_holds_everything():
    whole = observation(process("app"), process("gone", state="ended"), volumes=(SHARED,))
    assert msgspec.json.decode(as_json(whole), type=Observation) == whole


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1Ki"),
        (64 << 20, "64Mi"),
        ((1 << 30) - 1, "1023Mi"),
        (1 << 60, "1024Pi"),
    ],
)
def test_sizes_are_short(count, text):
    assert size(count) == text
