"""scripts/vm-test --quick runs beside the other tests: they mostly wait, and after them it would take two minutes."""

import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

ROOT = Path(__file__).parents[2]
_TOOLS = ("mmdebstrap", "mke2fs", "qemu-system-x86_64")
_MEMORY = 3 << 30  # bytes: the machine's 2 GiB, and a disk's changes in the page cache


class Machine(NamedTuple):
    """A run of scripts/vm-test."""

    process: subprocess.Popen[bytes]
    log: Path
    report: Path


_MACHINE = pytest.StashKey[Machine]()


def why_not() -> str:
    """What this machine, or its user, has against another machine inside; empty: nothing."""
    if os.environ.get("MINIPOD_VM") == "0":
        return "MINIPOD_VM=0"
    if os.geteuid():
        return "needs root"
    missing = [tool for tool in _TOOLS if not shutil.which(tool)]
    if missing:
        return f"not installed: {', '.join(missing)}"
    if psutil.virtual_memory().available < _MEMORY:
        return "less than 3 GiB of memory are free"
    return ""


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start it before the first test, if its own test is among those that were chosen."""
    chosen = any("machine" in getattr(item, "fixturenames", ()) for item in session.items)
    if not chosen or session.config.option.collectonly or why_not():
        return
    folder = session.config._tmp_path_factory.mktemp("vm")  # type: ignore[attr-defined]
    log, report = folder / "log", folder / "report.md"
    # Nicest of all: pods have to recover within seconds beside it.
    environment = {**os.environ, "MINIPOD_VM_NICE": "19", "MINIPOD_VM_TIMEOUT": "1200"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [f"{ROOT}/scripts/vm-test", "--quick", "-o", report],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    session.config.stash[_MACHINE] = Machine(process, log, report)


@pytest.fixture
def machine(pytestconfig: pytest.Config) -> Machine:
    """The run that began with the session."""
    if _MACHINE not in pytestconfig.stash:
        pytest.skip(why_not())
    return pytestconfig.stash[_MACHINE]


@pytest.hookimpl(tryfirst=True)  # before the host is searched for what was left behind
def pytest_sessionfinish(session: pytest.Session) -> None:
    machine = session.config.stash.get(_MACHINE, None)
    if machine and machine.process.poll() is None:
        os.killpg(machine.process.pid, signal.SIGTERM)
        machine.process.wait()
