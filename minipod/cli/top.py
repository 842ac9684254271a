"""`minipod top pod`: what pods use."""

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import kind_and_names
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    kind, names = kind_and_names(args)
    if kind != "pods":
        raise UsageError("only pods use something: minipod top pod", args.verb)
    what = next((word for word in ("processes", "containers") if args.on(word)), "pods")
    where = target(
        "/minipod/v1/top",
        [
            ("what", what),
            *[("name", name) for name in names],
            ("namespace", args.namespace),
            ("all", "true" if args.on("all-namespaces") else ""),
            ("selector", args.text("selector")),
            ("sort-by", args.text("sort-by")),
            ("no-headers", "true" if args.on("no-headers") else ""),
            *looks(),
        ],
    )
    return show(ask("GET", where))


COMMAND = Command(
    "top",
    "Show what pods use of CPU and memory",
    run,
    usage=("top pod [NAME...] [flags]",),
    about="CPU in thousandths of a core, measured over half a second; memory is the working set: what is charged to\n"
    "the cgroup, less pages of files that weren't used lately.",
    examples=(
        ("All pods, the busiest first", "minipod top pod --sort-by=cpu"),
        ("Each container of one", "minipod top pod shared-context --containers"),
        ("And each process in them", "minipod top pod shared-context --processes"),
    ),
    options=(
        Option("containers", "A line for each container"),
        Option("processes", "A line for each process: its pid here, and what is resident of it"),
        Option("all-namespaces", "Those of all namespaces", "A"),
        Option("selector", "Only those with these labels: a=b,c!=d", "l", "LABELS"),
        Option("sort-by", "cpu or memory", "", "WHAT", "cpu|memory"),
        Option("no-headers", "No line of column titles"),
    ),
    words=("pod|pods|po", "pod"),
)
