import asyncio
import json
import os
import socket

import pytest

from minipod.api.messages import Attach, Exec
from minipod.errors import Conflict
from minipod.spec.types import ContainerState, ContainerStateWaiting, Event
from tests.unit.node.conftest import RUNNING, manifest, text, until

PODS = "/api/v1/namespaces/default/pods"
STUCK = ContainerState(waiting=ContainerStateWaiting(reason="ErrImagePull", message="no such image"))


def test_a_pod_is_created_read_and_deleted(in_world):
    async def test(it):
        code, made = await it.client.json("POST", PODS, text(manifest("web")))
        assert (code, made["metadata"]["namespace"], made["metadata"]["generation"]) == (201, "default", 1)
        assert await it.client.json("GET", f"{PODS}/web") == (200, made)
        code, gone = await it.client.json("DELETE", f"{PODS}/web", gracePeriodSeconds="3")
        assert (code, gone["metadata"]["deletionGracePeriodSeconds"]) == (200, 3)
        assert it.pods.deleted == [(made["metadata"]["uid"], 3.0)]

    in_world(test)


def test_a_deletion_says_in_its_body_how_long_it_takes(in_world):
    async def test(it):
        _, made = await it.client.json("POST", PODS, text(manifest("web")))
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 3}
        code, status = await it.client.json("DELETE", f"{PODS}/web", json.dumps(body | {"dryRun": ["All"]}))
        assert (code, status["reason"], it.pods.deleted) == (400, "BadRequest", [])
        assert "dryRun" in status["message"]
        code, _ = await it.client.json("DELETE", f"{PODS}/web", json.dumps({"propagationPolicy": "Any"}))
        assert (code, it.pods.deleted) == (400, [])
        code, gone = await it.client.json("DELETE", f"{PODS}/web", json.dumps(body))
        assert (code, gone["metadata"]["deletionGracePeriodSeconds"]) == (200, 3)
        assert it.pods.deleted == [(made["metadata"]["uid"], 3.0)]

    in_world(test)


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason", "message"),
    [
        ("GET", f"{PODS}/web", "", 404, "NotFound", 'pods "web" not found'),
        ("GET", "/api/v1/nodes", "", 404, "NotFound", "GET /api/v1/nodes: Not Found"),
        ("PUT", PODS, "", 405, "MethodNotAllowed", f"PUT {PODS}: Method Not Allowed"),
        ("POST", PODS, "{", 400, "BadRequest", None),
        ("POST", PODS, text(manifest("a"), manifest("b")), 400, "BadRequest", "one pod at a time, not 2"),
        ("POST", PODS, text(manifest("Bad")), 422, "Invalid", None),
        ("GET", "/api/v1/pods?labelSelector=%3D", "", 400, "BadRequest", None),
        ("GET", "/api/v1/pods?watch=1&resourceVersion=99", "", 410, "Expired", None),
        ("GET", "/api/v1/pods?watch=1&resourceVersion=x", "", 400, "BadRequest", None),
        ("POST", f"{PODS}?dryRun=All", text(manifest("a")), 400, "BadRequest", None),
        ("POST", f"{PODS}?fault=here", text(manifest("a")), 400, "BadRequest", None),
    ],
)
def test_errors_are_kubernetes_status_objects(in_world, method, path, body, code, reason, message):
    async def test(it):
        answered, status = await it.client.json(method, path, body)
        assert (answered, status["kind"], status["code"], status["reason"]) == (code, "Status", code, reason)
        assert message in (None, status["message"])
        assert it.objects.pods() == []

    in_world(test)


def test_a_name_that_is_taken_is_said_to_exist(in_world):
    async def test(it):
        await it.client.json("POST", PODS, text(manifest("web")))
        code, status = await it.client.json("POST", PODS, text(manifest("web")))
        assert (code, status["reason"], status["message"]) == (
            409,
            "AlreadyExists",
            'pods "web" already exists',
        )

    in_world(test)


def test_an_invalid_pod_names_every_field(in_world):
    async def test(it):
        _, status = await it.client.json("POST", PODS, text(manifest("Bad", restartPolicy="x")))
        assert [cause["field"] for cause in status["details"]["causes"]] == [
            "metadata.name",
            "spec.restartPolicy",
        ]

    in_world(test)


def test_a_list_is_a_pod_list_with_a_version_to_watch_from(in_world):
    async def test(it):
        await it.client.apply(manifest("web"), manifest("db"))
        _, listed = await it.client.json("GET", PODS)
        assert (listed["kind"], [each["metadata"]["name"] for each in listed["items"]]) == (
            "PodList",
            ["db", "web"],
        )
        it.pods.report("web", app=RUNNING)
        it.objects.pod_gone(it.objects.pod("default", "db").metadata.uid)
        since = listed["metadata"]["resourceVersion"]
        url = it.client.url("/api/v1/pods", {"watch": "1", "resourceVersion": since})
        async with it.client.session.get(url) as response:
            old = [json.loads(await response.content.readline()) for _ in range(2)]
            await it.client.apply(manifest("new"))
            new = json.loads(await response.content.readline())
        told = [(each["type"], each["object"]["metadata"]["name"]) for each in (*old, new)]
        assert told == [("MODIFIED", "web"), ("DELETED", "db"), ("ADDED", "new")]

    in_world(test)


