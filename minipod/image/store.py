"""The image store: directories and symbolic links, readable with ls.

    <images>/                                   0700: an image's set-user-ID files are no business of the host's users
        <id>/rootfs/                            the root file system, an overlay's lower directory; never written again
        <id>/config.json                        the image's OCI configuration, and "size"
        names/docker.io+library+busybox         -> ../<id>, "/" written as "+"
        .<random>.partial                       an import under way, or one that died: see collect()

An image imported with a tag answers for this tag. One imported without a tag (`minipod image import TAR busybox`)
has no version of its own: it answers for every tag of its repository (busybox, busybox:1.28) unless that very tag is
there. It doesn't answer for a digest.

Everything a change does to the store is one rename(2) or unlink(2), in an order that leaves no name without an image.
Changes that touch a name take a lock on the names directory; looking up takes none.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec

from minipod.errors import ImageInUse, ImageNotFound, InvalidImageName
from minipod.image import reference

_HEX = set("0123456789abcdef")
_SHORTEST_ID = 12  # digits, as `image ls` prints it


class Config(msgspec.Struct, frozen=True, rename="pascal", omit_defaults=True):
    """What an image says about its process: "config" in an OCI image configuration (image-spec, config.md)."""

    user: str = ""
    env: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    working_dir: str = ""
    stop_signal: str = ""


class RootFS(msgspec.Struct, frozen=True):
    """The layers an image was made from, by the digest of their tars."""

    type: str = "layers"
    diff_ids: tuple[str, ...] = ()


class Configuration(msgspec.Struct, frozen=True):
    """config.json: an OCI image configuration with the unpacked size added; members it doesn't know are ignored."""

    created: str = ""
    size: int = 0
    config: Config | None = None
    rootfs: RootFS = RootFS()


class Image(msgspec.Struct, frozen=True):
    """An image in the store.

    `id` is 64 hexadecimal digits; `rootfs` an absolute path; `size` bytes on disk; `created` RFC 3339 or empty.
    """

    id: str
    names: tuple[str, ...]
    rootfs: str
    env: tuple[str, ...]
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    workdir: str
    user: str
    stop_signal: str
    size: int
    created: str


def find(images: str, text: str) -> Image:
    """The image that `text` means: a reference, an id, or the beginning of an id.

    Raises InvalidImageName and ImageNotFound.
    """
    names = read_names(images)
    id = names.get(_matching_name(names, text, any_tag=True)) or _matching_id(images, text)
    if not id:
        raise _not_found(images, text)
    return _load(images, id, names)


def list_(images: str) -> list[Image]:
    """Every image, by name; those that lost their name to a newer import come first."""
    names = read_names(images)
    return sorted((_load(images, id, names) for id in _ids(images)), key=lambda image: image.names)


def remove(images: str, text: str, in_use: Callable[[Image], bool]) -> Image:
    """Take a name away, and with the last one (or when `text` is an id) the image itself. Returns the image as it was.

    Only the very name the image was imported under is taken: `busybox:1.28` doesn't remove an untagged `busybox`.
    Raises ImageInUse if the image would go while `in_use` says that a container needs it.
    """
    with locked(f"{images}/names"):
        names = read_names(images)
        name = _matching_name(names, text, any_tag=False)
        id = names.get(name) or _matching_id(images, text)
        if not id:
            raise _not_found(images, text)
        image = _load(images, id, names)
        gone = [name] if name else list(image.names)
        last = len(gone) == len(image.names)
        if last and in_use(image):
            raise ImageInUse(f'image "{text}" is in use by a container: delete its pod first')
        for each in gone:
            os.unlink(f"{images}/names/{file_name(each)}")
        if last:
            os.rename(f"{images}/{id}", f"{images}/.{id}.partial")
    if last:
        collect(images)
    return image


