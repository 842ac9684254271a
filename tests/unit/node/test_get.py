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


def test_templates_and_columns_show_what_they_name(in_world):
    async def test(it):
        await it.client.apply(manifest("web", "a", "b"), manifest("db"))

        async def shown(output, **query):
            return (await it.client.verb("GET", "get", kind="pods", output=output, **query)).out

        names = '{range .items[*]}{.metadata.name}{"\\n"}{end}'
        assert await shown(f"jsonpath={names}") == "db\nweb"
        assert await shown("jsonpath={.spec.containers[*].name}", name="web") == "a b"
        assert json.loads(await shown("jsonpath-as-json={.metadata.name}", name="web")) == ["web"]
        assert await shown("jsonpath={.items}", namespace="none") == "[]"
        columns = "custom-columns=NAME:.metadata.name,CS:.spec.containers[*].name,X:.none"
        assert await shown(columns) == "NAME   CS    X\ndb     app   <none>\nweb    a,b   <none>"
        assert await shown("custom-columns=N:metadata.name", **{"no-headers": "true"}) == "db\nweb"

    in_world(test)


@pytest.mark.parametrize(
    ("output", "error"),
    [
        (
            "jsonpath",
            "error: template format specified but no template given: write -o jsonpath='{.metadata.name}'",
        ),
        ("jsonpath={.a", "error: error parsing jsonpath {.a, unclosed action"),
        ("jsonpath={.items[7]}", 'error: error executing jsonpath "{.items[7]}": array index out of bounds'),
        (
            "custom-columns=NAME",
            "error: unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>",
        ),
        ("custom-columns=NAME:{", "error: unexpected path string"),
    ],
)
def test_a_template_that_cant_be_used_is_told(in_world, output, error):
    async def test(it):
        answer = await it.client.verb("GET", "get", kind="pods", output=output)
        assert answer.code == 1
        assert answer.err.startswith(error)

    in_world(test)


def test_pods_can_be_sorted_by_what_they_say(in_world):
    async def test(it):
        for name, memory in (("a", "1Gi"), ("b", "64Mi"), ("c", "100M")):
            pod = manifest(name)
            pod["spec"]["containers"][0]["resources"] = {"limits": {"memory": memory}}
            await it.client.apply(pod)
        await it.client.apply(manifest("w10"), manifest("w9"))

        async def order(by):
            answer = await it.client.verb("GET", "get", kind="pods", output="name", **{"sort-by": by})
            return answer.out.replace("pod/", "").split()

        assert (await order("{.spec.containers[0].resources.limits.memory}"))[2:] == ["b", "c", "a"]
        assert await order(".metadata.name") == ["a", "b", "c", "w9", "w10"]

    in_world(test)


def test_labels_can_be_a_column_and_heads_left_out(in_world):
    async def test(it):
        labelled = manifest("web") | {"metadata": {"name": "web", "labels": {"b": "2", "a": "1"}}}
        await it.client.apply(labelled)
        answer = await it.client.verb("GET", "get", kind="pods", labels="true", **{"no-headers": "true"})
        assert answer.out.split()[-1] == "a=1,b=2"
        assert len(answer.out.splitlines()) == 1

    in_world(test)


def test_what_isnt_there_may_be_meant_otherwise(in_world):
    async def test(it):
        other = manifest("shared") | {"metadata": {"name": "shared", "namespace": "lab"}}
        await it.client.apply(manifest("shard"), other)

        async def error(name, **query):
            return (await it.client.verb("GET", "get", kind="pods", name=name, **query)).err

        prefix = "Error from server (NotFound): pods"
        assert await error("sharrd") == f'{prefix} "sharrd" not found (did you mean "shard"?)'
        elsewhere = "there is one in namespace lab: -n lab"
        assert await error("shared") == f'{prefix} "shared" not found ({elsewhere})'
        assert await error("zzz") == f'{prefix} "zzz" not found'

    in_world(test)


def test_events_are_those_of_one_pod_and_of_one_type(in_world):
    async def test(it):
        await it.client.apply(manifest("web"), manifest("db"))
        for name, kind in (("web", "Normal"), ("web", "Warning"), ("db", "Warning")):
            uid = it.objects.pod("default", name).metadata.uid
            it.objects.event_happened(uid, Event(type=kind, reason=f"R{kind}", message=name))

        async def shown(**query):
            answer = await it.client.verb("GET", "get", kind="events", **{"no-headers": "true"}, **query)
            return [line.split()[2:4] for line in answer.out.splitlines()], answer.err

        web = [["RNormal", "pod/web"], ["RWarning", "pod/web"]]
        assert await shown(**{"for": "web"}) == (web, "")
        assert await shown(**{"for": "web", "types": "warning"}) == (web[1:], "")
        assert await shown(**{"for": "x"}) == ([], "No events found for pod x in default namespace.")

    in_world(test)
