"""`minipod debug`: a container more in a pod that runs, to look around with tools of its own."""

import json

from minipod.cli.attach import HINT, ask_for, attend, path
from minipod.cli.console import ask, err, failure
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError
from minipod.cli.run import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PATCH = "application/strategic-merge-patch+json"
_LETTERS = b"bcdfghjklmnpqrstvwxz2456789"  # no vowels: no words (k8s.io/apimachinery/pkg/util/rand)


def run(args: Args) -> int:
    if len(args.words) != 1 or not args.text("image"):
        raise UsageError("expected 'debug POD --image=IMAGE [-- COMMAND]'", args.verb)
    stdin, attached = args.on("stdin"), args.on("attach", args.on("stdin"))
    if args.on("tty") and not stdin:
        raise UsageError("-i/--stdin is required for containers with -t/--tty", args.verb)
    pod, wanted = path(args.namespace, pod_name(args.words[0], args.verb)), container(args)
    if args.text("container") and wanted["name"] in _names(pod):
        raise UsageError(
            f'container "{wanted["name"]}" is there already: attach -c, or another name', args.verb
        )
    body = json.dumps({"spec": {"ephemeralContainers": [wanted]}}).encode()
    reply = ask("PATCH", f"{pod}/ephemeralcontainers", body, _PATCH)
    if reply.status >= 400:
        return failure(reply)
    reply.read()
    quiet = args.on("quiet")
    if not quiet and not args.text("container"):
        err(f"Defaulting debug container name to {wanted['name']}.")
    if not attached:
        return 0
    reply = ask_for(pod, wanted["name"], stdin, wait=True)
    if reply.status != 101:
        return failure(reply)
    session = attend(reply, stdin, "" if quiet else HINT)
    return session.report() if session.code is None else 0


def _names(pod: str) -> list[str]:
    """Of the pod's ephemeral containers. A patch with the name of one would be none."""
    reply = ask("GET", f"{pod}/ephemeralcontainers")
    if reply.status != 200:
        return []
    return [one["name"] for one in json.loads(reply.read())["spec"].get("ephemeralContainers", ())]


def container(args: Args) -> "dict[str, Any]":
    """The ephemeral container. Raises UsageError."""
    found: dict[str, Any] = {"name": args.text("container") or _name(), "image": args.text("image")}
    if args.text("target"):
        found["targetContainerName"] = args.text("target")
    if args.all("env"):
        found["env"] = [variable(text, args) for text in args.all("env")]
    if args.text("image-pull-policy"):
        found["imagePullPolicy"] = args.text("image-pull-policy")
    if args.rest:
        found["args" if args.on("arguments-only") else "command"] = args.rest
    if args.on("stdin"):
        found |= {"stdin": True, "tty": args.on("tty")}
    return found


def _name() -> str:
    from posix import urandom

    return "debugger-" + "".join(chr(_LETTERS[byte % len(_LETTERS)]) for byte in urandom(5))


COMMAND = Command(
    "debug",
    "Add an ephemeral container to a running pod",
    run,
    usage=("debug POD --image=IMAGE [-it] [--target=CONTAINER] [flags] [-- COMMAND...]",),
    about="It shares the pod's network, and with --target the processes of a container, whatever is in that one's\n"
    "image. It is never started again and stays in the pod's manifest; `minipod attach -c` comes back to it.",
    examples=(
        (
            "A shell that sees the processes of a container",
            "minipod debug -it shared-context --image=busybox --target=web -- sh",
        ),
        (
            "One look at the pod's network",
            "minipod debug shared-context -i --image=busybox -- netstat -ltn",
        ),
        (
            "One that stays, under a name of its own",
            "minipod debug shared-context -c tools --image=busybox -- sleep 600",
        ),
    ),
    options=(
        Option("image", "The container's image", "", "IMAGE", "image"),
        Option("target", "The container whose processes it shall see", "", "NAME", "container"),
        Option("container", "The new container's name (default: debugger- and five letters)", "c", "NAME"),
        Option("env", "An environment variable; repeatable", "", "NAME=VALUE"),
        Option("stdin", "Pass standard input to the container, and wait for its end", "i"),
        Option("tty", "Give it a terminal", "t"),
        Option("attach", "Show what it writes, and wait for its end (default with -i)"),
        Option("arguments-only", "Words after -- are the arguments of the image's command"),
        Option(
            "image-pull-policy", "Always, IfNotPresent or Never", "", "POLICY", "Always|IfNotPresent|Never"
        ),
        Option("quiet", "No hints", "q"),
    ),
    words=("pod",),
    dashes=True,
)
