import asyncio

import pytest

from minipod.api.messages import Settings
from minipod.errors import MinipodError
from minipod.node import apply
from minipod.node.console import Console
from minipod.spec.types import (
    ContainerState,
    ContainerStateTerminated,
    ContainerStateWaiting,
    ContainerStatus,
    Event,
    PodStatus,
)
from tests.unit.node.conftest import RUNNING, manifest, taken_apart, text, until


def test_a_pod_is_created_then_unchanged_then_configured(in_world):
    async def test(it):
        answers = [
            await it.client.apply(manifest("web")),
            await it.client.apply(manifest("web")),
            await it.client.apply(manifest("web") | {"metadata": {"name": "web", "labels": {"a": "b"}}}),
        ]
        assert [each.out for each in answers] == [
            "pod/web created",
            "pod/web unchanged",
            "pod/web configured",
        ]
        assert [each.code for each in answers] == [0, 0, 0]
        assert it.objects.pod("default", "web").metadata.labels == {"a": "b"}
        assert it.pods.started == ["web"]

    in_world(test)


def test_what_was_applied_is_known_to_the_next_node(in_world):
    in_world(lambda it: it.client.apply(manifest("web")))
    assert in_world(lambda it: it.client.apply(manifest("web"))).out == "pod/web unchanged"


def test_a_change_of_the_specification_is_refused_and_the_changed_field_named(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        before = it.objects.pod("default", "web")
        answer = await it.client.apply(manifest("web", hostname="other"))
        assert answer.code == 1
        assert answer.err.startswith(
            'The Pod "web" is invalid: spec: Forbidden: pod updates may not change fields other than `spec.con'
        )
        assert answer.err.endswith("changed here: spec.hostname")
        assert it.objects.pod("default", "web") is before

    in_world(test)


def test_an_image_cant_be_changed_yet(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        changed = manifest("web")
        changed["spec"]["containers"][0]["image"] = "busybox:2"
        answer = await it.client.apply(changed)
        assert answer.err.startswith(
            'The Pod "web" is invalid: spec.containers[0].image: Forbidden: the image'
        )

    in_world(test)


def test_nothing_is_created_while_one_document_is_wrong_and_every_mistake_is_told(in_world):
    async def test(it):
        wrong = manifest("Bad_Name", restartPolicy="Maybe")
        wrong["spec"]["containers"].append({"name": "second"})
        unknown = manifest("third", colour="blue")
        body = f"#!minipod-source a.yaml\n{text(manifest('good'), wrong)}\n#!minipod-source b.yaml\n{text(unknown)}"
        answer = await it.client.verb("POST", "apply", body + "\n#!minipod-source c.yaml\na: [\n")
        assert answer.code == 1
        assert answer.out == ""
        for part in ("metadata.name", "spec.restartPolicy", "spec.containers[1].image", "colour", "c.yaml:"):
            assert part in answer.err
        assert it.objects.list_pods() == []
        assert it.pods.started == []

    in_world(test)


def test_a_list_is_its_items(in_world):
    async def test(it):
        answer = await it.client.apply(
            {"apiVersion": "v1", "kind": "List", "items": [manifest("a"), manifest("b")]}
        )
        assert answer.out == "pod/a created\npod/b created"

    in_world(test)


def test_a_pod_too_large_for_a_packet_is_refused(in_world, monkeypatch):
    async def test(it):
        monkeypatch.setattr("minipod.node.apply.MAX_POD", 800)
        answer = await it.client.apply(manifest("small"), manifest("web", *(f"c{i}" for i in range(20))))
        assert (answer.code, answer.err) == (1, 'error: pod "web": Request entity too large: limit is 800')
        assert it.objects.pods() == []

    in_world(test)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("", "error: no objects passed to apply"),
        ("# nothing\n---\n", "error: no objects passed to apply"),
        (
            text(manifest("web"), manifest("web")),
            'error: pod "web" of namespace "default" is in the manifests twice',
        ),
    ],
)
def test_a_manifest_must_say_what_is_wanted_and_say_it_once(in_world, body, error):
    async def test(it):
        answer = await it.client.verb("POST", "apply", body)
        assert (answer.code, answer.err) == (1, error)

    in_world(test)


