"""What was done to make a pod, for a viewer of traces, and as a waterfall."""

import json
import random

import pytest

from minipod.api.cri import Timing
from minipod.observe import trace, waterfall
from tests.support.drawing import overlapping, sticking_out, words

MS = 1_000_000
ZERO = 77_000 * MS  # of CLOCK_MONOTONIC
OPS = (
    ("minipod.plan.ops.namespaces.Join", "setns"),
    ("minipod.plan.ops.namespaces.EnterCgroup", "enter_cgroup"),
    ("minipod.plan.ops.mounts.MountRoot", "mount_root"),
    ("minipod.plan.ops.mounts.Bind", "bind"),
    ("minipod.plan.ops.mounts.DetachOldRoot", "umount"),
    ("minipod.plan.ops.process.LimitCapabilities", "drop_capabilities"),
    ("minipod.plan.ops.process.Exec", "exec"),
)


def stage(plan, name, pid, start, *durations, where="child", error="") -> list[Timing]:
    """A stage's operations, each beginning when the one before it ended."""
    timings = []
    for index, duration in enumerate(durations):
        op, word = OPS[-1] if index == len(durations) - 1 else OPS[index % (len(OPS) - 1)]
        failed = error if index == len(durations) - 1 else ""
        command = f"command {index} of {name}"
        timings.append(Timing(plan, name, index, command, pid, start, duration, failed, where, op, word))
        start += duration
    return timings


def request() -> Timing:
    command, op = "# from the request read", "minipod.supervisor.process.AcceptRequest"
    return Timing("node", "node/apply", 0, command, 99, ZERO, 4 * MS, "", "supervisor", op, "accept_request")


def pod(seed: int, error: str = "", pause: int = 0) -> list[Timing]:
    """Timings as a pod has them; `pause` is how long an init container ran, in ns."""
    some = random.Random(seed)

    def durations(count: int) -> list[int]:
        return [int(some.expovariate(1 / (0.3 * MS))) + 1 for _ in range(count)]

    found, now = [request()], ZERO + 6 * MS

    def add(*stage_of, count, where="child", failure="", wait=0):
        nonlocal now
        found.extend(stage(*stage_of, now, *durations(count), where=where, error=failure))
        now = found[-1].start + found[-1].duration + some.randint(0, MS) + wait

    add("pod", "pod", 100, count=8, where="supervisor")
    add("sandbox-1", "sandbox/objects", 100, count=12, where="supervisor")
    add("sandbox-1", "sandbox/pause", 101, count=17)
    add("sandbox-1", "sandbox/network", 50, count=7, where="netlink")
    add("sandbox-1", "sandbox/pins", 100, count=9, where="supervisor")
    for number, name in enumerate(("init", "web", "a-container-with-a-long-name", "client")):
        add(f"container-{number}", f"container/{name}/objects", 100, count=10, where="supervisor")
        failure = error if name == "client" else ""
        add(f"container-{number}", f"container/{name}", 110 + number, count=53, failure=failure, wait=pause)
    return found


