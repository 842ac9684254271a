"""`minipod observe`: what a pod's containers share, from the kernel's own evidence."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    if len(args.words) != 1:
        raise UsageError("expected 'observe POD'", args.verb)
    where = target(
        "/minipod/v1/observe",
        [
            ("name", pod_name(args.words[0], args.verb)),
            ("namespace", args.namespace),
            ("output", args.text("output")),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "observe",
    "Show what the containers of a pod share",
    run,
    usage=("observe POD [flags]",),
    about="For host, pause and every container: the inode of each namespace, and whether it is the host's, the pod's\n"
    "(held by pause) or the container's own. Then every shared volume with the device and inode each container sees.",
    examples=(
        ("A table", "minipod observe shared-context"),
        ("The same for a program", "minipod observe shared-context -o json"),
        ("A pod whose containers see each other's processes", "minipod observe shared-processes"),
    ),
    options=(Option("output", "json", "o", "FORMAT", "json"),),
    words=("pod",),
)
