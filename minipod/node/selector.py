"""Label and field selectors. Pure. Grammar: Kubernetes documentation, "Labels and Selectors"."""

import re
from collections.abc import Callable

from minipod.node.status import BadQuery
from minipod.spec.types import Event

Matches = Callable[[dict[str, str]], bool]

_KEY = r"[A-Za-z0-9][A-Za-z0-9._/-]*"
_SET = re.compile(rf"({_KEY})\s+(in|notin)\s*\(([^()]*)\)")
_EQUAL = re.compile(rf"({_KEY})\s*(==|=|!=)\s*([A-Za-z0-9._-]*)")
_EXISTS = re.compile(rf"(!?)\s*({_KEY})")


def labels(text: str) -> Matches:
    """`a=b,c!=d,e in (f,g),h notin (i),j,!k` as a test of an object's labels; raises BadQuery."""
    terms = [_term(term.strip()) for term in re.split(r",(?![^(]*\))", text)] if text.strip() else []
    return lambda found: all(term(found) for term in terms)


def _term(term: str) -> Matches:
    if match := _SET.fullmatch(term):
        key, operator, listed = match.groups()
        values = {value.strip() for value in listed.split(",")}
        if operator == "in":
            return lambda found: found.get(key) in values
        return lambda found: found.get(key) not in values
    if match := _EQUAL.fullmatch(term):
        key, operator, value = match.groups()
        if operator == "!=":
            return lambda found: found.get(key) != value
        return lambda found: found.get(key) == value
    if match := _EXISTS.fullmatch(term):
        absent, key = match.groups()
        return lambda found: (key in found) != bool(absent)
    raise BadQuery(
        f'unable to parse label selector: "{term}": write key=value, key!=value, key in (a,b), key or !key'
    )


_FIELDS: dict[str, Callable[[Event], str]] = {
    "involvedObject.kind": lambda event: event.involved_object.kind,
    "involvedObject.name": lambda event: event.involved_object.name,
    "involvedObject.namespace": lambda event: event.involved_object.namespace,
    "involvedObject.uid": lambda event: event.involved_object.uid,
    "reason": lambda event: event.reason,
    "type": lambda event: event.type,
}


def event_fields(text: str) -> Callable[[Event], bool]:
    """`involvedObject.name=web,type!=Normal` as a test of an event; raises BadQuery."""
    tests: list[tuple[Callable[[Event], str], str, bool]] = []
    for term in filter(None, text.split(",")):
        match = re.fullmatch(r"([\w.]+)(==|=|!=)(.*)", term)
        if not match or match[1] not in _FIELDS:
            raise BadQuery(f'field selector "{term}": events can be selected by {", ".join(_FIELDS)}')
        tests.append((_FIELDS[match[1]], match[3], match[2] != "!="))
    return lambda event: all((field(event) == value) == wanted for field, value, wanted in tests)
