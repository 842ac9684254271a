import pytest
from hypothesis import given
from hypothesis import strategies as st

from minipod.errors import InvalidImageName
from minipod.image.reference import parse

DIGEST = "sha256:" + "0a" * 32


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("busybox:1.28", "docker.io/library/busybox:1.28"),
        ("docker.io/busybox", "docker.io/library/busybox:latest"),
        ("docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest"),
        ("grafana/loki:2.9", "docker.io/grafana/loki:2.9"),
        ("localhost/tools", "localhost/tools:latest"),
        ("tools:5000/x", "tools:5000/x:latest"),
        ("[fd00::1]:5000/a/b:v1", "[fd00::1]:5000/a/b:v1"),
        ("Host/x", "Host/x:latest"),
        ("example.org/a__b/c-d--e.f:T_.-", "example.org/a__b/c-d--e.f:T_.-"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
        (f"busybox:1.28@{DIGEST}", f"docker.io/library/busybox@{DIGEST}"),
    ],
)
def test_a_reference_has_one_canonical_spelling(text, canonical):
    assert parse(text).canonical == canonical


def test_a_tag_that_was_not_written_is_not_made_up():
    assert (parse("busybox").tag, parse("busybox:latest").tag) == ("", "latest")


@pytest.mark.parametrize(
    "text",
    [
        "",
        " busybox",
        "busybox ",
        "busybox\n",
        "busybox:",
        "busybox@",
        "busybox@sha256:12",
        "busybox@md5:" + "0" * 32,
        "a//b",
        "/a",
        "a/",
        "-a",
        "a..b",
        "a___b",
        "a:b:c",
        "a:-b",
        "a:ü",
        "exa_mple.org/x",
        "host:port/x",
        "../x",
        "a:" + "t" * 129,
        "a/" * 128 + "a",
        "0" * 64,
    ],
)
def test_what_is_not_a_reference_is_refused_with_its_text(text):
    with pytest.raises(InvalidImageName) as error:
        parse(text)
    assert f'"{text}"' in str(error.value)


def test_an_upper_case_repository_is_refused_with_the_reason():
    with pytest.raises(InvalidImageName, match="repository name must be lowercase"):
        parse("example.org/BusyBox")


@given(st.text("aA0./:@_-[]é\n", max_size=40))
def test_parsing_the_canonical_spelling_changes_nothing(text):
    try:
        canonical = parse(text).canonical
    except InvalidImageName:
        return
    assert parse(canonical).canonical == canonical
