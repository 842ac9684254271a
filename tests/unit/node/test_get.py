import asyncio
import json

import pytest

from minipod.spec.types import Event, PodStatus
from tests.unit.node.conftest import RUNNING, manifest, until


def test_the_table_has_kubectls_columns_and_names_what_is_missing(in_world):
    async def test(it):
        await it.client.apply(manifest("web"), manifest("db"))
        it.pods.report("web", app=RUNNING)
        answer = await it.client.verb("GET", "get", kind="pods")
        lines = [line.split() for line in answer.out.splitlines()]
        assert [line[:4] for line in lines] == [
            ["NAME", "READY", "STATUS", "RESTARTS"],
            ["db", "0/1", "Pending", "0"],
            ["web", "1/1", "Running", "0"],
        ]
        some = await it.client.verb("GET", "get", kind="pod", name=["web", "nobody"])
        assert some.code == 1
        assert some.out.splitlines()[1].startswith("web ")
        assert some.err == 'Error from server (NotFound): pods "nobody" not found'

    in_world(test)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({}, "No resources found in default namespace."),
        ({"namespace": "lab"}, "No resources found in lab namespace."),
        ({"all": "true"}, "No resources found."),
    ],
)
def test_nothing_to_show_is_said_on_stderr(in_world, query, error):
    async def test(it):
        answer = await it.client.verb("GET", "get", kind="pods", **query)
        assert (answer.code, answer.out, answer.err) == (0, "", error)

    in_world(test)


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"kind": "deployments"}, 'error: the server doesn\'t have a resource type "deployments"'),
        ({"output": "xml"}, 'error: unable to match a printer suitable for the output format "xml"'),
        (
            {"all": "true", "name": "web"},
            "error: a resource cannot be retrieved by name across all namespaces",
        ),
        ({"selector": "a=b", "name": "web"}, "error: name cannot be provided when a selector is specified"),
        ({"selector": "=="}, "error: unable to parse label selector"),
    ],
)
def test_what_cant_be_asked_is_refused(in_world, query, error):
    async def test(it):
        answer = await it.client.verb("GET", "get", **query)
        assert answer.code == 1
        assert answer.err.startswith(error)

    in_world(test)


def test_every_output_format_shows_the_object(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        shown = {
            form: (await it.client.verb("GET", "get", kind="pod", name="web", output=form)).out
            for form in ("wide", "name", "json", "yaml")
        }
        assert shown["name"] == "pod/web"
        assert json.loads(shown["json"])["metadata"]["name"] == "web"
        assert "\nkind: Pod\n" in shown["yaml"]
        assert "testnode" in shown["wide"]
        listed = await it.client.verb("GET", "get", kind="pods", output="json", namespace="none")
        assert json.loads(listed.out)["items"] == []

    in_world(test)


def test_a_selector_and_a_namespace_choose(in_world):
    async def test(it):
        labelled = manifest("web") | {"metadata": {"name": "web", "labels": {"app": "x"}}}
        other = manifest("db") | {"metadata": {"name": "db", "namespace": "other"}}
        await it.client.apply(labelled, other, manifest("plain"))
        chosen = await it.client.verb("GET", "get", kind="pods", output="name", selector="app=x")
        assert chosen.out == "pod/web"
        everything = await it.client.verb("GET", "get", kind="pods", output="name", all="true")
        assert everything.out == "pod/plain\npod/web\npod/db"

    in_world(test)


def test_watching_shows_a_line_for_each_change_until_the_client_leaves(in_world):
    async def test(it):
        await it.client.apply(manifest("web"), manifest("other"))
        url = it.client.url("/minipod/v1/get", {"kind": "pods", "name": "web", "watch": "true"})
        async with it.client.session.get(url) as response:
            head = [await response.content.readline() for _ in range(2)]
            it.pods.report("other", app=RUNNING)
            it.pods.report("web", app=RUNNING)
            changed = await response.content.readline()
        assert head[0].startswith(b"1NAME ")
        assert b"Pending" in head[1]
        assert changed.split()[:3] == [b"1web", b"1/1", b"Running"]
        # The columns stand below those of the head.
        assert changed.index(b"Running") == head[0].index(b"STATUS")

    in_world(test)


def test_a_watch_ends_with_an_error_when_the_node_stops(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        watching = asyncio.create_task(it.client.verb("GET", "get", kind="pods", watch="true"))
        await until(lambda: it.objects._hub._watches)
        it.objects._hub.close()
        answer = await watching
        assert (answer.code, answer.err) == (1, "error: the node is stopping: watch ended")

    in_world(test)


def test_events_have_a_table_of_their_own(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        uid = it.objects.pod("default", "web").metadata.uid
        it.objects.event_happened(
            uid, Event(type="Normal", reason="Started", message="Started container app")
        )
        answer = await it.client.verb("GET", "get", kind="events")
        head, line = answer.out.splitlines()
        assert head.split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
        assert line.split()[1:] == ["Normal", "Started", "pod/web", "Started", "container", "app"]

    in_world(test)


def test_a_pods_own_reason_is_its_status(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        uid = it.objects.pod("default", "web").metadata.uid
        it.objects.pod_changed(uid, PodStatus(phase="Failed", reason="Evicted"))
        answer = await it.client.verb("GET", "get", kind="pods")
        assert answer.out.splitlines()[1].split()[2] == "Evicted"

    in_world(test)
