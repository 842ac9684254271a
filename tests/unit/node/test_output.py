import json

from hypothesis import given
from hypothesis import strategies as st

from minipod.node import output
from minipod.spec.types import ObjectMeta, Pod
from minipod.spec.yamlio import documents

# What YAML can hold without escapes that only JSON has; the characters of container output are not in specs.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff\ufffe\uffff\x85\u2028\u2029")
)
AWKWARD = st.sampled_from(
    [
        "y",
        "N",
        "on",
        "null",
        "~",
        "1e3",
        "0o17",
        "22:22",
        "2001-12-14",
        "=",
        "<<",
        ".5",
        "0x1F",
        "- a",
        "a: b",
        "",
    ]
)
LINES = st.lists(TEXT, min_size=1, max_size=4).map("\n".join)


@given(st.dictionaries(st.text("abcdef", min_size=1), st.one_of(AWKWARD, LINES, TEXT), max_size=5))
def test_what_is_printed_as_yaml_reads_back_the_same(annotations):
    pod = Pod(metadata=ObjectMeta(name="web", annotations=annotations))
    (document,) = documents(output.as_yaml([pod], single=True))
    assert document.value.get("metadata", {}).get("annotations", {}) == annotations


def test_yaml_looks_like_kubectls():
    pod = Pod(
        metadata=ObjectMeta(
            name="web",
            creation_timestamp="2026-11-22T10:00:00Z",
            annotations={"script": "one\ntwo\n", "flag": "yes", "long": "word " * 40 + "end"},
        )
    )
    assert output.as_yaml([pod], single=True) == (
        "apiVersion: v1\n"
        "kind: Pod\n"
        "metadata:\n"
        "  annotations:\n"
        '    flag: "yes"\n'
        f"    long: {'word ' * 40}end\n"
        "    script: |\n"
        "      one\n"
        "      two\n"
        '  creationTimestamp: "2026-11-22T10:00:00Z"\n'
        "  name: web\n"
        "spec: {}\n"
    )


def test_several_objects_are_a_list():
    pods = [Pod(metadata=ObjectMeta(name=name)) for name in ("a", "b")]
    listed = json.loads(output.as_json(pods, single=False))
    assert listed["kind"] == "List"
    assert [item["metadata"]["name"] for item in listed["items"]] == ["a", "b"]
    assert "kind: List\n" in output.as_yaml(pods, single=False)
