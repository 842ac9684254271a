"""minipod's pytest fixtures: pods of a private node, and Python functions inside their containers."""

import errno
import os
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from minipod.testing import host
from minipod.testing.pod import Pod
from tests.support.node import ROOT, idle_after, mounted, sh
from tests.support.node import pod as manifest

NOTHING_IMPORTED = """
import sys

def test_it():
    mine = {name for name in sys.modules if name.partition(".")[0] in ("minipod", "msgspec", "yaml", "prctl")}
    assert mine == {"minipod", "minipod.testing", "minipod.testing.plugin"}
"""
NOT_ROOT = """
def test_it(monkeypatch, request):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    request.getfixturevalue("pod")
"""


@pytest.fixture(scope="module")
def web(module_pod) -> Pod:
    return module_pod(manifest("shared", idle_after("echo hello; echo there >/here"), {}, hostname="box"))


def inode(kind: str) -> int:
    return os.stat(f"/proc/self/ns/{kind}").st_ino


# --- functions in containers


# In mnt alone there would be no /proc/self: that /proc is of another PID namespace.
@pytest.mark.parametrize(
    "kinds", ["net", "ipc", "uts", "pid", "cgroup", "mnt pid", "net ipc uts mnt pid cgroup"]
)
def test_a_function_runs_in_the_namespaces_asked_for(web, kinds):
    names = kinds.split()
    there = {kind: web["c0"].run(inode, kind, namespaces=names) for kind in names}
    assert there == {kind: web["c0"].namespace(kind) for kind in names}
    assert not {inode(kind) for kind in names} & {*there.values()}


def test_without_being_asked_a_function_runs_in_what_the_pod_shares(web):
    joined = {
        kind for kind in ("net", "ipc", "uts", "mnt", "pid") if web["c0"].run(inode, kind) != inode(kind)
    }
    assert joined == {"net", "ipc", "uts"}


def test_a_function_is_seen_by_the_container_whose_pid_namespace_it_joined_but_not_looked_into(web):
    ours, theirs = socket.socketpair()

    def wait() -> None:
        theirs.sendall(str(os.getpid()).encode())
        theirs.recv(1)

    ours.settimeout(60)
    with ours, theirs, ThreadPoolExecutor() as threads:
        waiting = threads.submit(web["c0"].run, wait, namespaces={"pid"})
        try:
            proc = f"/proc/{ours.recv(20).decode()}"
            numbers = web["c0"].exec("ls", f"{proc}/fd").stdout
            files = web["c0"].exec("sh", "-c", f"readlink {proc}/fd/*; readlink {proc}/exe", check=False)
        finally:
            ours.sendall(b".")
        waiting.result()
    assert (numbers != "", files.stdout, files.returncode) == (True, "", 1)


def test_a_user_namespace_that_is_the_tests_own_needs_no_joining(web):
    assert web["c0"].run(inode, "user", namespaces={"user", "net"}) == inode("user")


def test_a_kind_of_namespace_that_does_not_exist_is_refused(web):
    with pytest.raises(ValueError, match="no kind of namespace: mount; there are net, ipc"):
        web["c0"].run(os.getpid, namespaces={"mount"})


def test_a_function_can_be_one_of_the_test_and_see_what_it_sees(web):
    wanted = ("/here", "there\n")

    def read() -> bool:
        with open(wanted[0]) as file:
            return file.read() == wanted[1]

    assert web["c0"].run(read, namespaces={"mnt"})


def test_what_a_function_changes_is_the_containers_and_not_the_tests(web):
    before = socket.gethostname(), os.getcwd()
    web["c1"].run(lambda: (socket.sethostname("renamed"), os.chdir("/")))
    assert web["c0"].exec("hostname").stdout == "renamed\n"
    assert (socket.gethostname(), os.getcwd()) == before
    web["c1"].run(socket.sethostname, "box")


def test_pause_is_a_place_for_functions_too(web):
    assert web.pause.run(inode, "net") == web["c0"].namespace("net")


def refuse(*args: object) -> None:
    raise OSError(*args)


def test_an_exception_is_raised_with_its_traceback(web):
    with pytest.raises(OSError, match="of our own") as caught:
        web["c0"].run(refuse, errno.ENOTUNIQ, "of our own", namespaces={"net", "mnt", "pid"})
    assert caught.value.errno == errno.ENOTUNIQ
    story = str(caught.value.__cause__)
    assert re.search(r'test_testing.py", line \d+, in refuse\n    raise OSError\(\*args\)\n', story), story


def test_a_failed_assertion_is_explained(web):
    def compare(other: str) -> None:
        assert socket.gethostname() == other

    with pytest.raises(AssertionError, match="assert 'box' == 'other'"):
        web["c0"].run(compare, "other", namespaces={"uts", "mnt"})


def test_an_exception_that_cannot_be_copied_is_told(web):
    class OwnError(Exception):
        pass

    def fail() -> None:
        raise OwnError("alas")

    with pytest.raises(RuntimeError, match="OwnError: alas") as caught:
        web["c0"].run(fail)
    assert "in fail\n" in str(caught.value.__cause__)


def test_a_result_that_cannot_be_copied_is_told(web):
    with pytest.raises(TypeError, match="the result can't be pickled"):
        web["c0"].run(socket.socket)


def test_a_function_that_ends_its_process_is_told(web):
    with pytest.raises(RuntimeError, match="ended without an answer"):
        web["c0"].run(os._exit, 0)


