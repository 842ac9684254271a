"""`minipod observe`: what a pod is, from the kernel's own evidence."""

import posix

from minipod.api.client import target
from minipod.cli.console import ask, looks, show
from minipod.cli.kinds import pod_name
from minipod.cli.options import Args, Command, Option, UsageError

_SECTIONS = (
    Option("processes", "The processes, with the PIDs each PID namespace knows them by"),
    Option("net", "Interfaces, addresses, routes, neighbours, and who has which socket"),
    Option("ipc", "Shared memory, semaphores and queues (System V and POSIX), /dev/shm, and who is attached"),
    Option("mounts", "Every volume and mount: the same directory in which containers, options, propagation"),
    Option("cgroup", "The tree of cgroups: limits, use, pressure, out-of-memory kills"),
    Option("security", "Users and their maps, capabilities, seccomp, no_new_privs, LSM label"),
)


def run(args: Args) -> int:
    if not 1 <= len(args.words) <= 2:
        raise UsageError("expected 'observe POD [POD|host]'", args.verb)
    with_host = args.words[1:] == ["host"]  # a pod of that name is pod/host
    names = args.words[:1] if with_host else args.words
    shown = [each.name for each in _SECTIONS if args.on("all") or args.on(each.name)]
    if shown and len(args.words) > 1:
        raise UsageError("two are compared as a whole; --net and the like are for one pod", args.verb)
    where = target(
        "/minipod/v1/observe",
        [
            *(("name", pod_name(name, args.verb)) for name in names),
            ("with-host", "true" if with_host else ""),
            ("namespace", args.namespace),
            *(("show", name) for name in shown),
            ("output", args.text("output")),
            *(_watching() if args.on("watch") else ()),
            *looks(),
        ],
    )
    return show(ask("GET", where))


def _watching() -> list[tuple[str, str]]:
    """On a terminal the node draws over what it drew before, and must know what there is room for."""
    can_redraw = posix.isatty(1) and posix.environ.get(b"TERM") != b"dumb"
    lines = posix.get_terminal_size(1).lines if can_redraw else 0
    return [("watch", "true"), ("height", str(lines or ""))]


COMMAND = Command(
    "observe",
    "Show what a pod is: what its containers share, and what each has",
    run,
    usage=("observe POD [flags]", "observe POD POD|host [flags]"),
    about="For host, pause and every container: the inode of each namespace, and whether it is the host's, the pod's\n"
    "(held by pause) or the container's own. Then every shared volume with the device and inode each container sees.\n"
    "With --net and the like: only that, as many of them as you like. Two pods, or a pod and `host`, are compared:\n"
    "which namespaces and volumes have they in common? Everything is read from the kernel.",
    examples=(
        ("What the containers share", "minipod observe shared-context"),
        ("Who listens on which port, and who runs", "minipod observe shared-context --net --processes"),
        ("A picture of it", "minipod observe shared-context -o svg >pod.svg"),
        ("Everything, for a program", "minipod observe shared-context --all -o json"),
        ("What two pods have in common, and a pod and the machine", "minipod observe shared-context host"),
        ("A pod whose containers see each other's processes", "minipod observe shared-processes --processes"),
        ("Look again and again", "minipod observe shared-context --cgroup --watch"),
    ),
    options=(
        *_SECTIONS,
        Option("all", "All of these"),
        Option("watch", "Look again every second", "w"),
        Option("output", "json, or svg: a picture of the pod", "o", "FORMAT", "json|svg"),
    ),
    words=("pod",),
)
