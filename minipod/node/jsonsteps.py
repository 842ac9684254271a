"""What the parts of a JSONPath do: a step goes from the values found so far to those one further (see jsonpath.py)."""

from collections.abc import Callable, Iterable
from typing import Any

Values = list[Any]
Step = Callable[[Values], Values]


class JSONPathError(ValueError):
    """The template can't be understood, or doesn't fit the object."""


def walk(steps: list[Step], values: Values) -> Values:
    for step in steps:
        values = step(values)
    return values


def constant(value: Any) -> Step:
    return lambda values: [value for _ in values]


def field(name: str) -> Step:
    return lambda values: [each[name] for each in values if isinstance(each, dict) and name in each]


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def wildcard(values: Values) -> Values:
    return [inner for each in values for inner in _inside(each)]


def recursive(values: Values) -> Values:
    """Every object and list, outer ones first."""
    found: Values = []
    for each in values:
        if inside := list(_inside(each)):
            found += [each, *recursive(inside)]
    return found


def union(alternatives: list[list[Step]]) -> Step:
    return lambda values: [found for steps in alternatives for found in walk(steps, values)]


def between(first: int | None, last: int | None, by: int | None, one: bool) -> Step:
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


COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: bool(left == right),
    "!=": lambda left, right: bool(left != right),
    "<": lambda left, right: bool(left < right),
    "<=": lambda left, right: bool(left <= right),
    ">": lambda left, right: bool(left > right),
    ">=": lambda left, right: bool(left >= right),
}


def having(left: list[Step], operator: str | None, right: list[Step]) -> Step:
    """`[?(left operator right)]`; without an operator: those that have `left`."""

    def passes(item: Any) -> bool:
        ours = walk(left, [item])
        if operator is None:
            return bool(ours)
        theirs = walk(right, [item])
        if not ours or not theirs:
            return False
        if len(ours) > 1 or len(theirs) > 1:
            raise JSONPathError("can only compare one element at a time")
        if _kind(ours[0]) != _kind(theirs[0]):
            raise JSONPathError(
                f"incompatible types for comparison: {_kind(ours[0])} and {_kind(theirs[0])}"
                + ("; a text needs quotes" if isinstance(ours[0], str) else "")
            )
        return COMPARE[operator](ours[0], theirs[0])

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
