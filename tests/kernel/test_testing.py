"""Functions run in the namespaces of a process that unshare(1) has made."""

import errno
import os
import subprocess
from collections.abc import Iterator

import pytest

from minipod.errors import KernelError
from minipod.testing.namespaces import inside, pid_here
from minipod.testing.wait import wait_until


@pytest.fixture
def apart() -> Iterator[int]:
    """A process with a user and an UTS namespace of its own, in which it is root."""
    command = ["unshare", "--user", "--map-root-user", "--uts", "sh", "-c", "echo ready; exec sleep 1000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process.pid
        process.kill()


@pytest.fixture
def init() -> Iterator[int]:
    """PID 1 of a PID namespace."""
    with subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", "sleep", "1000"]) as process:
        yield wait_until(lambda: first_child(process.pid))
        process.kill()


def first_child(pid: int) -> int:
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return int((file.read().split() or ["0"])[0])


def inode(kind: str) -> int:
    return os.stat(f"/proc/self/ns/{kind}").st_ino


def test_a_user_namespace_is_joined_before_what_belongs_to_it(apart):
    joined = inside(apart, lambda: [inode(kind) for kind in ("user", "uts")], namespaces=["uts", "user"])
    assert joined == [os.stat(f"/proc/{apart}/ns/{kind}").st_ino for kind in ("user", "uts")]


def test_in_a_user_namespace_there_are_only_its_users(apart, tmp_path):
    """user_namespaces(7): what isn't mapped doesn't exist there."""
    inside(apart, os.chown, tmp_path, 0, 0, namespaces=["user"])
    with pytest.raises(OSError, match="Invalid argument") as caught:
        inside(apart, os.chown, tmp_path, 1, 1, namespaces=["user"])
    assert caught.value.errno == errno.EINVAL


def test_a_process_has_another_number_here(init):
    assert pid_here(init, 1) == init


def test_a_process_that_has_ended_has_no_number(init):
    with pytest.raises(ProcessLookupError):
        pid_here(init, 9999)


def test_a_function_that_is_ended_is_no_zombie_of_the_container(init):
    with pytest.raises(TimeoutError):
        inside(init, lambda: [wait_until(lambda: False, 60)], namespaces=["pid"], seconds=0.1)
    with open(f"/proc/{init}/task/{init}/children") as file:
        assert file.read() == ""


def test_a_process_that_is_gone_cannot_be_joined():
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    with pytest.raises(KernelError, match=f"/proc/{gone.pid}/ns/uts"):
        inside(gone.pid, os.getpid, namespaces=["uts"])
