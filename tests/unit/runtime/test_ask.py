"""Questions over the network: what the kubelet's probes would have made of the same answers."""

import gc
import os
import signal
import socket
import ssl
import struct
import threading

import pytest

from minipod.runtime import grpc, http
from minipod.runtime.ask import Exchange, Sleep
from minipod.runtime.hosts import address_of
from minipod.runtime.loop import Loop
from tests.support.tls import PEM


@pytest.fixture
def loop():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    yield Loop()
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def serve():
    """serve(answer, answer, …): a server that gives one to each connection in turn; its port and what it was asked."""
    listeners, threads = [], []

    def start(*answers):
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        asked = []

        def run():
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    asked.append(connection.recv(65536))
                    for part in answer if isinstance(answer, list) else [answer]:
                        connection.sendall(part)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return listener.getsockname()[1], asked

    yield start
    for thread in threads:
        thread.join()
    for listener in listeners:
        listener.close()


def answer_of(loop, make):
    """What a question comes to; make(done) puts it."""
    answers = []
    make(lambda success, text: answers.append((success, text)))
    while not answers:
        loop.turn()
    return answers[0]


def get(loop, port, path="/", headers=None, any_status=False, host="127.0.0.1", scheme="http"):
    def make(done):
        return http.HTTPGet(loop, host, port, path, headers or {}, 20, done, any_status, scheme)

    return answer_of(loop, make)


def reply(status, *headers, body=b""):
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


# --- HTTP


@pytest.mark.parametrize(
    ("answer", "success", "text"),
    [
        (reply("200 OK", body=b"fine"), True, ""),
        (reply("204 No Content"), True, ""),
        (reply("399 Odd"), True, ""),
        (reply("400 Bad"), False, "HTTP probe failed with statuscode: 400"),
        (reply("503 Busy", body=b"later"), False, "HTTP probe failed with statuscode: 503"),
        (reply("302 Found"), True, ""),
        (reply("302 Found", "Location: http://elsewhere.example/"), True, ""),
        (b"HTTP/1.0 200 OK\r\n\r\nwithout a length", True, ""),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"4\r\nfine\r\n", b"0\r\n\r\n"],
            True,
            "",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(20000), True, ""),
    ],
)
def test_an_answer_of_200_to_399_is_a_success(loop, serve, answer, success, text):
    assert get(loop, serve(answer)[0]) == (success, text)


@pytest.mark.parametrize(
    ("answer", "error"), [(b"", "EOF"), (b"hello\n", "net/http: malformed HTTP response")]
)
def test_what_is_no_answer_is_a_failure(loop, serve, answer, error):
    port, _ = serve(answer)
    assert get(loop, port) == (False, f'Get "http://127.0.0.1:{port}/": {error}')


def test_a_hook_is_content_with_any_status(loop, serve):
    assert get(loop, serve(reply("500 No"))[0], any_status=True) == (True, "")


def test_redirects_to_the_same_host_are_followed(loop, serve):
    second, asked = serve(reply("404 Not Found"))
    first, _ = serve(
        reply("302 Found", "Location: /a/b"),
        reply("301 Moved", "Location: c?d#e"),
        reply("307 Moved", f"Location: http://127.0.0.1:{second}/f"),
    )
    assert get(loop, first) == (False, "HTTP probe failed with statuscode: 404")
    assert asked[0].startswith(b"GET /f HTTP/1.1\r\n")


def test_redirects_in_a_circle_come_to_an_end(loop, serve):
    port, _ = serve(*[reply("302 Found", "Location: /")] * 10)
    assert get(loop, port) == (False, f'Get "http://127.0.0.1:{port}/": stopped after 10 redirects')


def test_a_request_has_the_headers_it_is_given(loop, serve):
    port, asked = serve(reply("200 OK"))
    get(loop, port, "healthz", {"User-Agent": "kube-probe/1.35", "Accept": "", "Host": "web.example"})
    assert asked[0].split(b"\r\n") == [
        b"GET /healthz HTTP/1.1",
        b"Host: web.example",
        b"User-Agent: kube-probe/1.35",
        b"Connection: close",
        b"",
        b"",
    ]


def test_a_refused_connection_is_told_as_the_kubelet_does(loop):
    port = free_port()
    assert get(loop, port) == (
        False,
        f'Get "http://127.0.0.1:{port}/": dial tcp 127.0.0.1:{port}: connect: connection refused',
    )


def test_a_server_that_never_answers_is_not_waited_for(loop):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        success, text = answer_of(
            loop, lambda done: http.HTTPGet(loop, "127.0.0.1", port, "/", {}, 0.05, done)
        )
    assert (success, "context deadline exceeded" in text) == (False, True)


def test_a_host_name_is_not_looked_up(loop):
    assert get(loop, 80, host="web.example")[0] is False


# --- HTTPS


