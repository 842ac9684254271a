"""Private namespaces for tests: minipod.testing.namespaces, and a mark.

@isolated                a test (with its fixtures) runs in namespaces of its own, and looks like any other test
"""

import os

import pytest

from minipod.testing.namespaces import finished, inside, spawn

__all__ = ["finished", "inside", "isolated", "reap_until", "spawn"]

isolated = pytest.mark.isolated


def reap_until(pid: int) -> int:
    """What init does: wait for everybody's orphans, until `pid` has ended; its exit code."""
    while True:
        ended, status = os.wait()
        if ended == pid:
            return os.waitstatus_to_exitcode(status) & 0xFF
