"""What each verb sends and prints, with a node made small."""

import json
import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from minipod.cli.logs import seconds
from minipod.cli.options import UsageError
from tests.unit.cli.fakenode import ARGV, FakeNode, minipod


def asked(node: FakeNode) -> str:
    """The first line of the last request, without the protocol's version."""
    return node.requests[-1].split(b"\r\n")[0].decode().removesuffix(" HTTP/1.1")


def body(node: FakeNode) -> bytes:
    return node.requests[-1].partition(b"\r\n\r\n")[2]


POD = "/minipod/v1/get?kind=pods"


@pytest.mark.parametrize(
    ("line", "request_line"),
    [
        ("get pods", f"GET {POD}&namespace=default"),
        ("get po a b", f"GET {POD}&name=a&name=b&namespace=default"),
        ("get pod/a po/b -o wide", f"GET {POD}&name=a&name=b&namespace=default&output=wide"),
        (
            "-n web get pods -A -w -l a=b",
            f"GET {POD}&namespace=web&all=true&watch=true&selector=a%3Db",
        ),
        ("logs a", "GET /minipod/v1/logs?name=a&namespace=default"),
        (
            "logs -fp pod/a c --tail=5 --since 1h1m --timestamps",
            "GET /minipod/v1/logs?name=a&namespace=default&container=c&follow=true&previous=true&tailLines=5"
            "&sinceSeconds=3660&timestamps=true",
        ),
        ("logs a --tail -1 -c b", "GET /minipod/v1/logs?name=a&namespace=default&container=b"),
        ("logs a --since 0s", "GET /minipod/v1/logs?name=a&namespace=default"),
        (
            "delete pod a b",
            "POST /minipod/v1/delete?wait=true&kind=pods&namespace=default&name=a&name=b",
        ),
        (
            "delete pod/a --now --wait=false",
            "POST /minipod/v1/delete?grace=0&wait=false&kind=pods&namespace=default&name=a",
        ),
        (
            "delete po a --grace-period 5",
            "POST /minipod/v1/delete?grace=5&wait=true&kind=pods&namespace=default&name=a",
        ),
        ("delete pods --all", "POST /minipod/v1/delete?wait=true&kind=pods&namespace=default&all=true"),
        ("delete --all", "POST /minipod/v1/delete?wait=true&kind=pods&namespace=default&all=true"),
        (
            "delete po -l a=b -A",
            "POST /minipod/v1/delete?wait=true&kind=pods&namespace=default&selector=a%3Db&all-namespaces=true",
        ),
        (
            "get po --sort-by .a --no-headers --show-labels",
            f"GET {POD}&namespace=default&sort-by=.a&no-headers=true&labels=true",
        ),
        (
            "describe pod a b",
            "GET /minipod/v1/describe?kind=pods&name=a&name=b&namespace=default",
        ),
        ("describe po/a -n web", "GET /minipod/v1/describe?kind=pods&name=a&namespace=web"),
        ("describe pods -A", "GET /minipod/v1/describe?kind=pods&namespace=default&all=true"),
        (
            "events --for pod/a --types Warning -w",
            "GET /minipod/v1/get?kind=events&namespace=default&for=a&types=Warning&watch=true",
        ),
        ("events -A", "GET /minipod/v1/get?kind=events&namespace=default&all=true"),
        ("observe pod/a -o json", "GET /minipod/v1/observe?name=a&namespace=default&output=json"),
        (
            "observe a --processes --net -w",
            "GET /minipod/v1/observe?name=a&namespace=default&show=processes&show=net&watch=true",
        ),
        ("observe a po/b -n web", "GET /minipod/v1/observe?name=a&name=b&namespace=web"),
        ("observe a host", "GET /minipod/v1/observe?name=a&with-host=true&namespace=default"),
        ("observe a pod/host", "GET /minipod/v1/observe?name=a&name=host&namespace=default"),
        ("image ls", "GET /minipod/v1/image/ls"),
        ("image rm my/image:1", "DELETE /minipod/v1/images/my%2Fimage%3A1"),
    ],
)
def test_a_command_line_becomes_this_request(node: FakeNode, line: str, request_line: str) -> None:
    node.says("x0")
    assert minipod(*line.split()).returncode == 0
    assert asked(node) == request_line


def test_output_goes_where_the_node_says(node: FakeNode) -> None:
    node.says("1NAME", "2warning", "1a", "1", "x7")
    result = minipod("get", "pods")
    assert (result.stdout, result.stderr, result.returncode) == (b"NAME\na\n\n", b"warning\n", 7)


