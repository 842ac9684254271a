"""Looks at an SVG as somebody does who wants to read it: what is written where, and does it fit?"""

import itertools
from typing import NamedTuple
from xml.etree import ElementTree as ET

from minipod.observe import svg

_SVG = "{http://www.w3.org/2000/svg}"


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: "Box") -> bool:
        beside = self.left <= other.left and other.right <= self.right
        return beside and self.top <= other.top and other.bottom <= self.bottom

    def around(self, x: float, y: float) -> bool:
        return self.left <= x <= self.right and self.top <= y <= self.bottom

    def meets(self, other: "Box") -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.bottom <= other.top or other.bottom <= self.top)


class Text(NamedTuple):
    words: str
    box: Box
    x: float  # where it is anchored
    y: float


def texts(document: str) -> list[Text]:
    """Everything that is written, by the width that is estimated for it."""
    return [_text(each) for each in ET.fromstring(document).iter(f"{_SVG}text")]


def _text(node: ET.Element) -> Text:
    words, size = "".join(node.itertext()), float(node.attrib["font-size"])
    if (title := node.find(f"{_SVG}title")) is not None:
        words = words.removeprefix(title.text or "")
    wide = svg.width(words, size, node.get("font-weight") == "bold", "font-family" in node.attrib)
    x, y = float(node.attrib["x"]), float(node.attrib["y"])
    left = {"middle": x - wide / 2, "end": x - wide}.get(node.get("text-anchor", ""), x)
    return Text(words, Box(left, y - 0.7 * size, left + wide, y), x, y)


def words(document: str) -> str:
    """Everything that is written, and what is shown when the pointer rests on something."""
    return "\n".join(ET.fromstring(document).itertext())


def sticking_out(document: str) -> list[str]:
    """Texts that don't fit into the uppermost rectangle below them; on the page itself, onto the page."""
    boxes = [_box(each) for each in ET.fromstring(document).iter(f"{_SVG}rect")]
    found = []
    for text in texts(document):
        around = [box for box in boxes if box.around(text.x, text.y - 1)]
        if not around or not around[-1].holds(text.box):
            found.append(f"{text} in {around[-1:]}")
    return found


def _box(rect: ET.Element) -> Box:
    x, y = float(rect.get("x", 0)), float(rect.get("y", 0))
    return Box(x, y, x + float(rect.attrib["width"]), y + float(rect.attrib["height"]))


def overlapping(document: str) -> list[str]:
    """Texts that lie on each other."""
    return [f"{a} and {b}" for a, b in itertools.combinations(texts(document), 2) if a.box.meets(b.box)]
