"""`minipod plan`: what apply would do, as commands."""

from minipod.api.client import target
from minipod.cli.console import YAML, ask, show
from minipod.cli.options import Args, Command, Option, UsageError
from minipod.cli.sources import gather


def run(args: Args) -> int:
    if args.words:
        raise UsageError(
            f'unexpected argument "{args.words[0]}"; did you mean -f {args.words[0]}?', args.verb
        )
    if not args.all("filename"):
        raise UsageError("must specify what to plan: -f FILE, or -f - for standard input", args.verb)
    body, source = gather(args.all("filename"), args.verb)
    where = target(
        "/minipod/v1/plan",
        [
            ("namespace", args.text("namespace")),
            ("output", args.text("output")),
            ("undo", "true" if args.on("undo") else ""),
            ("source", source),
        ],
    )
    return show(ask("POST", where, body, YAML))


COMMAND = Command(
    "plan",
    "Show how a pod would be built, without building it",
    run,
    usage=("plan -f FILE [-o json|shell [--undo]] [flags]",),
    about="Stage by stage: which process does it, which namespaces it joins and makes, the cgroup it is born in; and\n"
    "each operation as the command a person would type, with the field of the manifest that asked for it. Names\n"
    "that are chosen when a pod is made are variables. With -o shell: a script that builds the pod on a machine\n"
    "where no node runs, and with --undo the script that removes it.",
    examples=(
        ("How a pod with a shared volume is built", "minipod plan -f examples/shared-context.yaml"),
        ("A script of it, and the way back", "minipod plan -f examples/limits.yaml -o shell >limits.sh"),
        ("For a program", "minipod plan -f examples/hello.yaml -o json"),
    ),
    options=(
        Option("filename", "File, or - for standard input; repeatable", "f", "FILE", "file"),
        Option("output", "json, or shell: a script", "o", "FORMAT", "json|shell"),
        Option("undo", "The script that takes back what the other one made"),
    ),
    words=("file",),
)
