"""Words of a shell command, from any text: names with spaces and quotes are names, too. Pure."""

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_")
_SPECIAL = str.maketrans({character: f"\\{character}" for character in '\\"$`'})  # in double quotes


def variable(name: str) -> str:
    """What stands for $NAME in a text for quote(). No text of a manifest can look like it: there, NUL is refused
    (spec/decode.py). What an image says is no command either: see quote."""
    return f"\0{name}\0"


def quote(text: str) -> str:
    """One word for a POSIX shell, which expands the variables in it (see variable) and nothing else."""
    if "\0" not in text:
        return text if text and _SAFE.issuperset(text) else "'" + text.replace("'", "'\\''") + "'"
    pieces = text.split("\0")
    if len(pieces) % 2 == 0 or not all(name.isascii() and name.isidentifier() for name in pieces[1::2]):
        return quote("".join(pieces))  # an image's, which may say anything
    for index, piece in enumerate(pieces):
        if index % 2 == 0:
            pieces[index] = piece.translate(_SPECIAL)
        elif pieces[index + 1][:1].isalnum() or pieces[index + 1][:1] == "_":
            pieces[index] = f"${{{piece}}}"
        else:
            pieces[index] = f"${piece}"
    return '"' + "".join(pieces) + '"'


# What an operation can't know before it runs: descriptors in its Context, variables in a command.
ROOT = variable("ROOT")  # where a container's root is mounted
LOG = variable("LOG")
PIDS = {
    "sandbox": variable("PAUSE"),
    "container": variable("CONTAINER"),
    "target": variable("TARGET"),
    "stopped": variable("STOPPED"),
}
PAUSE = PIDS["sandbox"]
ADDRESS4, ADDRESS6 = variable("ADDRESS4"), variable("ADDRESS6")
