"""MINIPOD_HOME and a node of its own for each test that asks."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.fakenode import FakeNode


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """MINIPOD_HOME for this process and its children."""
    monkeypatch.setenv("MINIPOD_HOME", str(tmp_path))
    monkeypatch.setitem(__import__("posix").environ, b"MINIPOD_HOME", os.fsencode(tmp_path))
    return tmp_path


@pytest.fixture
def node(home: Path) -> Iterator[FakeNode]:
    fake = FakeNode(home / "run/minipod.sock")
    yield fake
    fake.close()
