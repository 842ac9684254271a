"""kubectl's JSONPath: `-o jsonpath=…`, the columns of `-o custom-columns=…`, `--sort-by`. Pure.

It isn't RFC 9535's: text stands around actions in braces, `{range …}{end}` repeats, a missing field is nothing at all.
Grammar: https://kubernetes.io/docs/reference/kubectl/jsonpath/; what it leaves open is as in k8s.io/client-go's
util/jsonpath (parser.go, jsonpath.go).

    JSONPath('{range .items[*]}{.metadata.name}{"\\n"}{end}').text(pods)
    find(".status.phase", pod)
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from minipod.spec import quantity

Values = list[Any]
Step = Callable[[Values], Values]  # from the values found so far to those one step further

_FIELD = re.compile(
    r"(?:\\.|[^\\\s.,\[\]$@{}])+"
)  # a backslash takes the next character as it is: app\.kubernetes\.io
_NUMBER = re.compile(r"[+-]?[0-9.]+")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_FILTER = re.compile(r"([^!<>=]+)([!<>=~]+)(.+)", re.DOTALL)
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_DIGITS = re.compile(r"(\d+)")
_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")


class JSONPathError(ValueError):
    """The template can't be understood, or doesn't fit the object."""


class JSONPath:
    """A template, taken apart once. Raises JSONPathError."""

    def __init__(self, template: str) -> None:
        self._template = _Template(_parts(template))

    def text(self, value: Any) -> str:
        """The template filled in with an object; raises JSONPathError."""
        return "".join(" ".join(map(_shown, results)) for results in self._template.results(value))

    def values(self, value: Any) -> Values:
        """Everything the template's actions find."""
        return [found for results in self._template.results(value) for found in results]


def relaxed(expression: str) -> JSONPath:
    """Of `x.y`, `.x.y`, `{x.y}` or `{.x.y}`, as custom columns and --sort-by are written."""
    match = _RELAXED.fullmatch(expression)
    if not match:
        raise JSONPathError(
            f"unexpected path string {expression!r}, expected a 'name1.name2' or '.name1.name2' or "
            "'{name1.name2}' or '{.name1.name2}'"
        )
    return JSONPath(f"{{.{match[1] or match[2]}}}")


# --- templates: text, actions, ranges --------------------------------------------------------------------------------


class _Action(msgspec.Struct):
    word: str  # "", range or end
    steps: list[Step]


def _parts(template: str) -> Iterator[str | _Action]:
    """Text and actions in their order."""
    position = 0
    while (brace := template.find("{", position)) >= 0:
        if brace > position:
            yield template[position:brace]
        position = _end(template, brace + 1)
        yield _action(template[brace + 1 : position - 1])
    if position < len(template):
        yield template[position:]


def _end(template: str, position: int) -> int:
    """After the brace that closes the action; braces in quotes don't."""
    while position < len(template):
        if quoted := _QUOTED.match(template, position):
            position = quoted.end()
            continue
        position += 1
        if template[position - 1] == "}":
            return position
    raise JSONPathError(f"unclosed action: a }} is missing in {template!r}")


def _action(text: str) -> _Action:
    match = re.match(r"\s*(range|end)(?![\w.])\s*", text)
    return _Action(match[1], _steps(text[match.end() :])) if match else _Action("", _steps(text))


class _Template:
    """What follows one another between {range} and {end}, or in the whole template."""

    def __init__(self, parts: Iterator[str | _Action], ranged: bool = False) -> None:
        self._parts: list[tuple[str | _Action, _Template | None]] = []
        for part in parts:
            if isinstance(part, _Action) and part.word == "end":
                if not ranged:
                    raise JSONPathError("not in range, nothing to end")
                return
            loop = isinstance(part, _Action) and part.word == "range"
            self._parts.append((part, _Template(parts, True) if loop else None))

    def results(self, value: Any) -> Iterator[Values]:
        for part, body in self._parts:
            if isinstance(part, str):
                yield [part]
            elif body:
                for each in _walk(part.steps, [value]):
                    yield from body.results(each)
            else:
                yield _walk(part.steps, [value])


def _walk(steps: list[Step], values: Values) -> Values:
    for step in steps:
        values = step(values)
    return values


# --- one action: its steps -------------------------------------------------------------------------------------------


