"""What a pod's first containers are to be told, thought through while others make its sandbox."""

import contextlib

from minipod.api.cri import ContainerConfig, SandboxInfo
from minipod.api.messages import NodeFacts
from minipod.errors import MinipodError
from minipod.spec.types import Pod
from minipod.supervisor import config, lifecycle, observed
from minipod.supervisor.known import Observed
from minipod.supervisor.wanted import containers_of

Foreseen = dict[tuple[str, int], ContainerConfig]  # by the container's name and attempt


def foresee(pod: Pod, facts: NodeFacts, known: Observed, now: float) -> Foreseen:
    """For the containers that decide() would start if the sandbox were ready `now`.

    One that can't be told is left out: it fails when its turn has come, and is told of then.
    """
    ready = observed.SandboxIs(at=now, sandbox=SandboxInfo(id="", state="ready", created_at=now))
    then = lifecycle.decide(pod, observed.apply(known, ready), now, facts.settings.backoff_scale)
    specs = {spec.name: spec for spec in containers_of(pod)}
    foreseen: Foreseen = {}
    for action in then.actions:
        if isinstance(action, lifecycle.StartContainer):
            with contextlib.suppress(MinipodError, OSError):
                foreseen[action.name, action.attempt] = config.container(
                    pod, specs[action.name], facts, action.attempt
                )
    return foreseen
