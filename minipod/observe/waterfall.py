"""A trace as a picture: a lane for each process, its stages as bars, their operations inside, time from left to right.

    pause         sandbox/pause 5.2 ms
    1234          ▐█▌▐██████▌▐█▌▶            ▶ the program was exec'ed: from here on it runs
                   unshare    exec

Nothing is done most of a pod's life: where that takes long, the time axis is cut.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from minipod.observe.svg import FAINT, INK, Drawing, width
from minipod.observe.trace import Span, Step, failures

_WIDTH, _LEFT, _RIGHT = 1100.0, 176.0, 30.0  # of the page, and of its margins
_TOP, _BAR, _ROW = 102.0, 20.0, 14.0  # where the first lane begins; heights of a bar and of a row of labels
_PAUSE = 10_000_000  # ns in which nothing is done until the axis may be cut
_CUT, _TICK = 72.0, 60.0  # pixels of a cut, and from tick to tick
_TIMES = 6  # parts of the axis that are shown
_ROWS = 3  # of labels below a bar
_MANY = 20  # labels that are tried for one lane
_SMALL = 10.5  # font size of labels

_WORTH = 5.0  # pixels that an operation must be wide to get a label

_KINDS = {  # a module of operations: what it is about, colour, colour of its labels
    "namespaces": ("namespaces", "#8b5cf6", "#6d28d9"),
    "mounts": ("mounts", "#3b82f6", "#1d4ed8"),
    "host": ("files, cgroups, pins on the host", "#f59e0b", "#b45309"),
    "network": ("network", "#14b8a6", "#0f766e"),
    "process": ("privileges, exec", "#ec4899", "#be185d"),
    "": ("the node", "#94a3b8", "#475569"),
}
_RED, _GREEN, _GRID, _BED = "#dc2626", "#16a34a", "#e5e7eb", "#e2e8f0"


class _Piece(msgspec.Struct, frozen=True):
    """A part of the time axis in which something was done."""

    start: int
    end: int
    x: float


class _Axis:
    """From nanoseconds to pixels, with the long pauses cut out."""

    def __init__(self, busy: Sequence[tuple[int, int]]) -> None:
        room = _WIDTH - _LEFT - _RIGHT - _CUT * (len(busy) - 1)
        self._scale = room / max(sum(end - start for start, end in busy), 1)
        self.pieces: list[_Piece] = []
        x = _LEFT
        for start, end in busy:
            self.pieces.append(_Piece(start, end, x))
            x += (end - start) * self._scale + _CUT

    def x(self, at: int) -> float:
        piece = next(each for each in reversed(self.pieces) if each.start <= at or each is self.pieces[0])
        return piece.x + (at - piece.start) * self._scale

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Where the grid's lines are, and what is written there; never two closer than 60 pixels."""
        units = (unit * factor for unit in (10**5, 10**6, 10**7, 10**8, 10**9) for factor in (1, 2, 5))
        unit = next((each for each in units if each * self._scale >= _TICK), 10**10)
        for piece in self.pieces:
            last = -_TICK
            # After a cut, first the time at which it goes on.
            for mark in (piece.start, *range((piece.start // unit + 1) * unit, piece.end, unit)):
                x = self.x(mark)
                if x >= last + _TICK:
                    last = x
                    yield x, _ms(mark, 0 if mark % 10**6 == 0 else 1)


def _busy(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """The times in which something was done, pauses shorter than a third of it all included."""
    total = sum(step.duration for step in steps)
    start, end = 0, 0
    for step in sorted(steps, key=lambda each: each.start):
        if step.start - end > max(_PAUSE, total // 3):
            yield start, end
            start = step.start
        end = max(end, step.end)
    yield start, end


def draw(title: str, stages: Sequence[Span]) -> str:
    """The SVG document. `title` says which pod. Of a pod that restarts for ever, the first and last times are shown."""
    busy = list(_busy([step for span in stages for step in span.steps]))
    shown = busy if len(busy) <= _TIMES else busy[: _TIMES // 2] + busy[-_TIMES // 2 :]
    left_out = len(stages)
    stages = [span for span in stages if any(start <= span.start <= end for start, end in shown)]
    left_out -= len(stages)
    lanes: dict[tuple[str, int], list[Span]] = {}
    for span in stages:
        lanes.setdefault((span.first.process, span.first.pid), []).append(span)
    axis, page, front = _Axis(shown), Drawing(), Drawing()
    y = _TOP
    for (process, pid), found in lanes.items():
        page.path([(24, y - 6), (_WIDTH - 16, y - 6)], _GRID)
        y = _lane(front, axis, process, pid, found, y)
    bottom = y - 6
    _grid(page, axis, bottom)
    page.join(front)
    _head(page, title, stages, left_out)
    return page.page(_WIDTH, _legend(page, bottom + 30), title)


def _head(page: Drawing, title: str, stages: Sequence[Span], left_out: int) -> None:
    steps, failed = [step for span in stages for step in span.steps], failures(stages)
    processes = len({(step.process, step.pid) for step in steps})
    page.text(24, 34, title, 18, bold=True, room=_WIDTH - 48)
    ended = max((step.end for step in steps), default=0)
    text = f"{len(steps)} operations by {processes} processes, {_ms(ended, 1)} from the request to the last of them"
    if left_out:
        text += f"; {left_out} stages in between are left out"
    page.text(24, 54, text, 12, fill=FAINT, room=_WIDTH - 48)
    if failed:
        last = failed[-1]
        text = f"✗ {last.stage}, operation {last.index}: {last.error}, while doing: {last.command}"
        page.text(24, 72, text, 12, fill=_RED, room=_WIDTH - 48)


def _grid(page: Drawing, axis: _Axis, bottom: float) -> None:
    for x, label in axis.ticks():
        page.path([(x, _TOP - 12), (x, bottom)], _GRID)
        page.text(x, _TOP - 16, label, _SMALL, fill=FAINT, anchor="middle")
    for before, after in itertools.pairwise(axis.pieces):
        x = after.x - _CUT / 2
        page.path([(x, _TOP - 12), (x, bottom)], "#94a3b8", 1, "2 4")
        page.text(
            x, bottom + 12, f"{_ms(after.start - before.end, 0)} later", _SMALL, fill=FAINT, anchor="middle"
        )


def _lane(page: Drawing, axis: _Axis, process: str, pid: int, found: Sequence[Span], y: float) -> float:
    """One process; returns where the next lane begins."""
    above = _raised([_Flag(axis.x(span.start), _stage(span), INK) for span in found])
    y += _ROW * max(flag.row + 1 for flag in above)
    _draw_flags(page, above, y, -1)
    page.text(24, y + 10, process, 13, bold=True, room=_LEFT - 34)
    page.text(24, y + 24, f"pid {pid}" if pid else "", _SMALL, mono=True, fill=FAINT)
    for span in found:
        left, right = axis.x(span.start), axis.x(span.end)
        page.rect(left, y, max(right - left, 1), _BAR, fill=_BED)
        for step in span.steps:
            _operation(page, axis, step, y)
    below = _chosen(
        [_Flag(axis.x(step.start), _name(step), _ink(step)) for step in _notable(axis, found)], _ROWS
    )
    return y + _BAR + max(_draw_flags(page, below, y + _BAR, 1), 10) + 14


def _notable(axis: _Axis, found: Sequence[Span]) -> list[Step]:
    """What gets a label if there is room: what failed, then what took longest; of each stage, each name once."""
    longest: dict[tuple[int, str], Step] = {}
    for number, span in enumerate(found):
        for step in span.steps:
            key = (number, step.operation)
            if key not in longest or step.error or step.duration > longest[key].duration:
                longest[key] = step
    worth = [s for s in longest.values() if s.error or axis.x(s.end) - axis.x(s.start) >= _WORTH]
    return sorted(worth, key=lambda step: (not step.error, -step.duration))[:_MANY]


def _operation(page: Drawing, axis: _Axis, step: Step, y: float) -> None:
    left, right = axis.x(step.start), axis.x(step.end)
    note = f"{step.command}\n{step.stage}, operation {step.index}: {_ms(step.duration, 3)}" + (
        f"\n{step.error}" if step.error else ""
    )
    room = right - left
    page.rect(left, y, max(room - (0.6 if room > 2 else 0), 0.6), _BAR, fill=_colour(step), note=note)
    if step.error:
        page.text(right + 3, y + _BAR - 5, "✗", 15, bold=True, fill=_RED)
    elif step.operation == "exec":
        page.area([(right + 2, y + 3), (right + 13, y + _BAR / 2), (right + 2, y + _BAR - 3)], _GREEN)


class _Flag(msgspec.Struct, frozen=True):
    """A label on a pole that stands on the bar at `x`; its text is right of the pole, or left where the page ends."""

    x: float
    text: str
    colour: str
    row: int = 0

    @property
    def left(self) -> float:
        wide = width(self.text, _SMALL) + 4
        return self.x if self.x + wide < _WIDTH - 8 else self.x - wide

    @property
    def right(self) -> float:
        return self.left + width(self.text, _SMALL) + 4

    def hits(self, other: "_Flag") -> bool:
        """Whether text meets text, or a pole goes through text."""
        if self.row == other.row:
            return self.left < other.right + 6 and other.left < self.right + 6
        low, high = (self, other) if self.row < other.row else (other, self)
        return low.left - 2 < high.x < low.right + 2


def _raised(wanted: Iterable[_Flag]) -> list[_Flag]:
    """Each flag in the lowest row that is free, or above all others: then a pole may go through a text."""
    placed: list[_Flag] = []
    # From right to left: a pole is then left of the texts that were there before it.
    for flag in sorted(wanted, key=lambda each: -each.x):
        top = max((each.row for each in placed), default=-1) + 1
        tries = (msgspec.structs.replace(flag, row=row) for row in range(top))
        free = next((each for each in tries if not any(each.hits(other) for other in placed)), None)
        placed.append(free or msgspec.structs.replace(flag, row=top))
    return placed


def _chosen(wanted: Iterable[_Flag], rows: int) -> list[_Flag]:
    """Those of the flags, given by their importance, that go into so many rows."""
    chosen: list[_Flag] = []
    for flag in wanted:
        raised = _raised([*chosen, flag])
        pairs = itertools.combinations(raised, 2)
        if max(each.row for each in raised) < rows and not any(a.hits(b) for a, b in pairs):
            chosen = raised
    return chosen


def _draw_flags(page: Drawing, flags: Sequence[_Flag], y: float, direction: int) -> float:
    """On the edge `y` of a bar, upwards (-1) or downwards (1); returns the height they take."""
    for flag in flags:
        middle = y + direction * (flag.row + 0.5) * _ROW
        page.path([(flag.x, y), (flag.x, middle + 3 * direction)], flag.colour, 0.7)
        at, anchor = (flag.x + 3, None) if flag.left == flag.x else (flag.x - 3, "end")
        page.text(at, middle + 4, flag.text, _SMALL, fill=flag.colour, anchor=anchor)
    return _ROW * max((flag.row + 1 for flag in flags), default=0)


def _stage(span: Span) -> str:
    return f"{span.first.stage} {_ms(span.end - span.start, 1)}"


def _name(step: Step) -> str:
    return f"✗ {step.operation}" if step.error else step.operation


def _colour(step: Step) -> str:
    return _RED if step.error else _KINDS.get(step.kind, _KINDS[""])[1]


def _ink(step: Step) -> str:
    return _RED if step.error else _KINDS.get(step.kind, _KINDS[""])[2]


def _legend(page: Drawing, y: float) -> float:
    x = 24.0
    for text, colour, _ in _KINDS.values():
        page.rect(x, y, 11, 11, fill=colour)
        page.text(x + 16, y + 10, text, 11, fill=FAINT)
        x += 16 + width(text, 11) + 22
    page.rect(x, y, 11, 11, fill=_BED)
    page.text(x + 16, y + 10, "waits for its turn", 11, fill=FAINT)
    x += 16 + width("waits for its turn", 11) + 22
    page.area([(x, y), (x + 9, y + 5.5), (x, y + 11)], _GREEN)
    page.text(x + 14, y + 10, "the program runs", 11, fill=FAINT)
    return y + 32


def _ms(ns: int, digits: int) -> str:
    """Milliseconds, or seconds where there are many of them."""
    return f"{ns / 1e9:.1f} s" if ns >= 10**9 else f"{ns / 1e6:.{digits}f} ms"
