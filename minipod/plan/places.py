"""Places in a plan, as a person names them: container/app, pivot_root, container/app:pivot_root, sandbox/pause:3.

An operation is called by the kernel's word for it (a system call's, where one word is enough), or by its class's name.
"""

from minipod.errors import MinipodError
from minipod.plan.core import Op, Plan, Stage

# What the kernel calls what the class is named for by what it is for. All others are named by the class: pivot_root.
_WORDS = {
    "Join": "setns",
    "JoinBase": "setns",
    "OpenTrees": "open_tree",
    "MakeDirectory": "mkdir",
    "MakeDevice": "mknod",
    "MakeLink": "symlink",
    "DetachOldRoot": "umount",
    "ChangeDirectory": "chdir",
    "SetHostname": "sethostname",
    "NoNewPrivileges": "no_new_privs",
    "LimitCapabilities": "drop_capabilities",
    "ExecDescriptor": "exec",
}


class NoSuchPlace(MinipodError):
    """The plan has no such place; the message lists those it has."""


def word(op: Op) -> str:
    """What an operation is called, e.g. pivot_root."""
    return _WORDS.get(type(op).__name__) or _snake(type(op).__name__)


def find(plan: Plan, text: str) -> tuple[str, int]:
    """Stage and index of the operation before which to stop.

    `sandbox` is the end of the sandbox, where the first container begins. An operation's name without a stage means
    the first container's, whose process is what one wants to look into; the sandbox's only if no container has it.
    Raises NoSuchPlace.
    """
    stage_name, colon, where = text.rpartition(":")
    if not colon and (whole := _whole(plan, text)):
        return whole, 0
    anywhere = not colon and not where.isdecimal()  # numbers are counted in a stage
    containers_first = sorted(plan, key=lambda stage: not stage.name.startswith("container/"))
    for stage in containers_first:
        if (anywhere or stage.name == stage_name) and (index := _index(stage, where)) >= 0:
            return stage.name, index
    raise NoSuchPlace(f"no place of this pod's build is called {text}; there are:\n{listing(plan)}")


def listing(plan: Plan) -> str:
    """Every stage with its operations, a line each."""
    lines = []
    for stage in plan:
        words = dict.fromkeys(word(op) for op in stage.ops)
        lines.append(f"  {stage.name + ':0-' + str(len(stage.ops) - 1):<28} {' '.join(words)}")
    return "\n".join(["  sandbox", *lines])


def _whole(plan: Plan, text: str) -> str:
    """The stage of this name; for `sandbox` the one that comes after the sandbox's."""
    names = [stage.name for stage in plan]
    if text == "sandbox":
        return next((name for name in names if name.startswith("container/")), "")
    return text if text in names else ""


def _index(stage: Stage, where: str) -> int:
    """Of the operation with that number or name, -1 if there is none."""
    if where.isascii() and where.isdecimal():
        return int(where) if int(where) < len(stage.ops) else -1
    name = where.replace("-", "_").lower()
    names = [(word(op), _snake(type(op).__name__)) for op in stage.ops]
    return next((index for index, known in enumerate(names) if name in known), -1)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
