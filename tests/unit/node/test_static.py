"""Static pods: what files in a folder make of pods. The pods are imagined, folder and inotify are real."""

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from minipod.node import mirror
from minipod.node.static import Static
from tests.unit.node.conftest import manifest, text, until

NAME = "web-testnode"


@pytest.fixture
def folder(tmp_path) -> Path:
    found = tmp_path / "etc/manifests"
    found.mkdir(parents=True)
    return found


@contextlib.asynccontextmanager
async def following(it):
    task = asyncio.create_task(Static(it.node).follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def static(in_world, test):
    """Run a test of a node that follows its folder."""

    async def whole(it):
        async with following(it):
            await test(it)

    in_world(whole)


def names(it) -> list[str]:
    return sorted(pod.metadata.name for pod in it.objects.pods())


def write(path: Path, *documents) -> None:
    path.write_text(text(*documents))


def test_a_manifest_in_the_folder_is_run_under_the_name_of_pod_and_node(in_world, folder):
    async def test(it):
        await until(lambda: it.pods.started == [NAME])
        annotations = it.objects.pod("default", NAME).metadata.annotations
        assert annotations[mirror.SOURCE] == "file"
        assert annotations[mirror.HASH] == annotations[mirror.MIRROR]
        assert annotations[mirror.PATH] == str(folder / "web.yaml")
        assert annotations["kept"] == "yes"
        assert "Controlled By:  Node/testnode" in (await it.client.verb("GET", "describe", name=NAME)).out

    pod = manifest("web")
    pod["metadata"]["annotations"] = {"kept": "yes"}
    write(folder / "web.yaml", pod)
    static(in_world, test)


def test_pods_come_and_go_with_their_files(in_world, folder):
    async def test(it):
        write(folder / "web.yaml", manifest("web"))
        await until(lambda: names(it) == [NAME])
        (folder / "web.yaml").rename(folder / ".web.yaml")
        await until(lambda: names(it) == [])
        (folder / ".web.yaml").rename(folder / "web.json")
        await until(lambda: names(it) == [NAME])
        (folder / "web.json").unlink()
        await until(lambda: names(it) == [])

    static(in_world, test)


def test_a_folder_that_isnt_there_is_made_and_followed(in_world, folder):
    async def test(it):
        await until(folder.is_dir)
        write(folder / "web.yaml", manifest("web"))
        await until(lambda: names(it) == [NAME])

    folder.rmdir()
    static(in_world, test)


def test_a_changed_file_is_another_pod_which_begins_when_the_old_one_has_ended(in_world, folder):
    async def test(it):
        ending = []
        it.pods.on_delete = ending.append
        await until(lambda: names(it) == [NAME])
        old = it.objects.pod("default", NAME).metadata.uid
        write(folder / "web.yaml", manifest("web", "other"))
        await until(lambda: ending == [old])
        assert it.pods.started == [NAME]
        it.objects.pod_gone(old)
        await until(lambda: len(it.pods.started) == 2)
        assert it.objects.pod("default", NAME).spec.containers[0].name == "other"

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_a_file_that_says_the_same_in_other_words_changes_nothing(in_world, folder):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        uid = it.objects.pod("default", NAME).metadata.uid
        (folder / "web.yaml").write_text("# a comment\n" + json.dumps(manifest("web"), indent=1))
        write(
            folder / "zoo.yaml", manifest("zoo")
        )  # written later: when it is there, the change has been seen
        await until(lambda: len(names(it)) == 2)
        assert (it.objects.pod("default", NAME).metadata.uid, it.pods.deleted) == (uid, [])

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_a_broken_file_is_told_once_and_disturbs_no_other(in_world, folder, caplog):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        write(folder / "later.yaml", manifest("later"))
        await until(lambda: len(names(it)) == 2)

    (folder / "a.yaml").write_text("{")
    (folder / "b.yaml").write_bytes(b"\xff\xfe\xfd")
    write(folder / "c.yaml", manifest("wrong", colour="blue"))
    (folder / "d").mkdir()
    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)
    told = [record.getMessage() for record in caplog.records if "static pods" in record.getMessage()]
    assert len(told) == 3
    for path, message in zip(("a.yaml", "b.yaml", "c.yaml"), told, strict=True):
        assert str(folder / path) in message


def test_a_file_that_is_too_large_is_refused_and_not_read_in_part(in_world, folder, caplog):
    async def test(it):
        await until(lambda: names(it) == ["zoo-testnode"])

    whole = text(manifest("web")) + "\n"
    (folder / "large.yaml").write_text(whole + "#" * ((10 << 20) + 1 - len(whole)))
    write(folder / "zoo.yaml", manifest("zoo"))
    static(in_world, test)
    assert f"{folder}/large.yaml is larger than 10 MiB" in caplog.text


