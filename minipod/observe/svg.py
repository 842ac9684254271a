"""A very small SVG writer: shapes, and text that is known to fit. Pure.

Whoever opens the file has other fonts than whoever wrote it: widths are estimated with those of DejaVu Sans, the widest
of the usual ones, so that elsewhere there is rather too much room than too little. Only presentation attributes are
used (no style sheets, scripts or links): every viewer draws them, also inside <img>.
https://www.w3.org/TR/SVG11/
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from minipod.observe.text import printable

INK, FAINT, PAPER = "#1f2937", "#6b7280", "#ffffff"

_SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"
_MONO = "'DejaVu Sans Mono', ui-monospace, Menlo, Consolas, monospace"
# Advance widths in hundredths of the font size, as DejaVuSans.ttf has them (hmtx); what isn't here counts as 65.
_ADVANCES = {
    28: "ijl'",
    32: "IJ ,.",
    36: "/:;\\|f-",
    41: "()[]tr!",
    53: '"*_`sz?',
    59: "cLFkvxy",
    70: "ABEKPRSTVXYZ",
    77: "CUHNDG",
    87: "&OQw#+<=>^~M→✗",
    100: "%mW@…—",
}
_ADVANCE = {letter: advance for advance, letters in _ADVANCES.items() for letter in letters}
_ANY, _FIXED, _BOLD = 65, 60.5, 1.2  # _BOLD: how much wider DejaVu Sans Bold is


def width(text: str, size: float, bold: bool = False, mono: bool = False) -> float:
    """About how wide `text` is in a font of `size`; rather more."""
    if mono:
        return len(text) * _FIXED * size / 100
    total = sum(_ADVANCE.get(letter, _ANY) for letter in text)
    return total * (_BOLD if bold else 1.0) * size / 100


def fitted(text: str, room: float, size: float, bold: bool = False, mono: bool = False) -> str:
    """As much of `text` as goes into `room`, ended by … if that isn't all of it."""
    if width(text, size, bold, mono) <= room:
        return text
    while text and width(text + "…", size, bold, mono) > room:
        text = text[:-1]
    return text + "…" if text else ""


def element(name: str, *inside: str, **attributes: object) -> str:
    """One element around ready markup; `stroke_width=1` is written stroke-width="1", None leaves it out."""
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}={quoteattr(_number(value))}"
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{given}>{''.join(inside)}</{name}>" if inside else f"<{name}{given}/>"


def _number(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Drawing:
    """Shapes on a page; later ones lie on top. Coordinates are pixels from the upper left corner."""

    def __init__(self) -> None:
        self._shapes: list[str] = []

    def rect(
        self,
        x: float,
        y: float,
        w: float,
        h: float,
        *,
        fill: str = "none",
        stroke: str | None = None,
        radius: float | None = None,
        line: float | None = None,
        dash: str | None = None,
        note: str = "",
    ) -> None:
        """`note` is shown when the pointer rests on it."""
        title = [element("title", escape("\n".join(map(printable, note.split("\n")))))] if note else []
        self._shapes.append(
            element(
                "rect",
                *title,
                x=float(x),
                y=float(y),
                width=float(w),
                height=float(h),
                rx=radius,
                fill=fill,
                stroke=stroke,
                stroke_width=line,
                stroke_dasharray=dash,
            )
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 12,
        *,
        room: float = 1e6,
        fill: str = INK,
        bold: bool = False,
        mono: bool = False,
        anchor: str | None = None,
    ) -> None:
        """One line on the baseline `y`, cut to `room`; `anchor` is start, middle or end of it at `x`."""
        text = printable(text)
        shown = fitted(text, room, size, bold, mono)
        title = [element("title", escape(text))] if shown != text else []
        if shown:
            self._shapes.append(
                element(
                    "text",
                    *title,
                    escape(shown),
                    x=float(x),
                    y=float(y),
                    font_size=float(size),
                    font_family=_MONO if mono else None,
                    font_weight="bold" if bold else None,
                    text_anchor=anchor,
                    fill=fill,
                )
            )

    def path(
        self, points: Sequence[tuple[float, float]], stroke: str, line: float = 1, dash: str | None = None
    ) -> None:
        """A line through `points`."""
        steps = " ".join(
            f"{'L' if i else 'M'}{_number(float(x))} {_number(float(y))}" for i, (x, y) in enumerate(points)
        )
        self._shapes.append(
            element(
                "path", d=steps, fill="none", stroke=stroke, stroke_width=float(line), stroke_dasharray=dash
            )
        )

    def area(self, points: Sequence[tuple[float, float]], fill: str) -> None:
        """A filled polygon."""
        corners = " ".join(f"{_number(float(x))},{_number(float(y))}" for x, y in points)
        self._shapes.append(element("polygon", points=corners, fill=fill))

    def join(self, other: "Drawing") -> None:
        """Lay another drawing on top."""
        self._shapes += other._shapes

    def page(self, w: float, h: float, title: str) -> str:
        """The whole document, on paper of its own: readable wherever it is shown. Ends with a newline."""
        paper = element("rect", width=float(w), height=float(h), rx=8.0, fill=PAPER)
        return (
            element(
                "svg",
                "\n",
                element("title", escape(title)),
                *(f"\n{shape}" for shape in (paper, *self._shapes)),
                "\n",
                xmlns="http://www.w3.org/2000/svg",
                width=float(w),
                height=float(h),
                viewBox=f"0 0 {_number(float(w))} {_number(float(h))}",
                role="img",
                font_family=_SANS,
            )
            + "\n"
        )
