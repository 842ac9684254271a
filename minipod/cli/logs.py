"""`minipod logs`: what a container wrote."""

from minipod.api.client import target
from minipod.cli.console import ask, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError

_UNITS = {"ms": 0.001, "h": 3600.0, "m": 60.0, "s": 1.0}  # "ms" before "m"


def run(args: Args) -> int:
    if not 1 <= len(args.words) <= 2:
        raise UsageError("expected 'logs [flags] POD [CONTAINER]'", args.verb)
    container = args.text("container")
    if len(args.words) == 2:
        if container:
            raise UsageError("only one of -c or an inline CONTAINER argument is allowed", args.verb)
        container = args.words[1]
    tail, since = args.number("tail"), seconds(args.text("since"), args.verb)
    if tail.startswith("-") and tail != "-1":
        raise UsageError("--tail must be greater than or equal to -1", args.verb)
    where = target(
        "/minipod/v1/logs",
        [
            ("name", pod_name(args.words[0], args.verb)),
            ("namespace", args.namespace),
            ("container", container),
            ("follow", "true" if args.on("follow") else ""),
            ("previous", "true" if args.on("previous") else ""),
            ("tailLines", tail if tail != "-1" else ""),  # -1: all
            ("sinceSeconds", since if since != "0" else ""),  # 0: from the beginning
            ("timestamps", "true" if args.on("timestamps") else ""),
        ],
    )
    return show(ask("GET", where))


def seconds(text: str, verb: str) -> str:
    """Whole seconds, rounded up, of a Go duration such as 90s, 1h30m or 1.5h; empty for empty."""
    if not text:
        return ""
    total, rest = 0.0, text
    while rest:
        digits = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(digits) :]
        unit = next((unit for unit in _UNITS if rest.startswith(unit)), "")
        rest = rest[len(unit) :]
        try:
            total += float(digits) * _UNITS[unit]
        except (ValueError, KeyError):
            raise UsageError(
                f'invalid argument "{text}" for "--since" flag: write 90s, 5m or 1h30m', verb
            ) from None
    return str(-int(-total // 1))


COMMAND = Command(
    "logs",
    "Print what a container wrote",
    run,
    usage=("logs POD [CONTAINER] [flags]",),
    examples=(
        ("One container's log", "minipod logs shared-context -c client"),
        ("The last ten lines, then what comes", "minipod logs -f --tail 10 shared-context web"),
        ("What it wrote before its last restart, with times", "minipod logs -p --timestamps pod/restarts"),
    ),
    options=(
        Option("container", "The container; without it the first", "c", "NAME", "container"),
        Option("follow", "Go on with every new line", "f"),
        Option("previous", "The attempt before the last restart", "p"),
        Option("tail", "Only the last N lines", "", "N"),
        Option("since", "Only lines younger than this: 10s, 5m, 1h30m", "", "DURATION"),
        Option("timestamps", "The time before each line"),
    ),
    words=("pod", "container"),
)