def test_a_watch_without_a_version_begins_with_what_is_there(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        async with it.client.session.get(it.client.url(PODS, {"watch": "1"})) as response:
            first = json.loads(await response.content.readline())
        assert (first["type"], first["object"]["metadata"]["name"]) == ("ADDED", "web")

    in_world(test)


def test_events_are_listed_by_their_object(in_world):
    async def test(it):
        await it.client.apply(manifest("web"), manifest("db"))
        for pod in it.objects.pods():
            it.objects.event_happened(pod.metadata.uid, Event(type="Normal", reason="Test", message="x"))
        path = "/api/v1/namespaces/default/events"
        _, listed = await it.client.json("GET", path, fieldSelector="involvedObject.name=web")
        assert [each["involvedObject"]["name"] for each in listed["items"]] == ["web"]

    in_world(test)


# --- exec ------------------------------------------------------------------------------------------------------------


def ask_to_exec(path, verb="exec", **query):
    """A raw connection on which an exec (or attach) has been asked for."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(path)
    words = "&".join(f"{key}={value}" for key, value in query.items())
    head = "Host: node\r\nConnection: Upgrade\r\nUpgrade: minipod-streams\r\n"
    sock.sendall(f"POST {PODS}/web/{verb}?{words} HTTP/1.1\r\n{head}\r\n".encode())
    return sock


def everything(sock):
    with sock, sock.makefile("rb") as file:
        return file.read()


def refusal(sock):
    """Head and Status of an ordinary reply; the connection stays open after it."""
    with sock, sock.makefile("rb") as file:
        head = b"".join(iter(file.readline, b"\r\n"))
        return head, json.loads(file.read(int(head.lower().split(b"content-length: ")[1].split()[0])))


def test_the_clients_socket_is_handed_over_after_101(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        it.pods.report("web", app=RUNNING)
        kept = []

        def take(request, fd):
            assert request == Exec(container="app", argv=("ls",), tty=True, rows=24, columns=80)
            kept.append(os.dup(fd))

        it.pods.on_exec = take
        before = it.connections()
        sock = ask_to_exec(it.node.layout.socket, command="ls", tty="true", rows=24, columns=80)
        reading = asyncio.create_task(asyncio.to_thread(everything, sock))
        await until(lambda: kept)
        # The node lets go of the connection; it lives on through the supervisor's descriptor alone.
        await until(lambda: it.connections() == before)
        os.write(kept[0], b"streams\nexit 3\n")
        os.close(kept[0])
        head, _, rest = (await reading).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert b"Upgrade: minipod-streams" in head
        assert rest == b"streams\nexit 3\n"

    in_world(test)


def test_a_command_may_be_as_long_as_the_kernel_takes_it(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        it.pods.report("web", app=RUNNING)
        told = []
        it.pods.on_exec = lambda request, _: told.append(request.argv)
        long = "%0A" * (128 << 10)
        sock = await asyncio.to_thread(ask_to_exec, it.node.layout.socket, command=long)
        await asyncio.to_thread(everything, sock)
        assert told == [("\n" * (128 << 10),)]

    in_world(test)


def test_what_the_supervisor_refuses_comes_after_101(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        it.pods.report("web", app=RUNNING)

        def refuse(request, fd):
            raise Conflict("no more")

        it.pods.on_exec = refuse
        sock = ask_to_exec(it.node.layout.socket, command="ls")
        assert (await asyncio.to_thread(everything, sock)).endswith(b"\r\n\r\nerror no more\n")

    in_world(test)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({}, "you must specify at least one command for the container"),
        ({"command": "ls", "container": "x"}, "container x is not valid for pod web out of: app"),
        ({"command": "ls"}, 'container "app" in pod "web" isn\'t running: it is waiting'),
    ],
)
def test_an_exec_that_cant_be_is_an_ordinary_error(in_world, query, message):
    async def test(it):
        await it.client.apply(manifest("web"))
        sock = ask_to_exec(it.node.layout.socket, **query)
        head, status = await asyncio.to_thread(refusal, sock)
        assert head.startswith(b"HTTP/1.1 400 ")
        assert status["message"] == message

    in_world(test)


def test_without_a_name_the_container_of_the_annotation_is_meant(in_world):
    marked = manifest("web")
    marked["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "side"}
    marked["spec"]["containers"].append({"name": "side", "image": "busybox"})

    async def test(it):
        await it.client.apply(marked)
        _, status = await asyncio.to_thread(refusal, ask_to_exec(it.node.layout.socket, command="ls"))
        assert status["message"] == 'container "side" in pod "web" isn\'t running: it is waiting'

    in_world(test)


def test_the_socket_is_roots_alone(in_world):
    async def test(it):
        assert os.stat(it.node.layout.socket).st_mode & 0o777 == 0o600

    in_world(test)


# --- attach ----------------------------------------------------------------------------------------------------------


def test_attach_waits_until_the_container_runs(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        asked = []
        it.pods.on_exec = lambda request, _: asked.append(request)
        sock = ask_to_exec(it.node.layout.socket, "attach", wait="true", stdin="true", rows=24, columns=80)
        reading = asyncio.create_task(asyncio.to_thread(everything, sock))
        await until(lambda: it.objects._hub._watches)
        assert not asked
        it.pods.report("web", app=RUNNING)
        assert b" 101 " in await reading
        assert asked == [Attach(container="app", stdin=True, rows=24, columns=80)]

    in_world(test)


@pytest.mark.parametrize(
    ("happens", "message"),
    [
        (
            lambda it: it.pods.report("web", app=STUCK),
            'pod/web container "app" can\'t start: ErrImagePull: no such image',
        ),
        (
            lambda it: it.objects.pod_gone(it.objects.pod("default", "web").metadata.uid),
            'pods "web" not found',
        ),
    ],
)
def test_attach_doesnt_wait_for_what_wont_come(in_world, happens, message):
    async def test(it):
        await it.client.apply(manifest("web"))
        sock = ask_to_exec(it.node.layout.socket, "attach", wait="true")
        reading = asyncio.create_task(asyncio.to_thread(refusal, sock))
        await until(lambda: it.objects._hub._watches)
        happens(it)
        assert (await reading)[1]["message"] == message

    in_world(test)
