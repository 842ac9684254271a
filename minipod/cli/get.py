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
        ("What happened", "minipod get events"),
    ),
    options=(
        Option("output", "wide, json, yaml or name", "o", "FORMAT", "wide|json|yaml|name"),
        Option("watch", "After listing, go on with every change", "w"),
        Option("all-namespaces", "Those of all namespaces", "A"),
        Option("selector", "Only those with these labels: a=b,c!=d", "l", "LABELS"),
    ),
    words=("pods|pod|po|events", "pod"),
)