def test_a_function_that_forks_answers_once(web):
    def forks() -> str:
        if child := os.fork():
            os.waitpid(child, 0)
            return "the function"
        return "its child"

    assert web["c0"].run(forks) == "the function"


def test_a_function_that_takes_too_long_is_ended(web):
    with pytest.raises(TimeoutError, match="didn't return within"):
        web["c0"].run(signal.pause, seconds=0.1, namespaces={"pid"})


# --- a pod


def test_a_pid_is_one_that_the_test_can_use(web):
    assert Path(f"/proc/{web['c0'].pid}/root/here").read_text() == "there\n"
    assert Path(f"/proc/{web.pause.pid}/cmdline").read_text() == "pause\0-P\0"


def test_what_runs_in_a_container_is_told(web):
    assert web["c0"].logs() == "hello\n"
    assert web["c0"].exec("cat", stdin="through").stdout == "through"
    assert web["c1"].exec("ls", "/here", check=False).returncode == 1
    with pytest.raises(AssertionError, match="/here: No such file or directory"):
        web["c1"].exec("ls", "/here")
    with pytest.raises(KeyError, match=r"pod default/shared has no 'app'; there are c0, c1"):
        _ = web["app"].pid


def test_a_container_may_be_called_pause(pod):
    web = pod(manifest("web", {"name": "pause"}))
    assert web["pause"].run(inode, "mnt", namespaces={"mnt", "pid"}) != web.pause.namespace("mnt")


def test_a_pod_can_be_in_a_namespace(pod):
    web = pod(manifest("web", {}, metadata={"namespace": "lab"}))
    assert web["c0"].exec("hostname").stdout == "web\n"
    assert web["c0"].run(socket.gethostname) == "web"


def test_a_pod_can_be_waited_for(pod):
    web = pod(manifest("web", sh("exit 3"), restartPolicy="Never"))
    assert web.wait("Failed")["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert web.wait(lambda status: status["phase"] == "Failed") == web.status
    with pytest.raises(ProcessLookupError, match="c0 of pod default/web doesn't run"):
        _ = web["c0"].pid


def test_a_container_that_was_restarted_is_another_process(pod):
    web = pod(manifest("web", {}))
    first = web["c0"].pid
    os.kill(first, signal.SIGKILL)
    web.wait(lambda status: status["containerStatuses"][0]["restartCount"] == 1)
    web.wait(lambda status: "running" in status["containerStatuses"][0]["state"])
    assert web["c0"].pid != first


def test_a_deleted_pod_is_gone_with_its_processes(pod, minipod_node):
    web = pod(manifest("web", {}))
    pid = web["c0"].pid
    web.delete()
    assert "default/web" not in minipod_node.names()
    assert not os.path.exists(f"/proc/{pid}")


def test_a_name_that_is_taken_is_refused_and_its_pod_survives(pod):
    web = pod(manifest("web", {}))
    with pytest.raises(AssertionError, match="pod default/web is there already"):
        pod(manifest("web", {}))
    assert web.status["phase"] == "Running"


def test_a_pod_that_does_not_start_is_described(pod):
    volume = {"name": "v", "hostPath": {"path": "/nowhere", "type": "Directory"}}
    web = manifest("web", {"volumeMounts": mounted(v="/v")}, volumes=[volume])
    with pytest.raises(AssertionError, match=r"(?s)pod default/web doesn't run after .*\nName: +web\n"):
        pod(web, seconds=0.5)


def test_what_a_test_leaves_behind_is_found(minipod_node, monkeypatch):
    monkeypatch.setenv("MINIPOD_LEAK_SECONDS", "0.1")
    with pytest.raises(AssertionError, match="link left behind: leak0 bridge"), minipod_node.clean():
        minipod_node.sh("ip link add leak0 type bridge")
    minipod_node.sh("ip link del leak0")


def test_what_the_processes_of_other_pods_do_is_no_leak(web, minipod_node):
    with minipod_node.clean():
        web["c1"].exec("sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
    web["c1"].exec("killall", "sleep")


# --- in somebody else's tests


@pytest.fixture
def run_pytest(tmp_path, minipod_images):
    """pytest in a folder that isn't ours, where nothing but the installed plugin makes the fixtures.

    Its node has its images from the store that MINIPOD_HOME leads to.
    """
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/images").symlink_to(minipod_images)
    ours = ("PYTEST", "PYTHON", "MINIPOD")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}

    def run(files: dict[str, str]) -> str:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=environment | {"MINIPOD_HOME": str(tmp_path), host.MARK: os.environ[host.MARK]},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout

    return run


def test_a_run_without_the_fixtures_imports_nothing_but_the_plugin(run_pytest):
    told = run_pytest({"test_none.py": NOTHING_IMPORTED})
    assert "1 passed" in told, told


def test_who_is_not_root_is_told_what_was_left_out(run_pytest):
    told = run_pytest({"pytest.ini": "[pytest]\naddopts = -ra", "test_pod.py": NOT_ROOT})
    assert re.search(r"SKIPPED .*: minipod_node needs root", told), told


def test_the_examples_of_the_documentation_run_where_minipod_is_installed(run_pytest):
    text = (ROOT / "docs/testing.md").read_text()
    files = dict(re.findall(r"```\w+\n# ([\w.-]+)\n(.*?)```", text, re.DOTALL))
    assert files.keys() == {"test_one_network.py", "cache.yaml", "test_full_volume.py"}
    told = run_pytest(files)
    assert re.search(r"=== \d+ passed in ", told), told
