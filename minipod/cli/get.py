"""`minipod get`: tables, YAML, JSON or names, all rendered by the node."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
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
            ("sort-by", args.text("sort-by")),
            ("no-headers", "true" if args.on("no-headers") else ""),
            ("labels", "true" if args.on("show-labels") else ""),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "get",
    "List pods or events",
    run,
    usage=("get pods [NAME...] [flags]", "get pod/NAME... [flags]", "get events [flags]"),
    examples=(
        ("All pods of the default namespace", "minipod get pods"),
        ("With addresses, and again at every change", "minipod get po -o wide -w"),
        ("One pod as YAML, with its status", "minipod get pod/shared-context -o yaml"),
        ("A value, for a script", "minipod get pod shared-context -o jsonpath='{.status.podIP}'"),
        ("The oldest first", "minipod get pods -A --sort-by=.metadata.creationTimestamp"),
        ("Columns of your own", "minipod get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP"),
    ),
    options=(
        Option(
            "output",
            "wide, json, yaml, name, jsonpath=…, jsonpath-as-json=… or custom-columns=…",
            "o",
            "FORMAT",
            "wide|json|yaml|name|jsonpath=|custom-columns=",
        ),
        Option("watch", "After listing, go on with every change", "w"),
        Option("all-namespaces", "Those of all namespaces", "A"),
        Option("selector", "Only those with these labels: a=b,c!=d,e in (f,g),!h", "l", "LABELS"),
        Option("sort-by", "By what a JSONPath finds: .metadata.name", "", "PATH"),
        Option("show-labels", "A column with their labels"),
        Option("no-headers", "No line of column titles"),
    ),
    words=("pods|pod|po|events", "pod"),
)
