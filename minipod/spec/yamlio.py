"""YAML as kubectl reads it: go-yaml's rules (sigs.k8s.io/yaml, goyaml.v2/resolve.go), not PyYAML's.

    y Y yes Yes YES on On ON true True TRUE, and their opposites, are booleans
    01777 0o17 0x1F 0b11 1_000 are integers; 1e3 and 08 are floats; 22:22, 2001-12-14 and = stay strings
    keys become strings; a key given twice is an error; `<<` merges where it stands; \\' is an escape

libyaml does the scanning. It refuses exactly one thing that go-yaml accepts, the escape \\' in double quotes: such a
text is scanned again by PyYAML's own slower scanner, taught that escape in a private copy.
Only the node imports this module.
"""

import math
import re
from base64 import b64decode
from typing import Any, Protocol

import msgspec
import yaml
from yaml.events import (
    AliasEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    StreamEndEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.scanner import Scanner

from minipod.errors import BadManifest

_MAX_DEPTH = 200  # of nesting; no Kubernetes object comes near it

_WORDS: dict[str, bool | float | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), math.inf),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_NUMBER_STARTS = frozenset("+-.0123456789")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}(?:$|[Tt ])", re.ASCII)
_INT = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[oO]?([0-7]+)|0[bB]([01]+)|(0|[1-9][0-9]*))", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_CORE = "tag:yaml.org,2002:"


class Document(msgspec.Struct, frozen=True):
    """One object of a manifest: where it was written, and what it says."""

    source: str  # the file, or "-"
    index: int  # its number among the documents of the source that aren't empty, from 0
    line: int  # where it begins, from 1
    value: dict[str, Any]


def documents(text: str, source: str = "-") -> list[Document]:
    """Read every document of `text`. Empty ones are left out.

    Raises BadManifest, its message beginning with `source:line`, for what isn't YAML, for a key that is given twice
    and for a document that isn't an object.
    """
    try:
        return _read(_scanner(text), source)
    except yaml.YAMLError as error:
        if isinstance(error, yaml.MarkedYAMLError) and "escape" in str(error.problem) and "\\'" in text:
            try:
                return _read(_GoScanner(text), source)
            except yaml.YAMLError as second:
                error = second
        raise BadManifest(_explain(error, text, source)) from None


