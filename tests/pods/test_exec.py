"""minipod exec: exit codes, standard input, terminals."""

import os
import pty
import signal
import termios
from subprocess import PIPE

import pytest

from tests.support.node import Node, interrupt, pod
from tests.support.terminal import Terminal
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def web(shared_node: Node) -> Node:
    env = [{"name": "COLOUR", "value": "blue"}]
    shared_node.apply(pod("web", {"env": env, "workingDir": "/var/tmp"}, {}))
    return shared_node


@pytest.mark.parametrize("code", [0, 1, 42, 255])
def test_the_exit_code_is_passed_on(web, code):
    result = web.exec("web", "sh", "-c", f"exit {code}", check=False)
    assert result.returncode == code
    assert result.stderr.endswith(f"command terminated with exit code {code}\n" if code else "")


def test_death_by_a_signal_is_128_and_the_signal(web):
    assert web.exec("web", "sh", "-c", "kill -9 $$", check=False).returncode == 137


def test_a_command_that_is_not_there_is_told(web):
    result = web.exec("web", "/no/such/program", check=False)
    assert result.returncode != 0
    assert "/no/such/program" in result.stderr


def test_output_and_errors_stay_apart(web):
    result = web.exec("web", "sh", "-c", "echo out; echo err >&2")
    assert (result.stdout, result.stderr) == ("out\n", "err\n")


def test_standard_input_is_piped(web):
    data = "x" * 300_000
    assert web.exec("web", "wc", "-c", stdin=data).stdout == "300000\n"


def test_without_i_there_is_no_input(web):
    assert web.run("exec", "web", "--", "cat", stdin="not for you").stdout == ""


def test_a_lot_of_output_comes_whole(web):
    assert len(web.exec("web", "head", "-c", "3000000", "/dev/zero").stdout) == 3_000_000


def test_a_command_runs_in_the_containers_namespaces_and_environment(web):
    pid = web.pids("web")["c1"]
    inodes = web.exec("web", "sh", "-c", "stat -Lc %i /proc/self/ns/*", container="c1").stdout.split()
    kinds = web.exec("web", "ls", "/proc/self/ns", container="c1").stdout.split()
    found = {kind: int(inode) for kind, inode in zip(kinds, inodes, strict=True)}
    for kind in ("net", "ipc", "uts", "pid", "mnt", "cgroup"):
        assert found[kind] == web.namespace(pid, kind), kind


def test_environment_and_working_directory_are_the_containers(web):
    assert web.exec("web", "sh", "-c", "echo $COLOUR; pwd").stdout == "blue\n/var/tmp\n"


def test_a_command_is_in_the_containers_cgroups(web):
    first = web.exec("web", "cat", "/proc/1/cgroup").stdout
    assert web.exec("web", "cat", "/proc/self/cgroup").stdout == first


def test_the_first_container_is_the_default(web):
    web.exec("web", "touch", "/mark")
    assert web.exec("web", "ls", "/mark", container="c0").stdout == "/mark\n"


def test_an_empty_argument_is_an_argument(web):
    assert web.exec("web", "sh", "-c", 'echo $#-"$1"-"$2"', "sh", "", "b").stdout == "2--b\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nobody", "--", "true"), 'pods "nobody" not found'),
        (("-c", "nobody", "web", "--", "true"), "container nobody is not valid for pod web"),
    ],
)
def test_what_is_not_there_is_told(web, words, message):
    result = web.run("exec", *words, check=False)
    assert result.returncode == 1
    assert message in result.stderr


# --- terminals


@pytest.fixture
def terminal(web):
    opened: list[Terminal] = []

    def at(*command: str, **size: int) -> Terminal:
        opened.append(Terminal(web, "exec", "-it", "web", "--", *command, **size))
        return opened[-1]

    yield at
    for each in opened:
        each.close()


def test_a_shell_at_a_terminal(terminal):
    shell = terminal("sh")
    shell.read_until("# ")
    shell.type("tty; exit 7\r")
    shell.read_until("/dev/pts/")
    assert shell.end() == 7


def test_a_terminal_has_the_size_of_ours(terminal):
    shell = terminal("stty", "size", rows=33, columns=111)
    shell.read_until("33 111")
    assert shell.end() == 0


def test_a_terminal_is_resized_with_ours(terminal):
    shell = terminal("sh", "-c", "trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.01; done")
    shell.read_until("ready")
    shell.resize(40, 120)
    interrupt(shell.process, signal.SIGWINCH)
    shell.read_until("40 120")
    assert shell.end() == 5


def test_ctrl_c_goes_to_the_command(terminal):
    shell = terminal("sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done")
    shell.read_until("ready")
    shell.type("\x03")
    assert shell.end() == 9


def test_our_terminal_is_left_as_it_was(terminal):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    shell = terminal("true")
    assert shell.end() == 0
    assert before == termios.tcgetattr(slave)
    os.close(master)
    os.close(slave)


def test_a_command_whose_caller_is_gone_ends_with_its_input(web):
    process = web.popen(
        "exec", "-i", "web", "--", "sh", "-c", "echo $$; cat; echo end >/caller-gone", stdin=PIPE, stdout=PIPE
    )
    process.stdout.readline()
    interrupt(process, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: web.exec("web", "ls", "/caller-gone", check=False).returncode == 0)
