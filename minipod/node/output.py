"""Objects as JSON and YAML, as kubectl prints them. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
import yaml

from minipod.spec import yamlio

_STR = "tag:yaml.org,2002:str"
_Base: Any = yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper


class _Dumper(_Base):  # type: ignore[misc]
    """Block style; texts of several lines as literal blocks; whatever go-yaml wouldn't read as a string is quoted."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def _string(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text:
        style = "|"
    elif yamlio.plain(text) != text or dumper.resolve(yaml.ScalarNode, text, (True, False)) != _STR:
        style = '"'
    return dumper.represent_scalar(_STR, text, style=style)


_Dumper.add_representer(str, _string)


def as_yaml(objects: Sequence[Any], single: bool) -> str:
    value = msgspec.to_builtins(whole(objects, single))
    return str(yaml.dump(value, Dumper=_Dumper, default_flow_style=False, width=1 << 30, allow_unicode=True))


def as_json(objects: Sequence[Any], single: bool) -> str:
    return indented(whole(objects, single))


def indented(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=4).decode() + "\n"


def whole(objects: Sequence[Any], single: bool) -> Any:
    """The object itself if it was asked for by name, else a List."""
    if single:
        return objects[0]
    return {"apiVersion": "v1", "items": list(objects), "kind": "List", "metadata": {"resourceVersion": ""}}
