import re
import shlex

import pytest

from minipod.cli.main import run
from minipod.cli.options import VERBS, Args, Command, Option, UsageError, load, parse

ALL_VERBS = [verb for group in VERBS.values() for verb in group]


def nothing(args: Args) -> int:
    return 0


COMMAND = Command(
    "try",
    "Try",
    nothing,
    usage=("try",),
    examples=(),
    options=(
        Option("output", "format", "o", "FORMAT"),
        Option("stdin", "in", "i"),
        Option("tty", "terminal", "t"),
        Option("tail", "lines", "", "N"),
        Option("filename", "file", "f", "FILE"),
    ),
)


@pytest.mark.parametrize("line", ["-o wide", "-owide", "-o=wide", "--output wide", "--output=wide"])
def test_a_value_follows_its_flag_in_every_way_pflag_knows(line: str) -> None:
    assert parse(COMMAND, shlex.split(line)).text("output") == "wide"


@pytest.mark.parametrize("line", ["-it", "-ti", "-i -t", "--stdin --tty=true", "-i=true --tty"])
def test_switches_may_stand_together(line: str) -> None:
    args = parse(COMMAND, line.split())
    assert (args.on("stdin"), args.on("tty")) == (True, True)


def test_a_switch_can_be_turned_off() -> None:
    assert not parse(COMMAND, ["--stdin", "--stdin=false"]).on("stdin", True)


def test_flags_and_words_mix() -> None:
    args = parse(COMMAND, ["pods", "-o", "name", "a", "--namespace", "web", "b"])
    assert (args.words, args.text("output"), args.namespace) == (["pods", "a", "b"], "name", "web")


def test_a_flag_may_be_repeated() -> None:
    assert parse(COMMAND, ["-f", "a", "-fb", "--filename=c"]).all("filename") == ["a", "b", "c"]


def test_after_two_dashes_nothing_is_a_flag() -> None:
    assert parse(COMMAND, ["a", "--", "-o", "--"]).words == ["a", "-o", "--"]


def test_a_single_dash_is_a_word() -> None:
    assert parse(COMMAND, ["-f", "-", "-"]).words == ["-"]


def test_exec_keeps_the_command_apart() -> None:
    args = parse(load("exec"), ["-it", "pod", "-c", "x", "--", "sh", "-c", "a -- b"])
    assert (args.words, args.rest) == (["pod"], ["sh", "-c", "a -- b"])


def test_the_default_namespace_is_called_default() -> None:
    assert parse(COMMAND, []).namespace == "default"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--nope", "unknown flag: --nope"),
        ("--outptu x", "unknown flag: --outptu (did you mean --output?)"),
        ("-ix", "unknown shorthand flag: 'x' in -ix"),
        ("-o", "flag needs an argument: 'o' in -o"),
        ("--output", "flag needs an argument: --output"),
        ("--tty=maybe", 'invalid argument "maybe" for "--tty" flag: true or false is needed'),
    ],
)
def test_a_wrong_flag_is_named(line: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)) as caught:
        parse(COMMAND, line.split())
    assert (str(caught.value), caught.value.verb) == (message, "try")


@pytest.mark.parametrize("text", ["x", "1.5", "--1", "-"])
def test_a_number_must_be_one(text: str) -> None:
    args = parse(COMMAND, ["--tail", text])
    with pytest.raises(UsageError, match="whole number"):
        args.number("tail")


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_help_of_every_verb_shows_three_examples_and_every_flag(
    verb: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([verb, "--help"]) == 0
    text = capfd.readouterr().out
    command = load(verb)
    assert len(command.examples) >= 3
    assert all(example in text for _, example in command.examples)
    assert all(f"--{option.name}" in text for option in command.options)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("verb", ALL_VERBS)
def test_every_example_is_a_command_line_that_parses(verb: str) -> None:
    for _, example in load(verb).examples:
        for part in example.replace("<(", "| ").replace(")", "").split("|"):
            words = shlex.split(part.split(" > ")[0] if not part.rstrip().endswith("'") else part)
            if words[0] == "minipod":
                parse(load(words[1]), words[2:])


def test_every_verb_is_in_the_overview(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["help"]) == 0
    text = capfd.readouterr().out
    assert all(f"  {verb} " in text for verb in ALL_VERBS)


def test_minipod_alone_says_what_to_do_first(capfd: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "minipod apply -f" in capfd.readouterr().out


def test_a_slip_in_the_verb_gets_a_suggestion(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["aply", "-f", "x"]) == 1
    assert capfd.readouterr().err == (
        'error: unknown command "aply" for "minipod"\n\nDid you mean this?\n\tapply\n\n'
        "See 'minipod --help' for usage.\n"
    )
