"""minipod run and attach: pods without a manifest, and the streams of a container's main process."""

import os
import pty
import signal
import termios
from subprocess import PIPE

import pytest

from tests.support.node import IDLE, Node, interrupt, pod, sh
from tests.support.terminal import Terminal
from tests.support.wait import wait_until


@pytest.fixture
def terminal(node: Node):
    opened: list[Terminal] = []

    def at(*words: str, **size: int) -> Terminal:
        opened.append(Terminal(node, *words, **size))
        return opened[-1]

    yield at
    for each in opened:
        each.close()


def test_run_creates_a_pod_of_one_container(node):
    words = ["--image=busybox", "--env", "A=1", "--env=B=x=y", "--labels", "a=b,c=d", "--port", "80"]
    done = node.run("run", "one", *words, "--restart=Never", "--", "sh", "-c", IDLE)
    assert done.stdout == "pod/one created\n"
    made = node.get("one")
    assert made["metadata"]["labels"] == {"a": "b", "c": "d"}
    (container,) = made["spec"]["containers"]
    assert container["env"] == [{"name": "A", "value": "1"}, {"name": "B", "value": "x=y"}]
    assert (container["args"], container["ports"][0]["containerPort"]) == (["sh", "-c", IDLE], 80)
    assert made["spec"]["restartPolicy"] == "Never"


def test_run_labels_the_pod_and_may_replace_the_command(node):
    node.run("run", "two", "--image=busybox", "--command", "--", "sh", "-c", IDLE)
    made = node.get("two")
    assert made["metadata"]["labels"] == {"run": "two"}
    assert made["spec"]["containers"][0]["command"] == ["sh", "-c", IDLE]
    assert made["spec"]["restartPolicy"] == "Always"


def test_a_name_that_is_taken_is_refused(node):
    node.apply(pod("taken", {}))
    result = node.run("run", "taken", "--image=busybox", check=False)
    assert result.returncode == 1
    assert result.stderr == 'Error from server (AlreadyExists): pods "taken" already exists\n'


def run_once(node: Node, script: str, *flags: str, stdin: str = ""):
    words = ["run", "once", "--image=busybox", "--restart=Never", *flags, "--", "sh", "-c", script]
    return node.run(*words, stdin=stdin, check=False)


def test_streams_and_exit_code_are_the_containers_and_the_pod_goes(node):
    result = run_once(node, "cat; echo err >&2; exit 7", "-i", "--rm", stdin="some\ndata")
    assert (result.returncode, result.stdout) == (7, "some\ndata")
    assert result.stderr == 'err\npod "once" deleted\n'
    assert node.names() == []


def test_a_lot_of_data_passes_through_whole(node):
    data = "0123456789abcde\n" * 100_000
    assert run_once(node, "cat", "-iq", "--rm", stdin=data).stdout == data


def test_output_of_a_container_that_has_ended_before_anybody_came_is_shown(node):
    result = run_once(node, "echo done; exit 3", "-i", "--rm")
    assert (result.returncode, result.stdout) == (3, "done\n")


def test_attach_without_input_shows_all_of_it(node):
    result = run_once(node, "echo begin; cat; sleep 0.2; echo end", "--attach", stdin="not for it")
    assert (result.returncode, result.stdout) == (0, "begin\nend\n")
    assert node.names() == ["default/once"]


def test_a_container_that_cant_start_is_told_and_its_pod_goes(node):
    result = node.run(
        "run", "bad", "--image=busybox", "-i", "--rm", "--restart=Never", "--", "/nope", check=False
    )
    assert result.returncode == 1
    assert "No such file or directory: '/nope'" in result.stderr
    assert node.names() == []


def test_an_interrupted_run_removes_its_pod(node):
    words = ["run", "loop", "--image=busybox", "-i", "--rm", "--", "sh", "-c", f"echo ready; {IDLE}"]
    process = node.popen(*words, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    assert process.stdout.readline() == "ready\n"
    interrupt(process)
    _, stderr = process.communicate()
    assert stderr == 'pod "loop" deleted\n'
    assert node.names() == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["x", "--image=busybox", "--rm"], "--rm should only be used for attached containers"),
        (["x", "--image=busybox", "-t"], "-i/--stdin is required for containers with -t/--tty"),
        (["x"], 'required flag(s) "image" not set'),
        (["--image=busybox"], "expected 'run NAME --image=IMAGE"),
        (["x", "--image=busybox", "--restart=Sometimes"], 'invalid restart policy: "Sometimes"'),
        (["x", "--image=busybox", "--env=A"], "invalid env: A"),
        (["x", "--image=busybox", "--labels=A"], "unexpected label spec: A"),
    ],
)
def test_what_makes_no_sense_is_refused(node, words, message):
    result = node.run("run", *words, check=False)
    assert result.returncode == 1
    assert message in result.stderr
    assert node.names() == []


