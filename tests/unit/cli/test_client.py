import array
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from minipod.api import client
from minipod.errors import Unreachable
from minipod.names import layout


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        yield ours, theirs


@contextmanager
def reply_to(*pieces: bytes) -> Iterator[client.Reply]:
    """What the client makes of an answer that arrives in these pieces."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)

    def serve() -> None:
        with theirs:
            for piece in pieces:
                theirs.sendall(piece)

    thread = threading.Thread(target=serve)
    thread.start()
    with ours:
        try:
            yield client.Reply(ours)
        finally:
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"


def test_the_head_is_read() -> None:
    with reply_to(HEAD, b"0\r\n\r\n") as reply:
        assert (reply.status, reply.kind) == (200, "text/plain")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_chunks_are_joined_however_they_are_cut(size: int) -> None:
    body = b"4\r\nWiki\r\n6;name=value\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\n"
    data = HEAD + body
    with reply_to(*[data[i : i + size] for i in range(0, len(data), size)]) as reply:
        assert reply.read() == b"Wikipedia in \r\n\r\nchunks."


def test_chunks_come_out_as_they_arrive(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(HEAD + b"2\r\nab\r\n")
    pieces = client.Reply(ours).pieces()
    assert next(pieces) == b"ab"
    theirs.sendall(b"1\r\nc\r\n0\r\n\r\n")
    assert b"".join(pieces) == b"c"


def test_a_length_ends_the_body() -> None:
    with reply_to(b"HTTP/1.1 404 Not Found\r\ncontent-length: 3\r\n\r\nabcdef") as reply:
        assert reply.read() == b"abc"


def test_without_length_the_connection_ends_the_body() -> None:
    with reply_to(b"HTTP/1.1 200 OK\r\n\r\n", b"abc", b"def") as reply:
        assert reply.read() == b"abcdef"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        HEAD,
        HEAD + b"4\r\nWi",
        HEAD + b"4\r\nWiki\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
    ],
)
def test_a_node_that_goes_away_is_noticed(data: bytes) -> None:
    with pytest.raises(Unreachable, match="went away"), reply_to(data) as reply:
        reply.read()


def test_descriptors_arrive_with_the_bytes_that_follow_an_upgrade(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    theirs.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
    fds = [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]
    theirs.sendmsg([b"streams\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
    theirs.close()
    reply = client.Reply(ours)
    text = b""
    while piece := reply.receive():
        text += piece
    assert text == b"streams\n"
    assert [os.fstat(fd).st_rdev for fd in reply.fds] == [os.stat("/dev/null").st_rdev] * 2
    assert not any(os.get_inheritable(fd) for fd in reply.fds)
    for fd in fds + reply.fds:
        os.close(fd)


def test_a_query_is_percent_encoded() -> None:
    where = client.target("/x", [("a", "b c/&=%ü"), ("empty", ""), ("z", "1")])
    assert where == "/x?a=b%20c%2F%26%3D%25%C3%BC&z=1"


def test_a_path_without_parameters_has_no_query() -> None:
    assert client.target("/x", [("empty", "")]) == "/x"


def test_the_socket_is_where_names_says(home: Path) -> None:
    assert client.socket_path() == layout().socket


def test_without_a_home_the_socket_is_the_machines_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(client.posix.environ, b"MINIPOD_HOME")
    assert client.socket_path() == layout("").socket


def test_a_deep_folder_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    monkeypatch.chdir(deep)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("s")
    listener.listen()
    client.connect(str(deep / "s")).close()
    listener.close()


def test_nobody_listening_is_told_from_no_socket(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        client.connect(str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with pytest.raises(ConnectionRefusedError):
        client.connect(str(tmp_path / "s"))