def test_a_namespace_asked_for_and_another_in_the_manifest_are_a_contradiction(in_world):
    async def test(it):
        other = manifest("web") | {"metadata": {"name": "web", "namespace": "other"}}
        answer = await it.client.apply(other, namespace="mine")
        assert (
            'the namespace from the provided object "other" does not match the namespace "mine"' in answer.err
        )
        assert (await it.client.apply(other)).out == "pod/web created"
        assert it.objects.pod("other", "web")

    in_world(test)


def test_of_many_applies_at_once_one_creates(in_world):
    async def test(it):
        answers = await asyncio.gather(*(it.client.apply(manifest("web")) for _ in range(20)))
        said = sorted(each.out for each in answers)
        assert said == ["pod/web created"] + ["pod/web unchanged"] * 19
        assert it.pods.started == ["web"]

    in_world(test)


def test_a_client_that_leaves_while_its_pods_are_started_stops_nothing(in_world):
    async def test(it):
        begun, go_on = asyncio.Event(), asyncio.Event()
        start = it.pods.start

        async def slow(pod, door=None, asked_at=0):
            begun.set()
            await go_on.wait()
            await start(pod, door)

        it.pods.start = slow
        request = asyncio.create_task(it.client.apply(manifest("a"), manifest("b")))
        await begun.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        go_on.set()
        await until(lambda: it.pods.started == ["a", "b"])

    in_world(test)


def test_of_several_files_the_one_that_isnt_text_is_named(in_world):
    async def test(it):
        body = b"#!minipod-source a.yaml\na: \xc3\xa4\n\n#!minipod-source b.yaml\nb: \xff\n"
        url = it.client.url("/minipod/v1/apply")
        async with it.client.session.request("POST", url, data=body) as response:
            answer = taken_apart(await response.text())
        assert answer.err == "error: b.yaml isn't UTF-8 text: invalid start byte at byte 3"

    in_world(test)


def test_a_pod_that_the_forge_cant_take_is_reported(in_world):
    async def test(it):
        def fail(pod):
            raise MinipodError("no forge")

        it.pods.on_start = fail
        answer = await it.client.apply(manifest("web"))
        assert (answer.code, answer.err) == (1, "error: no forge")

    in_world(test)


def test_a_pod_that_is_being_deleted_isnt_created_again_without_a_word(in_world):
    async def test(it):
        it.pods.on_delete = lambda _: None
        await it.client.apply(manifest("web"))
        await it.client.verb("POST", "delete", name="web", wait="false")
        answer = await it.client.apply(manifest("web"))
        assert answer.out == "pod/web unchanged"
        assert "web is being deleted" in answer.err

    in_world(test)


def test_fields_without_effect_are_warned_of(in_world):
    async def test(it):
        answer = await it.client.apply(manifest("web", nodeSelector={"disk": "ssd"}))
        assert answer.code == 0
        assert answer.err.startswith("Warning: spec.nodeSelector: no effect on one node")

    in_world(test)


def test_a_tmpfs_under_a_memory_limit_is_warned_of_unless_it_was_asked_for():
    def warnings(medium, settings):
        pod = manifest("web", volumes=[{"name": "cache", "emptyDir": {"medium": medium}}])
        pod["spec"]["containers"][0] |= {
            "resources": {"limits": {"memory": "64Mi"}},
            "volumeMounts": [{"name": "cache", "mountPath": "/cache"}],
        }
        (decoded,) = apply.check(text(pod), "-", "")
        return list(apply.tmpfs_warnings(decoded.pod, settings))

    assert len(warnings("", Settings())) == 1
    assert "64Mi" in warnings("", Settings())[0]
    assert warnings("Memory", Settings()) == []
    assert warnings("", Settings(emptydir_medium="disk")) == []


# --- --wait ----------------------------------------------------------------------------------------------------------


def waiting(reason, message=""):
    return ContainerState(waiting=ContainerStateWaiting(reason=reason, message=message))


def terminated(code, reason):
    return ContainerState(terminated=ContainerStateTerminated(exit_code=code, reason=reason))


def test_wait_tells_how_far_it_is_and_returns_when_every_container_of_every_pod_has_started(in_world):
    async def test(it):
        creating = waiting("ContainerCreating")
        it.pods.on_start = lambda pod: it.pods.report(pod.metadata.name, app=creating, two=RUNNING)
        body = text(manifest("a", "app", "two"), manifest("b", "app", "two"))
        url = it.client.url("/minipod/v1/apply", {"wait": "true"})
        async with it.client.session.post(url, data=body) as response:
            lines = [await response.content.readline() for _ in range(3)]
            assert lines[2] == b"p pod/a ContainerCreating, pod/b ContainerCreating\n"
            it.pods.report("a", app=RUNNING, two=RUNNING)
            assert await response.content.readline() == b"p pod/b ContainerCreating\n"
            it.pods.report("b", app=RUNNING, two=RUNNING)
            assert await response.content.read() == b"x0\n"

    in_world(test)


