"""What a supervisor remembers of what was done."""

import os

from minipod.errors import PlanError
from minipod.plan.core import Context, Stage, execute
from minipod.plan.ops.host import MakeDirectory
from minipod.runtime.history import History


def stage(name: str, *paths: str) -> Stage:
    return Stage(name, "supervisor", tuple(map(MakeDirectory, paths)))


def test_an_operation_is_remembered_with_its_command_its_class_and_its_word(tmp_path):
    history, here, context = History(), stage("pod", f"{tmp_path}/a", f"{tmp_path}/b"), Context()
    execute(here, context)
    history.ran("pod", here, 7, tuple(context.timings))
    first, second = history.timings()
    assert (first.stage, first.index, first.pid, first.where) == ("pod", 0, 7, "supervisor")
    assert (second.index, second.command) == (1, f"mkdir -m 0755 {tmp_path}/b")
    assert (second.op, second.word) == ("minipod.plan.ops.host.MakeDirectory", "mkdir")
    assert 0 < first.start + first.duration <= second.start


def test_what_failed_is_remembered_after_what_was_done_before(tmp_path):
    history, here = History(), stage("pod", f"{tmp_path}/a", f"{tmp_path}/none/b", f"{tmp_path}/c")
    try:
        execute(here, Context())
    except PlanError as error:
        history.failed("pod", here, error, os.getpid())
    done, failed = history.timings()
    assert (done.index, done.error) == (0, "")
    assert failed.index == 1
    assert "No such file or directory" in failed.error


def test_of_very_many_stages_the_first_and_the_last_are_remembered():
    history = History()
    for number in range(1000):
        history.ran("exec", stage(f"exec/{number}", "/x"), number, ((0, number, 1),))
    assert [each.pid for each in history.timings()] == [*range(64), *range(968, 1000)]
