"""`minipod describe`: a pod, its containers and what happened to it."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import kind_and_names
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    kind, names = kind_and_names(args)
    if kind != "pods":
        raise UsageError("only pods can be described; for events: minipod events", args.verb)
    selector, everywhere = args.text("selector"), args.on("all-namespaces")
    if names and (selector or everywhere):
        raise UsageError("name cannot be provided when a selector or -A is specified", args.verb)
    where = target(
        "/minipod/v1/describe",
        [
            ("kind", kind),
            *[("name", name) for name in names],
            ("namespace", args.namespace),
            ("all", "true" if everywhere else ""),
            ("selector", selector),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "describe",
    "Show pods in detail, with their events",
    run,
    usage=("describe pod [NAME...] [flags]", "describe pod/NAME..."),
    about="NAME may also be what names of pods begin with.",
    examples=(
        ("One pod", "minipod describe pod shared-context"),
        ("Every pod whose name begins with it", "minipod describe pod/shared"),
        ("Those with a label", "minipod describe pods -l app=shared-context"),
    ),
    options=(
        Option("selector", "Only those with these labels: a=b,c!=d", "l", "LABELS"),
        Option("all-namespaces", "Those of all namespaces", "A"),
    ),
    words=("pods|pod|po", "pod"),
)
