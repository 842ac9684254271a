"""Runs a test marked `isolated` as a whole, fixtures too, in namespaces of its own; only its reports come back.

Because it is the same interpreter, forked, assertions are explained, output is captured and hypothesis shrinks as ever.
Fixtures wider than a function that exist already are shared, as copies; those first made there go with the process.
"""

import os
import pickle
from typing import Any

import pytest
from _pytest.runner import CallInfo, runtestprotocol

from tests.support.namespaces import finished, reap_until, spawn

SECONDS = 120.0


def run(item: pytest.Item) -> None:
    """Take the place of pytest_runtest_protocol."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for report in _reports(item):
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)


def _reports(item: pytest.Item) -> list[Any]:
    answer = os.memfd_create("reports")
    try:
        in_time = finished(spawn(lambda: _init(item, answer)), SECONDS)
        with open(answer, "rb", closefd=False) as file:
            file.seek(0)
            data = file.read()
    finally:
        os.close(answer)
    if not data:
        return [_crash(item, "its process ended" if in_time else f"it was still running after {SECONDS} s")]
    from_serializable = item.config.hook.pytest_report_from_serializable
    return [from_serializable(config=item.config, data=report) for report in pickle.loads(data)]


def _init(item: pytest.Item, answer: int) -> None:
    """PID 1 only reaps: an init is not like other processes (no default for signals, no CLONE_PARENT)."""
    test = os.fork()
    if test:
        reap_until(test)
        return
    try:
        reports = runtestprotocol(item, log=False, nextitem=_Sibling(item))  # type: ignore[arg-type]
        to_serializable = item.config.hook.pytest_report_to_serializable
        data = [to_serializable(config=item.config, report=report) for report in reports]
        os.write(answer, pickle.dumps(data))
    finally:
        os._exit(0)


class _Sibling:
    """Another test of the same module: what belongs to `item` alone is torn down, what is wider stays."""

    def __init__(self, item: pytest.Item) -> None:
        self.chain = item.listchain()[:-1]

    def listchain(self) -> list[Any]:
        return self.chain


def _crash(item: pytest.Item, how: str) -> Any:
    call = CallInfo.from_call(
        lambda: pytest.fail(f"no report from the isolated test: {how}", pytrace=False), "call"
    )
    return item.ihook.pytest_runtest_makereport(item=item, call=call)
