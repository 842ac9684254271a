"""The output formats of `get`: what `-o` may say, and one printer for each."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from minipod.node import jsonpath, output, screen
from minipod.node.hub import AnyObject
from minipod.node.jsonsteps import JSONPathError
from minipod.node.status import BadQuery

FORMATS = ("custom-columns", "json", "jsonpath", "jsonpath-as-json", "name", "wide", "yaml")
_NARROWEST = 3  # columns of kubectl's custom columns are at least 6 wide, with the gap
Row = Callable[[AnyObject], list[str]]


class Printer(Protocol):
    """Prints objects."""

    def text(self, found: Sequence[Any], single: bool) -> str:
        """Lines for `found`; `single`: it was asked for by name, so it is no list."""


class Look(msgspec.Struct, frozen=True):
    """How the client's side looks."""

    headers: bool = True
    width: int = 0  # of the terminal; 0: none, or unknown
    colours: bool = False


def no_printer(form: str, allowed: Sequence[str]) -> BadQuery:
    """The error for an output format that there isn't, in kubectl's words."""
    return BadQuery(
        f'unable to match a printer suitable for the output format "{form}", '
        f"allowed formats are: {','.join(allowed)}"
    )


def split(text: str) -> tuple[str, str]:
    """Name and argument of `-o NAME=ARGUMENT`. Raises BadQuery."""
    name, _, argument = text.partition("=")
    if text and name not in FORMATS:
        raise no_printer(text, FORMATS)
    if name in ("custom-columns", "jsonpath", "jsonpath-as-json") and not argument:
        example = "NAME:.metadata.name" if name == "custom-columns" else "'{.metadata.name}'"
        raise BadQuery(f"template format specified but no template given: write -o {name}={example}")
    return name, argument


def printer(form: str, head: Sequence[str], row: Row, look: Look) -> Printer:
    """For `-o form`; `head` and `row` make the table. Raises BadQuery."""
    name, argument = split(form)
    match name:
        case "json" | "yaml":
            return _Documents(name)
        case "name":
            return _Names()
        case "jsonpath" | "jsonpath-as-json":
            return _Template(name, argument)
        case "custom-columns":
            return _custom(argument, look)
    table = screen.Table(head, headers=look.headers, width=look.width, colours=look.colours)
    return _Rows(table, row)


class _Rows:
    def __init__(self, table: screen.Table, row: Row) -> None:
        self._table, self._row = table, row

    def text(self, found: Sequence[Any], single: bool) -> str:  # noqa: ARG002
        return self._table.text([self._row(each) for each in found]) if found else ""


class _Names:
    def text(self, found: Sequence[Any], single: bool) -> str:  # noqa: ARG002
        return "\n".join(f"{each.kind.lower()}/{each.metadata.name}" for each in found)


class _Documents:
    """YAML or JSON; in YAML, a line of dashes between one and the next."""

    def __init__(self, form: str) -> None:
        self._form, self._first = form, True

    def text(self, found: Sequence[Any], single: bool) -> str:
        if self._form == "json":
            return output.as_json(found, single)
        between, self._first = "" if self._first else "---\n", False
        return between + output.as_yaml(found, single)


class _Template:
    def __init__(self, name: str, template: str) -> None:
        self._values = name == "jsonpath-as-json"
        self._shown = template
        try:
            self._template = jsonpath.JSONPath(template)
        except JSONPathError as error:
            raise BadQuery(f"error parsing jsonpath {template}, {error}") from None

    def text(self, found: Sequence[Any], single: bool) -> str:
        value = as_value(output.whole(found, single))
        try:
            if self._values:
                return output.indented(self._template.values(value))
            return self._template.text(value)
        except JSONPathError as error:
            raise BadQuery(f'error executing jsonpath "{self._shown}": {error}') from None


def _custom(columns: str, look: Look) -> _Rows:
    heads: list[str] = []
    paths: list[jsonpath.JSONPath] = []
    for column in jsonpath.split(columns):
        head, colon, path = column.partition(":")
        if not colon:
            raise BadQuery(f"unexpected custom-columns spec: {column}, expected <header>:<json-path-expr>")
        heads.append(head)
        paths.append(_path(path))

    def row(each: AnyObject) -> list[str]:
        value = as_value(each)
        return [",".join(map(jsonpath.plain, _values(path, value))) or "<none>" for path in paths]

    return _Rows(screen.Table(heads, headers=look.headers, narrowest=_NARROWEST), row)


def _path(expression: str) -> jsonpath.JSONPath:
    try:
        return jsonpath.relaxed(expression)
    except JSONPathError as error:
        raise BadQuery(str(error)) from None


def _values(path: jsonpath.JSONPath, value: Any) -> list[Any]:
    """What is there; nothing where the path leads nowhere."""
    try:
        return path.values(value)
    except JSONPathError:
        return []


def as_value(each: Any) -> Any:
    """As JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(each))


def ordered(found: Sequence[AnyObject], by: str) -> Sequence[AnyObject]:
    """Sorted by the value of an expression (`--sort-by`); those that lack it come first. Raises BadQuery."""
    if not by:
        return found
    path = _path(by)

    def key(each: AnyObject) -> tuple[Any, ...]:
        values = _values(path, as_value(each))
        return jsonpath.sort_key(values[0] if values else None)

    return sorted(found, key=key)
