"""`minipod continue`: to the end of a build that is stopped at a breakpoint."""

from minipod.api.client import target
from minipod.cli.console import ask, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, UsageError


def run(args: Args) -> int:
    if len(args.words) != 1:
        raise UsageError("expected 'continue POD'", args.verb)
    params = [("name", pod_name(args.words[0], args.verb)), ("namespace", args.namespace)]
    return show(ask("POST", target("/minipod/v1/continue", params)))


COMMAND = Command(
    "continue",
    "Go on with a stopped build to its end",
    run,
    usage=("continue POD",),
    about="For a pod that was applied with --break-at. It doesn't stop any more.",
    examples=(
        ("Let it go", "minipod continue hello"),
        ("Of another namespace", "minipod continue -n default hello"),
        ("The same, by kind and name", "minipod continue pod/hello"),
    ),
    words=("pod",),
)
