"""Manifests for `-f`: files, folders and standard input, as the one body the node checks as a whole."""

import posix

from minipod.cli.options import UsageError

EXTENSIONS = (".yaml", ".yml", ".json")
_SEPARATOR = "#!minipod-source "  # and the name: a comment to YAML, so a single source needs no other form


def gather(names: list[str], verb: str) -> tuple[bytes, str]:
    """The body and, if it is a single source, that source's name. Raises UsageError."""
    sources = [source for name in names for source in _expand(name, verb)]
    if len(sources) == 1:
        return _read(sources[0]), sources[0]
    parts = [f"{_SEPARATOR}{name}\n".encode(errors="surrogateescape") + _read(name) for name in sources]
    return b"\n".join(parts), ""


def _expand(name: str, verb: str) -> list[str]:
    if name == "-":
        return [name]
    if name.startswith(("http://", "https://")):
        raise UsageError(f"{name}: fetch it first: curl -fsSL {name} | minipod {verb} -f -", verb)
    try:
        mode = posix.stat(name).st_mode
    except OSError:
        raise UsageError(f'the path "{name}" does not exist', verb) from None
    if mode & 0o170000 != 0o040000:  # S_IFMT, S_IFDIR of inode(7)
        return [name]
    folder = name.rstrip("/") or "/"
    entries = sorted(entry.name for entry in posix.scandir(name) if not entry.is_dir())
    found = [f"{folder}/{entry}" for entry in entries if entry.endswith(EXTENSIONS)]
    if not found:
        raise UsageError(f"error reading [{name}]: recognized file extensions are [.json .yaml .yml]", verb)
    return found


def _read(name: str) -> bytes:
    fd = 0 if name == "-" else posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        pieces = []
        while piece := posix.read(fd, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        if fd:
            posix.close(fd)
