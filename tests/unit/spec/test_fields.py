"""The field table is complete, consistent with the structs and the documentation."""

import re
from pathlib import Path

import msgspec
import pytest

from minipod.spec import types
from minipod.spec.fields import TYPES, markdown

SCALARS = {"string", "bool", "int32", "int64", "Quantity", "IntOrString", "Time", "object"}
ROWS = [(name, field) for name, found in TYPES.items() for field in found.fields.values()]
STRUCTS = [name for name in TYPES if hasattr(types, name)]


def element(kind):
    return re.sub(r"^(\[\]|map\[string\])", "", kind)


def test_the_documentation_is_what_the_table_says():
    assert (Path(__file__).parents[3] / "docs/fields.md").read_text() == markdown(), (
        "run: python -m minipod.spec.fields > docs/fields.md"
    )


def test_every_row_has_a_known_type_and_class_and_a_meaning():
    assert len(ROWS) > 400
    for name, field in ROWS:
        assert element(field.type) in SCALARS | TYPES.keys(), (name, field)
        assert field.support in ("applied", "no effect", "later", "refused", ""), (name, field)
        assert field.meaning, (name, field)


def test_every_struct_of_the_table_is_reached_from_the_pod():
    reached, waiting = set(), ["Pod"]
    while waiting:
        name = waiting.pop()
        reached.add(name)
        kinds = {element(field.type) for field in TYPES[name].fields.values()}
        waiting += (kinds & TYPES.keys()) - reached
    assert reached == TYPES.keys()


@pytest.mark.parametrize("name", STRUCTS)
def test_the_struct_holds_what_is_applied_or_shown_and_nothing_else_of_a_manifest(name):
    kept = {field.name for field in TYPES[name].fields.values() if field.support in ("applied", "no effect")}
    written_by_the_node = {
        field.name for field in TYPES[name].fields.values() if field.support in ("refused", "later", "")
    }
    held = {field.encode_name for field in msgspec.structs.fields(getattr(types, name))}
    # seccompProfile is in the table for its one value that is accepted; there is nothing to hold.
    assert kept - {"seccompProfile"} <= held
    assert held <= kept | written_by_the_node  # or of the class of its parent


def test_the_fields_of_a_pod_are_those_of_kubernetes():
    counts = {
        name: len(TYPES[name].fields)
        for name in ("PodSpec", "Container", "Volume", "Probe", "SecurityContext")
    }
    # Counted in the API reference of core/v1, v1.35.
    assert counts == {"PodSpec": 42, "Container": 25, "Volume": 31, "Probe": 10, "SecurityContext": 12}
    assert len(TYPES["EphemeralContainer"].fields) == len(TYPES["Container"].fields) + 1


@pytest.mark.parametrize(
    ("struct", "name", "row"),
    [
        ("ResourceList", "hugepages-2Mi", "hugepages-*"),
        ("ResourceList", "example.com/dongle", "*/*"),
        ("ResourceList", "memory", "memory"),
        ("PodSpec", "hostname", "hostname"),
    ],
)
def test_a_row_may_stand_for_a_family_of_resources(struct, name, row):
    assert TYPES[struct].find(name) is TYPES[struct].fields[row]


@pytest.mark.parametrize(
    ("struct", "name", "value", "accepted"),
    [
        ("PodSpec", "hostPID", False, True),
        ("PodSpec", "hostPID", True, False),
        ("PodSpec", "hostPID", None, True),
        ("PodSpec", "hostAliases", [], True),
        ("PodSpec", "overhead", {}, True),
        ("PodSpec", "subdomain", "", True),
        ("PodSpec", "subdomain", "x", False),
        ("PodSecurityContext", "fsGroupChangePolicy", "Always", True),
        ("PodSecurityContext", "fsGroupChangePolicy", "OnRootMismatch", False),
        ("PodSpec", "priority", 0, True),
        ("PodSpec", "priority", False, False),
        ("Container", "livenessProbe", {}, False),
        ("ContainerPort", "hostPort", 0, True),
    ],
)
def test_only_values_that_change_nothing_are_accepted_silently(struct, name, value, accepted):
    assert TYPES[struct].fields[name].accepts(value) is accepted
