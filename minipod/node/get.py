"""`minipod get`: what is there now and, with -w, what becomes of it."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from aiohttp import web

from minipod.errors import NotFound
from minipod.node import output, selector, status, tables
from minipod.node.console import Console
from minipod.node.hub import AnyObject, Change
from minipod.node.node import NODE, Node
from minipod.spec.types import Event, Pod

_KINDS = {
    **dict.fromkeys(("pods", "pod", "po"), "Pod"),
    **dict.fromkeys(("events", "event", "ev"), "Event"),
}
_OUTPUTS = ("", "wide", "name", "json", "yaml")


class Query(msgspec.Struct, frozen=True):
    """What was asked for."""

    kind: str
    names: tuple[str, ...]
    namespace: str  # "": all
    output: str
    watch: bool
    selector: str

    @classmethod
    def of(cls, request: web.Request) -> "Query":
        """Raises BadQuery."""
        query = request.query
        word = query.get("kind", "pods")
        if word not in _KINDS:
            raise status.BadQuery(
                f'the server doesn\'t have a resource type "{word}"; it has pods and events'
            )
        if query.get("output", "") not in _OUTPUTS:
            form = query["output"]
            raise status.BadQuery(
                f'unable to match a printer suitable for the output format "{form}", '
                "allowed formats are: json,name,wide,yaml"
            )
        names = tuple(query.getall("name", ()))
        everywhere = flag(query.get("all"))
        if everywhere and names:
            raise status.BadQuery("a resource cannot be retrieved by name across all namespaces")
        if names and query.get("selector"):
            raise status.BadQuery("name cannot be provided when a selector is specified")
        return cls(
            kind=_KINDS[word],
            names=names,
            namespace="" if everywhere else query.get("namespace") or "default",
            output=query.get("output", ""),
            watch=flag(query.get("watch")),
            selector=query.get("selector", ""),
        )


def flag(text: str | None) -> bool:
    """A boolean of a query string."""
    return (text or "").lower() in ("1", "true", "yes")


async def get(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/get"""
    node = request.app[NODE]
    query = Query.of(request)
    wanted = _wanted(query)
    with node.objects.watch(wanted) as watch:
        found, missing = _find(node, query)
        page = _Page(node, query)
        page.show(console, found)
        for error in missing:
            console.err(status.as_text(error))
        if not found and not missing and not query.watch and query.output not in ("json", "yaml"):
            where = f" in {query.namespace} namespace" if query.namespace else ""
            console.err(f"No resources found{where}.")
        if missing or not query.watch:
            return 1 if missing else 0
        await console.flush()
        async for change in watch:
            page.show(console, [change.object], again=True)
            await console.flush()
    console.err("error: the node is stopping: watch ended")
    return 1


def _wanted(query: Query) -> Callable[[Change], bool]:
    """Which changes concern the query."""
    chosen = selector.labels(query.selector)

    def wanted(change: Change) -> bool:
        meta = change.object.metadata
        return (
            change.object.kind == query.kind
            and query.namespace in ("", meta.namespace)
            and (not query.names or meta.name in query.names)
            and chosen(meta.labels)
        )

    return wanted


def _find(node: Node, query: Query) -> tuple[Sequence[AnyObject], list[NotFound]]:
    """The objects there are, in the order asked for, and an error for each name that isn't there."""
    objects, chosen = node.objects, selector.labels(query.selector)
    listed: Sequence[AnyObject] = (
        objects.list_pods(query.namespace) if query.kind == "Pod" else objects.list_events(query.namespace)
    )
    if not query.names:
        return [each for each in listed if chosen(each.metadata.labels)], []
    by_name = {each.metadata.name: each for each in listed}
    missing = [NotFound(f"{query.kind.lower()}s", name) for name in query.names if name not in by_name]
    return [by_name[name] for name in query.names if name in by_name], missing


class _Page:
    """Prints objects in the output format asked for; a table's head once, its columns never narrower than before."""

    def __init__(self, node: Node, query: Query) -> None:
        self._node, self._query = node, query
        self._widths: list[int] = []

    def show(self, console: Console, found: Sequence[Any], again: bool = False) -> None:
        """`again`: one more object of a watch."""
        query = self._query
        single = again or len(query.names) == 1
        if query.output == "name":
            for each in found:
                console.out(f"{each.kind.lower()}/{each.metadata.name}")
        elif query.output in ("json", "yaml"):
            if query.names and not found:
                return
            if again and query.output == "yaml":
                console.out("---")
            console.out((output.as_json if query.output == "json" else output.as_yaml)(found, single))
        elif found:
            console.out(self._table(found))

    def _table(self, found: Sequence[AnyObject]) -> str:
        rows = [self._row(each) for each in found]
        if not self._widths:
            rows.insert(0, self._head())
            self._widths = [0] * len(rows[0])
        self._widths = [
            max(width, *map(len, cells))
            for width, cells in zip(self._widths, zip(*rows, strict=True), strict=True)
        ]
        return tables.align(rows, self._widths)

    def _head(self) -> list[str]:
        everywhere = not self._query.namespace
        if self._query.kind == "Event":
            return tables.event_head(everywhere)
        return tables.pod_head(self._query.output == "wide", everywhere)

    def _row(self, each: AnyObject) -> list[str]:
        now, everywhere = time.time(), not self._query.namespace
        if isinstance(each, Event):
            return tables.event_row(each, now, everywhere)
        assert isinstance(each, Pod)
        return tables.pod_row(each, now, self._node.facts.node_name, self._query.output == "wide", everywhere)