# --- at a terminal


def test_a_shell_of_ones_own(node, terminal):
    words = ["run", "shell", "--image=busybox", "-it", "--rm", "--restart=Never", "--", "sh"]
    shell = terminal(*words, rows=33, columns=111)
    shell.read_until("# ")
    shell.type("tty; stty size; echo $TERM; ps | head -2; exit 6\r")
    text = shell.read_until('pod "shell" deleted')
    assert shell.end() == 6
    for expected in ("/dev/pts/0", "33 111", "xterm", "1 root"):
        assert expected in text
    assert node.names() == []


def test_a_containers_terminal_is_resized_with_ours(terminal):
    # Attaching gives the terminal its first size, which may come after "ready", too.
    resized = "[ \"$(stty size)\" = '40 120' ] && stty size && exit 5"
    script = f"changed() {{ {resized}; }}; trap changed WINCH; echo ready; while :; do sleep 0.01; done"
    words = ["run", "size", "--image=busybox", "-it", "--rm", "--restart=Never", "--", "sh", "-c", script]
    shell = terminal(*words)
    shell.read_until("ready")
    shell.resize(40, 120)
    interrupt(shell.process, signal.SIGWINCH)
    shell.read_until("40 120")
    assert shell.end() == 5


def test_ctrl_c_goes_to_the_container(terminal):
    script = "trap 'exit 9' INT; echo ready; while :; do sleep 0.01; done"
    words = ["run", "ctrl", "--image=busybox", "-it", "--rm", "--restart=Never", "--", "sh", "-c", script]
    shell = terminal(*words)
    shell.read_until("ready")
    shell.type("\x03")
    assert shell.end() == 9


def test_a_user_other_than_root_has_a_terminal_too(node, terminal):
    spec = {"command": ["sh"], "stdin": True, "tty": True, "securityContext": {"runAsUser": 65534}}
    node.apply(pod("nobody", spec, restartPolicy="Never"))
    shell = terminal("attach", "-it", "nobody")
    shell.read_until("$ ")
    shell.type("id -u; echo typed > /dev/tty; echo out > /dev/stdout; exit\r")
    shell.read_until("65534")
    shell.read_until("typed\r\n")
    shell.read_until("out\r\n")
    assert shell.end() == 0


def test_a_terminals_output_is_logged(node, terminal):
    words = ["run", "logged", "--image=busybox", "-it", "--restart=Never", "--", "sh", "-c", "echo a line"]
    assert terminal(*words).end() == 0
    assert "a line\n" in node.logs("logged")


# --- attach


def test_several_can_be_attached_and_the_log_has_all(node):
    script = "while read line; do echo got $line; echo err $line >&2; done"
    node.apply(pod("echo", sh(script, stdin=True)))
    one, two = (node.popen("attach", "-i", "echo", stdin=PIPE, stdout=PIPE, stderr=PIPE) for _ in range(2))
    one.stdin.write("first\n")
    one.stdin.flush()
    assert one.stdout.readline() == "got first\n"
    assert one.stderr.readline() == "err first\n"
    two.stdin.write("second\n")
    two.stdin.flush()
    assert one.stdout.readline() == "got second\n"
    while two.stdout.readline() != "got second\n":  # it may have come late for the first
        pass
    for each in (one, two):
        interrupt(each)
        each.communicate()
    assert node.status("echo")["containerStatuses"][0]["state"]["running"]
    assert sorted(node.logs("echo").split("\n")) == ["", "err first", "err second", "got first", "got second"]


