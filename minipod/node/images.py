"""Images over HTTP: what is in the store, importing a tar, removing."""

import asyncio
from typing import BinaryIO, cast

from aiohttp import StreamReader, web

from minipod.errors import ImageNotFound, InvalidImageName, MinipodError
from minipod.image import importer, store
from minipod.image.store import Image
from minipod.node import rest, status, tables
from minipod.node.console import Console
from minipod.node.node import NODE, Node


async def list_images(request: web.Request) -> web.Response:
    """GET /minipod/v1/images"""
    found = await asyncio.to_thread(store.list_, request.app[NODE].layout.images)
    return rest.reply({"kind": "ImageList", "items": found})


async def ls(request: web.Request, console: Console) -> int:
    """GET /minipod/v1/image/ls"""
    found = await asyncio.to_thread(store.list_, request.app[NODE].layout.images)
    rows = [["IMAGE", "TAG", "IMAGE ID", "SIZE"]]
    for image in found:
        rows += [[*_split(name), image.id[:12], size(image.size)] for name in image.names or ("<none>",)]
    if len(rows) == 1:
        console.err("No images. `minipod image import TAR NAME` adds one.")
    else:
        console.out(tables.align(rows))
    return 0


def _split(name: str) -> tuple[str, str]:
    """Repository and tag (or digest) of a name as the store keeps it; an image without a tag answers for all."""
    repository, at, digest = name.partition("@")
    if at:
        return repository, digest[:19]
    head, colon, tag = name.rpartition(":")
    return (head, tag) if colon and "/" not in tag else (name, "*")


def size(count: int) -> str:
    """Bytes for a person, as crictl prints them: 1.94MB."""
    value, unit = float(count), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, bigger
    return f"{value:.3g}{unit}" if value < 1000 else f"{value:.0f}{unit}"


async def import_image(request: web.Request) -> web.Response:
    """POST /minipod/v1/images?name=NAME, the body a tar of a root file system."""
    name = request.query.get("name", "")
    if not name:
        raise status.BadQuery("an image needs a name: ?name=NAME")
    source = cast(BinaryIO, _Upload(request.content, asyncio.get_running_loop()))
    image = await asyncio.to_thread(importer.import_tar, request.app[NODE].layout.images, source, name)
    return rest.reply(image, 201)


class _Upload:
    """A request's body for a thread that reads; raises if the client goes away before its end."""

    def __init__(self, content: StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        self._content, self._loop = content, loop

    def read(self, wanted: int) -> bytes:
        return asyncio.run_coroutine_threadsafe(self._read(wanted), self._loop).result()

    async def _read(self, wanted: int) -> bytes:
        try:
            return await self._content.readexactly(wanted)
        except asyncio.IncompleteReadError as end:
            return end.partial
        except (ConnectionError, web.RequestPayloadError) as error:
            raise MinipodError(f"the upload ended too early: {error}") from error


async def remove_image(request: web.Request) -> web.Response:
    """DELETE /minipod/v1/images/{name}"""
    node = request.app[NODE]
    images, names, ids = node.layout.images, _named(node), _in_use(node)

    def in_use(image: Image) -> bool:
        return image.id in ids or any(_means(images, name, image) for name in names)

    return rest.reply(await asyncio.to_thread(store.remove, images, request.match_info["name"], in_use))


def _named(node: Node) -> set[str]:
    """The images of every pod there is, as their manifests name them."""
    specs = [pod.spec for pod in node.objects.pods()]
    return {
        each.image
        for spec in specs
        for each in (*spec.init_containers, *spec.containers, *spec.ephemeral_containers)
    }


def _in_use(node: Node) -> set[str]:
    """The ids of the images that containers were made of: their names may mean newer ones since."""
    told = [pod.status for pod in node.objects.pods()]
    return {
        each.image_id.removeprefix("sha256:")
        for status in told
        for each in (
            *status.init_container_statuses,
            *status.container_statuses,
            *status.ephemeral_container_statuses,
        )
    }


def _means(images: str, name: str, image: Image) -> bool:
    try:
        return store.find(images, name).id == image.id
    except (ImageNotFound, InvalidImageName):
        return False
