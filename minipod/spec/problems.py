"""How a problem of a manifest is told: the texts that the rules of validate.py share.

Facts: apimachinery's util/validation/field/errors.go, v1.35. A problem is a pair of field path and message.
"""

from collections.abc import Iterator

Problems = Iterator[tuple[str, str]]


def invalid(path: str, value: str | int, why: str) -> tuple[str, str]:
    shown = f'"{value}"' if isinstance(value, str) else value
    return path, f"Invalid value: {shown}: {why}"


def choice(path: str, value: str, supported: tuple[str, ...]) -> Problems:
    if value not in supported:
        values = ", ".join(f'"{item}"' for item in supported)
        yield path, f'Unsupported value: "{value}": supported values: {values}'


def between(path: str, value: int, low: int, high: int) -> Problems:
    if not low <= value <= high:
        yield invalid(path, value, f"must be between {low} and {high}, inclusive")
