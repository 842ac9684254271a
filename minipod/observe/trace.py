"""What was done to make a pod, from the timings that its supervisor kept: for programs and for trace viewers. Pure."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from minipod.api.cri import Timing


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """One operation that was carried out, or failed."""

    process: str  # node, supervisor, pause, netlink worker, a container's name, or "exec in" that
    pid: int  # in the node's PID namespace
    stage: str
    index: int  # in its stage; -1: the process was killed, nobody knows where
    operation: str  # what it is called, as by --break-at: e.g. pivot_root
    kind: str  # which of minipod's modules of operations it is in: host, mounts, namespaces, network, process
    command: str
    start: int  # ns since the request
    duration: int  # ns
    error: str = ""

    @property
    def end(self) -> int:
        return self.start + self.duration


class Span(msgspec.Struct, frozen=True):
    """One stage, as one process carried it out; at least one step."""

    steps: tuple[Step, ...]

    @property
    def first(self) -> Step:
        return self.steps[0]

    @property
    def start(self) -> int:
        return self.first.start

    @property
    def end(self) -> int:
        return self.steps[-1].end


def spans(timings: Iterable[Timing]) -> list[Span]:
    """The stages by their beginning. Time zero is the request, or what was done first if nobody asked (a restart)."""
    stages: dict[tuple[str, str, int], list[Timing]] = {}
    for timing in timings:
        stages.setdefault((timing.plan, timing.stage, timing.pid), []).append(timing)
    if not stages:
        return []
    zero = min(timing.start for group in stages.values() for timing in group)
    found = [Span(tuple(_step(timing, zero) for timing in group)) for group in stages.values()]
    return sorted(found, key=lambda span: span.start)


def failures(stages: Iterable[Span]) -> list[Step]:
    """What failed, in its order."""
    return [step for span in stages for step in span.steps if step.error]


def _step(timing: Timing, zero: int) -> Step:
    module = timing.op.rpartition(".")[0]
    return Step(
        process=_process(timing),
        pid=timing.pid,
        stage=timing.stage,
        index=timing.index,
        operation=timing.word or timing.command,
        kind=module.rpartition(".")[2] if ".ops." in module else "",
        command=timing.command,
        start=timing.start - zero,
        duration=timing.duration,
        error=timing.error,
    )


def _process(timing: Timing) -> str:
    """Whose work a stage is: sandbox/pause becomes pause, container/web becomes web."""
    first, _, name = timing.stage.partition("/")
    if first == "node":
        return "node"
    if timing.where != "child":
        return "netlink worker" if timing.where == "netlink" else "supervisor"
    return f"exec in {name}" if first == "exec" else name


def as_json(stages: Sequence[Span]) -> str:
    """Every step; times in nanoseconds since the request."""
    steps = [step for span in stages for step in span.steps]
    return msgspec.json.format(msgspec.json.encode({"operations": steps}), indent=2).decode() + "\n"


def as_chrome(stages: Sequence[Span]) -> str:
    """The Trace Event Format, which https://ui.perfetto.dev and chrome://tracing open; times in microseconds.

    A stage is a complete event (ph X), its operations lie inside. Viewers colour by name and show the arguments of one
    event only, so what failed is marked in its name.
    https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
    """
    events = [*_names(stages)]
    for span in stages:
        failed = any(step.error for step in span.steps)
        name = _marked(span.first.stage, failed)
        events.append(_event(span.first, name, "stage", span.end, {"failed": failed}))
        for step in span.steps:
            name = _marked(step.operation, bool(step.error))
            about = {"command": step.command, "index": step.index}
            about |= {"error": step.error} if step.error else {}
            events.append(_event(step, name, step.kind or "operation", step.end, about))
    return msgspec.json.encode({"traceEvents": events}).decode() + "\n"


def _marked(name: str, failed: bool) -> str:
    return f"✗ {name}" if failed else name


def _names(stages: Sequence[Span]) -> Iterator[dict[str, object]]:
    """What the viewer calls each process and its only thread, and in which order it shows them.

    Perfetto took no notice of the order before https://github.com/google/perfetto/pull/3273 (October 2025).
    """
    names = dict.fromkeys((span.first.pid, span.first.process) for span in stages)
    for number, (pid, name) in enumerate(names):
        about = (
            ("process_name", {"name": name}),
            ("thread_name", {"name": name}),  # without one, a track is called "Thread", and a number
            ("process_sort_index", {"sort_index": number}),
        )
        for key, value in about:
            yield {"ph": "M", "name": key, "pid": pid, "tid": pid, "args": value}


def _event(step: Step, name: str, kind: str, end: int, about: dict[str, object]) -> dict[str, object]:
    return {
        "ph": "X",
        "name": name,
        "cat": kind,
        "pid": step.pid,
        "tid": step.pid,
        "ts": step.start / 1000,
        "dur": (end - step.start) / 1000,
        "args": about,
    }
