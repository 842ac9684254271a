import asyncio
import os

import pytest

from minipod.node import logs
from minipod.node.logs import LogRequest
from minipod.node.status import BadRequest
from minipod.runtime.logs import LogWriter
from minipod.spec.types import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    ObjectMeta,
    Pod,
    PodSpec,
    PodStatus,
)
from tests.unit.node.conftest import RUNNING, manifest, until

ENDED = ContainerState(terminated=ContainerStateTerminated(exit_code=1))


def pod(*names, init=(), annotations=None):
    return Pod(
        metadata=ObjectMeta(name="web", annotations=annotations or {}),
        spec=PodSpec(
            containers=tuple(Container(name=name) for name in names),
            init_containers=tuple(Container(name=name) for name in init),
        ),
    )


@pytest.mark.parametrize(
    ("it", "wanted", "chosen"),
    [
        (pod("a"), "", ("a", "")),
        (pod("a", "b"), "b", ("b", "")),
        (pod("a", "b", init=["c"]), "", ("a", 'Defaulted container "a" out of: a, b, c (init)')),
        (pod("a", init=["c"]), "c", ("c", "")),
        (pod("a", "b", annotations={"kubectl.kubernetes.io/default-container": "b"}), "", ("b", "")),
    ],
)
def test_the_container_is_chosen_as_kubectl_does(it, wanted, chosen):
    assert logs.choose(it, wanted) == chosen


def test_a_container_that_isnt_there_is_refused():
    with pytest.raises(BadRequest, match="container x is not valid for pod web"):
        logs.choose(pod("a"), "x")


async def with_log(it, *lines, attempt=0, **status):
    """A pod whose container app has written `lines`."""
    await it.client.apply(manifest("web"))
    made = it.objects.pod("default", "web")
    folder = it.node.layout.pod_log("default", "web", made.metadata.uid)
    writer = LogWriter(f"{folder}/app/{attempt}.log")
    for line in lines:
        writer.write("stdout", line)
    report(it, attempt, **status)
    return writer


def report(it, attempt=0, **status):
    found = ContainerStatus(name="app", restart_count=attempt, **({"state": RUNNING} | status))
    uid = it.objects.pod("default", "web").metadata.uid
    it.objects.pod_changed(uid, PodStatus(phase="Running", container_statuses=(found,)))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ({}, "one\ntwo\nthree"),
        ({"tailLines": "2"}, "two\nthree"),
        ({"tailLines": "0"}, ""),
        ({"sinceSeconds": "60"}, "one\ntwo\nthree"),
        ({"sinceSeconds": "9" * 18}, "one\ntwo\nthree"),
    ],
)
def test_the_log_of_the_attempt_that_runs_is_shown(in_world, query, shown):
    async def test(it):
        writer = await with_log(it, b"one\ntwo\n", b"three\n")
        answer = await it.client.verb("GET", "logs", name="web", **query)
        assert (answer.code, answer.out) == (0, shown)
        writer.close()

    in_world(test)


def test_any_bytes_a_container_writes_come_out_unchanged(in_world):
    async def test(it):
        data = bytes(range(256)).replace(b"\n", b"").replace(b"\r", b"")
        writer = await with_log(it, data + b"\n")
        async with it.client.session.get(it.client.url("/minipod/v1/logs", {"name": "web"})) as response:
            assert await response.read() == b"1" + data + b"\nx0\n"
        async with it.client.session.get(
            it.client.url("/api/v1/namespaces/default/pods/web/log", {"limitBytes": 4})
        ) as response:
            assert await response.read() == data[:4]
        writer.close()

    in_world(test)


@pytest.mark.parametrize(
    ("status", "query", "error"),
    [
        (
            {"state": ContainerState()},
            {},
            'container "app" in pod "web" is waiting to start: ContainerCreating',
        ),
        (
            {"state": ContainerState(waiting=ContainerStateWaiting(reason="ErrImagePull"))},
            {},
            'container "app" in pod "web" is waiting to start: image can\'t be pulled',
        ),
        ({}, {"previous": "true"}, 'previous terminated container "app" in pod "web" not found'),
    ],
)
def test_why_there_is_no_log_is_told(in_world, status, query, error):
    async def test(it):
        writer = await with_log(it, **status)
        answer = await it.client.verb("GET", "logs", name="web", **query)
        assert (answer.code, answer.err) == (1, f"Error from server (BadRequest): {error}")
        writer.close()

    in_world(test)


def test_previous_is_the_attempt_before(in_world):
    async def test(it):
        writer = await with_log(it, b"first\n", attempt=0)
        writer.close()
        report(it, attempt=1, last_state=ENDED)
        answer = await it.client.verb("GET", "logs", name="web", previous="true")
        assert answer.out == "first"

    in_world(test)


def test_following_shows_what_comes_until_the_container_ends(in_world):
    async def test(it):
        writer = await with_log(it, b"before\n")
        url = it.client.url("/minipod/v1/logs", {"name": "web", "follow": "true"})
        async with it.client.session.get(url) as response:
            assert await response.content.readline() == b"1before\n"
            writer.write("stdout", b"after\n")
            assert await response.content.readline() == b"1after\n"
            writer.write("stdout", b"last words")
            writer.close()
            report(it, state=ENDED)
            assert await response.content.read() == b"1last words\nx0\n"

    in_world(test)


def test_following_ends_when_the_pod_is_gone(in_world):
    async def test(it):
        writer = await with_log(it, b"before\n")
        following = asyncio.create_task(it.client.verb("GET", "logs", name="web", follow="true"))
        await until(lambda: it.objects._hub._watches)
        it.objects.pod_gone(it.objects.pod("default", "web").metadata.uid)
        assert (await following).out == "before"
        writer.close()

    in_world(test)


def test_a_client_that_leaves_leaves_no_file_open(in_world):
    def open_logs():
        return [name for name in map(_target, os.listdir("/proc/self/fd")) if name.endswith("app/0.log")]

    async def test(it):
        (await with_log(it, b"before\n")).close()
        url = it.client.url("/minipod/v1/logs", {"name": "web", "follow": "true"})
        async with it.client.session.get(url) as response:
            await response.content.readline()
            assert len(open_logs()) == 1
        await until(lambda: not open_logs())

    in_world(test)


def _target(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def test_numbers_are_checked():
    with pytest.raises(BadRequest, match='tailLines must be a whole number, not "-5"'):
        LogRequest.of({"tailLines": "-5"})
