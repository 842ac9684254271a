"""`minipod help`, `--help` of every verb, and what a first-time user sees."""

from minipod.cli.options import VERBS, Args, Command, UsageError, load

_FIRST_STEPS = """\
minipod runs real Kubernetes pods on this machine and shows what their containers share.

Try:
  minipod apply -f examples/shared-context.yaml --wait   # create a pod (the node starts by itself)
  minipod get pods                                       # see it
  minipod observe shared-context                         # see what its containers share
  minipod exec -it shared-context -- sh                  # look around inside
  minipod delete pod shared-context                      # nothing is left

All commands: minipod --help. Can this machine run pods? minipod node check"""


def run(args: Args) -> int:
    from minipod.cli.console import out

    if len(args.words) > 1:
        raise UsageError("expected 'help [VERB]'", args.verb)
    out(describe(load(args.words[0])) if args.words else overview())
    return 0


def first_steps() -> str:
    """For `minipod` alone."""
    return _FIRST_STEPS


def overview() -> str:
    """Every verb with its summary."""
    lines = ["minipod runs real Kubernetes pods on one Linux machine.", ""]
    for title, verbs in VERBS.items():
        lines.append(f"{title}:")
        lines += [f"  {verb:<12} {load(verb).summary}" for verb in verbs]
        lines.append("")
    lines.append("Every verb explains itself: minipod VERB --help")
    return "\n".join(lines)


def describe(command: Command) -> str:
    """The --help of one verb."""
    lines = [f"{command.summary}."]
    if command.about:
        lines += ["", command.about]
    lines += ["", "Examples:"]
    for what, example in command.examples:
        lines += [f"  # {what}", f"  {example}", ""]
    lines.append("Options:")
    heads = []
    for option in command.options:
        short = f"-{option.short}, " if option.short else "    "
        heads.append(f"  {short}--{option.name}" + (f" {option.value}" if option.value else ""))
    width = max(map(len, heads)) + 3
    lines += [f"{head:<{width}}{option.help}" for head, option in zip(heads, command.options, strict=True)]
    lines += ["", "Usage:", *[f"  minipod {usage}" for usage in command.usage]]
    return "\n".join(lines)


COMMAND = Command(
    "help",
    "Explain a verb",
    run,
    usage=("help [VERB]",),
    examples=(
        ("All verbs", "minipod help"),
        ("One of them", "minipod help apply"),
        ("The same", "minipod apply --help"),
    ),
    words=("verb",),
)