@pytest.mark.parametrize(
    ("state", "code", "error"),
    [
        (terminated(0, "Completed"), 0, ""),
        (terminated(1, "Error"), 0, ""),
        (
            waiting("ErrImageNeverPull", 'Container image "x" is not present'),
            1,
            'error: pod/web container "app" can\'t start: ErrImageNeverPull: Container image "x" is not present',
        ),
        (
            waiting("CrashLoopBackOff", "back-off"),
            1,
            'error: pod/web container "app" can\'t start: CrashLoopBackOff: back-off',
        ),
    ],
)
def test_wait_tells_a_container_that_has_run_from_one_that_cant(in_world, state, code, error):
    async def test(it):
        it.pods.on_start = lambda _: it.pods.report("web", app=state)
        answer = await it.client.apply(manifest("web"), wait="true")
        assert (answer.code, answer.err) == (code, error)

    in_world(test)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("no such file", "no such file"),
        ("out of luck", "no such file (last: StartError, exit code 128: out of luck)"),
    ],
)
def test_wait_tells_why_the_last_attempt_failed_but_nothing_twice(in_world, message, told):
    async def test(it):
        last = ContainerStateTerminated(exit_code=128, reason="StartError", message=message)
        stuck = ContainerStatus(
            name="app",
            state=waiting("RunContainerError", "no such file"),
            last_state=ContainerState(terminated=last),
        )
        status = PodStatus(phase="Pending", container_statuses=(stuck,))
        it.pods.on_start = lambda pod: it.objects.pod_changed(pod.metadata.uid, status)
        answer = await it.client.apply(manifest("web"), wait="true")
        assert answer.err == f'error: pod/web container "app" can\'t start: RunContainerError: {told}'

    in_world(test)


def test_wait_gives_up_when_the_pod_has_failed_before_its_containers_started(in_world):
    async def test(it):
        failed = PodStatus(
            phase="Failed",
            init_container_statuses=(ContainerStatus(name="setup", state=terminated(3, "Error")),),
            container_statuses=(ContainerStatus(name="app", state=waiting("PodInitializing")),),
        )
        it.pods.on_start = lambda pod: it.objects.pod_changed(pod.metadata.uid, failed)
        answer = await it.client.apply(manifest("web"), wait="true")
        assert answer.code == 1
        assert answer.err == 'error: pod/web has ended: container "setup" Error, exit code 3'

    in_world(test)


@pytest.mark.parametrize("reason", ["FailedMount", "FailedCreatePodSandBox"])
def test_wait_tells_once_what_no_status_does_and_waits_on(in_world, monkeypatch, reason):
    async def test(it):
        def begin(pod):
            for number in (1, 2):
                trouble = Event(reason=reason, message=f"no such folder ({number})", type="Warning")
                it.objects.event_happened(pod.metadata.uid, trouble)

        def err(console, text):
            told(console, text)
            it.pods.report("web", app=RUNNING)  # someone has read it, and made the folder

        told = Console.err
        monkeypatch.setattr(Console, "err", err)
        it.pods.on_start = begin
        answer = await it.client.apply(manifest("web"), wait="true")
        assert (answer.code, answer.err) == (0, "Warning: pod/web: no such folder (1); trying again")

    in_world(test)


def test_wait_ends_when_the_pod_is_deleted_meanwhile(in_world):
    async def test(it):
        it.pods.on_start = lambda pod: asyncio.get_running_loop().call_soon(
            it.objects.pod_gone, pod.metadata.uid
        )
        answer = await it.client.apply(manifest("web"), wait="true")
        assert (answer.code, answer.err) == (1, "error: pod/web was deleted while it started")

    in_world(test)


def test_wait_looks_at_pods_that_were_there_before_too(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        it.pods.report("web", app=RUNNING)
        answer = await it.client.apply(manifest("web"), wait="true")
        assert (answer.code, answer.out) == (0, "pod/web unchanged")

    in_world(test)