def test_input_stays_open_until_the_container_was_told_otherwise(node):
    for name, once in (("stays", False), ("once", True)):
        node.apply(pod(name, sh("cat; exit 4", stdin=True, stdinOnce=once), restartPolicy="Never"))
    assert node.run("attach", "-i", "once", stdin="a line\n").stdout == "a line\n"
    node.wait_phase("once", "Failed")
    process = node.popen("attach", "-i", "stays", stdin=PIPE, stdout=PIPE)
    process.stdin.write("a line\n")
    process.stdin.close()
    assert process.stdout.readline() == "a line\n"
    interrupt(process)
    process.wait()
    process.stdout.close()
    assert node.status("stays")["phase"] == "Running"


def test_whoever_reads_nothing_holds_the_container_up_and_loses_nothing(node):
    script = "read go; i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done"
    node.apply(pod("much", sh(script, stdin=True, stdinOnce=True), restartPolicy="Never"))
    process = node.popen("attach", "-i", "much", stdin=PIPE, stdout=PIPE)
    process.stdin.write("go\n")
    process.stdin.flush()
    first = process.stdout.readline()
    assert node.status("much")["phase"] == "Running"  # there are 400 KB, and a pipe holds 64
    process.stdin.close()
    lines = [first, *process.stdout]
    process.wait()
    process.stdout.close()
    assert lines == [f"line {i}\n" for i in range(40000)]


def test_a_client_that_is_gone_doesnt_hold_the_container_up(node):
    script = "read go; head -c 1000000 /dev/zero; echo; exit 4"
    node.apply(pod("freed", sh(script, stdin=True, stdinOnce=True), restartPolicy="Never"))
    process = node.popen("attach", "-i", "freed", stdin=PIPE, stdout=PIPE)
    process.stdin.write("go\n")
    process.stdin.flush()
    os.read(process.stdout.fileno(), 1)
    interrupt(process, signal.SIGKILL)
    process.communicate()
    assert node.wait_phase("freed", "Failed")["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nobody"], 'pods "nobody" not found'),
        (["ended"], "cannot attach to a container in a completed pod; current phase is Succeeded"),
        (["ended", "-c", "x"], "container x is not valid for pod ended"),
    ],
)
def test_what_cant_be_attached_to_is_told(node, words, message):
    node.apply(pod("ended", sh("true"), restartPolicy="Never"))
    node.wait_phase("ended", "Succeeded")
    result = node.run("attach", *words, check=False)
    assert result.returncode == 1
    assert message in result.stderr


def test_our_terminal_is_left_as_it_was(terminal):
    master, slave = pty.openpty()
    fresh = termios.tcgetattr(slave)
    shell = terminal("run", "left", "--image=busybox", "-it", "--rm", "--restart=Never", "--", "true")
    wait_until(lambda: shell.process.poll() is not None)
    assert termios.tcgetattr(shell.master) == fresh
    os.close(master)
    os.close(slave)


def test_nothing_of_a_session_stays_in_the_supervisor(node, terminal):
    # Of none: one that went well, one that couldn't begin, one whose user left.
    node.apply(pod("kept", sh("cat", stdin=True)))
    supervisor = node.sh("pgrep -f '^minipod: supervisor.*kept'").strip()
    count = f"ls /proc/{supervisor}/fd | wc -l"
    before = node.sh(count)
    assert int(before) > 5
    for words in (["true"], ["/nope"]):
        terminal("exec", "-it", "kept", "--", *words).end()
        node.exec("kept", *words, check=False)
    process = node.popen("attach", "-i", "kept", stdin=PIPE, stdout=PIPE)
    process.stdin.write("a line\n")
    process.stdin.flush()
    assert process.stdout.readline() == "a line\n"
    interrupt(process, signal.SIGKILL)
    process.communicate()
    wait_until(lambda: node.sh(count) == before)


def test_the_last_64_kib_wait_for_whoever_comes_first(node):
    script = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; echo ready >&2; cat"
    node.apply(pod("late", sh(script, stdin=True, stdinOnce=True), restartPolicy="Never"))
    wait_until(lambda: "ready\n" in node.logs("late", "--tail", "1"))
    lines = node.run("attach", "-i", "late", stdin="end\n").stdout.splitlines()
    first = next(number for number in range(20000) if lines[1] == f"line {number}")
    assert lines[1:] == [f"line {number}" for number in range(first, 20000)] + ["end"]
    assert 1 << 15 < sum(len(line) + 1 for line in lines) <= 1 << 16
