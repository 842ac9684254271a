"""Functions run in a child process, for what a process does to itself and can't take back."""

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any


def in_child(function: Callable[[], Any], fork: Callable[[], int] = os.fork) -> Any:
    """Run `function` in a child that `fork` makes; its result (picklable), or AssertionError with its traceback."""
    reader, writer = os.pipe()
    pid = fork()
    if pid == 0:
        try:
            os.close(reader)
            answer = (True, function())
        except BaseException:  # noqa: BLE001 - it is carried to the parent
            answer = (False, traceback.format_exc())
        os.write(writer, pickle.dumps(answer))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        data = file.read()
    os.waitpid(pid, 0)
    assert data, "the child died"
    fine, result = pickle.loads(data)
    assert fine, result
    return result


def sleeper(fork: Callable[[], int] = os.fork) -> int:
    """The pid of a child that does nothing until it is killed."""
    pid = fork()
    if pid == 0:
        while True:
            signal.pause()
    return pid
