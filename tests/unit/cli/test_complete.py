"""What the shell is offered for the word that is being typed."""

import json
import socket
import subprocess
from pathlib import Path

import pytest

from minipod.cli.complete import candidates
from tests.unit.cli.fakenode import ARGV, FakeNode, minipod


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["ap"], ["apply"]),
        (["get", "po"], ["pods", "pod", "po"]),
        (["get", "ev"], ["events"]),
        (["get", "pods", "-o", "w"], ["wide"]),
        (["get", "pods", ""], ["one", "two"]),
        (["get", "pods", "one", ""], ["two"]),
        (["logs", "pod/t"], ["pod/two"]),
        (["logs", "one", ""], ["setup", "app"]),
        (["describe", "pod", "t"], ["two"]),
        (["describe", "po/t"], ["po/two"]),
        (["events", "--for", "pod/"], ["pod/one", "pod/two"]),
        (["attach", "o"], ["one"]),
        (["run", "x", "--image", "b"], ["busybox:latest"]),
        (["run", "x", "--restart", "On"], ["OnFailure"]),
        (["exec", "one", "-c", "a"], ["app"]),
        (["cp", "file", "one:/x", "-c", "a"], ["app"]),
        (["cp", "file", "one", ":", "/x", "-c", "a"], ["app"]),  # as bash has it
        (["cp", "o"], ["one:", "other.txt"]),
        (["cp", "fo"], ["folder/"]),
        (["cp", "other.txt", ""], ["one:", "two:"]),
        (["cp", "one:/x", ""], []),
        (["image", "rm", "bu"], ["busybox:latest"]),
        (["image", "rm", "busybox", ":", "la"], ["latest"]),
        (["exec", "-it", "one", "--", "l"], []),
        (["get", "--name"], ["--namespace"]),
        (["node", "st"], ["start", "stop", "status"]),
        (["apply", "-f", ""], []),
        (["nonsense", ""], []),
    ],
)
def test_completion_offers_what_fits(
    node: FakeNode, words: list[str], found: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "other.txt").touch()
    pods = {"items": [{"metadata": {"name": "one"}}, {"metadata": {"name": "two"}}]}
    pod = {"spec": {"initContainers": [{"name": "setup"}], "containers": [{"name": "app"}]}}

    def answer(connection: socket.socket, request: bytes) -> None:
        images = {"items": [{"names": ["docker.io/library/busybox:latest", "localhost/other:1"]}]}
        answers = {b"/pods/one": pod, b"/v1/images": images}
        found = next((answers[end] for end in answers if request.split()[1].endswith(end)), pods)
        text = json.dumps(found).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    node.answer = answer
    assert candidates(words) == found


@pytest.mark.parametrize("flags", [["-n", "lab"], ["-nlab"], ["--namespace", "lab"], ["--namespace=lab"]])
def test_completion_asks_for_the_pods_of_the_namespace(node: FakeNode, flags: list[str]) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    node.answer = lambda connection, _: connection.sendall(reply)
    candidates(["attach", *flags, ""])
    assert b"/namespaces/lab/pods" in node.requests[0]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_ask_the_command(shell: str) -> None:
    assert "__complete" in minipod("completion", shell).stdout.decode()


@pytest.mark.parametrize(
    ("words", "said"), [("get po", ["pods", "pod", "po"]), ("cp fold", ["-o", "nospace", "folder/"])]
)
def test_bash_completes_with_it(
    home: Path, words: str, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "folder").mkdir()
    launcher = home / "minipod"
    launcher.write_text(
        f"#!/bin/sh\nexec {ARGV[0]} -I -S -c '{ARGV[-1]}' \"$@\"\n".replace("'/", '"/').replace("')", '")')
    )
    launcher.chmod(0o755)
    script = (
        f"source <({launcher} completion bash); compopt() {{ echo $*; }}; "
        f'COMP_WORDS=({launcher} {words}); COMP_CWORD=2; _minipod; echo "${{COMPREPLY[*]}}"'
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=20)
    assert done.stdout.decode().split() == said