def collect(images: str) -> None:
    """Remove what a finished removal or an import that died has left, unless another import is under way just now."""
    import shutil  # called by the node and the command line only: the forge stays light

    try:
        with locked(images, wait=False):
            for entry in os.listdir(images):
                if entry.endswith(".partial"):
                    shutil.rmtree(f"{images}/{entry}")
    except BlockingIOError:
        pass


def name_image(images: str, name: str, id: str) -> None:
    """Let `name` mean the image `id`, whatever it meant before. The caller holds the lock on names/."""
    link, new = f"{images}/names/{file_name(name)}", f"{images}/.{id}.name"
    try:
        os.unlink(new)  # of a process that died here
    except FileNotFoundError:
        pass
    os.symlink(f"../{id}", new)
    os.rename(new, link)


@contextmanager
def locked(directory: str, *, shared: bool = False, wait: bool = True) -> Iterator[int]:
    """Hold flock(2) on a directory. The kernel gives it back when the process dies, and every child to which the
    descriptor was passed on. BlockingIOError if not `wait`."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
        yield fd
    finally:
        os.close(fd)


def file_name(name: str) -> str:
    """The file name in names/ for a reference; none has a "+" of its own (digests are of the SHA-2 family).

    Raises InvalidImageName if there can be no such file: NAME_MAX is 255 bytes.
    """
    if len(name) > 255:
        raise InvalidImageName(
            f'image name "{name}" has more than 255 characters and can\'t be kept in the store'
        )
    return name.replace("/", "+")


def read_names(images: str) -> dict[str, str]:
    """Every name in the store and the id it stands for; empty if there is no store yet."""
    try:
        entries = os.listdir(f"{images}/names")
    except FileNotFoundError:
        return {}
    return {
        entry.replace("+", "/"): os.readlink(f"{images}/names/{entry}").removeprefix("../")
        for entry in entries
    }


def _matching_name(names: dict[str, str], text: str, *, any_tag: bool) -> str:
    """The name in the store that `text` means, or "". With `any_tag`, an image without a tag answers for every tag."""
    try:
        wanted = reference.parse(text)
    except InvalidImageName:
        if _id_digits(text):
            return ""
        raise
    if wanted.canonical in names:
        return wanted.canonical
    untagged_answers = not wanted.digest and (any_tag or not wanted.tag)
    return wanted.name if untagged_answers and wanted.name in names else ""


def _matching_id(images: str, text: str) -> str:
    """The id in the store that begins with the digits of `text`, or "" if there is none or more than one."""
    digits = _id_digits(text)
    matches = [id for id in _ids(images) if id.startswith(digits)] if digits else []
    return matches[0] if len(matches) == 1 else ""


def _id_digits(text: str) -> str:
    digits = text.removeprefix("sha256:")
    return digits if _SHORTEST_ID <= len(digits) <= 64 and _HEX.issuperset(digits) else ""


def _ids(images: str) -> list[str]:
    try:
        return [entry for entry in os.listdir(images) if len(entry) == 64]
    except FileNotFoundError:
        return []


def _load(images: str, id: str, names: dict[str, str]) -> Image:
    try:
        with open(f"{images}/{id}/config.json", "rb") as file:
            stored = msgspec.json.decode(file.read(), type=Configuration)
    except FileNotFoundError:
        raise _not_found(images, id) from None
    config = stored.config or Config()
    return Image(
        id=id,
        names=tuple(sorted(name for name, target in names.items() if target == id)),
        rootfs=f"{images}/{id}/rootfs",
        env=config.env or (),
        entrypoint=config.entrypoint or (),
        cmd=config.cmd or (),
        workdir=config.working_dir or "/",
        user=config.user,
        stop_signal=config.stop_signal,
        size=stored.size,
        created=stored.created,
    )


def _not_found(images: str, text: str) -> ImageNotFound:
    return ImageNotFound(
        f'image "{text}" is not in {images}: '
        f"`minipod image ls` shows what is there, `minipod image import TAR {text}` adds it"
    )
