"""Tables, sizes and texts that are fit to be shown to a person. Pure."""

from collections.abc import Sequence

_UNITS = ("", "Ki", "Mi", "Gi", "Ti", "Pi")

Row = Sequence[str]


def table(head: Row, rows: Sequence[Row], width: int) -> str:
    """Aligned columns below their titles; a line that is wider than `width` is cut."""
    return "\n".join(cut(line, width) for line in align([head, *rows]).split("\n"))


def align(lines: Sequence[Row]) -> str:
    """Columns three blanks apart, as kubectl prints them."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def cut(line: str, width: int) -> str:
    """At most `width` columns of it."""
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def size(count: int) -> str:
    """Bytes as a short quantity, rounded down: 67108864 -> 64Mi."""
    power = max((count.bit_length() - 1) // 10, 0) if count else 0
    power = min(power, len(_UNITS) - 1)
    return f"{count >> (10 * power)}{_UNITS[power]}"


def printable(text: str) -> str:
    """`text` as it may be shown: a container names its processes and files as it likes, with escape sequences, too."""
    return "".join(
        each if each.isprintable() else " " if each in "\t\n" else "\N{REPLACEMENT CHARACTER}"
        for each in text
    )
