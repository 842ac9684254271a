"""`minipod get` and `minipod events`: what is there now and, with -w, what becomes of it."""

import time
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from minipod.errors import NotFound
from minipod.node import printers, selector, status, tables
from minipod.node.console import Console
from minipod.node.hub import AnyObject, Change
from minipod.node.node import NODE, Node
from minipod.node.query import flag, number
from minipod.spec.types import Event, Pod

_KINDS = {
    **dict.fromkeys(("pods", "pod", "po"), "Pod"),
    **dict.fromkeys(("events", "event", "ev"), "Event"),
}
_DOCUMENTS = ("json", "yaml", "jsonpath", "jsonpath-as-json")  # have something to say of nothing, too


class Query(msgspec.Struct, frozen=True):
    """What was asked for."""

    kind: str
    names: tuple[str, ...]
    namespace: str  # "": all
    output: str
    watch: bool
    selector: str
    about: str = ""  # events: of the pod of this name only
    types: tuple[str, ...] = ()  # events: Normal, Warning
    sort_by: str = ""
    labels: bool = False  # a column of them
    look: printers.Look = printers.Look()

    @classmethod
    def of(cls, request: web.Request) -> "Query":
        """Raises BadQuery."""
        query = request.query
        word = query.get("kind", "pods")
        if word not in _KINDS:
            raise status.BadQuery(
                f'the server doesn\'t have a resource type "{word}"; it has pods and events'
            )
        names = tuple(dict.fromkeys(query.getall("name", ())))
        everywhere = flag(query.get("all"))
        if everywhere and names:
            raise status.BadQuery("a resource cannot be retrieved by name across all namespaces")
        if names and query.get("selector"):
            raise status.BadQuery("name cannot be provided when a selector is specified")
        if flag(query.get("watch")) and query.get("sort-by"):
            raise status.BadQuery("--watch and --sort-by exclude each other: changes come as they come")
        return cls(
            kind=_KINDS[word],
            names=names,
            namespace="" if everywhere else query.get("namespace") or "default",
            output=query.get("output", ""),
            watch=flag(query.get("watch")),
            selector=query.get("selector", ""),
            about=query.get("for", ""),
            types=tuple(
                each.strip().capitalize() for each in query.get("types", "").split(",") if each.strip()
            ),
            sort_by=query.get("sort-by", ""),
            labels=flag(query.get("labels")),
            look=printers.Look(
                headers=not flag(query.get("no-headers")),
                width=number(query.get("width"), "width") or 0,
                colours=flag(query.get("colour")),
            ),
        )

    @property
    def wide(self) -> bool:
        return self.output == "wide"


async def get(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/get"""
    node = request.app[NODE]
    query = Query.of(request)
    printer = _printer(node, query)
    matches = _matches(query)

    def wanted(change: Change) -> bool:
        return matches(change.object)

    with node.objects.watch(wanted) as watch:
        found, missing = _find(node, query, matches)
        if (found or query.output.partition("=")[0] in _DOCUMENTS) and not (query.names and not found):
            single = len(query.names) == 1 or query.watch
            for each in [[one] for one in found] if query.watch and query.output else [found]:
                _show(console, printer.text(printers.ordered(each, query.sort_by), single))
        for error in missing:
            console.err(status.as_text(error))
        if not found and not missing and not query.watch and query.output.partition("=")[0] not in _DOCUMENTS:
            console.err(_nothing(query))
        if missing or not query.watch:
            return 1 if missing else 0
        await console.flush()
        async for change in watch:
            _show(console, printer.text([change.object], True))
            await console.flush()
    console.err("error: the node is stopping: watch ended")
    return 1


def _show(console: Console, text: str) -> None:
    if text:
        console.out(text)


def _nothing(query: Query) -> str:
    where = f" in {query.namespace} namespace" if query.namespace else ""
    if query.about:
        return f"No events found for pod {query.about}{where}."
    return f"No resources found{where}."


def _matches(query: Query) -> Callable[[AnyObject], bool]:
    """Which objects the query is about."""
    chosen = selector.labels(query.selector)

    def matches(each: AnyObject) -> bool:
        meta = each.metadata
        return (
            each.kind == query.kind
            and query.namespace in ("", meta.namespace)
            and (not query.names or meta.name in query.names)
            and chosen(meta.labels)
            and (not isinstance(each, Event) or _event_matches(query, each))
        )

    return matches


def _event_matches(query: Query, event: Event) -> bool:
    about = event.involved_object
    return query.about in ("", about.name) and (not query.types or event.type in query.types)


def _find(
    node: Node, query: Query, matches: Callable[[AnyObject], bool]
) -> tuple[Sequence[AnyObject], list[NotFound]]:
    """The objects there are, in the order asked for, and an error for each name that isn't there."""
    objects = node.objects
    listed: Sequence[AnyObject] = (
        objects.list_pods(query.namespace) if query.kind == "Pod" else objects.list_events(query.namespace)
    )
    found = [each for each in listed if matches(each)]
    if not query.names:
        return found, []
    by_name = {each.metadata.name: each for each in found}
    missing = [_missing(node, query, name) for name in query.names if name not in by_name]
    return [by_name[name] for name in query.names if name in by_name], missing


def _missing(node: Node, query: Query, name: str) -> NotFound:
    return node.objects.missing(query.namespace, name) if query.kind == "Pod" else NotFound("events", name)


def _printer(node: Node, query: Query) -> printers.Printer:
    everywhere = not query.namespace
    extra = ["LABELS"] if query.labels else []
    if query.kind == "Event":
        head = tables.event_head(everywhere)
    else:
        head = tables.pod_head(query.wide, everywhere)

    def row(each: AnyObject) -> list[str]:
        more = [tables.labels(each.metadata.labels)] if query.labels else []
        if isinstance(each, Event):
            return [*tables.event_row(each, time.time(), everywhere), *more]
        assert isinstance(each, Pod)
        return [*tables.pod_row(each, time.time(), node.facts.node_name, query.wide, everywhere), *more]

    return printers.printer(query.output, [*head, *extra], row, query.look)
