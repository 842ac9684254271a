"""`minipod image`: the node's images."""

import posix

from minipod.api import client
from minipod.cli.console import CONSOLE, ask, failure, looks, out, show
from minipod.cli.options import Args, Command, UsageError


def run(args: Args) -> int:
    action, words = (args.words or [""])[0], args.words[1:]
    if action == "import" and len(words) == 2:
        return _import(*words)
    if action == "ls" and not words:
        return show(ask("GET", client.target("/minipod/v1/image/ls", looks())))
    if action == "rm" and words:
        return max([_remove(name) for name in words])
    raise UsageError("expected 'image import TAR NAME', 'image ls' or 'image rm NAME...'", args.verb)


def _import(tar: str, name: str) -> int:
    where = client.target("/minipod/v1/images", [("name", name)])
    fd = 0 if tar == "-" else posix.open(tar, posix.O_RDONLY | posix.O_CLOEXEC)
    info = posix.fstat(fd)
    kind = info.st_mode & 0o170000  # S_IFMT, S_IFDIR, S_IFREG of inode(7)
    if kind == 0o040000:
        raise IsADirectoryError(21, posix.strerror(21), tar)
    if kind != 0o100000:  # a pipe has no size
        pieces = []
        while piece := posix.read(fd, 1 << 20):
            pieces.append(piece)
        return _done(ask("POST", where, b"".join(pieces), "application/x-tar"), f"image/{name} imported")
    reply = ask("GET", "/healthz")  # starts the node if need be
    reply.read()
    return _done(client.send_file(client.connect(), where, fd, info.st_size), f"image/{name} imported")


def _remove(name: str) -> int:
    return _done(ask("DELETE", f"/minipod/v1/images/{client.quote(name)}"), f"image/{name} deleted")


def _done(reply: client.Reply, text: str) -> int:
    if reply.status >= 400:
        return failure(reply)
    if reply.kind == CONSOLE:
        return show(reply)
    reply.read()
    out(text)
    return 0


COMMAND = Command(
    "image",
    "Import, list and remove images",
    run,
    usage=("image import TAR|- NAME", "image ls", "image rm NAME..."),
    about="An image is imported from a tar of its root file system, compressed or not.",
    examples=(
        ("What there is", "minipod image ls"),
        ("From a root file system", "minipod image import rootfs.tar my/image:1"),
        ("From a container of another tool", "podman export box | minipod image import - box:latest"),
        ("Away with it", "minipod image rm my/image:1"),
    ),
    words=("import|ls|rm", "image"),
)
