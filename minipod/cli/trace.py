"""`minipod trace`: what was done to make a pod, and how long it took."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    if len(args.words) != 1:
        raise UsageError("expected 'trace POD'", args.verb)
    where = target(
        "/minipod/v1/trace",
        [
            ("name", pod_name(args.words[0], args.verb)),
            ("namespace", args.namespace),
            ("output", args.text("output")),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "trace",
    "Show what was done to make a pod, and how long it took",
    run,
    usage=("trace POD [flags]",),
    about="Every operation with the process that did it, its start and duration in ms (zero is the request), what\n"
    "came of it, and the command a person would type. If the pod failed to start: where, and at which command.",
    examples=(
        ("A table", "minipod trace shared-context"),
        ("A picture: a lane for each process", "minipod trace shared-context -o svg >waterfall.svg"),
        ("For https://ui.perfetto.dev", "minipod trace shared-context -o chrome >trace.json"),
        ("For a program", "minipod trace shared-context -o json"),
    ),
    options=(Option("output", "svg, chrome (Trace Event Format) or json", "o", "FORMAT", "svg|chrome|json"),),
    words=("pod",),
)
