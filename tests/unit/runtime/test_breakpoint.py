"""The door of a build: where it is, who waits at it, and what is told meanwhile."""

import os
import signal

import pytest

from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.errors import Conflict, PlanError, Stopped
from minipod.plan.core import Context, Op, Stage, execute
from minipod.runtime.breakpoint import Breakpoint, Here
from minipod.runtime.loop import Loop


class Note(Op, frozen=True):
    """Writes down that it was done."""

    name: str
    done: list[str]

    def run(self, context: Context) -> None:
        self.done.append(self.name)
        if self.name == "bad":
            raise OSError(5, "it is bad")

    def explain(self) -> str:
        return f"note {self.name}"


@pytest.fixture
def loop():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield Loop()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def done() -> list[str]:
    return []


def stage(done: list[str], name: str, names: str) -> Stage:
    return Stage(name, "supervisor", tuple(Note(each, done) for each in names.split()))


def run(door: Breakpoint, *stages: Stage) -> None:
    for each in stages:
        try:
            execute(each, Here(each, None, door))
        except PlanError as error:
            door.failed(each, error)
            raise
        door.passed(each)


class Person:
    """Asks one thing at each stop, in turn, and keeps what is told."""

    def __init__(self, door: Breakpoint, *requests: m.Message) -> None:
        self.requests, self.door = list(requests), door
        self.ears: list[Channel] = []
        self.places: list[str] = []
        door.stopped = self.ask

    def ask(self) -> None:
        self.places.append(f"{self.door.at.stage}:{self.door.at.index}")
        ours, theirs = Channel.pair()
        self.ears.append(ours)
        self.door.ask(self.requests.pop(0), theirs)

    def heard(self) -> list[m.Message]:
        """Everything that was told until nobody was left to tell it."""
        found = []
        for ear in self.ears:
            while packet := ear.recv()[0]:
                found.append(m.replies.decode(packet))
            ear.close()
        return found


def test_steps_stop_at_each_operation_and_continue_does_not(loop, done):
    door = Breakpoint(loop, m.Door("pod", 1, "stop"))
    person = Person(door, m.Step(), m.Step(2), m.Continue())
    run(door, stage(done, "pod", "a b c d e f"))
    assert person.places == ["pod:1", "pod:2", "pod:4"]
    assert done == list("abcdef")
    loop.turn()
    assert person.heard()[-1].build.over


def test_steps_go_over_whole_stages_and_tell_every_command_once(loop, done):
    door = Breakpoint(loop, m.Door("pod", 1, "stop"))
    person = Person(door, m.Step(4), m.Continue())
    run(door, stage(done, "pod", "a b"), stage(done, "sandbox/x", "c d"), stage(done, "container/y", "e f g"))
    assert person.places == ["pod:1", "container/y:1"]
    loop.turn()
    told = [command for reply in person.heard() for command in reply.build.done]
    assert told == [f"note {name}" for name in "bcdefg"]


def test_whoever_steps_beyond_the_end_is_told_that_it_is_not_stopped(loop, done):
    door = Breakpoint(loop, m.Door("pod", 0, "stop"))
    person = Person(door, m.Step(9))
    run(door, stage(done, "pod", "a b"))
    loop.turn()
    *_, last = person.heard()
    assert (last.build.over, last.build.armed) == (True, True)
    assert door.stops
    door.built()
    assert not door.stops


def test_a_stage_that_is_run_again_and_a_command_do_not_stop(loop, done):
    door = Breakpoint(loop, m.Door("pod", 0, "stop"))
    person = Person(door, m.Step(9))
    run(door, stage(done, "pod", "a"), stage(done, "pod", "b"), stage(done, "exec/x", "c"))
    assert (done, person.places) == (["a", "b", "c"], ["pod:0"])
    loop.turn()
    person.heard()


def test_whoever_gives_up_waiting_does_nothing_more(loop, done):
    door = Breakpoint(loop, m.Door("pod", 1, "stop"))
    door.stopped = lambda: door.give_up("the pod is to be deleted", for_good=True)
    with pytest.raises(Stopped, match="to be deleted"):
        run(door, stage(done, "pod", "a b"))
    with pytest.raises(Stopped):
        run(door, stage(done, "sandbox/x", "c"))
    assert done == ["a"]


def test_a_step_that_fails_is_told_and_the_next_attempt_does_not_stop(loop, done):
    door = Breakpoint(loop, m.Door("pod", 0, "stop"))
    person = Person(door, m.Step(2))
    with pytest.raises(PlanError):
        run(door, stage(done, "pod", "bad b c"))
    (told,) = person.heard()
    assert "it is bad" in told.error
    run(door, stage(done, "pod", "d"), stage(done, "sandbox/x", "e"))
    assert done == ["bad", "d", "e"]


def test_what_is_not_stopped_can_not_go_on(loop):
    ours, theirs = Channel.pair()
    with ours.sock, theirs.sock, pytest.raises(Conflict, match="isn't stopped"):
        Breakpoint(loop, None).ask(m.Step(), theirs)


def test_a_fault_at_the_door_strikes_once(loop, done):
    door = Breakpoint(loop, m.Door("pod", 1, "fail"))
    with pytest.raises(PlanError, match="injected"):
        run(door, stage(done, "pod", "a b"))
    run(door, stage(done, "pod", "c d"))
    assert done == ["a", "c", "d"]


# --- the loop while one of its callbacks waits -----------------------------------------------------------------------


def test_a_callback_that_takes_turns_itself_leaves_nothing_to_be_done_twice(loop):
    pipes = [os.pipe() for _ in range(2)]
    read: list[bytes] = []

    def first() -> None:
        read.append(os.read(pipes[0][0], 10))
        loop.turn()

    def second() -> None:
        read.append(os.read(pipes[1][0], 10))  # would block, the second time

    loop.add_reader(pipes[0][0], first)
    loop.add_reader(pipes[1][0], second)
    for number, (_, end) in enumerate(pipes):
        os.write(end, b"%d" % number)
    loop.turn()
    assert sorted(read) == [b"0", b"1"]
    for fds in pipes:
        for fd in fds:
            os.close(fd)


def test_while_the_end_of_one_child_is_dealt_with_the_others_is_told(loop):
    ended: list[int] = []
    children = [os.fork() or os._exit(0) for _ in range(2)]
    for child in children:
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)

    def one(child) -> None:
        ended.append(child.pid)
        while len(ended) < 2:
            loop.turn()

    for child in children:
        loop.on_exit(child, one)
    loop.turn()
    assert sorted(ended) == sorted(children)