def _steps(text: str) -> list[Step]:
    steps: list[Step] = []
    position = 0
    while position < len(text):
        position = _step(text, position, steps)
    return steps


def _step(text: str, position: int, steps: list[Step]) -> int:
    """Read one step at `position`; where the next one begins."""
    letter = text[position]
    if letter in " @$":  # the current object: nothing changes
        return position + 1
    if quoted := _QUOTED.match(text, position):
        steps.append(_constant(_unquoted(quoted)))
        return quoted.end()
    if text.startswith("[?(", position):
        return _read_filter(text, position, steps)
    if letter == "[":
        return _read_brackets(text, position, steps)
    if text.startswith("..", position):
        steps.append(_recursive)
        position += 1
        return _read_field(text, position, steps) if _FIELD.match(text, position + 1) else position + 1
    if letter == ".":
        return _read_field(text, position, steps)
    if number := _NUMBER.match(text, position):
        steps.append(_constant(_number(number[0])))
        return number.end()
    if (word := _FIELD.match(text, position)) and word[0] in ("true", "false"):
        steps.append(_constant(word[0] == "true"))
        return word.end()
    if word:
        raise JSONPathError(f"unrecognized identifier {word[0]}: a field begins with a dot: .{word[0]}")
    raise JSONPathError(f"unrecognized character in action: {letter!r}")


def _read_field(text: str, position: int, steps: list[Step]) -> int:
    name = _FIELD.match(text, position + 1)
    if not name:
        if not text[position + 1 :].strip():  # {.}: the object itself
            return len(text)
        if text[position + 1] == "[":  # .[0]
            return position + 1
        raise JSONPathError(f"a field's name is missing after {text[: position + 1]!r}")
    steps.append(_wildcard if name[0] == "*" else _field(re.sub(r"\\(.)", r"\1", name[0])))
    return name.end()


def _read_brackets(text: str, position: int, steps: list[Step]) -> int:
    end = _closing(text, position, "]")
    inside = text[position + 1 : end]
    alternatives = [each.strip() for each in split(inside)]
    if len(alternatives) > 1:
        steps.append(_union([_steps(f"[{each}]") for each in alternatives]))
    else:
        steps.append(_bracketed(alternatives[0]))
    return end + 1


def _bracketed(text: str) -> Step:
    if text == "*":
        return _slice(None, None, None, False)
    if quoted := _QUOTED.fullmatch(text):
        return _field(re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2]))
    match = _SLICE.fullmatch(text)
    if not match or not text:
        raise JSONPathError(f"invalid array index {text}")
    first, *more = match.groups()
    bounds = [int(bound[1:]) if bound and bound != ":" else None for bound in more]
    return _slice(int(first) if first else None, bounds[0], bounds[1], more == [None, None])


def _read_filter(text: str, position: int, steps: list[Step]) -> int:
    end = _closing(text, position + 2, ")")
    if text[end + 1 : end + 2] != "]":
        raise JSONPathError("unclosed array expect ]")
    inside = text[position + 3 : end]
    compared = _FILTER.fullmatch(inside)
    if not compared:
        steps.append(_filter(_steps(inside), None, []))
    else:
        left, operator, right = compared.groups()
        if operator not in _COMPARE:
            raise JSONPathError(f"unrecognized filter operator {operator}")
        steps.append(_filter(_steps(left), operator, _steps(right)))
    return end + 2


def _closing(text: str, position: int, bracket: str) -> int:
    """Where `bracket` is, outside quotes."""
    while position < len(text) and text[position] != bracket:
        quoted = _QUOTED.match(text, position)
        position = quoted.end() if quoted else position + 1
    if position >= len(text):
        raise JSONPathError(f"unterminated {'array' if bracket == ']' else 'filter'}: {text}")
    return position


def split(text: str) -> list[str]:
    """At commas that stand neither in quotes nor in brackets."""
    pieces, begin, position, depth = [], 0, 0, 0
    while position < len(text):
        if quoted := _QUOTED.match(text, position):
            position = quoted.end()
            continue
        depth += {"[": 1, "]": -1}.get(text[position], 0)
        if text[position] == "," and not depth:
            pieces.append(text[begin:position])
            begin = position + 1
        position += 1
    return [*pieces, text[begin:]]


