"""`minipod delete`: stops pods and removes everything they left on the host."""

from minipod.api.client import target
from minipod.cli.console import YAML, ask, show
from minipod.cli.kinds import kind_and_names
from minipod.cli.options import Args, Command, Option, UsageError
from minipod.cli.sources import gather


def run(args: Args) -> int:
    how = [("grace", grace(args)), ("wait", "true" if args.on("wait", True) else "false")]
    how += [("ignore-not-found", "true" if args.on("ignore-not-found") else "")]
    files = args.all("filename")
    if files:
        if args.words:
            raise UsageError("name pods, or files with -f, not both", args.verb)
        body, source = gather(files, args.verb)
        how += [("namespace", args.text("namespace")), ("source", source)]
        return show(ask("POST", target("/minipod/v1/delete", how), body, YAML))
    kind, names = kind_and_names(args) if args.words or not args.on("all") else ("pods", [])
    if kind != "pods":
        raise UsageError("only pods can be deleted; events go by themselves", args.verb)
    every, selector = args.on("all"), args.text("selector")
    if names and (every or selector):
        raise UsageError("name cannot be provided when a selector or --all is specified", args.verb)
    if not (names or every or selector):
        raise UsageError(
            "resource(s) were provided, but no name was specified: name pods, or write --all", args.verb
        )
    how += [("kind", kind), ("namespace", args.namespace), *[("name", name) for name in names]]
    how += [("all", "true" if every else ""), ("selector", selector)]
    how += [("all-namespaces", "true" if args.on("all-namespaces") else "")]
    return show(ask("POST", target("/minipod/v1/delete", how)))


def grace(args: Args) -> str:
    """Seconds between SIGTERM and SIGKILL; empty: what each pod's terminationGracePeriodSeconds says."""
    given = args.number("grace-period")
    if given.startswith("-"):
        given = ""  # kubectl's -1: not given
    if not (args.on("now") or args.on("force")):
        return given
    if given.strip("0"):
        raise UsageError("--now and --grace-period cannot be specified together", args.verb)
    return "0"


COMMAND = Command(
    "delete",
    "Stop and remove pods",
    run,
    usage=("delete pod NAME... [flags]", "delete pods --all|-l LABELS", "delete -f FILE|FOLDER|- [flags]"),
    about="Returns when the pods and everything they left on the host are gone.",
    examples=(
        ("Ask nicely, wait as long as the pod says", "minipod delete pod shared-context"),
        ("At once", "minipod delete pod/hello --now"),
        (
            "Whatever a manifest describes, within 5 seconds",
            "minipod delete -f examples/hello.yaml --grace-period 5",
        ),
    ),
    options=(
        Option("filename", "File, folder, or - for standard input; repeatable", "f", "FILE", "file"),
        Option("all", "All pods of the namespace"),
        Option("selector", "Those with these labels: a=b,c!=d", "l", "LABELS"),
        Option("all-namespaces", "With --all or -l: those of all namespaces", "A"),
        Option("grace-period", "Seconds from SIGTERM to SIGKILL, instead of the pod's own", "", "N"),
        Option("now", "--grace-period 0: SIGKILL after two seconds, as a kubelet"),
        Option("force", "The same as --now"),
        Option("wait", "Wait until it is gone (default true)"),
        Option("ignore-not-found", "One that is gone already is no error"),
    ),
    words=("pods|pod|po", "pod"),
)