def test_a_pod_whose_file_breaks_goes_on_and_has_an_event_that_says_so(in_world, folder):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        (folder / "web.yaml").write_text("{")
        await until(lambda: it.objects.list_events("default"))
        (event,) = it.objects.list_events("default")
        assert (event.type, event.reason, it.pods.deleted) == ("Warning", "FailedValidation", [])
        assert "web.yaml" in event.message
        (folder / "web.yaml").unlink()
        await until(lambda: names(it) == [])

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_a_static_pod_has_its_node_and_so_no_scheduling_gates(in_world, folder, caplog):
    async def test(it):
        await until(lambda: names(it) == ["zoo-testnode"])

    write(folder / "web.yaml", manifest("web", schedulingGates=[{"name": "a"}]))
    write(folder / "zoo.yaml", manifest("zoo"))
    static(in_world, test)
    assert (
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared" in caplog.text
    )


def test_deleting_a_static_pod_brings_its_object_back_and_leaves_the_pod_alone(in_world, folder):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        with it.objects.watch(lambda change: change.object.kind == "Pod") as watch:
            answer = await it.client.verb("POST", "delete", name=NAME)
            assert (answer.code, answer.out) == (0, f'pod "{NAME}" deleted')
            assert [(await anext(watch)).type, (await anext(watch)).type] == ["DELETED", "ADDED"]
        assert (names(it), it.pods.deleted, it.pods.started) == ([NAME], [], [NAME])

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_a_static_pod_that_ends_with_its_file_can_be_told_to_hurry(in_world, folder):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        it.pods.on_delete = lambda _: None
        uid = it.objects.pod("default", NAME).metadata.uid
        (folder / "web.yaml").unlink()
        await until(lambda: it.pods.deleted)
        await it.client.verb("POST", "delete", name=NAME, grace="1", wait="false")
        assert it.pods.deleted == [(uid, 30.0), (uid, 1.0)]

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_a_static_pod_cant_be_applied(in_world, folder):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        answer = await it.client.apply(manifest(NAME))
        assert answer.code == 1
        assert f"this is a static pod: change {folder}/web.yaml instead" in answer.err
        claimed = manifest("claimed")
        claimed["metadata"]["annotations"] = {mirror.MIRROR: "abc"}
        assert "only the node makes static pods" in (await it.client.apply(claimed)).err
        code, _ = await it.client.json("POST", "/api/v1/namespaces/default/pods", text(claimed))
        assert (code, names(it)) == (422, [NAME])

    write(folder / "web.yaml", manifest("web"))
    static(in_world, test)


def test_an_applied_pod_keeps_its_name_and_the_static_one_waits_for_it(in_world, folder):
    async def test(it):
        await it.client.apply(manifest(NAME))
        async with following(it):
            await until(lambda: "zoo-testnode" in names(it))  # so the folder has been seen
            assert not mirror.is_mirror(it.objects.pod("default", NAME))
            await it.client.verb("POST", "delete", name=NAME)
            await until(lambda: NAME in names(it) and mirror.is_mirror(it.objects.pod("default", NAME)))

    write(folder / "web.yaml", manifest("web"))
    write(folder / "zoo.yaml", manifest("zoo"))
    in_world(test)


def test_the_first_of_two_files_for_one_pod_wins(in_world, folder, caplog):
    async def test(it):
        await until(lambda: names(it) == [NAME])
        assert it.objects.pod("default", NAME).spec.containers[0].name == "first"

    write(folder / "a.yaml", manifest("web", "first"))
    write(folder / "b.yaml", manifest("web", "second"))
    static(in_world, test)
    assert f'pod "{NAME}" is in {folder}/a.yaml already' in caplog.text


def test_a_new_node_goes_on_with_the_static_pods_of_the_old_one(in_world, folder):
    uids = []

    async def first(it):
        await until(lambda: len(names(it)) == 2)
        uids.append(it.objects.pod("default", NAME).metadata.uid)

    async def second(it):
        await until(lambda: names(it) == [NAME])  # what was removed meanwhile ends
        assert (it.objects.pod("default", NAME).metadata.uid, it.pods.started) == (uids[0], [])

    write(folder / "web.yaml", manifest("web"))
    write(folder / "gone.yaml", manifest("gone"))
    static(in_world, first)
    (folder / "gone.yaml").unlink()
    static(in_world, second)
