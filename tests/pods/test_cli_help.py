"""Every example of every --help, at a terminal, as it stands there."""

import shlex
import shutil
import signal
from pathlib import Path

import pytest

from minipod.cli.options import VERBS, load
from tests.support.node import MINIPOD, ROOT, Node, interrupt, pod
from tests.support.terminal import Terminal
from tests.support.wait import wait_until

EXAMPLES = [
    (verb, example) for verbs in VERBS.values() for verb in verbs for _, example in load(verb).examples
]
ENDLESS = {  # until Ctrl-C; and what has come by then
    "minipod observe shared-context --cgroup --watch": "pause",
    "minipod get po -o wide -w": "shared-context",
    "minipod events -A -w": "Started",
    "minipod logs -f --tail 10 shared-context web": "127.0.0.1",
    "minipod attach shared-context -c client": "written by a test",
    "minipod port-forward shared-context 8080": "Forwarding from 127.0.0.1:8080 -> 8080",
    "minipod port-forward pod/shared-context :8080": "-> 8080",
    "minipod port-forward --address 0.0.0.0 shared-context 8081:8080": "Forwarding from 0.0.0.0:8081 -> 8080",
}
INTERACTIVE = (
    "minipod exec -it",
    "minipod enter pod/hello",
    "minipod run shell",
    "minipod attach -it",
    "minipod debug -it",
)
STOPPED = ("step", "continue", "enter")  # verbs for a pod that is stopped at a breakpoint
OWN = {  # pods that aren't there any more, or as before
    **dict.fromkeys((*STOPPED, "apply"), ("hello",)),
    "run": ("shell", "hi", "web"),
    "attach": ("shell",),
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory, image) -> Path:
    """A folder as somebody has it who tries things: the examples, a tar, the command on the PATH."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "examples").symlink_to(ROOT / "examples")
    shutil.copy(image, folder / "rootfs.tar")
    for place in (".config/fish/completions", ".local/share/bash-completion/completions", "bin"):
        (folder / place).mkdir(parents=True)
    for name, script in (("minipod", f'exec {shlex.join(MINIPOD)} "$@"'), ("podman", "cat rootfs.tar")):
        (folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / name).chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def lab(shared_node: Node, desk: Path) -> Node:
    """A node of which every example is true: its pods run, restarts has restarted, the image is there."""
    shared_node.run("image", "import", str(desk / "rootfs.tar"), "my/image:1")
    return shared_node


def prepare(lab: Node, verb: str) -> None:
    lab.run("continue", "hello", check=False)  # an example may have left it stopped
    lab.run("apply", "--wait", "-f", str(ROOT / "examples"))
    lab.wait("restarts", lambda status: status["containerStatuses"][0]["restartCount"])
    wait_until(lambda: "127.0.0.1" in lab.logs("shared-context", "-c", "web"))
    for name in OWN.get(verb, ()):
        lab.run("delete", "pod", name, "--now", check=False)
    if verb in STOPPED:
        lab.run("apply", "-f", str(ROOT / "examples/hello.yaml"), "--break-at", "exec")
    if verb == "attach":
        shell = {"name": "shell", "command": ["sh"], "stdin": True, "tty": True}
        lab.apply(pod("shell", shell, restartPolicy="Never"))


@pytest.mark.parametrize(
    ("verb", "example"), [case for case in EXAMPLES if case[1] != "minipod node stop --pods"]
)
def test_an_example_does_what_it_says(lab, desk, verb, example):
    prepare(lab, verb)
    script = f"cd {desk}; export HOME={desk} PATH={desk}/bin:$PATH; {example}"
    terminal = Terminal(lab, script, columns=200, program=["setsid", "--ctty", "--wait", "bash", "-c"])
    try:
        if example in ENDLESS:
            if "attach" in example:
                write_until_seen(lab, terminal)
            terminal.read_until(ENDLESS[example])
            terminal.type("\x03")
            terminal.end()
        else:
            if example.startswith(INTERACTIVE):
                terminal.read_until("# ")
                terminal.type("exit\r")
            code = terminal.end()
            assert (code, "error" in terminal.text.lower()) == (0, False), terminal.text
    finally:
        terminal.close()


def write_until_seen(lab: Node, terminal: Terminal) -> None:
    """There is nothing to see until somebody who is attached is written to."""
    words = ("sh", "-c", "echo written by a test >/proc/1/fd/1")
    wait_until(
        lambda: lab.exec("shared-context", *words, container="client") and terminal.readable(),
        what="somebody to be attached",
    )


def test_every_verb_has_three_examples():
    few = [verb for verbs in VERBS.values() for verb in verbs if len(load(verb).examples) < 3]
    assert few == []


def test_the_last_example_removes_everything(new_node):
    node = new_node()
    node.apply(pod("web", {}))
    assert node.run("node", "stop", "--pods").stdout == "node stopped\n"
    assert node.run("node", "status", check=False).returncode == 3


def test_somebody_new_is_told_what_to_do(desk, lab):
    script = f"cd {desk}; export PATH={desk}/bin:$PATH; minipod"
    terminal = Terminal(lab, script, program=["bash", "-c"])
    assert terminal.end() == 0
    steps = [
        line.split("#")[0].strip() for line in terminal.text.splitlines() if line.startswith("  minipod ")
    ]
    assert steps[0] == "minipod apply -f examples/shared-context.yaml --wait"
    lab.delete_all()
    for step in steps:
        walk = Terminal(lab, f"cd {desk}; export PATH={desk}/bin:$PATH; {step}", program=["bash", "-c"])
        try:
            if " -it " in step:
                walk.read_until("# ")
                walk.type("exit\r")
            assert walk.end() == 0, walk.text
        finally:
            if walk.process.poll() is None:
                interrupt(walk.process, signal.SIGKILL)
                walk.process.wait()
    assert lab.names() == []
