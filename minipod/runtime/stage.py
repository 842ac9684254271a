"""Running a stage in a child. (Stages runs it wherever it belongs: runtime/stages.py.)

A child reports to the supervisor over a packet socket that closes when it execs:

    child ──Forked(pid)──▶      the stage goes on in another process, whose parent is the supervisor too
    child ──Terminal──▶         with a descriptor: the master end of a command's terminal
    child ──Unshared──▶         the network namespace is there: it is configured while the stage goes on
    child ──AtDoor──▶           kill me here (fault injection; PID 1 of a namespace can't do it itself), or: I wait here
    child ◀──Door──             the latter: go on, and stop there next (null: nowhere in this stage)
    child ──Leaving──▶          exec is next; with timings and notes
    child ◀──GO──               exec now: containers are prepared side by side, and start in their order
    child ──Broken──▶           an operation failed
"""

import gc
import os
import select
import signal
import time
from collections.abc import Callable
from typing import NoReturn

import msgspec

from minipod.api.channel import Channel
from minipod.api.messages import Door, Message
from minipod.errors import MinipodError, PlanError, Stopped, Unreachable
from minipod.kernel import cgroups, process, syscalls
from minipod.plan.core import Context, Stage, Times, execute
from minipod.plan.ops.namespaces import Fork

GO = b"go"
_LOOK = 500  # ms without a word, after which it is looked whether the child was stopped


class Forked(Message, frozen=True):
    pid: int


class Terminal(Message, frozen=True):
    pass


class Unshared(Message, frozen=True):
    pass


class AtDoor(Message, frozen=True):
    index: int


class Leaving(Message, frozen=True):
    at: int  # ns of CLOCK_MONOTONIC
    timings: Times
    notes: tuple[str, ...] = ()


class Broken(Message, frozen=True):
    stage: str
    index: int
    command: str
    cause: str
    times: Times = ()
    pid: int = 0

    @classmethod
    def of(cls, error: PlanError, pid: int = 0) -> "Broken":
        """`pid` is for who hears of it; a child doesn't know its own, as it is seen from outside."""
        return cls(error.stage, error.index, error.command, error.cause, error.times, pid)

    def error(self, pid: int = 0) -> PlanError:
        return PlanError(self.stage, self.index, self.command, self.cause, self.times, self.pid or pid)


_decoder = msgspec.json.Decoder(Forked | Terminal | Unshared | AtDoor | Leaving | Broken)
_doors = msgspec.json.Decoder(Door | None)

# Stay before operation `index` until told to go on: (stage, index, the stopped process's pid and its channel) -> the
# next door in this stage. Raises Stopped: give up.
Wait = Callable[[Stage, int, int, int], Door | None]


class Ran(msgspec.Struct):
    """What came of a child stage that reached its exec."""

    pid: int
    timings: Times = ()
    notes: tuple[str, ...] = ()
    terminal: int = -1


