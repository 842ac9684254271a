"""A build that stops before an operation, and what is told and done while it waits there.

    child ──AtDoor──▶ wait() ◀── execute()          (stages of the supervisor itself)
                        ▲    ◀── Worker.run_stage() (the netlink worker never waits: it is there for all pods)
                        │
      Step, Continue ───┘ on the pod's socket, which is served meanwhile: the supervisor's loop goes round in here

There is one door. Stepping moves it: to a later operation of the same stage, or to whichever stage comes next. It is
met once; a stage that is run again (a container is restarted, a sandbox is made anew) doesn't stop.
"""

from collections.abc import Callable

from minipod.api.channel import Channel
from minipod.api.messages import AwaitStop, Build, Continue, Done, Door, Failed, NodeFacts, Step, encode
from minipod.errors import Conflict, MinipodError, Stopped, Unreachable
from minipod.plan import sandbox as sandboxes
from minipod.plan.core import Context, Stage
from minipod.plan.places import word
from minipod.runtime.loop import Loop
from minipod.runtime.records import Sandbox

_BUILD = ("pod", "sandbox/", "container/")  # how the stages of a build are called; commands in it are others


class Breakpoint:
    """The door of one pod's build: a fault that is to happen there, or a stop."""

    def __init__(self, loop: Loop, door: Door | None) -> None:
        self._loop, self._door = loop, door
        self.at: Build | None = None  # where it is stopped
        self.sandbox: Sandbox | None = None  # the latest, however far it has come
        self.stopped: Callable[[], None] = lambda: None  # called when it has
        self._stage: Stage | None = None  # of the build: the one that is run
        self._from = 0  # its first operation that nobody was told of
        self._seen: set[str] = set()
        self._going = False
        self._cause = ""  # why to give up
        self._given_up = False
        self._listeners: list[Channel] = []

    # --- for those who run stages -------------------------------------------------------------------------------

    @property
    def armed(self) -> bool:
        """Whether anything is to happen somewhere: then stages come one after another, as they stand in the plan."""
        return self._door is not None

    @property
    def stops(self) -> bool:
        """Whether the build may still stop: then its containers are started one after another."""
        return self._door is not None and self._door.action == "stop"

    @property
    def place(self) -> str:
        """Where it is stopped, for a person; "" if it isn't."""
        return f"{self.at.word} ({self.at.stage}:{self.at.index})" if self.at else ""

    def of(self, stage: Stage) -> Door | None:
        """The door in a stage that is about to run. Raises Stopped once the pod is to go."""
        if (self._door is None and not self._given_up) or not stage.name.startswith(_BUILD):
            return None
        if self._given_up:
            raise Stopped(f"{stage.name} isn't begun any more: {self._cause}")
        if self.stops:
            self._begin(stage)
        return self._door if self._door and self._door.stage == stage.name else None

    def wait(self, stage: Stage, index: int, pid: int = 0, fd: int = -1) -> Door | None:
        """Stay before operation `index` until told to go on; returns the next door in this stage, if it has one.

        `fd` is the channel of the process that is stopped: it becomes readable when that is killed, which is as if
        somebody had said go on. Raises Stopped when told to give up.
        """
        op = stage.ops[index]
        done = tuple(each.explain() for each in stage.ops[self._from : index])
        self.at = Build(done, stage.name, index, word(op), op.explain(), pid)
        self._going, self._from, self._cause = False, index, ""
        self._tell(Done(build=self.at), last=True)
        self.stopped()
        if fd >= 0:
            self._loop.add_reader(fd, self._go)
        while not self._going and self._loop.running:
            self._loop.turn()
        if fd >= 0:
            self._loop.remove_reader(fd)
        place, self.at = self.place, None
        if not self._going or self._cause:
            self._door = None
            error = f"given up before {place}: {self._cause or 'told to end'}"
            self._tell(Failed(error), last=True)
            raise Stopped(error)
        # Building is done in one go: the loop's next turn is at the next stop, or when there is nothing to do for now.
        self._loop.call_later(0, self._idle)
        return self._door if self._door and self._door.stage == stage.name else None

    def passed(self, stage: Stage) -> None:
        """All of a stage was done."""
        if self._door and self._door.stage == stage.name:
            self._door = None
        if stage is self._stage:
            done = tuple(each.explain() for each in stage.ops[self._from :])
            self._stage, self._from = None, 0
            if done:
                self._tell(Done(build=Build(done)))

    def failed(self, stage: Stage, error: MinipodError) -> None:
        """It came to an error. Who was stepping has lost the thread: what was made is undone, and made again."""
        if self._door and self._door.stage in ("", stage.name):
            self._door = None
        if not self.stops and stage.name.startswith(_BUILD):
            self._tell(Failed(str(error)), last=True)

    def built(self) -> None:
        """The pod has all it should have: what comes now are restarts."""
        if self.stops:
            self._door = None

    def give_up(self, cause: str, for_good: bool = False) -> None:
        """End the waiting with an error; `for_good` begin no stage any more, either."""
        self._given_up |= for_good
        self._cause = cause
        self._going = True

    # --- for those who ask --------------------------------------------------------------------------------------

    def ask(self, request: Step | Continue | AwaitStop, listener: Channel) -> None:
        """Go on, and tell `listener` how far. Raises Conflict if the build isn't stopped."""
        at, stage = self.at, self._stage
        if isinstance(request, AwaitStop):
            self._listeners.append(listener)
            if at:
                self._tell(Done(build=at), last=True)
            elif not self.stops:
                self._tell(Done(build=Build(over=True)), last=True)
            return
        if at is None or stage is None:
            more = "; it will be, before its next operation" if self.stops else ""
            raise Conflict(f"the pod's build isn't stopped at a breakpoint{more}")
        self._listeners.append(listener)
        self._door = None
        if isinstance(request, Step):
            self._door = _ahead(stage, at.index + max(1, request.count))
        self._go()

    def refuse(self) -> None:
        """For requests that would change what is being built. Raises Conflict while it is stopped."""
        if self.at:
            raise Conflict(f"the pod's build is stopped before {self.place}")

    def inside(self, facts: NodeFacts) -> tuple[int, str]:
        """What can be entered: the pid of the process that is stopped, or of pause, and its cgroup (relative).

        Raises Conflict.
        """
        if self.at is None or self._stage is None:
            raise Conflict("the pod's build isn't stopped at a breakpoint: use exec")
        if self.at.pid:
            return self.at.pid, self._stage.cgroup.removeprefix(f"{facts.cgroups.v2}/")
        if self.sandbox and self.sandbox.pidfd >= 0:
            return self.sandbox.info.pid, sandboxes.cgroup(self.sandbox.info.id, self.sandbox.config)
        raise Conflict(
            f"the build is stopped in {self.at.stage}, which the supervisor itself does, and nothing of the pod runs "
            "yet: step on into sandbox/pause"
        )

    # --- how it is done -----------------------------------------------------------------------------------------

    def _begin(self, stage: Stage) -> None:
        door = self._door
        self._stage, self._from = stage, 0
        if door and not door.stage and stage.name not in self._seen:
            self._door = _ahead(stage, door.index)  # what is left of the steps
        self._seen.add(stage.name)

    def _go(self) -> None:
        self._going = True

    def _idle(self) -> None:
        if self.at is None:
            self._tell(Done(build=Build(over=True, armed=self.stops)), last=True)

    def _tell(self, message: Done | Failed, last: bool = False) -> None:
        for listener in list(self._listeners):
            try:
                listener.send(encode(message))
            except Unreachable:
                self._forget(listener)
        if last:
            for listener in list(self._listeners):
                self._forget(listener)

    def _forget(self, listener: Channel) -> None:
        self._listeners.remove(listener)
        listener.close()


def _ahead(stage: Stage, index: int) -> Door:
    """The stop before operation `index`, counted from the first of this stage and on through those that follow it."""
    beyond = index - len(stage.ops)
    return Door(stage.name, index, "stop") if beyond < 0 else Door("", beyond, "stop")


class Here(Context):
    """The context of a stage that the supervisor runs itself."""

    def __init__(self, stage: Stage, fds: dict[str, int] | None, breakpoint_: Breakpoint) -> None:
        super().__init__(fds, breakpoint_.of(stage))
        self._stage, self._breakpoint = stage, breakpoint_

    def stop(self, index: int) -> Door | None:
        return self._breakpoint.wait(self._stage, index)
