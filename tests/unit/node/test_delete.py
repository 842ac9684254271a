import asyncio

import pytest

from minipod.node.delete import end_pod
from tests.unit.node.conftest import manifest, text, until


def test_delete_asks_the_supervisor_and_waits_until_the_pod_is_gone(in_world):
    async def test(it):
        ending = []
        it.pods.on_delete = ending.append
        await it.client.apply(manifest("web", terminationGracePeriodSeconds=7))
        request = asyncio.create_task(it.client.verb("POST", "delete", kind="pod", name="web"))
        await until(lambda: ending)
        pod = it.objects.pod("default", "web")
        assert pod.metadata.deletion_grace_period_seconds == 7
        assert not request.done()
        it.objects.pod_gone(ending[0])
        answer = await request
        assert (answer.code, answer.out) == (0, 'pod "web" deleted')
        assert it.pods.deleted == [(pod.metadata.uid, 7.0)]

    in_world(test)


def test_delete_need_not_wait_and_can_be_given_a_grace(in_world):
    async def test(it):
        it.pods.on_delete = lambda _: None
        await it.client.apply(manifest("web"))
        answer = await it.client.verb("POST", "delete", name="web", grace="0", wait="false")
        assert answer.out == 'pod "web" deleted'
        assert it.pods.deleted[0][1] == 0.0
        assert it.objects.pod("default", "web").metadata.deletion_timestamp

    in_world(test)


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(-5, 1), (2**63 - 1, 2**31 - 1), (None, 2**31 - 1)],
    ids=("negative", "long", "spec"),
)
def test_no_grace_is_negative_or_longer_than_a_date_can_tell(in_world, asked, seconds):
    async def test(it):
        await it.client.apply(manifest("web", terminationGracePeriodSeconds=2**63 - 1))
        pod = it.objects.pod("default", "web")
        await end_pod(it.node, pod, asked)
        assert it.pods.deleted == [(pod.metadata.uid, float(seconds))]

    in_world(test)


def test_names_that_arent_there_dont_keep_the_others(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        answer = await it.client.verb("POST", "delete", name=["nobody", "web"])
        assert (answer.code, answer.out) == (1, 'pod "web" deleted')
        assert answer.err == 'Error from server (NotFound): pods "nobody" not found'
        assert it.objects.pods() == []

    in_world(test)


def test_a_manifest_names_what_is_deleted_even_if_it_isnt_valid_any_more(in_world):
    async def test(it):
        await it.client.apply(manifest("a"), manifest("b"))
        bad = manifest("b", colour="blue")
        body = text({"apiVersion": "v1", "kind": "List", "items": [manifest("a")]}, bad, manifest("c"))
        answer = await it.client.verb("POST", "delete", body, source="pods.yaml")
        assert answer.out == 'pod "a" deleted\npod "b" deleted'
        assert (
            answer.err == 'Error from server (NotFound): error when deleting "pods.yaml": pods "c" not found'
        )

    in_world(test)


def test_a_manifest_of_something_else_deletes_nothing(in_world):
    async def test(it):
        await it.client.apply(manifest("a"))
        answer = await it.client.verb(
            "POST", "delete", text(manifest("a"), {"kind": "Service"}), source="x.yaml"
        )
        assert answer.code == 1
        assert "'Service' is no kind that can be deleted" in answer.err
        assert it.pods.deleted == []

    in_world(test)


def test_other_kinds_and_senseless_graces_are_refused(in_world):
    async def test(it):
        kind = await it.client.verb("POST", "delete", kind="service", name="web")
        assert kind.err.startswith('error: the server doesn\'t have a resource type "service"')
        grace = await it.client.verb("POST", "delete", name="web", grace="soon")
        assert grace.err == 'error: grace must be a whole number, not "soon"'
        long = await it.client.verb("POST", "delete", name="web", grace="9" * 5000)
        assert long.err == f'error: grace must be a whole number, not "{"9" * 40}"'

    in_world(test)


def test_all_or_those_with_a_label_can_be_deleted(in_world):
    async def test(it):
        def labelled(name, namespace="default"):
            return manifest(name) | {
                "metadata": {"name": name, "namespace": namespace, "labels": {"app": "x"}}
            }

        async def deleted(**query):
            answer = await it.client.verb("POST", "delete", kind="pods", **query)
            assert answer.code == 0
            return answer.out.replace('"', "").split()[1::3], answer.err

        pods = [labelled("a"), labelled("b"), manifest("c"), labelled("d", "lab")]
        await it.client.apply(*pods)
        assert await deleted(selector="app=x") == (["a", "b"], "")
        assert await deleted(selector="app=x") == ([], "No resources found")
        assert await deleted(all="true") == (["c"], "")
        await it.client.apply(*pods)
        everywhere = {"all": "true", "all-namespaces": "true"}
        assert await deleted(**everywhere) == (["a", "b", "c", "d"], "")

    in_world(test)
