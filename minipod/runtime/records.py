"""What the mechanism remembers of each sandbox and container, and of a start that is under way."""

import os
import time
from collections.abc import Callable
from typing import Self

from minipod.api.cri import ContainerConfig, ContainerInfo, SandboxConfig, SandboxInfo
from minipod.errors import Conflict, MinipodError, Unreachable
from minipod.plan.core import Stage
from minipod.runtime.output import Output
from minipod.runtime.stage import Child


class Sandbox:
    """A sandbox's record: what was asked for, and pause while it lives."""

    def __init__(self, sandbox_id: str, config: SandboxConfig) -> None:
        self.config = config
        self.info = SandboxInfo(
            id=sandbox_id, state="notready", created_at=time.time(), attempt=config.attempt
        )
        self.pidfd = -1

    def close(self) -> None:
        """Pause is gone."""
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


class Container:
    """A container's record: what was asked for, and its first process while it lives."""

    def __init__(self, container_id: str, sandbox: Sandbox, config: ContainerConfig) -> None:
        self.sandbox = sandbox
        self.config = config
        self.info = ContainerInfo(
            id=container_id,
            sandbox_id=sandbox.info.id,
            name=config.name,
            attempt=config.attempt,
            state="created",
            image=config.image,
            image_id=config.image_id,
            created_at=time.time(),
        )
        self.pidfd = -1
        self.output: Output | None = None
        self.waiting: list[Callable[[], None]] = []  # whom to tell when it has ended

    def alive(self) -> Self:
        """Itself. Raises Conflict unless its first process lives, and `pidfd` is that."""
        if self.info.state != "running":
            raise Conflict(f'container "{self.config.name}" is not running')
        return self


class Start:
    """One start of a container, under way."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.name = f"container-{container.info.id}"  # of its plan
        self.stage = Stage(f"container/{container.config.name}", "child", ())
        self.child: Child | None = None
        self.error: MinipodError | None = None

    def prepared(self) -> Child:
        """On its way to its exec. Raises what went wrong before."""
        if self.error or not self.child:
            raise self.error or Unreachable(f"{self.stage.name} was not prepared")
        return self.child
