"""YAML is read by go-yaml's rules."""

import json
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.errors import BadManifest
from minipod.spec.yamlio import documents

text = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFFFD, categories=["L", "N", "P", "S", "Zs"]))
numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4),
    max_leaves=20,
)


def read(manifest):
    (document,) = documents(textwrap.dedent(manifest))
    return document.value


def plain(scalar):
    return read(f"key: {scalar}")["key"]


def refusal(manifest, source="pod.yaml"):
    with pytest.raises(BadManifest) as caught:
        documents(textwrap.dedent(manifest), source)
    return str(caught.value)


@given(json_values)
def test_json_is_read_as_what_it_is(value):
    assert read('{"key": ' + json.dumps(value, ensure_ascii=False) + "}") == {"key": value}


@given(json_values)
def test_the_slower_scanner_reads_the_same_as_libyaml(value):
    written = json.dumps(value, ensure_ascii=False)
    assert read('{"quote": "\\\'", "key": ' + written + "}") == {"quote": "'", "key": value}


@given(st.integers(-(2**63), 2**63 - 1))
def test_every_notation_of_an_integer_is_that_integer(number):
    sign, size = ("-" if number < 0 else ""), abs(number)
    for notation in (
        f"{size}",
        f"0x{size:x}",
        f"0X{size:X}",
        f"0o{size:o}",
        f"0{size:o}",
        f"0b{size:b}",
        f"{size:_}",
    ):
        assert plain(sign + notation) == number


@given(st.from_regex(r"[0-9]{1,3}(\.[0-9]{0,3})?[eE][-+]?[0-9]{1,2}|[0-9]{0,3}\.[0-9]{1,3}", fullmatch=True))
def test_a_number_with_a_point_or_an_exponent_is_a_float(notation):
    value = plain(notation)
    assert type(value) is float
    assert value == float(notation)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *((word, True) for word in ["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"]),
        *(
            (word, False)
            for word in ["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"]
        ),
        *((word, None) for word in ("", "~", "null", "Null", "NULL")),
        *(
            (word, word)
            for word in [
                "yEs",
                "oN",
                "nULL",
                "=",
                "<<",
                "22:22",
                "1:2:3",
                "2001-12-14",
                "0x",
                "0o8",
                "1e",
                "+",
                ".",
                "..",
                "._5",
                "0b2",
            ]
        ),
        ("2001-12-14T21:59:43.10Z", "2001-12-14T21:59:43.10Z"),
        ("2001-1-2 3:4:5", "2001-1-2 3:4:5"),
        ("01777", 1023),
        ("0o17", 15),
        ("08", 8.0),
        ("1e3", 1000.0),
        ("1e999", "1e999"),
        ("1_000.5", 1000.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("'1'", "1"),
        ('"yes"', "yes"),
        ('"\\\'"', "'"),
        ("!!str 1", "1"),
        ("!!int '3'", 3),
        ("!!float 3", 3.0),
        ("!!binary aGVsbG8=", "hello"),
        ("!mine 3", "3"),
        ("! 3", 3),
    ],
)
def test_a_scalar_means_what_it_means_to_go_yaml(scalar, value):
    found = plain(scalar)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("key", "name"), [("1", "1"), ("y", "true"), ("off", "false"), ("1.5", "1.5"), ("0x10", "16")]
)
def test_a_key_that_is_no_string_becomes_one(key, name):
    assert read(f"{key}: value") == {name: "value"}


def test_documents_know_where_they_begin_and_empty_ones_are_left_out():
    manifest = "# only a comment\n---\n---\na: 1\n...\n---\n\n{b: 2}\n---\n"
    found = documents(manifest, "pods.yaml")
    assert [(one.source, one.index, one.line, one.value) for one in found] == [
        ("pods.yaml", 0, 4, {"a": 1}),
        ("pods.yaml", 1, 8, {"b": 2}),
    ]


def test_nothing_at_all_is_no_document():
    assert documents("") == []


