"""`minipod enter`: a shell in what there is of a pod whose build is stopped at a breakpoint."""

import posix

from minipod.api.client import quote, target
from minipod.cli.attach import path
from minipod.cli.console import ask, failure
from minipod.cli.exec import Session, size
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, UsageError


def run(args: Args) -> int:
    if len(args.words) != 1:
        raise UsageError("expected 'enter POD [-- APPLET [ARG...]]'", args.verb)
    tty = posix.isatty(0) and posix.isatty(1)
    rows, columns = size() if tty else ("", "")
    how = [("stdin", "true"), ("tty", "true" if tty else ""), ("rows", rows), ("columns", columns)]
    where = target(f"{path(args.namespace, pod_name(args.words[0], args.verb))}/enter", how)
    command = "".join([f"&command={quote(word)}" for word in args.rest])
    reply = ask("POST", where + command, upgrade="minipod-streams")
    if reply.status != 101:
        return failure(reply)
    session = Session(reply, True, tty)
    session.run(tty)
    return session.report()


COMMAND = Command(
    "enter",
    "Look around in a half-built pod",
    run,
    usage=("enter POD [-- APPLET [ARG...]]",),
    about="For a pod that was applied with --break-at. Runs busybox, the host's or an image's, in all namespaces and\n"
    "with the root and the working directory of the process that is stopped, but with all capabilities. Without an\n"
    "applet a shell, at the terminal if there is one. Where the build is stopped between processes, that is pause.",
    examples=(
        ("A shell", "minipod enter pod/hello"),
        ("One command; its exit code is passed on", "minipod enter hello -- ls /"),
        ("What is mounted so far", "minipod enter hello -- cat /proc/self/mountinfo"),
    ),
    words=("pod",),
    dashes=True,
)
