"""A cgroup2 cgroup for each test that asks for one: cgroups are the one thing that namespaces don't take along."""

import secrets
from collections.abc import Iterator

import pytest

from minipod.kernel import cgroups


@pytest.fixture
def cgroup() -> Iterator[str]:
    """The directory of a new cgroup2 cgroup; what is in it afterwards is killed."""
    directory = f"{cgroups.detect().v2}/minipod-test-{secrets.token_hex(4)}"
    cgroups.mkdir(directory)
    yield directory
    cgroups.kill(directory)
    assert cgroups.wait_empty(directory, 30)
    cgroups.rmdir(directory)