def restart(number: int) -> list[Timing]:
    """A container's start, a minute after the one before."""
    start, plan = ZERO + (number + 1) * 60_000 * MS, f"again-{number}"
    objects = stage(plan, "container/web/objects", 100, start, *[50_000] * 10, where="supervisor")
    return [*objects, *stage(plan, "container/web", 200 + number, start + MS, *[MS // 10] * 53)]


def test_time_begins_with_the_request():
    first, *others = trace.spans(pod(1))
    assert (first.first.process, first.start) == ("node", 0)
    assert [span.start for span in others] == sorted(span.start for span in others)
    assert others[0].start == 6 * MS


def test_every_stage_has_its_process():
    processes = {span.first.stage: span.first.process for span in trace.spans(pod(1))}
    assert processes["pod"] == processes["sandbox/pins"] == processes["container/web/objects"] == "supervisor"
    assert processes["sandbox/pause"] == "pause"
    assert processes["sandbox/network"] == "netlink worker"
    assert processes["container/web"] == "web"


def test_a_container_may_be_called_objects():
    timings = [
        *stage("c", "container/objects/objects", 1, 1, 2, where="supervisor"),
        *stage("c", "container/objects", 2, 5, 2),
    ]
    assert [span.first.process for span in trace.spans(timings)] == ["supervisor", "objects"]


def test_a_command_is_told_apart_from_its_container():
    (span,) = trace.spans(stage("exec-1", "exec/web", 7, ZERO, 5))
    assert span.first.process == "exec in web"


def test_operations_are_called_as_the_kernel_calls_them():
    step = trace.spans(stage("c", "container/web", 1, 1, 2, 3))[0].steps[0]
    assert (step.operation, step.kind) == ("setns", "namespaces")


def test_a_process_that_was_killed_nobody_knows_where_is_told_by_its_stage():
    killed = Timing(
        "c", "container/web", -1, "running container/web", 7, ZERO, 0, "the process was killed", "child"
    )
    (step,) = trace.failures(trace.spans([killed]))
    assert (step.operation, step.error) == ("running container/web", "the process was killed")


def nests(events: list[dict]) -> bool:
    """Whether each event ends before the one that it began in. In whole nanoseconds: 0.1 isn't a binary fraction."""
    open_until: list[int] = []
    for event in sorted(events, key=lambda each: (each["ts"], -each["dur"])):
        start, end = round(event["ts"] * 1000), round((event["ts"] + event["dur"]) * 1000)
        while open_until and open_until[-1] <= start:
            open_until.pop()
        if open_until and end > open_until[-1]:
            return False
        open_until.append(end)
    return True


@pytest.mark.parametrize("seed", range(3))
def test_the_events_of_each_thread_nest(seed):
    events = json.loads(trace.as_chrome(trace.spans(pod(seed))))["traceEvents"]
    threads: dict[int, list[dict]] = {}
    for event in events:
        if event["ph"] == "X":
            threads.setdefault(event["tid"], []).append(event)
    assert len(threads) == 8
    assert all(map(nests, threads.values()))
    assert not nests([{"ts": 0, "dur": 5}, {"ts": 3, "dur": 5}])


def names(events: list[dict], kind: str) -> dict[int, str]:
    return {event["tid"]: event["args"]["name"] for event in events if event["name"] == kind}


def test_the_viewer_is_told_the_name_of_every_process_and_of_its_thread():
    events = json.loads(trace.as_chrome(trace.spans(pod(1))))["traceEvents"]
    named = names(events, "process_name")
    assert named[101] == "pause"
    assert named.keys() == {event["pid"] for event in events}
    assert names(events, "thread_name") == named


def test_the_viewer_shows_the_processes_in_the_order_in_which_they_began():
    events = json.loads(trace.as_chrome(trace.spans(pod(1))))["traceEvents"]
    places = {event["pid"]: event["args"]["sort_index"] for event in events if "sort_index" in event["args"]}
    began = dict.fromkeys(event["pid"] for event in events if event["ph"] == "X")
    assert sorted(places, key=places.__getitem__) == list(began)


def test_what_failed_is_marked_for_the_viewer_which_shows_errors_only_of_what_is_clicked():
    events = json.loads(trace.as_chrome(trace.spans(pod(2, error="no such file"))))["traceEvents"]
    assert [event["name"] for event in events if event["name"].startswith("✗")] == [
        "✗ container/client",
        "✗ exec",
    ]
    assert "✗" not in trace.as_chrome(trace.spans(pod(2)))


def test_the_json_has_every_operation():
    timings = pod(1)
    assert len(json.loads(trace.as_json(trace.spans(timings)))["operations"]) == len(timings)


# --- the waterfall ---------------------------------------------------------------------------------------------------

ERROR = (
    "mount /nosuch: No such file or directory (ENOENT), and a hint that is far longer than any lane is wide "
    * 3
)
LONG = "one that has been restarted 40 times"  # too long to be drawn whole
POD = {
    **{f"seed {seed}": pod(seed) for seed in range(4)},
    **{f"seed {seed}, with long waits": pod(seed, pause=700 * MS) for seed in range(4, 8)},
    "an init container that took 40 s": pod(1, pause=40_000 * MS),
    LONG: [*pod(1), *(each for n in range(40) for each in restart(n))],
    "one that failed": pod(2, error=ERROR),
    "nothing but the request": [request()],
    "nothing at all": [],
}


def draw(name: str) -> tuple[list[trace.Span], str]:
    stages = trace.spans(POD[name])
    return stages, waterfall.draw("How pod default/shop was made", stages)


@pytest.fixture(params=POD)
def drawn(request) -> tuple[list[trace.Span], str]:
    return draw(request.param)


@pytest.fixture(params=[name for name in POD if name != LONG])
def whole(request) -> tuple[list[trace.Span], str]:
    """One of which nothing is left out."""
    drawn = draw(request.param)
    assert "left out" not in drawn[1]
    return drawn


def test_every_process_and_every_stage_is_named(whole):
    stages, written = whole[0], words(whole[1])
    wanted = {
        word for span in stages for word in (span.first.process, f"pid {span.first.pid}", span.first.stage)
    }
    assert [word for word in wanted if word not in written] == []


def test_every_operation_has_its_command_and_its_duration(whole):
    stages, written = whole[0], words(whole[1])
    commands = [step.command for span in stages for step in span.steps]
    assert [command for command in commands if command not in written] == []


def test_all_of_it_is_on_the_page_and_no_text_lies_on_another(drawn):
    _, document = drawn
    assert sticking_out(document) == []
    assert overlapping(document) == []


def test_what_failed_stands_out():
    document = waterfall.draw("x", trace.spans(POD["one that failed"]))
    assert "✗ container/client, operation 52" in document
    assert "✗" not in waterfall.draw("x", trace.spans(POD["seed 0"]))


def test_the_time_in_which_nothing_was_done_is_cut_out():
    document = words(waterfall.draw("x", trace.spans(POD["an init container that took 40 s"])))
    assert document.count("40.0 s later") == 3


def test_of_a_pod_that_restarts_for_ever_the_first_and_the_last_times_are_shown():
    document = words(waterfall.draw("x", trace.spans(POD["one that has been restarted 40 times"])))
    assert [number for number in range(40) if f"pid {200 + number}\n" in document] == [0, 1, 37, 38, 39]
    assert "70 stages in between are left out" in document
