"""What is known about one pod: the record that the facts of its journal add up to (observed.py). Pure.

All times are seconds since the epoch.
"""

import msgspec

from minipod.api.cri import ContainerInfo, Record, SandboxInfo
from minipod.spec.types import Event


class Failure(Record, frozen=True):
    """Why something could not be started, `count` times in a row, the last time at `at`."""

    reason: str  # FailedCreatePodSandBox | ErrImagePull | CreateContainerConfigError | RunContainerError | …
    message: str
    at: float
    count: int = 1
    ended: bool = False  # there was a container, and it has ended: that is an attempt


class Known(Record, frozen=True):
    """One container of the spec: its attempts, and what holds back the next."""

    latest: ContainerInfo | None = None
    previous: ContainerInfo | None = None  # status shows one dead attempt more, as lastState
    starting: str = ""  # id of the attempt that is being started
    starting_attempt: int = 0
    stop_by: float = 0  # the latest attempt was asked to end, and is killed then; 0: it wasn't
    failure: Failure | None = None  # since the last attempt that ran
    backoff: int = 0  # how many of the crash back-off's steps were taken; 0: the next restart is immediate
    backoff_at: float = 0  # when the last was taken
    again: bool = False  # the pod was started over: it runs again, however its latest attempt ended
    # Of the latest attempt:
    post_started: bool = False  # its postStart hook has succeeded
    started: bool = False  # its startup probe has succeeded
    ready: bool = False  # its readiness probe succeeds
    failed_probe: str = ""  # liveness or startup: it has failed, and the container has to go

    @property
    def running(self) -> bool:
        return self.latest is not None and self.latest.state == "running"

    @property
    def exited(self) -> ContainerInfo | None:
        """The latest attempt, if it has ended."""
        return self.latest if self.latest is not None and self.latest.state == "exited" else None

    @property
    def succeeded(self) -> bool:
        return self.latest is not None and self.latest.state == "exited" and self.latest.exit_code == 0

    @property
    def next_attempt(self) -> int:
        """A start that failed before there was a container does not count."""
        return self.latest.attempt + 1 if self.latest else 0


class Terminal(Record, frozen=True):
    """How the pod ended. It never changes again."""

    phase: str  # Succeeded | Failed
    reason: str  # Evicted, DeadlineExceeded …; empty when its containers say it all
    message: str
    at: float


class Observed(Record, frozen=True):
    """Everything known about a pod."""

    sequence: int = 0  # of facts, over supervisors too
    start_time: float = 0  # when its first supervisor took it
    lost: bool = False  # an earlier supervisor died with its pod
    sandbox: SandboxInfo | None = None  # the current one; None: there is none, or it was stopped and undone
    sandbox_attempts: int = 0  # made so far, also those that failed
    sandbox_starting: str = ""  # id of the one that is being made
    sandbox_stopping: bool = False  # the current one is being undone
    sandbox_failure: Failure | None = None
    stopping_since: float = 0  # when the first container was stopped because all are to stop; 0: not yet
    restarting: bool = False  # all containers are being stopped, to be started over in this sandbox
    shutdown_at: float = 0  # when this supervisor was told to stop all of it and end; 0: it wasn't
    containers: dict[str, Known] = msgspec.field(default_factory=dict)
    deleted_at: float = 0  # when it was asked to go; 0: it wasn't
    grace: float = 0  # seconds its containers have from then on
    terminal: Terminal | None = None
    events: tuple[Event, ...] = ()

    def known(self, name: str) -> Known:
        return self.containers.get(name, NOTHING)

    @property
    def sandbox_ready(self) -> bool:
        return self.sandbox is not None and self.sandbox.state == "ready"


NOTHING = Known()
