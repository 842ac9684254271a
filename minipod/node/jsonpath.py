"""kubectl's JSONPath: `-o jsonpath=…`, the columns of `-o custom-columns=…`, `--sort-by`. Pure.

It isn't RFC 9535's: text stands around actions in braces, `{range …}{end}` repeats, a missing field is nothing at all.
Grammar: https://kubernetes.io/docs/reference/kubectl/jsonpath/; what it leaves open is as in k8s.io/client-go's
util/jsonpath (parser.go, jsonpath.go).

    JSONPath('{range .items[*]}{.metadata.name}{"\\n"}{end}').text(pods)
    relaxed(".status.phase").values(pod)
"""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from minipod.node import jsonsteps
from minipod.node.jsonsteps import JSONPathError, Step, Values
from minipod.spec import quantity

# A backslash takes the next character as it is: app\.kubernetes\.io
_FIELD = re.compile(r"(?:\\.|[^\\\s.,\[\]$@{}])+")
_NUMBER = re.compile(r"[+-]?[0-9.]+")
_SLICE = re.compile(r"(-?\d*)(:-?\d*)?(:-?\d*)?")
_FILTER = re.compile(r"([^!<>=]+)([!<>=~]+)(.+)", re.DOTALL)
_QUOTED = re.compile(r"""'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)\"""")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_DIGITS = re.compile(r"(\d+)")
_RELAXED = re.compile(r"\{\.?([^{}]+)\}|\.?([^{}]+)")


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
                for each in jsonsteps.walk(part.steps, [value]):
                    yield from body.results(each)
            else:
                yield jsonsteps.walk(part.steps, [value])


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
        steps.append(jsonsteps.constant(_unquoted(quoted)))
        return quoted.end()
    if text.startswith("[?(", position):
        return _read_filter(text, position, steps)
    if letter == "[":
        return _read_brackets(text, position, steps)
    if text.startswith("..", position):
        steps.append(jsonsteps.recursive)
        position += 1
        return _read_field(text, position, steps) if _FIELD.match(text, position + 1) else position + 1
    if letter == ".":
        return _read_field(text, position, steps)
    if number := _NUMBER.match(text, position):
        steps.append(jsonsteps.constant(_number(number[0])))
        return number.end()
    if (word := _FIELD.match(text, position)) and word[0] in ("true", "false"):
        steps.append(jsonsteps.constant(word[0] == "true"))
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
    steps.append(jsonsteps.wildcard if name[0] == "*" else jsonsteps.field(re.sub(r"\\(.)", r"\1", name[0])))
    return name.end()


def _read_brackets(text: str, position: int, steps: list[Step]) -> int:
    end = _closing(text, position, "]")
    inside = text[position + 1 : end]
    alternatives = [each.strip() for each in split(inside)]
    if len(alternatives) > 1:
        steps.append(jsonsteps.union([_steps(f"[{each}]") for each in alternatives]))
    else:
        steps.append(_bracketed(alternatives[0]))
    return end + 1


def _bracketed(text: str) -> Step:
    if text == "*":
        return jsonsteps.between(None, None, None, False)
    if quoted := _QUOTED.fullmatch(text):
        return jsonsteps.field(re.sub(r"\\(.)", r"\1", quoted[1] if quoted[1] is not None else quoted[2]))
    match = _SLICE.fullmatch(text)
    if not match or not text:
        raise JSONPathError(f"invalid array index {text}")
    first, *more = match.groups()
    bounds = [int(bound[1:]) if bound and bound != ":" else None for bound in more]
    return jsonsteps.between(int(first) if first else None, bounds[0], bounds[1], more == [None, None])


def _read_filter(text: str, position: int, steps: list[Step]) -> int:
    end = _closing(text, position + 2, ")")
    if text[end + 1 : end + 2] != "]":
        raise JSONPathError("unclosed array expect ]")
    inside = text[position + 3 : end]
    compared = _FILTER.fullmatch(inside)
    if not compared:
        steps.append(jsonsteps.having(_steps(inside), None, []))
    else:
        left, operator, right = compared.groups()
        if operator not in jsonsteps.COMPARE:
            raise JSONPathError(f"unrecognized filter operator {operator}")
        steps.append(jsonsteps.having(_steps(left), operator, _steps(right)))
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
