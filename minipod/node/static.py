"""Static pods: every manifest in /etc/minipod/manifests is run, without being applied, for as long as it is there.

Files are looked at when inotify tells of a change, and every 20 seconds anyway: not every file system tells. A file
that was changed means another pod: the old one is ended first. One that can't be read or isn't valid is told once and
disturbs nobody: what runs from it goes on until the file is right again, or gone. (A kubelet would end it.)

Nothing is remembered: which pods are static, and from which file, is in their annotations (node/mirror.py).
"""

import asyncio
import contextlib
import logging
import os
import stat

from minipod.errors import KernelError, MinipodError
from minipod.kernel.inotify import watch_folder
from minipod.node import apply, mirror
from minipod.node.delete import end_pod
from minipod.node.node import Node
from minipod.node.objects import now
from minipod.spec.types import Event, Pod

_PERIOD = 20.0  # seconds; the kubelet's fileCheckFrequency
_MAX = 10 << 20  # bytes of a file; a larger one is refused (pkg/kubelet/config/file.go: maxConfigLength)
_log = logging.getLogger("minipod")

Key = tuple[str, str]  # namespace, name


class Static:
    """The static pods of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._folder = f"{node.layout.etc}/manifests"
        self._watch = -1
        self._look = asyncio.Event()
        self._told: dict[str, str] = {}  # what was said about each file that is wrong

    async def follow(self) -> None:
        """Do what the files say, until cancelled."""
        following = asyncio.create_task(self._names())
        try:
            while True:
                self._look.clear()
                self._begin_watching()
                try:
                    await self._reconcile()
                except (MinipodError, OSError) as error:
                    self._tell(self._folder, str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_PERIOD):
                        await self._look.wait()
        finally:
            following.cancel()
            self._stop_watching()

    # --- when to look ----------------------------------------------------------------------------------------------

    async def _names(self) -> None:
        """Look again when a name is free: another pod may wait for it."""
        with self._node.objects.watch(lambda change: change.type == "DELETED") as watch:
            async for _ in watch:
                self._look.set()

    def _begin_watching(self) -> None:
        if self._watch >= 0:
            return
        try:
            os.makedirs(self._folder, 0o755, exist_ok=True)
            self._watch = watch_folder(self._folder)
        except (OSError, KernelError) as error:
            self._tell(self._folder, f"{error}; looking every {_PERIOD:g} s")
            return
        asyncio.get_running_loop().add_reader(self._watch, self._changed)

    def _stop_watching(self) -> None:
        if self._watch >= 0:
            asyncio.get_running_loop().remove_reader(self._watch)
            os.close(self._watch)
            self._watch = -1

    def _changed(self) -> None:
        os.read(self._watch, 1 << 16)
        if not os.path.isdir(self._folder):
            self._stop_watching()
        self._look.set()

    # --- what to do ------------------------------------------------------------------------------------------------

    async def _reconcile(self) -> None:
        wanted, wrong = self._read()
        for pod in self._node.objects.pods():
            key = (pod.metadata.namespace, pod.metadata.name)
            if not mirror.is_mirror(pod) or pod.metadata.deletion_timestamp:
                continue
            if mirror.path(pod) in wrong:
                self._warn(pod, wrong[mirror.path(pod)])
            elif key not in wanted or mirror.digest(wanted[key]) != mirror.digest(pod):
                await self._node.whole(end_pod(self._node, pod, None))
        for key, pod in wanted.items():
            there = self._node.objects.find_pod(*key)
            if there is None:
                await self._create(pod)
            elif not mirror.is_mirror(there):
                self._tell(mirror.path(pod), f'pod "{key[1]}" of namespace "{key[0]}" was applied already')

    async def _create(self, pod: Pod) -> None:
        try:
            await self._node.whole(apply.create(self._node, pod))
        except MinipodError as error:
            self._tell(mirror.path(pod), str(error))

    def _read(self) -> tuple[dict[Key, Pod], dict[str, str]]:
        """The pods in the files, and what is wrong with the other files."""
        wanted: dict[Key, Pod] = {}
        wrong: dict[str, str] = {}
        paths = self._paths()
        self._told = {path: text for path, text in self._told.items() if path in (self._folder, *paths)}
        for path in paths:
            try:
                pods = [self._mirror(each.pod, path) for each in apply.check(_text(path), path, "")]
            except (MinipodError, OSError) as error:
                if not os.path.lexists(path):  # removed just now
                    continue
                wrong[path] = str(error) if path in str(error) else f"{path}: {error}"
                self._tell(path, wrong[path])
                continue
            for pod in pods:
                first = wanted.setdefault((pod.metadata.namespace, pod.metadata.name), pod)
                if first is not pod:
                    self._tell(path, f'pod "{pod.metadata.name}" is in {mirror.path(first)} already')
        return wanted, wrong

    def _mirror(self, pod: Pod, path: str) -> Pod:
        return mirror.mirror(pod, path, self._node.facts.node_name, now())

    def _paths(self) -> list[str]:
        """As a kubelet: every file whose name doesn't begin with a dot, in order; folders aren't entered."""
        try:
            names = sorted(name for name in os.listdir(self._folder) if not name.startswith("."))
        except OSError as error:
            self._tell(self._folder, str(error))
            return []
        return [path for name in names if not os.path.isdir(path := f"{self._folder}/{name}")]

    # --- what is wrong ---------------------------------------------------------------------------------------------

    def _tell(self, path: str, text: str) -> None:
        """Once, until it is something else that is wrong."""
        if self._told.get(path) != text:
            self._told[path] = text
            _log.error("static pods: %s", text if path in text else f"{path}: {text}")

    def _warn(self, pod: Pod, text: str) -> None:
        """An event of the pod that goes on though its file is wrong by now. The same again isn't counted."""
        message = f"Error validating the manifest of this pod, ignoring it: {text}"
        objects, meta = self._node.objects, pod.metadata
        told = [
            event for event in objects.list_events(meta.namespace) if event.involved_object.uid == meta.uid
        ]
        if not any(event.message == message for event in told):
            objects.event_happened(
                meta.uid, Event(type="Warning", reason="FailedValidation", message=message)
            )


def _text(path: str) -> str:
    """A regular file's. Raises OSError and BadManifest."""
    # O_NONBLOCK: a pipe would wait for somebody who writes.
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(f"{path} is not a regular file")
        data = file.read(_MAX + 1)
        if len(data) > _MAX:
            raise OSError(f"{path} is larger than {_MAX >> 20} MiB, which is more than a manifest may be")
        return apply.text_of(data)
