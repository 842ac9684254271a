"""What a pod takes up on disk: its emptyDirs, writable layers and logs. Whoever exceeds a limit is evicted.

A tmpfs is limited by the kernel, a directory isn't: so every ten seconds all of it is counted, as du(1) does. A few
entries at a time, for probes and exits don't wait (pkg/kubelet/eviction/eviction_manager.go, localStorageEviction).
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping

from minipod.api.cri import ContainerInfo, RuntimeStatus
from minipod.api.messages import NodeFacts
from minipod.plan.container import layers
from minipod.runtime.loop import Loop
from minipod.spec import qos
from minipod.spec.quantity import value
from minipod.spec.types import Pod
from minipod.supervisor.volumes import on_disk

_INTERVAL = 10.0  # seconds, times the node's backoff_scale (the kubelet's monitoringInterval)
_ENTRIES = 200  # looked at before something else has its turn
_BLOCK = 512  # bytes; the unit of st_blocks (stat(2))
_DEEPEST = 250  # directories open at once
_ENDLESS = 1 << 62  # bytes

Owner = tuple[str, str]  # "volume" or "container", and its name


def watch(
    pod: Pod,
    facts: NodeFacts,
    loop: Loop,
    there: Callable[[], RuntimeStatus],
    exceeded: Callable[[str], None],
) -> None:
    """Count from now on, again and again, if the pod has a limit that nobody else enforces. `there` tells which
    containers it has; `exceeded` is called with a sentence each time there is too much."""
    interval = _INTERVAL * facts.settings.backoff_scale

    def begin() -> None:
        go_on(count())

    def go_on(rounds: Iterator[str]) -> None:
        said = next(rounds, None)
        if said:
            exceeded(said)
        if said is None:
            loop.call_later(interval, begin)
        else:
            loop.call_later(0, lambda: go_on(rounds))

    def count() -> Iterator[str]:
        """A sentence for each limit that is exceeded, and "" in between."""
        used: dict[Owner, int] = {}
        for owner, path in places(pod, facts, there().containers):
            for number, taken in enumerate(sizes(path)):
                used[owner] = used.get(owner, 0) + taken
                if number % _ENTRIES == _ENTRIES - 1:
                    yield ""
        yield from too_much(pod, used)

    if qos.storage_limit(pod) or any(places(pod, facts, ())):
        loop.call_later(interval, begin)


def places(pod: Pod, facts: NodeFacts, containers: Iterable[ContainerInfo]) -> Iterator[tuple[Owner, str]]:
    """The folders whose contents count. Without a limit for all of them, only volumes that have one of their own."""
    everything, meta = qos.storage_limit(pod) is not None, pod.metadata
    for volume, path in on_disk(pod, facts):
        if everything or (volume.empty_dir and volume.empty_dir.size_limit):
            yield ("volume", volume.name), path
    if everything:
        logs = facts.layout.pod_log(meta.namespace, meta.name, meta.uid)
        for name, container_id in {each.name: each.id for each in containers}.items():
            if facts.settings.layers != "tmpfs":  # that is memory, and counts as such
                yield ("container", name), f"{layers(facts, meta.uid, container_id)}/upper"
            yield ("container", name), f"{logs}/{name}"


def too_much(pod: Pod, used: Mapping[Owner, int]) -> Iterator[str]:
    """A sentence for each limit that is exceeded, in the kubelet's order and words. `used` in bytes."""
    for volume in pod.spec.volumes:
        limit = volume.empty_dir.size_limit if volume.empty_dir else ""
        if limit and 0 < value(limit) < used.get(("volume", volume.name), 0):
            yield f'Usage of EmptyDir volume "{volume.name}" exceeds the limit "{limit}". '
    whole = qos.storage_limit(pod)
    if whole and whole.milli < 1000 * sum(used.values()):
        yield f"Pod ephemeral local storage usage exceeds the total limit of containers {whole}. "
    for container in pod.spec.containers:
        limit = container.resources.limits.get(qos.STORAGE, "")
        if limit and 0 < value(limit) < used.get(("container", container.name), 0):
            yield f'Container {container.name} exceeded its local ephemeral storage limit "{limit}". '


def sizes(path: str) -> Iterator[int]:
    """Bytes on disk of everything below `path`, each file once. What goes away meanwhile isn't counted.

    Names there are a container's: directories are walked by descriptor, and no link is followed. One that is nested
    too deep for that counts as more than any limit, or a container could hide there what it has written.
    """
    linked: set[int] = set()
    walk: list[tuple[int, list[str]]] = []  # the open directories, each with what is left to look at in it
    try:
        _enter(walk, path, None)
        while walk:
            folder, names = walk[-1]
            if not names:
                os.close(folder)
                walk.pop()
                continue
            name = names.pop()
            try:
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    if len(walk) == _DEEPEST:
                        yield _ENDLESS
                        continue
                    _enter(walk, name, folder)
                elif found.st_nlink > 1:
                    if found.st_ino in linked:
                        continue
                    linked.add(found.st_ino)
            except OSError:
                continue
            yield found.st_blocks * _BLOCK
    finally:
        for folder, _ in walk:
            os.close(folder)


def _enter(walk: list[tuple[int, list[str]]], name: str, above: int | None) -> None:
    try:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError:  # it isn't there, or not any more
        return
    walk.append((folder, os.listdir(folder)))
