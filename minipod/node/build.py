"""Every plan of a pod's build, as its supervisor would make them: for those who look at a pod that isn't there yet."""

from typing import NamedTuple

from msgspec.structs import replace

from minipod.api.cri import ContainerConfig, SandboxConfig
from minipod.api.messages import NodeFacts
from minipod.plan import container as container_plan
from minipod.plan import pod as pod_plan
from minipod.plan import sandbox as sandbox_plan
from minipod.plan import shell
from minipod.plan.words import ADDRESS4, ADDRESS6
from minipod.runtime.hosts import hosts
from minipod.spec import qos
from minipod.spec.types import Container, Pod
from minipod.supervisor import config
from minipod.supervisor.volumes import empty_dirs
from minipod.supervisor.wanted import is_sidecar


class Ids(NamedTuple):
    """What is chosen when a pod is made."""

    uid: str
    sandbox: str
    container: str  # with {} for its name
    rootfs: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default; image path -> what stands for it


def parts(pod: Pod, facts: NodeFacts, ids: Ids, skip: bool = False) -> list[shell.Part]:
    """The plans of a pod in the order in which they are run (supervisor/engine.py).

    Raises StartError for a container that can't be started, for want of its image, say; with `skip` it is left out.
    """
    pod = replace(pod, metadata=replace(pod.metadata, uid=ids.uid))
    sandbox = _sandbox(pod, facts)
    own = pod_plan.pod(
        facts, ids.uid, sandbox.cgroup_parent, config.resources(qos.pod_amounts(pod)), empty_dirs(pod, facts)
    )
    found = [shell.Part(own), shell.Part(sandbox_plan.sandbox(facts, ids.sandbox, sandbox))]
    for spec in (*pod.spec.init_containers, *pod.spec.containers):
        try:
            wanted = _container(pod, spec, facts, ids)
        except config.StartError:
            if skip:
                continue
            raise
        made = container_plan.container(facts, ids.sandbox, sandbox, ids.container.format(spec.name), wanted)
        found.append(shell.Part(made, spec in pod.spec.init_containers and not is_sidecar(spec)))
    return found


def _sandbox(pod: Pod, facts: NodeFacts) -> SandboxConfig:
    wanted = config.sandbox(pod, facts, 0)
    if not wanted.host_network:
        wanted = replace(wanted, address4=ADDRESS4, address6=ADDRESS6 if facts.ipv6 else "")
    return wanted if wanted.hosts else replace(wanted, hosts=hosts(wanted))


def _container(pod: Pod, spec: Container, facts: NodeFacts, ids: Ids) -> ContainerConfig:
    wanted = config.container(pod, spec, facts, 0)
    return replace(wanted, rootfs=ids.rootfs.get(wanted.rootfs, wanted.rootfs))
