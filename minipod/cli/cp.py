"""`minipod cp`: files and folders into a container and out of one.

The node finds the place in the container and passes us a descriptor of it (node/copy.py); the copying is done here,
with the caller's own files on the other side (cli/tree.py).
"""

import os
import stat

from minipod.api.client import target
from minipod.cli.console import ask, err, failure
from minipod.cli.options import Args, Command, Option, UsageError
from minipod.cli.tree import Copier, again

_SPEC = "filespec must match the canonical format: [[namespace/]pod]:file/path"


class Place:
    """In a container: [NAMESPACE/]POD:PATH."""

    def __init__(self, args: Args, word: str) -> None:
        pod, _, self.path = word.partition(":")
        *namespace, self.pod = pod.split("/")
        if not self.pod or len(namespace) > 1:
            raise UsageError(_SPEC, args.verb)
        if not self.path:
            raise UsageError("filepath can not be empty", args.verb)
        self.namespace = namespace[0] if namespace else args.namespace
        self.fd, self.missing = -1, ""  # what is there; or the folder in which that name isn't
        self.user = (0, 0)  # of the container

    def find(self, container: str) -> int:
        """Ask the node; an exit code if it can't be found out."""
        query = [
            ("namespace", self.namespace),
            ("name", self.pod),
            ("container", container),
            ("path", self.path),
        ]
        reply = ask("POST", target("/minipod/v1/files", query), upgrade="minipod-streams")
        if reply.status != 101:
            return failure(reply)
        text = ""
        while data := reply.receive():
            text += data.decode(errors="surrogateescape")
        word, _, rest = text.removesuffix("\n").partition(" ")
        if not reply.fds:
            err(f"error: {rest or 'the node went away'}")
            return 1
        uid, gid, *name = rest.split(" ", 2)
        self.fd, self.user = reply.fds[0], (int(uid), int(gid))
        self.missing = name[0] if word == "missing" else ""
        return 0


def run(args: Args) -> int:
    if len(args.words) != 2:
        raise UsageError("source and destination are required", args.verb)
    source, to = args.words
    if _is_remote(source) == _is_remote(to):
        both = "one of src or dest must be a local file specification"
        raise UsageError(
            both if _is_remote(to) else "One of src or dest must be a remote file specification", args.verb
        )
    if _is_remote(to):
        return _upload(args, source, Place(args, to))
    return _download(args, Place(args, source), to)


def _is_remote(word: str) -> bool:
    """A colon makes it so, but not in a path that begins as paths do."""
    return ":" in word and not word.startswith(("/", "."))


def _upload(args: Args, source: str, place: Place) -> int:
    if not os.path.lexists(source):
        err(f"error: {source} doesn't exist in local filesystem")
        return 1
    if code := place.find(args.text("container")):
        return code
    preserve = not args.on("no-preserve")
    owner = None if preserve and place.user == (0, 0) else place.user
    copier = Copier(owner, preserve, links=True)
    # What the caller names is followed, if it is a link; what is in it is not.
    fd = os.open(source, os.O_PATH | os.O_CLOEXEC)
    name = os.path.basename(source.rstrip("/"))
    if place.missing:
        copier.copy(fd, place.fd, place.missing, source)
    elif not stat.S_ISDIR(os.fstat(place.fd).st_mode):
        _overwrite(copier, fd, place, source)
    elif name in ("", ".", ".."):
        copier.contents(fd, place.fd, source)
    else:
        copier.copy(fd, place.fd, name, source)
    return int(copier.failed)


def _overwrite(copier: Copier, fd: int, place: Place, source: str) -> None:
    for one, shown in ((fd, source), (place.fd, f"{place.pod}:{place.path}")):
        if not stat.S_ISREG(os.fstat(one).st_mode):
            err(f"error: {shown}: not a regular file")
            copier.failed = True
            return
    copier.write(fd, os.open(again(place.fd), os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC))


def _download(args: Args, place: Place, to: str) -> int:
    if code := place.find(args.text("container")):
        return code
    shown = f"{place.pod}:{place.path}"
    if place.missing:
        err(f"error: {shown}: no such file or directory")
        return 1
    copier = Copier(None, preserve=False, links=False)
    to = os.path.realpath(to)
    if stat.S_ISDIR(os.fstat(place.fd).st_mode):  # what is in it goes into `to`, as with kubectl
        os.makedirs(to, exist_ok=True)
        copier.contents(place.fd, os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), shown)
        return int(copier.failed)
    name = os.path.basename(place.path)
    if not os.path.isdir(to):
        to, name = os.path.split(to)
        os.makedirs(to, exist_ok=True)
    copier.copy(place.fd, os.open(to, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), name, shown)
    return int(copier.failed)


COMMAND = Command(
    "cp",
    "Copy files and folders into a container and out of it",
    run,
    usage=("cp FILE [NAMESPACE/]POD:PATH [flags]", "cp [NAMESPACE/]POD:PATH FILE [flags]"),
    about="Nothing runs in the container: it needs no tar. A PATH that doesn't begin with / is below its working\n"
    "directory; links in it lead where they lead in the container, never out of it.",
    examples=(
        ("Into a folder of the container", "minipod cp examples/shared-context.yaml shared-context:/www"),
        ("Out of it", "minipod cp shared-context:/www/index.html index.html"),
        ("A folder, of another container", "minipod cp -c client shared-context:/data data"),
    ),
    options=(
        Option("container", "The container; without it the first", "c", "NAME", "container"),
        Option("no-preserve", "Copies in the container belong to its user, with usual permissions"),
    ),
    words=("pod:",),
)
