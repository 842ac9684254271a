"""The exception tree. Everything minipod raises on purpose is below MinipodError.

    MinipodError
    ├── KernelError           a request to the kernel failed: which call, on what, errno, what to do about it
    ├── PlanError             an operation of a plan failed: "while doing: <the command a person would type>"
    ├── BadManifest           the text isn't a Kubernetes object at all (YAML, kind, types)
    ├── Invalid               it is one, but not a valid one: every problem with its field path
    ├── NotFound              an object asked for by name isn't there
    ├── Conflict              it is there already, or changed in between
    ├── InvalidImageName      not an image reference
    ├── ImageNotFound         no image of that name in the store
    ├── ImageInUse            a container still runs from it
    ├── NotAnImage            what was to be imported isn't a tar of a root file system
    ├── Unreachable           another process of minipod doesn't answer
    │   └── WentAway          it did, and ended before it had answered
    ├── Stopped               told to give up while waiting at a breakpoint
    └── Unsuitable            this machine can't run pods: which feature is missing and how to get it

An error is raised where it is known, carried up unchanged, and reported once, at the top.
"""

import errno as _errno
import os


class MinipodError(Exception):
    """Base of all errors that are meant to be read by a person."""


class KernelError(MinipodError):
    """A request to the kernel failed.

    `call` is the system call or netlink request, `obj` what it was about, `hint` what a person can do.
    """

    def __init__(self, errno: int, call: str, obj: str, hint: str = "") -> None:
        self.errno, self.call, self.obj, self.hint = errno, call, obj, hint
        name = _errno.errorcode.get(errno, str(errno))
        text = f"{call} {obj}: {os.strerror(errno)} ({name})"
        super().__init__(text + (f" (Hint: {hint})" if hint else ""))


class PlanError(MinipodError):
    """An operation of a plan failed. `stage` and `index` say which one.

    `times` has what was done up to then, this operation included (index, start and duration in ns), `pid` who did it.
    """

    def __init__(
        self,
        stage: str,
        index: int,
        command: str,
        cause: str,
        times: tuple[tuple[int, int, int], ...] = (),
        pid: int = 0,
    ) -> None:
        self.stage, self.index, self.command, self.cause = stage, index, command, cause
        self.times, self.pid = times, pid
        super().__init__(f"{cause}, while doing: {command} ({stage}, operation {index})")


class BadManifest(MinipodError):
    """The text can't be decoded into a Kubernetes object."""


class Invalid(MinipodError):
    """A Kubernetes object with one or more invalid fields, all of them reported together."""

    def __init__(self, kind: str, name: str, problems: list[tuple[str, str]]) -> None:
        self.kind, self.name, self.problems = kind, name, problems
        lines = [f"{path}: {message}" if path else message for path, message in problems]
        body = " " + lines[0] if len(lines) == 1 else "".join(f"\n* {line}" for line in lines)
        super().__init__(f'The {kind} "{name}" is invalid:{body}')


class NotFound(MinipodError):
    """`kind "name" not found`, as kubectl says it; `hint` says what may have been meant."""

    def __init__(self, kind: str, name: str, hint: str = "") -> None:
        self.kind, self.name = kind, name
        super().__init__(f'{kind} "{name}" not found' + (f" ({hint})" if hint else ""))


class Conflict(MinipodError):
    """What was asked doesn't go with the state the object is in."""


class AlreadyExists(Conflict):
    """There is an object of that name."""


class InvalidImageName(MinipodError):
    """Not an OCI image reference."""


class ImageNotFound(MinipodError):
    """No image of that name in the store."""


class ImageInUse(MinipodError):
    """A container still runs from the image."""


class NotAnImage(MinipodError):
    """What was to be imported isn't a tar of a root file system."""


class Unreachable(MinipodError):
    """Another process of minipod doesn't answer, or went away in the middle."""


class WentAway(Unreachable):
    """The node ended before it had answered."""


class Stopped(MinipodError):
    """The channel a stage waited on was closed: give up."""


class Unsuitable(MinipodError):
    """This machine can't run pods."""
