"""What CRI asks about a container while it runs: its numbers, other limits, a new file for its log."""

import time
from collections.abc import Iterator

from minipod.api.cri import ContainerStats, Resources
from minipod.errors import Conflict
from minipod.kernel import cgroups
from minipod.plan import container as container_plan
from minipod.plan import pod as pod_plan
from minipod.runtime.records import Container
from minipod.runtime.runtime import Runtime


def stats(runtime: Runtime, container_id: str) -> Iterator[ContainerStats]:
    """Of one container, or with "" of all that run. Raises NotFound and Conflict."""
    running = [each for each in runtime.containers.values() if each.info.state == "running"]
    for container in [_running(runtime, container_id)] if container_id else running:
        cgroup = container_plan.cgroup(container.sandbox.config, container.info.id)
        used = cgroups.usage(runtime.facts.cgroups, cgroup)
        yield ContainerStats(
            container.info.id,
            time.time(),
            cpu_usec=used.cpu_usec,
            memory_bytes=used.memory_bytes,
            working_set_bytes=cgroups.working_set(runtime.facts.cgroups, cgroup),
            pids=used.pids,
        )


def update_resources(runtime: Runtime, container_id: str, resources: Resources) -> None:
    """Other limits from now on. Raises NotFound, Conflict, and PlanError with what the kernel refuses."""
    container = _running(runtime, container_id)
    cgroup = container_plan.cgroup(container.sandbox.config, container.info.id)
    runtime.stages.here(f"container-{container.info.id}", pod_plan.update(runtime.facts, cgroup, resources))


def reopen_log(runtime: Runtime, container_id: str) -> None:
    """Write into a new file of the old name from now on. Raises NotFound, Conflict and KernelError."""
    container = _running(runtime, container_id)
    if container.output:
        container.output.reopen_log()


def _running(runtime: Runtime, container_id: str) -> Container:
    container = runtime.container(container_id)
    if container.info.state != "running":
        raise Conflict(f'container "{container.config.name}" is not running')
    return container
