"""Functions run in a child process, for what a process does to itself and can't take back."""

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Any

from minipod.kernel import files


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


def enter_v2(directory: str) -> None:
    """Move the calling process into a cgroup2 cgroup."""
    files.write(f"{directory}/cgroup.procs", "0")


def resident(prepare: Callable[[], Any]) -> int:
    """The pid of a child that has done `prepare`, keeps what that returned, and then waits to be killed."""
    reader, writer = os.pipe()
    endless, ours = os.pipe()  # ours stays open: its end of file is our end, and then the child's
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            kept = prepare()
            os.write(writer, b"ok")
            os.read(endless, 1)  # not pause(2): seccomp's strict mode allows this one
            os._exit(kept is None)
        except BaseException:  # noqa: BLE001 - it is carried to the parent
            os.write(writer, traceback.format_exc().encode())
            os._exit(1)
    os.close(writer)
    os.close(endless)
    with os.fdopen(reader, "rb", buffering=0) as file:
        said = file.read(1 << 16)
    assert said == b"ok", said.decode()
    return pid
