"""kubectl's dialect; the first table is its documentation's (kubernetes.io/docs/reference/kubectl/jsonpath/)."""

import json

import pytest

from minipod.node.jsonpath import JSONPath, plain, relaxed
from minipod.node.jsonsteps import JSONPathError

# The object of that page.
DOCUMENTED = json.loads("""{
  "kind": "List",
  "items": [
    {"kind": "None",
     "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "127.0.0.1"}},
     "status": {"capacity": {"cpu": "4"}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
    {"kind": "None",
     "metadata": {"name": "127.0.0.2"},
     "status": {"capacity": {"cpu": "8"},
                "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.2"},
                              {"type": "another", "address": "127.0.0.3"}]}}
  ],
  "users": [
    {"name": "myself", "user": {}},
    {"name": "e2e", "user": {"username": "admin", "password": "secret"}}
  ]
}""")

POD = {
    "metadata": {"name": "web", "labels": {"app.kubernetes.io/name": "web", "tier": "front"}},
    "spec": {
        "containers": [
            {"name": "a", "image": "busybox", "ports": [{"containerPort": 80}]},
            {"name": "b", "image": "nginx:1"},
            {"name": "c", "image": "redis"},
        ],
        "hostNetwork": False,
        "weight": 1.5,
    },
    "status": {"containerStatuses": [{"name": "a", "ready": True, "restartCount": 3}], "nothing": None},
}


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("kind is {.kind}", "kind is List"),
        ("{.kind}", "List"),
        ("{['kind']}", "List"),
        ("{['metadata\\.name']}", ""),
        ("{..name}", "127.0.0.1 127.0.0.2 myself e2e"),
        ("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2"),
        ("{.users[0].name}", "myself"),
        ("{.items[*]['metadata.name', 'status.capacity']}", ""),
        ("{.items[*]['kind', 'metadata']['name']}", "127.0.0.1 127.0.0.2"),
        ('{.users[?(@.name=="e2e")].user.password}', "secret"),
        (
            "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}",
            '[127.0.0.1, {"cpu":"4"}] [127.0.0.2, {"cpu":"8"}] ',
        ),
        ("{range .items[*]}{.metadata.name}{'\\t'}{end}", "127.0.0.1\t127.0.0.2\t"),
        ("{.items[0].metadata.labels.kubernetes\\.io/hostname}", "127.0.0.1"),
        ("{.items[0].metadata.labels['kubernetes\\.io/hostname']}", "127.0.0.1"),
        ("{.items[*].status.addresses[0].address}", "127.0.0.1 127.0.0.2"),
    ],
)
def test_the_documented_examples(template, shown):
    assert JSONPath(template).text(DOCUMENTED) == shown


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("", ""),
        ("no action", "no action"),
        ("{}", json.dumps(POD, sort_keys=True, separators=(",", ":"))),
        ("{@}", json.dumps(POD, sort_keys=True, separators=(",", ":"))),
        ("{.}", json.dumps(POD, sort_keys=True, separators=(",", ":"))),
        ("{$.metadata.name}", "web"),
        ("{ .metadata.name }", "web"),
        ("{.metadata.missing}", ""),
        ("{.metadata.name.deeper}", ""),
        ("{.status.nothing}", "<nil>"),
        ("{.spec.hostNetwork}", "false"),
        ("{.spec.weight}", "1.5"),
        ("{.status.containerStatuses[0].restartCount}", "3"),
        ("{.metadata.labels}", '{"app.kubernetes.io/name":"web","tier":"front"}'),
        ("{.metadata.labels.*}", "web front"),
        ("{.metadata.labels.app\\.kubernetes\\.io/name}", "web"),
        ("{.spec.containers[-1].name}", "c"),
        ("{.spec.containers[-2:].name}", "b c"),
        ("{.spec.containers[0:2].name}", "a b"),
        ("{.spec.containers[:2].name}", "a b"),
        ("{.spec.containers[::2].name}", "a c"),
        ("{.spec.containers[0,2].name}", "a c"),
        ("{.spec.containers[1:1].name}", ""),
        ("{.spec.containers[*].ports[*].containerPort}", "80"),
        ("{.spec.containers[?(@.ports)].name}", "a"),
        ('{.spec.containers[?(@.image!="busybox")].name}', "b c"),
        ("{.spec.containers[?(@.name=='b')].image}", "nginx:1"),
        ('{.spec.containers[?(@.name>="b")].name}', "b c"),
        ("{.status.containerStatuses[?(@.restartCount>2)].name}", "a"),
        ("{.status.containerStatuses[?(@.restartCount<=2.5)].name}", ""),
        ("{.status.containerStatuses[?(@.ready==true)].name}", "a"),
        ('{.spec.containers[?(@.name==")}")].name}', ""),
        (
            '{range .spec.containers[*]}{.name}{"\\t"}{.image}{"\\n"}{end}',
            "a\tbusybox\nb\tnginx:1\nc\tredis\n",
        ),
        ("{range .spec.containers[*]}{range .ports[*]}{.containerPort};{end}{.name} {end}.", "80;a b c ."),
        ("{range .none[*]}never{end}done", "done"),
        ('{"quoted \\"text\\" {}"}', 'quoted "text" {}'),
        ("{..containerPort}", "80"),
        ("{.metadata.name}-{.spec.weight}", "web-1.5"),
    ],
)
def test_what_a_template_shows_of_a_pod(template, shown):
    assert JSONPath(template).text(POD) == shown


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.metadata", "unclosed action"),
        ("{.spec.containers[0}", "unterminated array"),
        ("{.spec.containers[x]}", "invalid array index x"),
        ("{.spec.containers[]}", "invalid array index"),
        ("{.spec.containers[0:1:0]}", "step must be > 0"),
        ('{.spec.containers[?(@.name=="a")}', "unclosed array"),
        ("{.spec.containers[?(@.name]}", "unterminated filter"),
        ('{.spec.containers[?(@.name=~"a")]}', "unrecognized filter operator =~"),
        ("{metadata.name}", "unrecognized identifier metadata: a field begins with a dot"),
        ("{#}", "unrecognized"),
        ("{1.2.3}", "cannot parse number"),
        ("{end}", "not in range, nothing to end"),
    ],
)
def test_a_wrong_template_is_refused(template, message):
    with pytest.raises(JSONPathError, match=message.replace("(", r"\(")):
        JSONPath(template)


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{.spec.containers[5].name}", "array index out of bounds: index 5, length 3"),
        ("{.spec.containers[0:9].name}", "array index out of bounds: index 8, length 3"),
        ("{.spec.containers[2:1].name}", "starting index 2 is greater than ending index 1"),
        ("{.metadata[0]}", "object is not array or slice"),
        ("{.metadata[?(@.name)]}", "cannot be filtered"),
        ("{.status.containerStatuses[?(@.name==3)].name}", "incompatible types .*a text needs quotes"),
        ("{.spec.containers[?(@..name==1)].name}", "incompatible types"),
        ("{[?(@.name)]}", "cannot be filtered"),
    ],
)
def test_a_template_that_doesnt_fit_the_object_is_told(template, message):
    with pytest.raises(JSONPathError, match=message):
        JSONPath(template).text(POD)


@pytest.mark.parametrize(
    "expression", [".metadata.name", "metadata.name", "{.metadata.name}", "{metadata.name}"]
)
def test_columns_may_be_written_without_braces_and_dot(expression):
    assert relaxed(expression).values(POD) == ["web"]


@pytest.mark.parametrize("expression", ["", "{.a}{.b}", "{"])
def test_a_column_is_one_path(expression):
    with pytest.raises(JSONPathError, match="unexpected path string"):
        relaxed(expression)


def test_a_value_in_a_column_looks_as_in_go():
    assert plain({"b": [1, None], "a": True}) == "map[a:true b:[1 <nil>]]"