class Child:
    """A forked child that runs a stage up to its exec, and execs when it is told to."""

    def __init__(
        self,
        stage: Stage,
        fds: dict[str, int],
        door: Door | None = None,
        wait: Wait | None = None,
        unshared: Callable[[int], None] | None = None,
    ) -> None:
        """Fork it, born in the stage's cgroup. It is at work when this returns.

        `wait` is for a door that stops it; `unshared` is called with its pid, by go(), when it has made its network
        namespace.
        """
        self._unshared = unshared
        self._stage = stage
        self._wait = wait if door and door.action == "stop" else None
        self._broken: Broken | None = None
        self._left_at = 0
        self._channel, theirs = Channel.pair()
        born = os.open(stage.cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            pid, _ = syscalls.clone3_fork(syscalls.CLONE_NEWPID if stage.new_pid else 0, born)
            if pid == 0:
                _child(stage, fds, door, theirs)
        finally:
            os.close(born)
            theirs.close()
        self._ran = Ran(pid)
        self._born = pid

    def go(self) -> Ran:
        """Let it exec, as soon as it is there; return when it has.

        The result's `pid` is a child of this process; the caller waits for it. Raises PlanError; then nothing of the
        stage is left running. Raises Stopped when told to give up at a door.
        """
        try:
            while self._hear():
                if self._left_at:
                    self._left_at = time.monotonic_ns()  # it may have waited for its turn
                    self._channel.send(GO)
                    while self._hear():
                        pass
                    break
        except Unreachable:
            pass  # it was killed just there: nobody execs
        except Stopped:
            self._close_terminal()
            raise
        finally:
            self._channel.close()
        return self._result()

    def _hear(self) -> bool:
        """Take one message; False when the channel is closed: it has exec'ed, or is dead."""
        waiting = select.poll()
        waiting.register(self._channel.fileno(), select.POLLIN)
        while not waiting.poll(_LOOK):
            self._kill_stopped()
        packet, fds = self._channel.recv()
        if not packet:
            return False
        message = _decoder.decode(packet)
        match message:
            case Forked():
                self._ran.pid = message.pid
            case Terminal():
                self._ran.terminal = fds[0]
            case Unshared():
                if self._unshared:
                    self._unshared(self._ran.pid)
            case AtDoor() if self._wait:
                self._stop(message.index, self._wait)
            case AtDoor():
                # Not by pid: after Fork there are two, and their words may come in either order.
                cgroups.kill(self._stage.cgroup)
            case Leaving():
                self._left_at = message.at
                self._ran.timings, self._ran.notes = message.timings, message.notes
            case Broken():
                self._broken = message
        return True

    def _kill_stopped(self) -> None:
        """Whoever is in a PID namespace that the child has joined may send it SIGSTOP: we would wait for ever."""
        try:
            if os.waitid(os.P_PID, self._ran.pid, os.WSTOPPED | os.WNOHANG):
                os.kill(self._ran.pid, signal.SIGKILL)
        except ChildProcessError:
            pass  # it has ended, and what it said is still to be heard

    def _stop(self, index: int, wait: Wait) -> None:
        """It waits for an answer, and so do we."""
        forked = any(isinstance(op, Fork) for op in self._stage.ops[:index])
        while forked and self._ran.pid == self._born and self._hear():
            pass  # the first process's last word may come after the second one's first
        door = wait(self._stage, index, self._ran.pid, self._channel.fileno())
        self._channel.send(msgspec.json.encode(door))

    def _close_terminal(self) -> None:
        """Nobody is there to use it."""
        if self._ran.terminal >= 0:
            os.close(self._ran.terminal)

    def _result(self) -> Ran:
        stage, broken = self._stage, self._broken
        if broken or not self._left_at:
            self._close_terminal()
        if broken:
            raise broken.error(self._ran.pid)
        if not self._left_at:
            raise PlanError(
                stage.name, -1, f"running {stage.name}", "the process was killed", pid=self._ran.pid
            )
        self._ran.timings += ((len(stage.ops) - 1, self._left_at, time.monotonic_ns() - self._left_at),)
        return self._ran


def run_child(stage: Stage, fds: dict[str, int]) -> Ran:
    """Run a stage in a child, its exec included. See Child."""
    return Child(stage, fds).go()


class _Child(Context):
    """The context of a forked child."""

    def __init__(self, fds: dict[str, int], door: Door | None, channel: Channel) -> None:
        super().__init__(fds, door)
        self.channel = channel

    def tell(self, message: Message) -> None:
        self.channel.send(msgspec.json.encode(message))

    def fork(self) -> None:
        pid, _ = syscalls.clone3_fork(syscalls.CLONE_PARENT)
        if pid:
            self.tell(Forked(pid))
            os._exit(0)
        os.setsid()

    def unshared(self) -> None:
        self.tell(Unshared())

    def terminal(self, master: int) -> None:
        self.channel.send(msgspec.json.encode(Terminal()), (master,))

    def leaving(self) -> None:
        self.tell(Leaving(time.monotonic_ns(), tuple(self.timings), tuple(self.notes)))
        if self.channel.recv()[0] != GO:
            os._exit(1)  # the supervisor is gone, and its fence is on the way

    def stop(self, index: int) -> Door | None:
        self.tell(AtDoor(index))
        answer, _ = self.channel.recv()
        if not answer:
            os._exit(1)  # as above
        door: Door | None = _doors.decode(answer)
        return door

    def die(self, index: int) -> NoReturn:
        self.tell(AtDoor(index))
        while True:
            signal.pause()


def _child(stage: Stage, fds: dict[str, int], door: Door | None, channel: Channel) -> NoReturn:
    """The child's whole life. It leaves by exec or by _exit, whatever happens."""
    context = _Child(fds, door, channel)
    try:
        gc.disable()  # a collection would touch, and so copy, most of what is shared with the supervisor
        process.unblock_signals()
        os.setsid()
        process.close_fds_except({0, 1, 2, *fds.values(), channel.fileno()})  # 0 to 2 until Stdio
        # Until exec this process holds descriptors of the host inside somebody else's PID namespace.
        process.set_dumpable(False)
        execute(stage, context)
    except PlanError as error:
        context.tell(Broken.of(error))
    except (MinipodError, OSError, ValueError) as error:  # ValueError: a NUL in what an image says
        context.tell(Broken(stage.name, -1, "preparing the process", str(error)))
    finally:
        os._exit(1)
