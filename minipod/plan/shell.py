"""A pod's plan as a shell script: what a person would type, in the same order. Pure.

A stage that is a process of its own becomes two texts, because a shell doesn't enter namespaces itself: what is done
before, which ends by running nsenter(1) and unshare(1), and what these run inside. Once a container's root is the root
directory there may be neither mount(8) nor setpriv(1): see plan/frame.py for where they come from then.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from minipod.plan import frame
from minipod.plan.core import Op, Plan, Stage, undo
from minipod.plan.fields import field
from minipod.plan.ops import host, mounts, namespaces, process
from minipod.plan.undo import DeleteLink, RemoveCgroup, RemoveTree, Rmdir, Umount, Unclaim, Undo, Unlink
from minipod.plan.words import PAUSE, quote
from minipod.spec.types import Pod

_PAUSE = "sandbox/pause"
_OPTIONAL = ("memory.swap.max", "memory.memsw.limit_in_bytes", "memory.oom.group")  # not on every kernel
# What the last command of a process says all at once.
_LAST = (
    process.ChangeDirectory,
    process.NoNewPrivileges,
    process.LimitCapabilities,
    process.SetUser,
    process.SetCapabilities,
    process.Exec,
    process.ExecDescriptor,
)


class Part(NamedTuple):
    """A plan, and whether its container must have ended well before the next part: an init container."""

    plan: Plan
    to_the_end: bool = False


def script(pod: Pod, parts: Iterable[Part], around: frame.Frame) -> str:
    """The script that builds the pod."""
    lines = [*frame.prologue(pod, around)]
    for part in parts:
        for stage in part.plan:
            lines += ["", f"# --- {stage.name}: {described(stage)}"]
            lines += stage_lines(pod, stage, part.to_the_end)
    return "\n".join([*lines, *frame.epilogue(around)]) + "\n"


def undo_script(parts: Iterable[Part], around: frame.Frame) -> str:
    """The script that removes it, however far the first one came."""
    words = [word for part in reversed([*parts]) for word in undo(part.plan)]
    return "\n".join([*frame.undo_prologue(around), *map(undone, words), *frame.undo_epilogue(around)]) + "\n"


def described(stage: Stage) -> str:
    """Which process runs a stage, what it joins and makes, and the cgroup it is born in."""
    joined = [f"{', '.join(op.kinds)} of the {op.of}" for op in stage.ops if isinstance(op, namespaces.Join)]
    made = [kind for op in stage.ops if isinstance(op, namespaces.Unshare) for kind in op.kinds]
    made += ["pid"] if stage.new_pid else []
    said = {"supervisor": "in the supervisor", "netlink": "in the netlink worker", "child": "in a child"}[
        stage.where
    ]
    said += f", born in {shown(stage.cgroup)}" if stage.cgroup else ""
    said += f"; joins {' and '.join(joined)}" if joined else ""
    return said + (f"; makes {', '.join(made)}" if made else "")


def shown(text: str) -> str:
    """A text for people, with $NAME for its variables."""
    return re.sub("\0(.*?)\0", r"$\1", text)


# --- stages ----------------------------------------------------------------------------------------------------------


def stage_lines(pod: Pod, stage: Stage, to_the_end: bool = False) -> Iterator[str]:
    """One stage; `to_the_end`: wait until its process has ended."""
    if stage.where == "child":
        yield from _process(pod, stage, to_the_end)
    else:
        yield from (_line(pod, stage, op) for op in stage.ops)


def _line(pod: Pod, stage: Stage, op: Op) -> str:
    why = field(pod, stage, op)
    return command(op) + (f"  # {why}" if why else "")


def command(op: Op) -> str:
    """explain(), where need be with the condition on which the operation itself puts up with a failure."""
    text = op.explain()
    match op:
        case host.SetLimit() if op.name in _OPTIONAL:
            return f"[ ! -e {quote(f'{op.path}/{op.name}')} ] || {text}"
        case process.SetOomScore():  # lowering it needs CAP_SYS_RESOURCE
            return f"{text} 2>/dev/null || echo 'oom_score_adj {op.value}: not permitted' >&2"
        case mounts.Bind(readonly=True):  # remount_ro is for what is mounted below it, too
            return msgspec.structs.replace(op, readonly=False).explain()
        case host.Claim():
            return f"[ ! -d {quote(op.path.rpartition('/')[0])} ] || {text}"
    return text


def _process(pod: Pod, stage: Stage, to_the_end: bool) -> Iterator[str]:
    """A process of its own: what it does before it is in its namespaces, and inside."""
    before: list[Op] = []
    entering: list[namespaces.Join | namespaces.Unshare] = []
    inside: list[Op] = []
    for op in stage.ops:
        if isinstance(op, namespaces.Join | namespaces.Unshare):
            entering.append(op)
        elif not isinstance(op, namespaces.Fork):
            (inside if entering else before).append(op)
    words = [_without_pid(op).explain() for op in entering]
    first = [
        f"echo $$ >{quote(f'{stage.cgroup}/cgroup.procs')}",
        *(_line(pod, stage, op) for op in before),
        " \\\n    ".join([f"exec {words[0]}", *words[1:], 'sh -eu -c "$INSIDE"']),
    ]
    then = [*_inside(pod, stage, inside)]
    end = "INSIDE"
    while any(end in text.splitlines() for text in then):  # an argument of the container's may say anything
        end += "_"
    name, how = stage.name.rpartition("/")[2], "run" if to_the_end else "start"
    yield f"{how} {name}{_first(stage, entering)} 3<<'BEFORE' 4<<'{end}'"
    yield from (*first, "BEFORE", *then, end)
    if stage.name == _PAUSE:
        yield from frame.PAUSE_STARTED.splitlines()


def _first(stage: Stage, entering: list[namespaces.Join | namespaces.Unshare]) -> str:
    """What it is forked by: joining or making a PID namespace is for the next child only, so it comes first."""
    if stage.new_pid:
        return " unshare --pid"
    if any(isinstance(op, namespaces.Join) and "pid" in op.kinds for op in entering):
        return f" nsenter --target {quote(PAUSE)} --pid --no-fork"
    return ""


def _without_pid(op: namespaces.Join | namespaces.Unshare) -> Op:
    kinds = tuple(kind for kind in op.kinds if kind != "pid")
    return namespaces.Join(op.of, kinds) if isinstance(op, namespaces.Join) else namespaces.Unshare(kinds)


def _inside(pod: Pod, stage: Stage, ops: list[Op]) -> Iterator[str]:
    is_pause = stage.name == _PAUSE
    log = "/dev/null" if is_pause else frame.log(stage.name.rpartition("/")[2])
    yield f"LOG={quote(log)}"
    yield "cd /" if is_pause else 'cd "$TOOLS"  # what there will be of the host when the root is another one'
    if any(isinstance(op, mounts.Bind) for op in ops):
        yield 'eval "$PLACE"'
    for op in ops:
        if isinstance(op, _LAST) or (is_pause and isinstance(op, mounts.PivotRoot | mounts.DetachOldRoot)):
            continue  # pause's root becomes another one when it runs: see frame.PAUSE_STARTED
        if isinstance(op, mounts.Bind):
            yield f"place {quote(op.source)} {quote(op.path)}"
        if isinstance(op, mounts.PivotRoot) and not any(isinstance(each, process.Stdio) for each in ops):
            yield process.Stdio().explain()  # instead of a terminal
        yield _line(pod, stage, op)
        if isinstance(op, mounts.Bind) and op.readonly:
            yield f"remount_ro {quote(op.path)}"
        if isinstance(op, mounts.PivotRoot):
            yield frame.HOSTS_TOOLS
    yield from _last(pod, stage, [op for op in ops if isinstance(op, _LAST)])


def _last(pod: Pod, stage: Stage, ops: list[Op]) -> Iterator[str]:
    """setpriv(1), then env(1), then the program: one command, as each of them becomes the next."""
    hosts, here = ("", "") if stage.name == _PAUSE else ("$HOST ", "./")
    privileges, program = ["--inh-caps=-all"], ["-i"]
    why = [*filter(None, (field(pod, stage, op) for op in ops))]
    if why:
        yield f"# {', '.join(dict.fromkeys(why))}"
    for op in ops:
        match op:
            case process.ChangeDirectory():
                program.append(f"--chdir={quote(op.path)}")
            case process.Exec():
                program += map(quote, (*op.env, *op.argv))
            case process.ExecDescriptor():
                program += ['"$(command -v catatonit)"', *op.argv[1:]]
            case process.SetCapabilities():
                pass  # exec gives root what is left in the bounding set
            case _:
                privileges.append(op.explain().removeprefix("setpriv "))
    yield "echo ready >&9"
    yield f"exec {hosts}{here}setpriv {' '.join(privileges)} \\"
    yield f"    {hosts}{here}env {' '.join(program)} 9>&-"


# --- the way back ----------------------------------------------------------------------------------------------------


def undone(word: Undo) -> str:
    """One word of an undo list as a command. It succeeds if the object is gone already, or isn't ours."""
    match word:
        case Umount(path):
            return f"! mountpoint -q {quote(path)} || umount -l {quote(path)}"
        case Unlink(path):
            return f"rm -f {quote(path)}"
        case Unclaim(path, owner):
            return f'[ "$(readlink {quote(path)})" != {quote(owner)} ] || rm {quote(path)}'
        case Rmdir(path):
            return f"[ ! -d {quote(path)} ] || rmdir {quote(path)}"
        case RemoveCgroup(path):
            return f"remove_cgroup {quote(path)}"
        case RemoveTree(path):
            return f"rm -rf --one-file-system {quote(path)}"
        case DeleteLink(name):
            return (
                f"ip link delete {quote(name)} 2>/dev/null || :  # it goes with its namespace, a moment later"
            )
    raise TypeError(f"no command for {word}")
