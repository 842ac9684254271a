"""Waiting for something to become true, never for time to pass."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = float(os.environ.get("MINIPOD_TEST_PATIENCE", "1"))  # how many times slower this machine may be


def wait_until(condition: Callable[[], T], seconds: float = 10, what: str = "") -> T:
    """The condition's first true value; AssertionError with the last one when there was none in time."""
    deadline = time.monotonic() + seconds * PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what or condition} is still {value!r} after {seconds} s")
        time.sleep(0.005)
