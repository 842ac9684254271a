"""The manifests in examples/, and what the help texts say about them."""

import re
from pathlib import Path

import pytest

from minipod.cli.options import VERBS, load
from minipod.node.apply import check
from tests.unit.cli.fakenode import REPO

EXAMPLES = sorted((REPO / "examples").iterdir())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_a_valid_pod_named_as_its_file(path: Path) -> None:
    pods = [checked.pod.metadata.name for checked in check(path.read_text(), str(path), "")]
    assert pods == [path.stem]


def test_a_help_text_names_examples_that_are_there() -> None:
    commands = [command for verbs in VERBS.values() for verb in verbs for _, command in load(verb).examples]
    named = {name for command in commands for name in re.findall(r"examples/(\S+)", command)}
    assert named
    assert named <= {path.name for path in EXAMPLES}


def test_a_help_text_names_pods_that_the_examples_make() -> None:
    commands = [
        command for verb in ("get", "logs", "exec", "delete", "observe") for _, command in load(verb).examples
    ]
    named = {word.removeprefix("pod/") for command in commands for word in command.split() if "-" in word[1:]}
    pods = {name for name in named if not name.startswith(("-", "examples/")) and "=" not in name}
    assert pods <= {path.stem for path in EXAMPLES}
    assert "shared-context" in pods
