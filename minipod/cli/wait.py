"""`minipod wait`: until pods are as somebody wants them."""

from minipod.api.client import target
from minipod.cli.console import ask, show
from minipod.cli.kinds import kind_and_names
from minipod.cli.options import Args, Command, Option, UsageError


def run(args: Args) -> int:
    kind, names = kind_and_names(args)
    if kind != "pods":
        raise UsageError("only pods can be waited for", args.verb)
    what = args.text("for")
    if not what:
        raise UsageError("say what for: --for=condition=Ready, --for=delete, --for=jsonpath=…", args.verb)
    every, selector = args.on("all"), args.text("selector")
    if names and (every or selector):
        raise UsageError("name cannot be provided when a selector or --all is specified", args.verb)
    if not (names or every or selector):
        raise UsageError("name pods, or write --all or -l LABELS", args.verb)
    query = [("for", what), ("timeout", args.text("timeout")), ("namespace", args.namespace)]
    query += [*[("name", name) for name in names], ("selector", selector)]
    return show(ask("GET", target("/minipod/v1/wait", query)))


COMMAND = Command(
    "wait",
    "Wait until pods are ready, gone, or as you like",
    run,
    usage=("wait pod NAME... --for=WHAT [--timeout=30s]", "wait pods --all|-l LABELS --for=WHAT"),
    about="WHAT is create, delete, condition=TYPE[=STATUS], or jsonpath='{.PATH}'[=VALUE].\n"
    "Exit code 1 if the time is over.",
    examples=(
        ("Until it answers", "minipod wait pod/shared-context --for=condition=Ready"),
        (
            "Until it has an address",
            "minipod wait pod shared-context --for=jsonpath='{.status.podIP}' --timeout=1m",
        ),
        ("Until there is none", "minipod wait pod/no-such-pod --for=delete"),
    ),
    options=(
        Option("for", "What to wait for", "", "WHAT", "condition=Ready|delete|create"),
        Option("timeout", "How long: 90s, 1m30s (default 30s); 0: look once; negative: a week", "", "TIME"),
        Option("all", "All pods of the namespace"),
        Option("selector", "Those with these labels: a=b,c!=d", "l", "LABELS"),
    ),
    words=("pods|pod|po", "pod"),
)
