"""`minipod get`: tables, YAML, JSON or names, all rendered by the node."""

import posix

from minipod.api.client import target
from minipod.cli.console import ask, coloured, show
from minipod.cli.kinds import kind_and_names
from minipod.cli.options import Args, Command, Option


def run(args: Args) -> int:
    kind, names = kind_and_names(args)
    where = target(
        "/minipod/v1/get",
        [
            ("kind", kind),
            *[("name", name) for name in names],
            ("namespace", args.namespace),
            ("all", "true" if args.on("all-namespaces") else ""),
            ("output", args.text("output")),
            ("watch", "true" if args.on("watch") else ""),
            ("selector", args.text("selector")),
            ("width", _width()),
            ("colour", "true" if coloured() else ""),
        ],
    )
    return show(ask("GET", where))


def _width() -> str:
    """Columns of the terminal on stdout; empty in a pipe, or for a terminal that doesn't know (0)."""
    return str(posix.get_terminal_size(1).columns or "") if posix.isatty(1) else ""


COMMAND = Command(
    "get",
    "List pods",
    run,
    usage=("get pods [NAME...] [flags]", "get pod/NAME... [flags]"),
    examples=(
        ("All pods of the default namespace", "minipod get pods"),
        ("With addresses, and again at every change", "minipod get po -o wide -w"),
        ("One pod as YAML, with its status", "minipod get pod/shared-context -o yaml"),
    ),
    options=(
        Option("output", "wide, json, yaml or name", "o", "FORMAT", "wide|json|yaml|name"),
        Option("watch", "After listing, go on with every change", "w"),
        Option("all-namespaces", "Pods of all namespaces", "A"),
        Option("selector", "Only pods with these labels: a=b,c!=d", "l", "LABELS"),
    ),
    words=("pods|pod|po", "pod"),
)
