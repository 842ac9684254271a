"""What a pod takes up on disk: its emptyDirs, writable layers and logs. Whoever exceeds a limit is evicted.

A tmpfs is limited by the kernel, a directory isn't: so every ten seconds all of it is counted, as du(1) does. A few
entries at a time, for probes and exits don't wait (pkg/kubelet/eviction/eviction_manager.go, localStorageEviction).
"""

import os
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

    Names there are a container's: directories are walked by descriptor, and no link is followed.
    """
    linked: set[int] = set()
    try:
        for _, folders, files, descriptor in os.fwalk(path):
            for name in (*folders, *files):
                try:
                    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except OSError:
                    continue
                if found.st_nlink > 1 and name in files:
                    if found.st_ino in linked:
                        continue
                    linked.add(found.st_ino)
                yield found.st_blocks * _BLOCK
    except (OSError, RecursionError):
        return  # it isn't there yet; or it is nested deeper than can be walked, and so much for that
