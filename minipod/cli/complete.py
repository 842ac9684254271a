"""`minipod __complete -- WORD...`: candidates for the last word, one a line. Never starts the node."""

from itertools import pairwise

from minipod.api import client
from minipod.cli.console import out
from minipod.cli.kinds import PODS
from minipod.cli.options import VERBS, Args, Command, Option, UsageError, load

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def run(args: Args) -> int:
    for word in candidates(args.rest or [""]):
        out(word)
    return 0


def candidates(words: list[str]) -> list[str]:
    """What the last of `words` (those after `minipod`) may become."""
    *before, last = _whole(words)
    if not before:
        found = [verb for group in VERBS.values() for verb in group]
    else:
        try:
            command = load(before[0])
        except UsageError:
            return []
        found = _for_verb(command, before[1:], last)
    cut = 0 if last == words[-1] else last.rindex(":") + 1  # bash puts back only what comes after the colon
    return [word[cut:] for word in found if word.startswith(last)]


def _whole(words: list[str]) -> list[str]:
    """The words as they were typed: bash takes them apart at their colons (bash(1), COMP_WORDBREAKS)."""
    whole: list[str] = []
    for before, word in pairwise(["", *words]):
        if whole and ":" in (word, before):
            whole[-1] += word
        else:
            whole.append(word)
    return whole


def _for_verb(command: Command, before: list[str], last: str) -> list[str]:
    if command.dashes and "--" in before:
        return []  # a command in a container: whose files, we can't know
    option = _awaiting(command, before)
    words = _plain_words(command, before)
    if option:
        return _offer(option.complete, words, before)
    if last.startswith("-"):
        return [f"--{option.name}" for option in command.options]
    if not command.words:
        return []
    wanted = command.words[min(len(words), len(command.words) - 1)]
    kind = last.partition("/")[0]
    named = "/" in last and kind in PODS and wanted != "pod:"
    slash = [f"{kind}/{name}" for name in _pods(before)] if named else []
    return slash or _offer(wanted, words, before)


def _awaiting(command: Command, before: list[str]) -> Option | None:
    """The option whose value is being typed."""
    if not before or not before[-1].startswith("-") or "=" in before[-1]:
        return None
    name = before[-1]
    option = command.find(name[2:] if name.startswith("--") else f"-{name[-1]}")
    return option if option and option.value else None


def _plain_words(command: Command, before: list[str]) -> list[str]:
    words: list[str] = []
    for i, word in enumerate(before):
        if not word.startswith("-") and not _awaiting(command, before[:i]):
            words.append(word)
    return words


def _offer(wanted: str, words: list[str], before: list[str]) -> list[str]:
    if wanted == "pod/":
        return [f"pod/{name}" for name in _pods(before)]
    if wanted == "pod":
        return [name for name in _pods(before) if name not in words]
    if wanted == "pod:":
        return _to_copy(words, before)
    if wanted == "image":
        names = [name for item in _get("/minipod/v1/images").get("items", []) for name in item["names"]]
        return [name.removeprefix("docker.io/").removeprefix("library/") for name in names]
    if wanted == "container":
        pod = next((word.partition(":")[0] for word in words if ":" in word), words[0] if words else "")  # cp
        return _containers(pod.rpartition("/")[2], before) if pod else []
    if wanted == "verb":
        return [verb for group in VERBS.values() for verb in group]
    return wanted.split("|") if "|" in wanted or wanted == "json" else []  # nothing: the shell offers files


def _to_copy(words: list[str], before: list[str]) -> list[str]:
    """One of the two is in a pod, the other here."""
    import os

    if any(":" in word for word in words):
        return []
    here = [] if words else [f"{name}/" if os.path.isdir(name) else name for name in sorted(os.listdir())]
    return [*(f"{name}:" for name in _pods(before)), *here]


def _namespace(before: list[str]) -> str:
    for flag, value in pairwise([*before, ""]):
        if flag in ("-n", "--namespace"):
            return value
        if flag.startswith(("--namespace=", "-n")):  # or -nNAME
            return flag.partition("=")[2] or flag[2:]
    return "default"


def _pods(before: list[str]) -> list[str]:
    items = _get(f"/api/v1/namespaces/{client.quote(_namespace(before))}/pods").get("items", [])
    return [item["metadata"]["name"] for item in items]


def _containers(pod: str, before: list[str]) -> list[str]:
    spec = _get(f"/api/v1/namespaces/{client.quote(_namespace(before))}/pods/{client.quote(pod)}").get(
        "spec", {}
    )
    parts = ("initContainers", "containers", "ephemeralContainers")
    return [one["name"] for part in parts for one in spec.get(part, [])]


def _get(where: str) -> "dict[str, Any]":
    import json

    try:
        sock = client.connect()
    except OSError:
        return {}
    try:
        reply = client.send(sock, "GET", where)
        return dict(json.loads(reply.read())) if reply.status == 200 else {}
    finally:
        sock.close()


COMMAND = Command("__complete", "", run, usage=(), examples=(), dashes=True)
