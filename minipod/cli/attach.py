"""`minipod attach`: see what a running container writes from now on, and write what it reads."""

import posix

from minipod.api.client import Reply, quote, target
from minipod.cli.console import ask, err, failure
from minipod.cli.exec import Session, size
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError

HINT = "If you don't see a command prompt, try pressing enter."


def run(args: Args) -> int:
    if len(args.words) != 1:
        raise UsageError("expected 'attach POD'", args.verb)
    stdin = args.on("stdin")
    pod = path(args.namespace, pod_name(args.words[0], args.verb))
    reply = ask_for(pod, args.text("container"), stdin)
    if reply.status != 101:
        return failure(reply)
    session = attend(reply, stdin, "" if args.on("quiet") else HINT)
    if session.code is None:
        return session.report()
    return 0  # that the container has ended is no failure of ours


def path(namespace: str, pod: str) -> str:
    return f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}"


def ask_for(pod: str, container: str, stdin: bool, wait: bool = False) -> Reply:
    """Asks for the streams of a container, at once or as soon as it runs."""
    rows, columns = size() if posix.isatty(0) else ("", "")
    how = [("container", container), ("stdin", "true" if stdin else ""), ("wait", "true" if wait else "")]
    where = target(f"{pod}/attach", [*how, ("rows", rows), ("columns", columns)])
    return ask("POST", where, upgrade="minipod-streams")


def attend(reply: Reply, stdin: bool, hint: str) -> Session:
    """Until the container has ended. `hint` is said to somebody at a terminal."""
    session = Session(reply, stdin, False)
    started = session.start()
    raw = stdin and posix.isatty(0) and session.terminal >= 0
    if raw and hint:
        err(hint)
    if started:
        session.run(raw)
    return session


COMMAND = Command(
    "attach",
    "Attach to a running container",
    run,
    usage=("attach [-i] [-c CONTAINER] POD",),
    about="Shows what the container's main process writes from now on, and with -i passes standard input to it, if\n"
    "its manifest says stdin: true. A container with tty: true has our terminal while that lasts.",
    examples=(
        ("What it writes from now on", "minipod attach shared-context -c client"),
        ("Standard input, too: for a container with stdin: true", "minipod attach -it shell"),
        ("What somebody types goes to the container", "echo exit | minipod attach -i pod/shell"),
    ),
    options=(
        Option("container", "The container; without it the first", "c", "NAME", "container"),
        Option("stdin", "Pass standard input to the container", "i"),
        Option("tty", "As the container's manifest says, whether given or not", "t"),
        Option("quiet", "No hint about the prompt", "q"),
    ),
    words=("pod",),
)