def test_flow_style_with_trailing_commas_and_folded_strings_is_read():
    manifest = """\
        {
          args: [
            "\\
               first\\n\\
              \\  second\\n\\
              ", # a comment
          ],
        }
        """
    assert read(manifest) == {"args": ["first\n  second\n"]}


def test_a_key_given_twice_is_refused_with_its_line_and_path():
    manifest = """\
        spec:
          containers:
          - name: a
            image: b
            name: c
        """
    assert refusal(manifest) == 'pod.yaml:5: key "name" already set in map (in spec.containers[0])'


def test_two_keys_that_become_the_same_string_are_the_same_key():
    assert 'key "1" already set' in refusal("{1: a, '1': b}")


def test_a_tab_as_indentation_is_refused_with_what_to_do():
    message = refusal("a:\n  b: 1\n\tc: 2\n")
    assert message.startswith("pod.yaml:3: ")
    assert message.endswith("found a tab where only spaces may indent; replace it by spaces")


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            "a: b: c",
            "pod.yaml:1: error converting YAML to JSON: mapping values are not allowed in this context",
        ),
        (
            "a: [1",
            "pod.yaml:2: error converting YAML to JSON: while parsing a flow sequence: did not find expected",
        ),
        (
            'a: "\\q"',
            "pod.yaml:1: error converting YAML to JSON: while parsing a quoted scalar: found unknown escape",
        ),
        (
            '\n\na: "\\\'\\q"',
            "pod.yaml:3: error converting YAML to JSON: while scanning a double-quoted scalar",
        ),
        ("a: \x01", "pod.yaml: control characters are not allowed"),
        ("just text", "pod.yaml:1: expected an object (apiVersion, kind, metadata ...), got 'just text'"),
        ("- 1", "pod.yaml:1: expected an object (apiVersion, kind, metadata ...), got [1]"),
        ("a: .inf", "pod.yaml:1: .inf has no form in JSON; write a finite number, or quote it (in a)"),
        ("a: .NaN", "pod.yaml:1: .NaN has no form in JSON"),
        ("a: !!int x", "pod.yaml:1: cannot decode `x` as a !!int (in a)"),
        ("a: !!binary '*'", "pod.yaml:1: !!binary value contains invalid base64 data"),
        ("~: 1", "pod.yaml:1: a key must be text, a number or a boolean"),
        ("[1]: 1", "pod.yaml:1: a key must be text, a number or a boolean"),
        ("{" * 5000, "pod.yaml:1: a key must be text, a number or a boolean"),
        ("a: *b", "pod.yaml:1: unknown anchor 'b' referenced"),
        ("a: &b [*b]", "pod.yaml:1: unknown anchor 'b' referenced, or its value contains itself (in a[0])"),
        ("<<: 1", "pod.yaml:1: map merge requires map or sequence of maps as the value"),
        ("a: " + "[" * 300 + "]" * 300, "pod.yaml:1: nested more than 200 deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(manifest, message):
    assert refusal(manifest).startswith(message)


def test_an_alias_stands_for_the_last_value_its_anchor_was_given():
    assert read("{a: &x 1, b: &x {c: 2}, d: *x}") == {"a": 1, "b": {"c": 2}, "d": {"c": 2}}


@pytest.mark.parametrize(
    ("merging", "result"),
    [
        ("{<<: *base}", {"a": 1, "b": 2}),
        ("{<<: *base, b: 3}", {"a": 1, "b": 3}),
        ("{b: 3, <<: *base}", {"a": 1, "b": 2}),
        ("{<<: [{a: 5, c: 6}, *base]}", {"a": 5, "b": 2, "c": 6}),
        ("{'<<': 1}", {"<<": 1}),
    ],
)
def test_merge_keys_merge_where_they_stand_and_the_first_of_several_wins(merging, result):
    assert read(f"{{base: &base {{a: 1, b: 2}}, merged: {merging}}}")["merged"] == result


def test_aliases_of_aliases_cannot_blow_up_what_is_read():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [
        f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    assert "document contains excessive aliasing" in refusal("\n".join(lines))
