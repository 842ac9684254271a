"""minipod port-forward: local ports that lead to a pod's own localhost."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from subprocess import PIPE

import pytest

from tests.support.faults import Api
from tests.support.namespaces import inside
from tests.support.node import Node, idle_after, interrupt, pod
from tests.support.wait import wait_until

SERVERS = """
mkdir /www; echo hello >/www/index.html
httpd -p 127.0.0.1:80 -h /www
httpd -p '[::1]:86' -h /www
nc -ll -p 81 -e cat &
until netstat -ltn | grep -q ':81 '; do :; done
echo listening
"""


class Forward:
    """The command, running in a node."""

    def __init__(self, node: Node, *words: str) -> None:
        self.node = node
        self.process = node.popen("port-forward", *words, stdout=PIPE, stderr=PIPE)

    def port(self, address: str = "127.0.0.1") -> int:
        """Where it says that it listens."""
        line = self.process.stdout.readline()
        found = re.fullmatch(r"Forwarding from (.+):(\d+) -> \d+\n", line)
        assert found, line + self.process.stderr.read()
        return int(found[2]) if found[1] == address else self.port(address)

    def end(self) -> tuple[int, str, str]:
        interrupt(self.process)
        out, err = self.process.communicate()
        return self.process.returncode, out, err


@pytest.fixture(scope="module")
def web(shared_node: Node) -> Node:
    ports = [{"name": "http", "containerPort": 80}]
    shared_node.apply(pod("web", idle_after(SERVERS, ports=ports)))
    wait_until(lambda: "listening" in shared_node.logs("web"))
    return shared_node


@pytest.fixture
def forward(web: Node) -> Iterator[Forward]:
    """A free port that leads to port 81, where cat answers."""
    forward = Forward(web, "web", ":81")
    yield forward
    forward.process.poll() is None and forward.end()


def echo(port: int, size: int = 10, address: str = "127.0.0.1") -> int:
    """Send so many bytes and an end of file; how many of them come back before the other end's."""
    with socket.create_connection((address, port), timeout=30) as connection:
        sent = got = 0
        while sent < size:
            sent += connection.send(b"x" * min(65536, size - sent))
            if sent - got > 1 << 16:
                got += len(connection.recv(1 << 16))
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(1 << 16):
            got += len(data)
        return got


def get(port: int, address: str = "127.0.0.1") -> str:
    with socket.create_connection((address, port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        return connection.makefile().read().rpartition("\n\n")[2]


def test_a_local_port_leads_to_the_pods_own_localhost(web):
    forward = Forward(web, "pod/web", ":http")
    port = forward.port()
    assert forward.port("[::1]") == port
    for address in ("127.0.0.1", "::1"):
        assert inside(web.init, get, port, address) == "hello\n"
    code, out, err = forward.end()
    assert (code, out, err) == (-signal.SIGINT, f"Handling connection for {port}\n" * 2, "")


def test_many_bytes_and_the_end_of_file_pass_both_ways(web, forward):
    assert inside(web.init, echo, forward.port(), 5_000_000) == 5_000_000


def test_a_port_on_the_ipv6_localhost_alone_is_found(web):
    forward = Forward(web, "web", ":86")
    assert inside(web.init, get, forward.port()) == "hello\n"
    forward.end()


def test_several_ports_and_addresses(web):
    forward = Forward(web, "web", ":80", "18081:81", "--address", "127.0.0.2")
    assert inside(web.init, get, forward.port("127.0.0.2"), "127.0.0.2") == "hello\n"
    assert forward.port("127.0.0.2") == 18081
    assert inside(web.init, echo, 18081, 10, "127.0.0.2") == 10
    forward.end()


def test_nobody_listening_is_told_and_ends_one_connection_only(web):
    forward = Forward(web, "web", "18082:9", "18081:81")
    while forward.port("[::1]") != 18081:
        pass
    assert inside(web.init, echo_refused, 18082)
    assert inside(web.init, echo, 18081) == 10
    _, _, err = forward.end()
    assert "forwarding 18082 -> 9: failed to connect to localhost:9 inside the pod" in err
    assert "connection refused" in err


def echo_refused(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        return connection.recv(1) == b""


def test_the_bytes_pass_through_neither_node_nor_supervisor(web, forward):
    api = Api(web)
    port = forward.port()

    def held() -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            connection.sendall(b"a")
            answer = connection.recv(1)
            for each in processes:
                os.kill(each, signal.SIGSTOP)
            try:
                connection.sendall(b"b")
                return answer + connection.recv(1)
            finally:
                for each in processes:
                    os.kill(each, signal.SIGCONT)

    processes = [api.helper("supervisor default/web"), api.helper("node")]
    assert all(processes)
    assert inside(web.init, held) == b"ab"


def test_the_supervisor_stays_in_the_nodes_network(web, forward):
    api = Api(web)
    inside(web.init, echo, forward.port())
    supervisor = api.helper("supervisor default/web")
    assert web.namespace(supervisor, "net") == web.namespace("self", "net")


def test_a_pod_that_does_not_run_is_told(node):
    node.apply(pod("done", {"command": ["true"]}, restartPolicy="Never"), "--wait=false")
    node.wait_phase("done", "Succeeded")
    result = node.run("port-forward", "done", "8080", check=False)
    assert result.returncode == 1
    assert (
        result.stderr
        == "error: unable to forward port because pod is not running. Current status=Succeeded\n"
    )


def test_a_pod_that_has_gone_ends_the_command_at_the_next_connection(node):
    node.apply(pod("gone", {}))
    forward = Forward(node, "gone", ":80")
    port = forward.port()
    node.delete("gone")
    assert inside(node.init, echo_refused, port)
    _, err = forward.process.communicate(timeout=30)
    assert forward.process.returncode == 1
    assert err.endswith("error: lost connection to pod\n")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["web"], "TYPE/NAME and list of ports are required for port-forward"),
        (["web", "http:80"], "invalid port format 'http:80'"),
        (["web", "80:nope"], "invalid port format '80:nope'"),
        (["web", "80:70000"], "invalid port format '80:70000'"),
        (["nobody", "80"], 'pods "nobody" not found'),
    ],
)
def test_what_makes_no_sense_is_told(web, words, error):
    result = web.run("port-forward", *words, check=False)
    assert (result.returncode, error in result.stderr) == (1, True), result.stderr
