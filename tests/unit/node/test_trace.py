"""`minipod trace`, rendered by the node."""

import json

import pytest

from minipod.api.cri import Timing
from tests.unit.node.conftest import manifest

DONE = Timing(
    "pod",
    "pod",
    0,
    "mkdir /x",
    7,
    1_000_000,
    250_000,
    "",
    "supervisor",
    "minipod.plan.ops.host.MakeDirectory",
)
FAILED = Timing(
    "container-1",
    "container/app",
    3,
    "exec \x1b[2J",
    8,
    2_000_000,
    500_000,
    "not found",
    "child",
    "minipod.plan.ops.process.Exec",
)


@pytest.fixture
def trace(in_world):
    """What the verb prints of a pod of which these are the timings."""

    def traced(*timings: Timing, **query: str):
        async def ask(world):
            await world.client.apply(manifest("web"))
            world.pods.timings = timings
            return await world.client.verb("GET", "trace", name="web", **query)

        return in_world(ask)

    return traced


def test_the_table_has_a_line_for_each_operation_and_says_what_failed(trace):
    head, done, failed, _, total, _, *last = trace(DONE, FAILED).out.split("\n")
    assert head.split() == ["START", "DURATION", "PROCESS", "PID", "STAGE", "RESULT", "COMMAND"]
    assert done.split() == ["0.000", "0.250", "supervisor", "7", "pod:0", "ok", "mkdir", "/x"]
    assert failed.split()[:6] == ["1.000", "0.500", "app", "8", "container/app:3", "failed"]
    assert total == "2 operations by 2 processes; the last one ended after 1.5 ms"
    assert last[0] == "failed: container/app, operation 3, after 1.5 ms in app (pid 8): not found"


def test_a_command_does_not_write_to_the_terminal(trace):
    for query in ({}, {"output": "svg"}):
        assert "\x1b" not in trace(DONE, FAILED, **query).out


def test_what_failed_is_red_on_a_terminal(trace):
    lines = trace(DONE, FAILED, colour="true", width="200").out.split("\n")
    assert [line.startswith("\x1b[31m") for line in lines[:3]] == [False, False, True]


def test_a_narrow_terminal_cuts_the_command(trace):
    long = Timing("pod", "pod", 0, "mkdir " + "x" * 200, 7, 1, 1, "", "supervisor")
    lines = trace(long, width="80").out.split("\n")
    assert [len(line) for line in lines[:2]] == [sum((5, 8, 10, 3, 5, 6)) + 6 * 3 + len("COMMAND"), 80]


@pytest.mark.parametrize(("output", "key"), [("json", "operations"), ("chrome", "traceEvents")])
def test_it_is_there_for_programs(trace, output, key):
    assert len(json.loads(trace(DONE, output=output).out)[key]) > 0


def test_an_unknown_format_is_refused(trace):
    answer = trace(DONE, output="yaml")
    assert (answer.code, "allowed formats are: chrome,json,svg" in answer.err) == (1, True)


def test_a_pod_of_which_nothing_is_known_has_an_empty_trace(trace):
    assert trace().out.split() == ["START", "DURATION", "PROCESS", "PID", "STAGE", "RESULT", "COMMAND"]
    assert trace(output="svg").out.startswith("<svg")