def _unquoted(quoted: re.Match[str]) -> str:
    text = quoted[1] if quoted[1] is not None else quoted[2]
    return re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text)


def _number(text: str) -> int | float:
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise JSONPathError(f"cannot parse number {text}") from None


# --- what the steps do -----------------------------------------------------------------------------------------------


def _constant(value: Any) -> Step:
    return lambda values: [value for _ in values]


def _field(name: str) -> Step:
    return lambda values: [each[name] for each in values if isinstance(each, dict) and name in each]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _wildcard(values: Values) -> Values:
    return [inner for each in values for inner in _inside(each)]


def _recursive(values: Values) -> Values:
    """Every object and list, outer ones first."""
    found: Values = []
    for each in values:
        if inside := list(_inside(each)):
            found += [each, *_recursive(inside)]
    return found


def _union(alternatives: list[list[Step]]) -> Step:
    return lambda values: [found for steps in alternatives for found in _walk(steps, values)]


def _slice(first: int | None, last: int | None, by: int | None, one: bool) -> Step:
    """`[first:last:by]`, or with `one` `[first]`."""
    if by is not None and by <= 0:
        raise JSONPathError("step must be > 0")

    def step(values: Values) -> Values:
        found: Values = []
        for each in values:
            if each is None:
                continue
            if not isinstance(each, list):
                raise JSONPathError(f"{_kind(each)} is not array or slice")
            begin, end = _bounds(first, last, one, len(each))
            found += each[begin : end : by or 1]
        return found

    return step


def _bounds(first: int | None, last: int | None, one: bool, length: int) -> tuple[int, int]:
    begin = first or 0
    begin += length if begin < 0 else 0
    end = begin + 1 if one else length if last is None else last
    end += length if end < 0 else 0
    if begin == end:
        return 0, 0
    if not 0 <= begin < length:
        raise JSONPathError(f"array index out of bounds: index {begin}, length {length}")
    if not 0 <= end <= length:
        raise JSONPathError(f"array index out of bounds: index {end - 1}, length {length}")
    if begin > end:
        raise JSONPathError(f"starting index {begin} is greater than ending index {end}")
    return begin, end


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def _filter(left: list[Step], operator: str | None, right: list[Step]) -> Step:
    """`[?(left operator right)]`; without an operator: those that have `left`."""

    def passes(item: Any) -> bool:
        ours = _walk(left, [item])
        if operator is None:
            return bool(ours)
        theirs = _walk(right, [item])
        if not ours or not theirs:
            return False
        if len(ours) > 1 or len(theirs) > 1:
            raise JSONPathError("can only compare one element at a time")
        if _kind(ours[0]) != _kind(theirs[0]):
            raise JSONPathError(
                f"incompatible types for comparison: {_kind(ours[0])} and {_kind(theirs[0])}"
                + ("; a text needs quotes" if isinstance(ours[0], str) else "")
            )
        return _COMPARE[operator](ours[0], theirs[0])

    def step(values: Values) -> Values:
        found: Values = []
        for each in values:
            if not isinstance(each, list):
                raise JSONPathError(f"{_kind(each)} is not array or slice and cannot be filtered")
            found += [item for item in each if passes(item)]
        return found

    return step


def _kind(value: Any) -> str:
    """JSON's word for a value's type; all numbers are one."""
    if isinstance(value, bool):
        return "boolean"
    words = {str: "string", int: "number", float: "number", dict: "object", list: "array"}
    return words.get(type(value), "null")


# --- texts -----------------------------------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    """A value in the output: texts as they are, objects and lists as JSON."""
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, order="sorted").decode()
    return plain(value)


def plain(value: Any) -> str:
    """As Go's fmt.Sprint prints it: what a custom column shows."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{plain(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(plain, value))}]"
    if value is None:
        return "<nil>"
    return str(value).lower() if isinstance(value, bool) else str(value)


def sort_key(value: Any) -> tuple[Any, ...]:
    """To sort values by: nothing, then numbers, then texts; quantities and numbers within texts count as such."""
    if value is None:
        return (0,)
    if isinstance(value, bool | int | float):
        return (1, value)
    text = plain(value)
    try:
        return (1, quantity.milli_value(text) / 1000)
    except ValueError:
        return (
            2,
            [(not part.isdigit(), int(part) if part.isdigit() else part) for part in _DIGITS.split(text)],
        )
