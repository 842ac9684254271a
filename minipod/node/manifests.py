"""The body of an apply or delete: the text of one file, or of several one after another."""

from collections.abc import Iterator
from typing import Any

from minipod.spec import decode
from minipod.spec.yamlio import Document, documents

MARK = "#!minipod-source "  # a line of its own before each file's text, with the file's name


def read_sources(body: str, source: str) -> list[Document]:
    """Every document in `body`; text before the first mark comes from `source`. Raises BadManifest."""
    return [document for name, text in split(body, source) for document in documents(text, name)]


def split(body: str, source: str) -> Iterator[tuple[str, str]]:
    """Name and text of each file in `body`."""
    if MARK not in body:
        yield source, body
        return
    lines: list[str] = []
    for line in body.splitlines(keepends=True):
        if line.startswith(MARK):
            if lines:
                yield source, "".join(lines)
            source, lines = line.removeprefix(MARK).strip(), []
        else:
            lines.append(line)
    yield source, "".join(lines)


def items(document: Document) -> list[dict[str, Any]]:
    """The objects of a document: itself, or what a List lists. Raises BadManifest."""
    return decode.items(document.value, f"{document.source}:{document.line}")
