"""What stands in a query string, where it isn't text."""

from minipod.node.status import BadQuery

_DIGITS = 18  # at most: what fits an int64


def flag(text: str | None) -> bool:
    """A boolean of a query string."""
    return (text or "").lower() in ("1", "true", "yes")


def number(text: str | None, name: str) -> int | None:
    """A whole number of a query string, not negative; None if it isn't there."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _DIGITS:
        raise BadQuery(f'{name} must be a whole number, not "{text:.40}"')
    return int(text)
