"""`minipod step`: the next operation of a build that is stopped at a breakpoint."""

from minipod.api.client import target
from minipod.cli.console import ask, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, UsageError


def run(args: Args) -> int:
    if len(args.words) not in (1, 2):
        raise UsageError("expected 'step POD [COUNT]'", args.verb)
    count = args.words[1] if len(args.words) == 2 else "1"
    if not count.isdecimal() or not int(count):
        raise UsageError(f'COUNT is how many operations to do, not "{count}"', args.verb)
    params = [("name", pod_name(args.words[0], args.verb)), ("namespace", args.namespace), ("count", count)]
    return show(ask("POST", target("/minipod/v1/step", params)))


COMMAND = Command(
    "step",
    "Do the next operation of a stopped build",
    run,
    usage=("step POD [COUNT]",),
    about="For a pod that was applied with --break-at. Does one operation or COUNT, says which, and stops again.",
    examples=(
        ("The next operation", "minipod step hello"),
        ("The next ten", "minipod step hello 10"),
        ("As far as there are operations", "minipod step hello 1000"),
    ),
    words=("pod", ""),
)