def test_streams_keep_their_order(node: FakeNode) -> None:
    node.says("1a", "1b", "2c", "1d", "2e", "x0")
    done = subprocess.run(
        [*ARGV, "get", "pods"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20
    )
    assert done.stdout == b"a\nb\nc\nd\ne\n"


def test_progress_is_for_terminals(node: FakeNode) -> None:
    node.says("p starting", "1done", "x0")
    result = minipod("get", "pods")
    assert (result.stdout, result.stderr) == (b"done\n", b"")


def test_a_line_may_come_in_pieces(node: FakeNode) -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.minipod.console\r\n\r\n")
        for piece in (b"1hel", b"lo\n1wor", b"ld\nx", b"3\n"):
            connection.sendall(piece)

    node.answer = answer
    result = minipod("get", "pods")
    assert (result.stdout, result.returncode) == (b"hello\nworld\n", 3)


def test_an_answer_without_an_end_means_the_node_went_away(node: FakeNode) -> None:
    node.says("1a")
    result = minipod("get", "pods")
    assert (result.stdout, result.returncode) == (b"a\n", 1)
    assert b"the node went away" in result.stderr


def test_a_status_is_printed_as_kubectl_does(node: FakeNode) -> None:
    status = {"kind": "Status", "reason": "NotFound", "message": 'pods "x" not found', "code": 404}
    node.says(json.dumps(status), status="404 Not Found", kind="application/json")
    result = minipod("get", "pod", "x")
    assert (result.stderr, result.returncode) == (b'Error from server (NotFound): pods "x" not found\n', 1)


def test_an_invalid_pod_needs_no_introduction(node: FakeNode) -> None:
    message = 'The Pod "x" is invalid: spec.containers: Required value'
    node.says(
        json.dumps({"reason": "Invalid", "message": message}),
        status="422 Unprocessable",
        kind="application/json",
    )
    assert minipod("get", "pods").stderr.decode() == message + "\n"


def test_an_error_that_is_no_status_is_shown_as_it_is(node: FakeNode) -> None:
    node.says("500: out of paper", status="500 Oops", kind="text/plain")
    assert minipod("get", "pods").stderr == b"Error from server (HTTP 500): 500: out of paper\n"


def test_one_file_is_sent_as_it_is(node: FakeNode, tmp_path: Path) -> None:
    node.says("1pod/a created", "x0")
    (tmp_path / "a.yaml").write_text("kind: Pod\n")
    assert minipod("apply", "--wait", "-f", str(tmp_path / "a.yaml")).stdout == b"pod/a created\n"
    assert asked(node).startswith("POST /minipod/v1/apply?wait=true&source=")
    assert body(node) == b"kind: Pod\n"


def test_a_folder_is_sent_in_one_request_each_source_with_its_name(node: FakeNode, tmp_path: Path) -> None:
    node.says("x0")
    folder = tmp_path / "m"
    folder.mkdir()
    for name in ("b.yml", "a.yaml", "c.json", "README.md"):
        (folder / name).write_text(f"# {name}\n")
    (folder / "folder.yaml").mkdir()
    assert minipod("apply", "-n", "web", "-f", str(folder)).returncode == 0
    assert asked(node) == "POST /minipod/v1/apply?namespace=web"
    assert body(node).decode() == "\n".join(
        f"#!minipod-source {folder}/{name}\n# {name}\n" for name in ("a.yaml", "b.yml", "c.json")
    )


def test_standard_input_is_a_file_too(node: FakeNode) -> None:
    node.says("x0")
    assert minipod("delete", "-f", "-", stdin=b"kind: Pod").returncode == 0
    assert asked(node) == "POST /minipod/v1/delete?wait=true&source=-"
    assert body(node) == b"kind: Pod"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("apply", "must specify what to apply"),
        ("apply x.yaml", "did you mean -f x.yaml?"),
        ("apply -f - --break-at=", "--break-at needs a place"),
        ("apply -f /nowhere", 'the path "/nowhere" does not exist'),
        ("apply -f http://example.com/x.yaml", "curl -fsSL http://example.com/x.yaml | minipod apply -f -"),
        ("get", "you must specify the type of resource"),
        ("get podz", 'doesn\'t have a resource type "podz"; did you mean pod?'),
        ("get pod/a events/b", "one kind at a time"),
        ("delete events x", "only pods can be deleted"),
        ("get pod/a b", '"b": either all names are of the form pod/NAME or none is'),
        ("delete pod", "no name was specified: name pods, or write --all"),
        ("delete pod ''", "resource name may not be empty"),
        ("get pods a ''", "resource name may not be empty"),
        ("logs ''", "resource name may not be empty"),
        ("delete pod a --all", "name cannot be provided when a selector or --all is specified"),
        ("describe events", "only pods can be described; for events: minipod events"),
        ("describe pod a -l b", "name cannot be provided when a selector or -A is specified"),
        ("events a", "did you mean --for pod/a?"),
        ("attach", "expected 'attach POD'"),
        ("descrbe pod a", 'unknown command "descrbe" for "minipod"\n\nDid you mean this?\n\tdescribe\n'),
        ("get pods --sortby x", "unknown flag: --sortby (did you mean --sort-by?)"),
        ("delete pod a -f x", "not both"),
        ("delete pod a --now --grace-period=3", "cannot be specified together"),
        ("logs", "expected 'logs [flags] POD [CONTAINER]'"),
        ("logs a b -c c", "only one of -c or an inline CONTAINER"),
        ("logs a --tail=-12", "--tail must be greater than or equal to -1"),
        ("exec a ls", "use exec POD -- COMMAND"),
        ("exec a --", "expected 'exec POD -- COMMAND [ARG...]'"),
        ("observe", "expected 'observe POD [POD|host]'"),
        ("observe a b --net", "two are compared as a whole"),
        ("image frobnicate", "expected 'image import TAR NAME'"),
        ("node", "expected 'node start'"),
        ("node start --pods", "--pods belongs to 'node stop'"),
        ("completion tcsh", "expected 'completion bash'"),
        ("-n", "a verb is missing after: minipod -n"),
    ],
)
def test_a_wrong_command_line_is_refused_before_anything_is_sent(home: Path, line: str, message: str) -> None:
    result = minipod(*shlex.split(line))
    assert message in result.stderr.decode()
    assert result.stderr.startswith(b"error: ")
    assert (result.returncode, result.stdout) == (1, b"")
    assert not (home / "run").exists()


