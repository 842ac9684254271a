"""Starting the node on first use, with a node made small."""

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minipod.api import client
from minipod.cli import start
from minipod.errors import Unreachable
from tests.unit.cli.fakenode import REPO

# Answers one request with what it sees of itself, and ends.
NODE = """
import json, os, socket
home = os.environ["MINIPOD_HOME"]
with open(f"{home}/starts", "a") as file:
    print(os.getpid(), file=file)
os.makedirs(f"{home}/run", exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind(f"{home}/run/minipod.sock")
listener.listen(16)
umask = os.umask(0)
seen = dict(
    session=os.getsid(0) == os.getpid(), cwd=os.getcwd(), umask=umask, environment=sorted(os.environ),
    fds=[fd for fd in range(3, 64) if fd != listener.fileno() and os.path.exists(f"/proc/self/fd/{fd}")],
    stdin=os.readlink("/proc/self/fd/0"), stdout=os.readlink("/proc/self/fd/1"),
    ignored=[line.split()[1] for line in open("/proc/self/status") if line.startswith("SigIgn")],
)
while True:
    connection, _ = listener.accept()
    if connection.recv(65536):
        break
body = json.dumps(seen).encode()
connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
"""


def becomes(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """The node is this program, and whoever starts it is root without systemd."""
    monkeypatch.setattr(start, "command", lambda _: [sys.executable, "-c", code])
    monkeypatch.setattr(start, "has_unit", lambda: False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)


def test_the_node_is_a_daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    becomes(monkeypatch, NODE)
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    sock = start.start_node(print)
    seen = json.loads(client.send(sock, "GET", "/").read())
    sock.close()
    os.close(reader)
    os.close(writer)
    os.wait()
    assert (seen["session"], seen["cwd"], seen["umask"], seen["fds"]) == (True, "/", 0o022, [])
    names = {name for name in seen["environment"] if name != "LC_CTYPE"}  # Python's own (PEP 538)
    assert names == {"LANG", "MINIPOD_HOME", "PATH"} | {
        name for name in os.environ if name.startswith("MINIPOD_")
    }
    assert (seen["stdin"], seen["stdout"]) == ("/dev/null", f"{home}/log/minipod.log")
    # Python itself ignores SIGPIPE and SIGXFSZ; nothing else may be.
    assert int(seen["ignored"][0], 16) == 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1


def test_a_node_that_dies_is_quoted(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    becomes(monkeypatch, "import sys; sys.exit('no cgroup2 here')")
    (home / "log").mkdir()
    (home / "log/minipod.log").write_text("of yesterday\n")
    with pytest.raises(Unreachable, match=r"^the node can't start:\nno cgroup2 here$"):
        start.start_node(print)


def test_a_relative_home_is_where_the_command_runs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    becomes(monkeypatch, "import os, sys; sys.exit(os.environ['MINIPOD_HOME'])")
    monkeypatch.chdir(home.parent)
    monkeypatch.setenv("MINIPOD_HOME", home.name)
    with pytest.raises(Unreachable, match=f"^the node can't start:\n{home}$"):
        start.start_node(print)


def test_a_node_that_never_answers_is_reported(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    becomes(monkeypatch, "import signal; signal.pause()")
    monkeypatch.setattr(start, "_settled", lambda _: None)
    monkeypatch.setattr(start, "PATIENCE", 0.0)
    children: list[int] = []
    fork = os.fork
    monkeypatch.setattr(os, "fork", lambda: children.append(fork()) or children[-1])
    with pytest.raises(Unreachable, match=r"doesn't answer on .* after 0 s; see .*minipod.log"):
        start.start_node(print)
    os.kill(children[0], signal.SIGKILL)
    os.waitpid(children[0], 0)


def test_several_commands_at_once_start_one_node(home: Path) -> None:
    code = textwrap.dedent(f"""
        import os, sys
        sys.path.insert(0, {str(REPO)!r})
        from minipod.cli import start
        start.command = lambda module: [sys.executable, "-c", {NODE!r}]
        start.has_unit = lambda: False
        os.geteuid = lambda: 0
        start.start_node(print).close()
    """)
    starters = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(5)]
    assert [starter.wait(20) for starter in starters] == [0] * 5
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(client.socket_path())
        sock.sendall(b"end")
        while sock.recv(4096):
            pass
    assert len((home / "starts").read_text().splitlines()) == 1


def test_only_root_is_asked_to_start_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unreachable, match="try it with sudo"):
        start.start_node(print)
    assert not (home / "run").exists()


def test_systemd_is_asked_only_where_it_runs_with_our_unit(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not start.has_unit()  # MINIPOD_HOME is set
    monkeypatch.delenv("MINIPOD_HOME")
    monkeypatch.setattr(os.path, "isdir", lambda path: path == "/run/systemd/system")
    monkeypatch.setattr(os.path, "exists", lambda path: path == "/lib/systemd/system/minipod.service")
    assert start.has_unit()
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    assert not start.has_unit()


def test_the_node_gets_this_interpreter_and_these_paths() -> None:
    done = subprocess.run(start.command("minipod.errors", "x"), capture_output=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, b"")


def test_the_sbin_folders_are_found_whatever_the_users_path_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/opt/x:/usr/bin")
    path = start.environment()["PATH"].split(":")
    assert path[:2] == ["/opt/x", "/usr/bin"]
    assert {"/usr/sbin", "/sbin", "/bin"} < set(path)
    assert len(path) == len(set(path))
