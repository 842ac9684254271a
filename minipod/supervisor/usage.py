"""What a pod's emptyDirs on disk take up. Whoever exceeds its sizeLimit is evicted.

A tmpfs is limited by the kernel, a directory isn't: so every ten seconds all of it is counted, as du(1) does. A few
entries at a time, for probes and exits don't wait (pkg/kubelet/eviction/eviction_manager.go, emptyDirLimitEviction).
"""

import os
from collections.abc import Callable, Iterator

from minipod.api.messages import NodeFacts
from minipod.runtime.loop import Loop
from minipod.spec.types import Pod
from minipod.supervisor.volumes import limited

_INTERVAL = 10.0  # seconds, times the node's backoff_scale (the kubelet's monitoringInterval)
_ENTRIES = 200  # looked at before something else has its turn
_BLOCK = 512  # bytes; the unit of st_blocks (stat(2))


def watch(pod: Pod, facts: NodeFacts, loop: Loop, exceeded: Callable[[str], None]) -> None:
    """Count from now on, again and again. `exceeded` is called with a sentence each time there is too much."""
    volumes = limited(pod, facts)
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
        """A sentence for each volume that is too large, and "" in between."""
        for name, (path, size, text) in volumes.items():
            total = 0
            for number, taken in enumerate(sizes(path)):
                total += taken
                if total > size:
                    yield f'Usage of EmptyDir volume "{name}" exceeds the limit "{text}". '
                    break
                if number % _ENTRIES == _ENTRIES - 1:
                    yield ""

    if volumes:
        loop.call_later(interval, begin)


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
