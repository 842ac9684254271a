"""A cgroup2 cgroup for each test that asks for one (namespaces don't take those along), and processes to look at."""

import os
import secrets
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from minipod.kernel import cgroups
from tests.kernel.child import resident


@pytest.fixture
def cgroup() -> Iterator[str]:
    """The directory of a new cgroup2 cgroup; what is in it afterwards is killed."""
    directory = f"{cgroups.detect().v2}/minipod-test-{secrets.token_hex(4)}"
    cgroups.mkdir(directory)
    yield directory
    cgroups.kill(directory)
    assert cgroups.wait_empty(directory, 30)
    cgroups.rmdir(directory)


@pytest.fixture
def start() -> Iterator[Callable[[Callable[[], Any]], int]]:
    """Start a resident (tests/kernel/child.py); it is killed afterwards."""
    pids: list[int] = []

    def run(prepare: Callable[[], Any]) -> int:
        pids.append(resident(prepare))
        return pids[-1]

    yield run
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