def plain(text: str) -> Any:
    """What an unquoted scalar means."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS or _DATE.match(text):
        return text
    digits = text.replace("_", "")
    if found := _INT.fullmatch(digits):
        sign, hexadecimal, octal, binary, decimal = found.groups()
        number = (
            int(hexadecimal, 16) if hexadecimal
            else int(octal, 8) if octal
            else int(binary, 2) if binary
            else int(decimal) if len(decimal) < 1000
            else None
        )  # fmt: skip
        if number is not None:
            return -number if sign == "-" else number
    # A number that begins with its point may not hold underscores in go-yaml.
    if _FLOAT.fullmatch(text if text[0] == "." else digits):
        real = float(digits)
        return text if math.isinf(real) else real
    return text


# --- scanners ------------------------------------------------------------------------------------------------------


class _Events(Protocol):
    """What both scanners have in common."""

    def get_event(self) -> Any: ...


class _GoScanner(Reader, Scanner, Parser):
    """PyYAML's pure Python scanner and parser, with go-yaml's additional escape."""

    ESCAPE_REPLACEMENTS = {**Scanner.ESCAPE_REPLACEMENTS, "'": "'"}  # type: ignore[misc]  # noqa: RUF012

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)


def _scanner(text: str) -> _Events:
    if not yaml.__with_libyaml__:
        return _GoScanner(text)
    from yaml._yaml import CParser

    return CParser(text)


# --- from events to values -----------------------------------------------------------------------------------------


def _read(events: _Events, source: str) -> list[Document]:
    found: list[Document] = []
    events.get_event()  # start of the stream
    while not isinstance(event := events.get_event(), StreamEndEvent):
        assert isinstance(event, DocumentStartEvent)
        builder = _Builder(events, source)
        first = events.get_event()
        value = builder.build(first)
        end = events.get_event()
        assert isinstance(end, DocumentEndEvent)
        if value is None:
            continue
        line = _line(first)
        if not isinstance(value, dict):
            raise BadManifest(
                f"{source}:{line}: expected an object (apiVersion, kind, metadata ...), got {value!r:.60}"
            )
        found.append(Document(source, len(found), line, value))
    return found


def _line(event: Event) -> int:
    return int(event.start_mark.line) + 1  # type: ignore[union-attr]  # both scanners set it


class _Builder:
    """Builds the value of one document from its events.

    An alias shares its anchor's value, so that memory stays small whatever the text does; `size` counts what it would
    be when written out, for those who walk over it.
    """

    def __init__(self, events: _Events, source: str) -> None:
        self.next = events.get_event
        self.source = source
        self.path: list[str | int] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.read = 0  # values in the text
        self.size = 0  # values when aliases are written out

    def build(self, event: Event) -> Any:
        """The value that begins with `event`."""
        if isinstance(event, AliasEvent):
            return self._alias(event)
        self.read += 1
        self.size += 1
        before = self.size
        if isinstance(event, ScalarEvent):
            value = self._scalar(event)
        elif len(self.path) > _MAX_DEPTH:
            raise self._error(event, f"nested more than {_MAX_DEPTH} deep")
        elif isinstance(event, MappingStartEvent):
            value = self._mapping()
        else:
            value = self._sequence()
        anchor = event.anchor  # type: ignore[attr-defined]
        if anchor is not None:
            self.anchors[anchor] = value, self.size - before + 1
        return value

    def _error(self, event: Event, problem: str) -> BadManifest:
        where = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)
        inside = f" (in {where.removeprefix('.')})" if 0 < len(self.path) < 30 else ""
        return BadManifest(f"{self.source}:{_line(event)}: {problem}{inside}")

    def _alias(self, event: AliasEvent) -> Any:
        if event.anchor not in self.anchors:
            raise self._error(
                event, f"unknown anchor {event.anchor!r} referenced, or its value contains itself"
            )
        value, size = self.anchors[event.anchor]
        self.size += size
        # go-yaml's limits (decode.go, allowedAliasRatio) without the ramp between them.
        if self.size > max(1000, min(100 * self.read, 400_000), self.read * 10 // 9):
            raise self._error(event, "document contains excessive aliasing")
        return value

    def _scalar(self, event: ScalarEvent) -> Any:
        text, tag = event.value, event.tag
        if tag is None or tag == "!":
            value = plain(text) if event.implicit[0] else text
        else:
            value = self._tagged(event, tag.removeprefix(_CORE))
        if isinstance(value, float) and not math.isfinite(value):
            raise self._error(event, f"{text} has no form in JSON; write a finite number, or quote it")
        return value

    def _tagged(self, event: ScalarEvent, tag: str) -> Any:
        """A scalar with an explicit tag: !!int and its like insist on what the text must be, others say nothing."""
        text = event.value
        if tag == "binary":
            try:
                return b64decode("".join(text.split()), validate=True).decode()
            except ValueError:
                raise self._error(event, "!!binary value contains invalid base64 data, or no text") from None
        wanted = {"bool": bool, "int": int, "float": float, "null": type(None)}.get(tag)
        if wanted is None:
            return text
        value = plain(text)
        if wanted is float and type(value) is int:
            return float(value)
        if type(value) is not wanted:
            raise self._error(event, f"cannot decode `{text}` as a !!{tag}")
        return value

    def _sequence(self) -> list[Any]:
        values: list[Any] = []
        self.path.append(0)
        while not isinstance(event := self.next(), SequenceEndEvent):
            self.path[-1] = len(values)
            values.append(self.build(event))
        self.path.pop()
        return values

    def _mapping(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        own: set[str] = set()  # the keys that weren't merged in
        while not isinstance(event := self.next(), MappingEndEvent):
            if isinstance(event, ScalarEvent) and event.value == "<<" and event.implicit[0]:
                self.path.append("<<")
                values.update(self._merged(event))
                self.path.pop()
                continue
            key = self._key(event)
            if key in own:
                raise self._error(event, f'key "{key}" already set in map')
            own.add(key)
            self.path.append(key)
            values[key] = self.build(self.next())
            self.path.pop()
        return values

    def _key(self, event: Event) -> str:
        key = self.build(event) if isinstance(event, ScalarEvent | AliasEvent) else None
        if isinstance(key, str):
            return key
        if isinstance(key, bool):
            return "true" if key else "false"
        if isinstance(key, int | float):
            return f"{key:g}" if isinstance(key, float) else str(key)
        raise self._error(event, "a key must be text, a number or a boolean")

    def _merged(self, event: Event) -> dict[str, Any]:
        """The value of a merge key: one mapping, or several of which the first to have a key wins."""
        value = self.build(self.next())
        maps = [value] if isinstance(value, dict) else value
        if not isinstance(maps, list) or not all(isinstance(item, dict) for item in maps):
            raise self._error(event, "map merge requires map or sequence of maps as the value")
        return {key: item for mapping in reversed(maps) for key, item in mapping.items()}


# --- errors --------------------------------------------------------------------------------------------------------


def _explain(error: yaml.YAMLError, text: str, source: str) -> str:
    """`source:line: problem`, with what to do about the most common one."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    context = getattr(error, "context", None)
    what = f"{context}: {problem}" if context else str(problem)
    if mark is None:
        return f"{source}: {what}"
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        what = "found a tab where only spaces may indent; replace it by spaces"
    return f"{source}:{mark.line + 1}: error converting YAML to JSON: {what}"