@pytest.mark.parametrize(
    ("text", "whole"),
    [("", ""), ("90s", "90"), ("1h30m", "5400"), ("1.5h", "5400"), ("1ms", "1"), ("2m0.1s", "121")],
)
def test_durations_are_gos(text: str, whole: str) -> None:
    assert seconds(text, "logs") == whole


@pytest.mark.parametrize("text", ["5", "s", "1d", "-5s", "1h 2m", "..s"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--since"):
        seconds(text, "logs")


@pytest.mark.parametrize("name", ["tar", "-"])
def test_an_image_is_sent_whole(node: FakeNode, tmp_path: Path, name: str) -> None:
    node.says('{"name": "x"}', kind="application/json")
    data = os.urandom(300_000)
    (tmp_path / "tar").write_bytes(data)
    result = minipod("image", "import", str(tmp_path / name) if name != "-" else "-", "my/image", stdin=data)
    assert result.stdout == b"image/my/image imported\n"
    assert asked(node) == "POST /minipod/v1/images?name=my%2Fimage"
    assert body(node) == data


def test_a_refused_import_says_why_though_the_tar_was_not_read(node: FakeNode, tmp_path: Path) -> None:
    def answer(connection: socket.socket, request: bytes) -> None:
        message = b'{"reason": "BadRequest", "message": "no room"}'
        connection.sendall(
            b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(message), message)
        )

    node.answer = answer
    node.read_bodies = False
    (tmp_path / "tar").write_bytes(bytes(3_000_000))
    assert b"(BadRequest): no room" in minipod("image", "import", str(tmp_path / "tar"), "x").stderr


def test_ctrl_c_is_quiet_and_the_shell_says_130(node: FakeNode) -> None:
    process = subprocess.Popen([*ARGV, "get", "pods", "-w"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def answer(connection: socket.socket, request: bytes) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.minipod.console\r\n\r\n"
        connection.sendall(head + b"1NAME\n")
        connection.recv(1)  # until the command is gone

    node.answer = answer
    assert process.stdout is not None
    assert process.stdout.readline() == b"NAME\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (-signal.SIGINT, b"")


def test_a_reader_that_leaves_ends_it_quietly(node: FakeNode) -> None:
    node.says(*["1" + "x" * 60_000] * 20, "x0")
    reader, writer = os.pipe()
    process = subprocess.Popen([*ARGV, "get", "pods"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    os.read(reader, 1)
    os.close(reader)
    _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (-signal.SIGPIPE, b"")


def test_version_knows_both_sides(node: FakeNode) -> None:
    node.says('{"gitVersion": "v9.9"}', kind="application/json")
    assert minipod("version").stdout.decode().splitlines()[1] == "Server Version: v9.9"


def test_status_of_a_node_that_does_not_run_is_3(home: Path) -> None:
    result = minipod("node", "status")
    assert (result.returncode, result.stdout) == (3, b"")
    assert b"not running" in result.stderr


def test_status_is_an_outline(node: FakeNode) -> None:
    node.says('{"version": "v1", "pods": 0, "paths": {"run": "/x"}, "warnings": []}', kind="application/json")
    assert (
        minipod("node", "status").stdout.decode()
        == "Version: v1\nPods: 0\nPaths:\n  Run: /x\nWarnings: <none>\n"
    )


def test_stopping_a_node_that_does_not_run_is_no_error(home: Path) -> None:
    assert minipod("node", "stop").stdout == b"node is not running\n"
