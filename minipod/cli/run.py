"""`minipod run`: a pod of one container, without a manifest."""

import json
import posix

from minipod.api import client
from minipod.cli.attach import HINT, ask_for, attend, path
from minipod.cli.console import YAML, ask, err, failure, out, show
from minipod.cli.options import Args, Command, Option, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

_POLICIES = ("Always", "OnFailure", "Never")


class _Interrupted(Exception):
    """A signal that would have ended us."""


def run(args: Args) -> int:
    manifest = pod(args)
    stdin, attached = args.on("stdin"), args.on("attach", args.on("stdin"))
    if args.on("rm") and not attached:
        raise UsageError("--rm should only be used for attached containers: with -i or --attach", args.verb)
    if args.on("tty") and not stdin:
        raise UsageError("-i/--stdin is required for containers with -t/--tty", args.verb)
    where = path(args.namespace, args.words[0])
    reply = ask("POST", where.rpartition("/")[0], json.dumps(manifest).encode(), YAML)  # JSON is YAML
    if reply.status >= 400:
        return failure(reply)
    reply.read()
    if not attached:
        out(f"pod/{args.words[0]} created")
        return 0
    if not args.on("rm"):
        return _attached(args, where, stdin)
    return _and_remove(args, where, stdin)


def pod(args: Args) -> "dict[str, Any]":
    """The manifest. Raises UsageError."""
    name, image = (args.words or [""])[0], args.text("image")
    if len(args.words) != 1:
        raise UsageError("expected 'run NAME --image=IMAGE [-- COMMAND]'", args.verb)
    if not image:
        raise UsageError('required flag(s) "image" not set: run NAME --image=busybox', args.verb)
    policy = args.text("restart", "Always")
    if policy not in _POLICIES:
        raise UsageError(f'invalid restart policy: "{policy}"; write {", ".join(_POLICIES)}', args.verb)
    container: dict[str, Any] = {"name": name, "image": image}
    if args.all("env"):
        container["env"] = [variable(text, args) for text in args.all("env")]
    if args.text("port"):
        container["ports"] = [{"containerPort": int(args.number("port"))}]
    if args.text("image-pull-policy"):
        container["imagePullPolicy"] = args.text("image-pull-policy")
    if args.rest:
        container["command" if args.on("command") else "args"] = args.rest
    if args.on("stdin"):
        container |= {"stdin": True, "stdinOnce": True, "tty": args.on("tty")}
    labels = _labels(args) or {"run": name}
    meta = {"name": name, "namespace": args.namespace, "labels": labels}
    spec = {"containers": [container], "restartPolicy": policy}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def variable(text: str, args: Args) -> dict[str, str]:
    """The variable of `--env NAME=VALUE`. Raises UsageError."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise UsageError(f"invalid env: {text}: write --env NAME=VALUE", args.verb)
    return {"name": name, "value": value}


def _labels(args: Args) -> dict[str, str]:
    labels: dict[str, str] = {}
    for text in ",".join(args.all("labels")).split(","):
        key, equals, value = text.partition("=")
        if text and not equals:
            raise UsageError(f"unexpected label spec: {text}: write --labels a=b,c=d", args.verb)
        if text:
            labels[key] = value
    return labels


def _attached(args: Args, where: str, stdin: bool) -> int:
    """Attach as soon as it runs; the container's exit code. What had ended by then is in its log."""
    quiet = args.on("quiet")
    reply = ask_for(where, "", stdin, wait=True)
    if reply.status != 101 and _exit_code(where) is None:
        return failure(reply)
    if reply.status != 101 or not stdin:  # its log has what it wrote before we came, too
        reply.sock.close()
        return _follow(args, where)
    session = attend(reply, stdin, "" if quiet else HINT)
    if session.error:  # it has ended in this very moment
        return _follow(args, where)
    if session.code is None:
        return session.report()
    name = args.words[0]
    if args.text("restart", "Always") == "Always" and not (quiet or args.on("rm")):
        err(f"Session ended, resume using 'minipod attach -i {name}' command when the pod is running")
    return session.code


def _follow(args: Args, where: str) -> int:
    how = [("name", args.words[0]), ("namespace", args.namespace), ("follow", "true")]
    failed = show(ask("GET", client.target("/minipod/v1/logs", how)))
    return _exit_code(where) or failed


def _exit_code(where: str) -> int | None:
    """Of the container, if it has ended."""
    reply = ask("GET", where)
    if reply.status != 200:
        return None
    for one in json.loads(reply.read()).get("status", {}).get("containerStatuses", ()):
        for state in ("state", "lastState"):
            ended = one.get(state, {}).get("terminated")
            if ended and ended.get("reason") not in ("StartError", "ContainerCannotRun"):
                return int(ended["exitCode"])
    return None


def _and_remove(args: Args, where: str, stdin: bool) -> int:
    """--rm: the pod goes with the session, also if a signal ends that."""
    import signal

    def interrupted(number: int, _: "FrameType | None") -> None:
        raise _Interrupted(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    killed = 0
    try:
        code = _attached(args, where, stdin)
    except _Interrupted as signalled:
        code, killed = 1, signalled.args[0]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    how = [("name", args.words[0]), ("namespace", args.namespace), ("grace", "0"), ("wait", "true")]
    reply = ask("POST", client.target("/minipod/v1/delete", how))
    reply.read()
    if reply.status < 400 and not args.on("quiet"):
        try:
            err(f'pod "{args.words[0]}" deleted')
        except OSError:
            pass  # the terminal has gone, perhaps that is why
    if killed:
        signal.signal(killed, signal.SIG_DFL)
        posix.kill(posix.getpid(), killed)
    return code


COMMAND = Command(
    "run",
    "Create a pod of one container, and perhaps work in it",
    run,
    usage=(
        "run NAME --image=IMAGE [--env K=V] [flags] [-- ARGS...]",
        "run NAME --image=IMAGE -it [--rm] [flags] [-- ARGS...]",
    ),
    about="Words after -- are the container's args; with --command, its command. With -i the exit code is the\n"
    "container's, and --rm removes the pod afterwards.",
    examples=(
        ("A shell in a pod that goes when you leave", "minipod run shell --image=busybox -it --rm -- sh"),
        (
            "One command in a pod of its own",
            "minipod run hi --image=busybox -i --rm --restart=Never -- echo hi",
        ),
        ("A pod that stays", "minipod run web --image=busybox --env PORT=80 -- httpd -f -p 80"),
    ),
    options=(
        Option("image", "The container's image", "", "IMAGE", "image"),
        Option("env", "An environment variable; repeatable", "", "NAME=VALUE"),
        Option("labels", "The pod's labels (default run=NAME)", "l", "A=B,C=D"),
        Option("restart", "Always (default), OnFailure or Never", "", "POLICY", "Always|OnFailure|Never"),
        Option("stdin", "Pass standard input to the container, and wait for its end", "i"),
        Option("tty", "Give it a terminal", "t"),
        Option("attach", "Show what it writes, and wait for its end (default with -i)"),
        Option("rm", "Remove the pod afterwards"),
        Option("command", "Words after -- replace the image's command, not only its arguments"),
        Option("port", "A port it listens on (information)", "", "N"),
        Option(
            "image-pull-policy", "Always, IfNotPresent or Never", "", "POLICY", "Always|IfNotPresent|Never"
        ),
        Option("quiet", "No hints", "q"),
    ),
    dashes=True,
)
