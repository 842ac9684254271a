"""A word of a command is taken by a shell as what it was."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.plan.words import quote, variable


def echoed(word: str, **variables: str) -> str:
    """What a shell makes of a word."""
    script = f"printf '%s|' {word}".encode("utf-8", "surrogateescape")
    return subprocess.run(
        ["sh", "-eu", "-c", script], env=variables, stdout=subprocess.PIPE, check=True
    ).stdout.decode("utf-8", "surrogateescape")


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_is_one_word(text):
    assert echoed(quote(text)) == f"{text}|"


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_any_text_beside_a_variable_stays_as_it_is(text):
    word = quote(f"{text}{variable('WORK')}{text}")
    assert echoed(word, WORK="/a b/$HOME'") == f"{text}/a b/$HOME'{text}|"


@pytest.mark.parametrize(
    "text", ["", "it's", "$HOME", "`date`", "a b", "a\nb", '"', "\\", "*", "~", "#", "é", "!x"]
)
def test_what_a_shell_would_expand_it_does_not(text):
    assert echoed(quote(text), HOME="/root") == f"{text}|"


@pytest.mark.parametrize(
    ("text", "word"),
    [("\0x$(echo no)\0", "x$(echo no)"), ("\0`echo no`", "`echo no`"), (f"{variable('A')}/\0b", "A/b")],
)
def test_an_image_that_says_nul_names_no_variable_and_no_command(text, word):
    assert echoed(quote(text)) == f"{word}|"


def test_a_plain_word_needs_no_quotes():
    assert quote("/sys/fs/cgroup/cpu,cpuacct/a-b_c.d:e@f=1%+") == "/sys/fs/cgroup/cpu,cpuacct/a-b_c.d:e@f=1%+"


def test_a_manifest_can_not_name_a_variable():
    assert echoed(quote("$WORK/x"), WORK="/work") == "$WORK/x|"
