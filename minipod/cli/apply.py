"""`minipod apply`: manifests go to the node, which checks all of them before it creates anything."""

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
        raise UsageError(
            "must specify what to apply: -f FILE, -f FOLDER, or -f - for standard input", args.verb
        )
    if "" in args.all("break-at"):
        raise UsageError("--break-at needs a place; `minipod plan -f FILE` names them", args.verb)
    body, source = gather(args.all("filename"), args.verb)
    where = target(
        "/minipod/v1/apply",
        [
            ("namespace", args.text("namespace")),
            ("wait", "true" if args.on("wait") else ""),
            ("break", args.text("break-at")),
            ("source", source),
        ],
    )
    return show(ask("POST", where, body, YAML))


COMMAND = Command(
    "apply",
    "Create pods from manifests",
    run,
    usage=("apply -f FILE|FOLDER|- [--wait] [flags]", "apply -f FILE --break-at PLACE"),
    about="Every document of every file is checked before anything is created. Applying the same manifest again\n"
    "changes nothing. In folders, *.yaml, *.yml and *.json are read.",
    examples=(
        (
            "Create a pod and wait until its containers run",
            "minipod apply --wait -f examples/shared-context.yaml",
        ),
        ("Everything in a folder", "minipod apply -f examples/"),
        ("From standard input, into a namespace", "cat examples/hello.yaml | minipod apply -n lab -f -"),
        (
            "Stop before the container's program runs: see step, continue and enter",
            "minipod apply -f examples/hello.yaml --break-at exec",
        ),
    ),
    options=(
        Option("filename", "File, folder, or - for standard input; repeatable", "f", "FILE", "file"),
        Option("wait", "Return when every container has started or the pod has ended"),
        Option("break-at", "Stop there: sandbox, STAGE, OP, STAGE:OP or STAGE:INDEX", "", "PLACE"),
    ),
    words=("file",),
)
