"""The field table: every field of a core/v1 Pod (Kubernetes v1.35) and what minipod does with it.

    applied      it has its Kubernetes effect
    no effect    accepted and shown; it can mean nothing on one node, and applying it says so
    later        it means something, but isn't supported yet: refused with its path
    refused      never possible in a manifest here: refused with the reason

`class=value` accepts that value silently, because it is what happens anyway. The class `-` is that of the field the
struct is found in. Nothing is ever ignored without a word: what isn't in the table is an unknown field.
`python -m minipod.spec.fields` prints the table as docs/fields.md.
"""

from typing import Any

import msgspec

from minipod.spec import fields_container, fields_pod, fields_volume


class Field(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    type: str  # string, bool, int32, int64, Quantity, IntOrString, Time, object, a struct; []T; map[string]T
    support: str  # applied, no effect, later, refused; "" for that of the parent
    meaning: str  # one line; of a refused field, why
    silent: tuple[Any, ...] = ()  # values accepted without a word

    def accepts(self, value: Any) -> bool:
        """Whether `value` is one of those that change nothing: Go's zero values, and those the row names."""
        return value in ("", [], None) or (value == {} and self.type[:4] == "map[") or self._names(value)

    def _names(self, value: Any) -> bool:
        return any(type(value) is type(item) and value == item for item in self.silent)


class Type(msgspec.Struct, frozen=True):
    """One struct of the API and its fields by name."""

    name: str
    meaning: str
    fields: dict[str, Field]

    def find(self, name: str) -> Field | None:
        """The row of a field. Resource names may stand for a family: hugepages-*, and */* for those with a domain."""
        field = self.fields.get(name)
        if field is None and "*/*" in self.fields:
            if name.startswith("hugepages-"):
                return self.fields["hugepages-*"]
            if "/" in name:
                return self.fields["*/*"]
        return field


def _rows(table: str) -> dict[str, Type]:
    """Read a table: a line at the margin begins a struct, an indented one is a field; columns are two spaces apart."""
    types: dict[str, Type] = {}
    current: Type | None = None
    for line in table.splitlines():
        columns = [column.strip() for column in line.split("  ") if column.strip()]
        if not columns:
            continue
        if line.startswith(" "):
            assert current is not None
            name, kind, support, meaning = columns
            support, _, silent = support.partition("=")
            values = tuple(_value(text) for text in silent.split("|")) if silent else ()
            current.fields[name] = Field(name, kind, support.removeprefix("-"), meaning, values)
        else:
            name, _, base = columns[0].partition(" = ")
            current = types[name] = Type(name, columns[1], dict(types[base].fields) if base else {})
    return types


def _value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


TYPES: dict[str, Type] = {
    name: found
    for part in (fields_pod, fields_container, fields_volume)
    for name, found in _rows(part.TABLE).items()
}


def markdown() -> str:
    """docs/fields.md."""
    lines = [
        "# Every field of a Pod, and what minipod does with it",
        "",
        "Printed by `python -m minipod.spec.fields` from the table the decoder works with; Kubernetes v1.35, core/v1.",
        "",
        "| class | meaning |",
        "|---|---|",
        "| applied | it has its Kubernetes effect |",
        "| no effect | accepted and shown; it can mean nothing on one node, and applying it says so |",
        "| later | it means something, but isn't supported yet: refused with its path |",
        "| refused | never possible in a manifest here: refused with the reason |",
        "| as its parent | that of the field the struct is found in |",
        "",
        "An unknown field is an error. A value after the class is accepted: it is what happens anyway. So are `null`,",
        'an empty list and `""`.',
    ]
    for found in TYPES.values():
        lines += ["", f"## {found.name}", "", f"{found.meaning[0].upper()}{found.meaning[1:]}.", ""]
        lines += ["| field | type | class | meaning |", "|---|---|---|---|"]
        lines += [_markdown_row(field) for field in found.fields.values()]
    return "\n".join(lines) + "\n"


def _markdown_row(field: Field) -> str:
    support = field.support or "as its parent"
    if field.silent:
        values = ", ".join(f"`{msgspec.json.encode(value).decode()}`" for value in field.silent)
        support += f" (accepted: {values})"
    return f"| `{field.name}` | `{field.type}` | {support} | {field.meaning} |"


if __name__ == "__main__":
    print(markdown(), end="")
