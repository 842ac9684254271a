"""`minipod events`: what happened."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    if args.words:
        word = args.words[0]
        raise UsageError(f'unexpected argument "{word}"; did you mean --for pod/{word}?', args.verb)
    about = args.text("for")
    where = target(
        "/minipod/v1/get",
        [
            ("kind", "events"),
            ("namespace", args.namespace),
            ("for", pod_name(about, args.verb) if about else ""),
            ("types", args.text("types")),
            ("all", "true" if args.on("all-namespaces") else ""),
            ("output", args.text("output")),
            ("watch", "true" if args.on("watch") else ""),
            ("no-headers", "true" if args.on("no-headers") else ""),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "events",
    "Show what happened",
    run,
    usage=("events [--for pod/NAME] [-w] [flags]",),
    about="An event is kept for an hour.",
    examples=(
        ("To one pod", "minipod events --for pod/shared-context"),
        ("In all namespaces, and go on with what comes", "minipod events -A -w"),
        ("Only what is worrying", "minipod events --types=Warning"),
    ),
    options=(
        Option("for", "Only what happened to this pod", "", "pod/NAME", "pod/"),
        Option("types", "Normal, Warning", "", "TYPES", "Normal|Warning"),
        Option("watch", "After listing, go on with every event", "w"),
        Option("all-namespaces", "Those of all namespaces", "A"),
        Option("output", "json, yaml, name, jsonpath=…, custom-columns=…", "o", "FORMAT", "json|yaml|name"),
        Option("no-headers", "No line of column titles"),
    ),
)
