"""Tables and texts for the terminal of whoever asked: fitted to its width, coloured if it wants colours. Pure."""

from collections.abc import Mapping, Sequence

_GAP = 3  # spaces between columns, as in kubectl's tables
GREEN, YELLOW, RED = 32, 33, 31  # ECMA-48, SGR: foreground colours
_WORDS = {
    **dict.fromkeys(("Running", "Completed", "Succeeded", "True"), GREEN),
    **dict.fromkeys(("Pending", "ContainerCreating", "PodInitializing", "Terminating"), YELLOW),
    **dict.fromkeys(("NotReady", "Waiting", "Unknown", "ContainerStatusUnknown"), YELLOW),
    **dict.fromkeys(("Warning",), YELLOW),
    **dict.fromkeys(("Error", "Failed", "OOMKilled", "Evicted", "StartError", "NodeLost"), RED),
}
_COLOURED = ("STATUS", "TYPE")  # columns


def colour_of(word: str) -> int:
    """Of a status word, 0 for none: green for what is well, yellow for what may become so, red for the rest."""
    inner = word.removeprefix("Init:")
    if inner[:1].isdigit():  # Init:1/2
        return YELLOW
    if inner.startswith(("ExitCode:", "Signal:")) or inner.endswith(("BackOff", "Error")) or "Err" in inner:
        return RED
    return _WORDS.get(inner, 0)


def paint(text: str, colour: int) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if colour else text


def escaped(text: str) -> str:
    """What a container has said, without its commands to a terminal: as kubectl shows it (WriteEscaped of
    cli-runtime/pkg/printers/terminal.go, CVE-2021-25743)."""
    return text.replace("\x1b", "^[").replace("\r", "\\r")


class Table:
    """Rows printed as they come: the head once, no column ever narrower than before.

    `width` is the terminal's, 0 for a pipe or file: there nothing is cut.
    """

    def __init__(
        self,
        head: Sequence[str],
        *,
        headers: bool = True,
        width: int = 0,
        colours: bool = False,
        narrowest: int = 0,
    ) -> None:
        self._head, self._width = list(head), width
        self._pending = headers
        self._widths = [max(narrowest, len(cell) if headers else 0) for cell in head]
        self._coloured = {i for i, cell in enumerate(head) if colours and cell in _COLOURED}

    def text(self, rows: Sequence[Sequence[str]]) -> str:
        """Lines for `rows`, after the head if these are the first."""
        rows = [[*map(escaped, row)] for row in rows]
        for row in rows:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]
        widths = fit(self._widths, self._width, self._head) if self._width else self._widths
        lines = [self._line(row, widths, self._coloured) for row in rows]
        if self._pending:
            self._pending = False
            lines.insert(0, self._line(self._head, widths, set()))
        return "\n".join(lines)

    def _line(self, row: Sequence[str], widths: Sequence[int], coloured: set[int]) -> str:
        last = len(row) - 1
        cells = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            shown = cell if len(cell) <= width else cell[: width - 1] + "…"
            padding = "" if i == last else " " * (width + _GAP - len(shown))
            cells.append((paint(shown, colour_of(cell)) if i in coloured else shown) + padding)
        return "".join(cells)


def fit(widths: Sequence[int], room: int, head: Sequence[str]) -> list[int]:
    """Widths of columns that go into `room`, if that is possible at all.

    Sentences give way first (MESSAGE, the last column), then whatever is widest, names last: they are to be copied.
    """
    fitted = list(widths)
    over = sum(fitted) + _GAP * (len(fitted) - 1) - room
    sentences = [i for i, cell in enumerate(head) if cell in ("MESSAGE", "LABELS")]
    names = [i for i, cell in enumerate(head) if cell in ("NAME", "OBJECT", "STATUS")]
    others = [i for i in range(len(fitted)) if i not in (*sentences, *names)]
    steps = ((sentences, 20), (others, 10), (names, 16), (sentences, 8), (others, 6), (names, 8))
    for group, floor in steps:
        while over > 0 and (wide := [i for i in group if fitted[i] > floor]):
            fitted[max(wide, key=lambda i: fitted[i])] -= 1
            over -= 1
    return fitted


# --- tab-separated text, as describe writes it -----------------------------------------------------------------------


def tabbed(lines: Sequence[str], padding: int = 2) -> list[str]:
    """Cells ended by tabs, aligned as Go's text/tabwriter does: a column is as wide as its cells on adjacent lines."""
    rows = [escaped(line).split("\t") for line in lines]
    _align(rows, 0, 0, len(rows), padding)
    return ["".join(row) for row in rows]


def _align(rows: list[list[str]], column: int, begin: int, end: int, padding: int) -> None:
    """Pad the cells of `column`, and then those to the right of it, block by block of lines that have that column."""
    line = begin
    while line < end:
        block = line
        while block < end and len(rows[block]) > column + 1:
            block += 1
        if block > line:
            width = max(len(rows[i][column]) for i in range(line, block)) + padding
            for i in range(line, block):
                rows[i][column] = rows[i][column].ljust(width)
            _align(rows, column + 1, line, block, padding)
        line = max(block, line + 1)


def highlight(lines: Sequence[str], words: Mapping[str, int]) -> list[str]:
    """Colours in lines `Key:  Value`: of the value, where `words` says which column of words of which key has one."""
    painted = []
    for line in lines:
        parts = line.split()
        key = next((key for key in words if line.strip().startswith(key)), "")
        word = parts[words[key]] if key and len(parts) > words[key] else ""
        painted.append(line.replace(word, paint(word, colour_of(word)), 1) if colour_of(word) else line)
    return painted