@pytest.fixture
def secure(tmp_path):
    """secure(answer): as serve, over TLS, with a certificate that nobody trusts."""
    (tmp_path / "pem").write_text(PEM)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pem")
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def start(answer):
        def run():
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                connection.recv(65536)
                connection.sendall(answer)

        threads.append(threading.Thread(target=run))
        threads[-1].start()
        return listener.getsockname()[1]

    yield start
    for thread in threads:
        thread.join()
    listener.close()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (reply("200 OK", body=b"fine"), (True, "")),
        (reply("500 No"), (False, "HTTP probe failed with statuscode: 500")),
    ],
)
def test_over_https_the_certificate_is_not_looked_at(loop, secure, answer, result):
    assert get(loop, secure(answer), scheme="https") == result


def test_a_redirect_may_lead_from_http_to_https(loop, serve, secure):
    target = secure(reply("404 Not Found"))
    port, _ = serve(reply("302 Found", f"Location: https://127.0.0.1:{target}/"))
    assert get(loop, port) == (False, "HTTP probe failed with statuscode: 404")


def test_over_https_a_refused_connection_is_told_too(loop):
    success, text = get(loop, free_port(), scheme="https")
    assert (success, "connection refused" in text) == (False, True)


def test_a_server_that_speaks_no_tls_is_a_failure(loop, serve):
    success, text = get(loop, serve(b"what?\n")[0], scheme="https")
    assert (success, "protocol error" in text) == (False, True)


# --- TCP, and questions as such


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_connection_that_is_accepted_is_a_success(loop, host):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert answer_of(loop, lambda done: Exchange(loop, host, port, b"", lambda _: True, 20, done)) == (
            True,
            "",
        )


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("web", "192.0.2.1"),
        ("WEB.example", "192.0.2.1"),
        ("six", "2001:db8::6"),
        ("hidden", ""),
        ("192.0.2.1", ""),
        ("none", ""),
    ],
)
def test_a_name_means_the_first_address_that_the_hosts_file_has_for_it(name, address):
    text = "# a comment\n\n192.0.2.1\tweb web.example # hidden\n192.0.2.2 web\n2001:db8::6 six\n"
    assert address_of(name, text) == address


def test_a_name_that_is_not_in_the_hosts_file_is_said_not_to_be(loop):
    success, text = answer_of(
        loop, lambda done: Exchange(loop, "no-such.invalid", 1, b"", lambda _: True, 20, done)
    )
    assert not success
    assert text.startswith("dial tcp: lookup no-such.invalid: no such host in /etc/hosts")


def test_a_question_that_was_dropped_says_nothing(loop):
    answers = []
    question = Sleep(loop, 0, lambda *answer: answers.append(answer))
    question.drop()
    loop.turn()
    assert answers == []


def test_a_question_may_be_given_less_time_or_more(loop):
    answers = []
    question = Sleep(loop, 0, lambda *answer: answers.append(answer))
    question.limit(3600)
    loop.turn()
    assert answers == []
    question.limit(0)
    loop.turn()
    assert answers == [(True, "")]


def test_questions_leave_no_descriptor_behind(loop, serve):
    gc.collect()  # what earlier tests forgot to close
    before = os.listdir("/proc/self/fd")
    get(loop, free_port())
    assert os.listdir("/proc/self/fd") == before


# --- gRPC


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def health(status):
    """A server's whole answer: settings, response headers, a HealthCheckResponse, trailers."""
    message = bytes((0x08, status)) if status else b""
    return [
        frame(4, 0, 0),
        frame(1, 4, 1, b"\x88"),
        frame(0, 0, 1, b"\0" + struct.pack(">I", len(message)) + message),
        frame(1, 5, 1, b"\x40\x0bgrpc-status\x010"),
    ]


def check(loop, port, service=""):
    return answer_of(loop, lambda done: grpc.HealthCheck(loop, "127.0.0.1", port, service, 20, done))


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (1, (True, "")),
        (2, (False, 'service unhealthy (responded with "NOT_SERVING")')),
        (0, (False, 'service unhealthy (responded with "UNKNOWN")')),
    ],
)
def test_a_grpc_service_is_healthy_when_it_says_serving(loop, serve, status, answer):
    assert check(loop, serve(health(status))[0]) == answer


def test_a_grpc_server_without_the_health_service_is_a_failure(loop, serve):
    trailers_only = [frame(4, 0, 0), frame(1, 5, 1, b"\x88\x40\x0bgrpc-status\x0212")]
    success, text = check(loop, serve(trailers_only)[0])
    assert (success, "does not implement the grpc health protocol" in text) == (False, True)


def test_a_health_check_is_a_whole_http2_request(loop, serve):
    port, asked = serve(health(1))
    check(loop, port, "web")
    assert asked[0].startswith(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    assert b"\x05:path\x1c/grpc.health.v1.Health/Check" in asked[0]
    assert asked[0].endswith(frame(0, 1, 1, b"\0\0\0\0\x05\x0a\x03web"))


def test_the_answer_may_come_in_any_pieces():
    whole = b"".join(health(1)[:3])
    assert [grpc.read(whole[:end]) for end in range(len(whole))] == [(None, False)] * len(whole)
    assert grpc.read(whole) == (1, False)
