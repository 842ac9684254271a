"""The command line starts fast because it imports almost nothing before its request is sent."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.unit.cli.fakenode import ARGV, FakeNode
from tests.unit.cli.test_exec import supervise


def imported(*argv: str) -> set[str]:
    """The modules a Python process imports, as it says itself."""
    argv = (argv[0], "-X", "importtime", *argv[1:])
    report = subprocess.run(argv, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL).stderr
    return set(re.findall(r"^import time:.*\| +(\S+)$", report, re.MULTILINE))


@pytest.mark.parametrize(
    "line",
    [
        "get pods -o wide",
        "apply -f {manifest} --wait",
        "delete pod a --now",
        "logs -f a",
        "describe pod a",
        "events --for pod/a",
        "observe a",
        "exec a -- true",
    ],
)
def test_the_common_verbs_import_only_themselves(node: FakeNode, tmp_path: Path, line: str) -> None:
    node.says("x0")
    if line.startswith("exec"):
        node.answer = supervise
    manifest = tmp_path / "pod.yaml"
    manifest.write_text("kind: Pod\n")
    own = imported(*ARGV, *line.format(manifest=manifest).split()) - imported(*ARGV[:-1], "pass")
    assert len(node.requests) == 1
    others = {name for name in own if name.partition(".")[0] != "minipod"}
    assert others <= {"_socket", "select"}
    assert {name for name in own if name.startswith("minipod.")} <= {
        "minipod.api",
        "minipod.api.client",
        "minipod.cli",
        *(
            f"minipod.cli.{name}"
            for name in ("console", "kinds", "main", "options", "sources", line.split(maxsplit=1)[0])
        ),
    }
