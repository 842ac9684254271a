"""The hooks of one pod's containers: postStart after a start, preStop before the stop signal.

    StartContainer ▶ runs ▶ postStart ▶ PostStarted, or StartFailed (the container is killed then)
    StopContainer ▶ preStop, as long as the grace lasts ▶ the stop signal ▶ what is left of the grace ▶ SIGKILL

The rules are the kubelet's: startContainer and killContainer in pkg/kubelet/kuberuntime/kuberuntime_container.go.
"""

import time
from collections.abc import Callable

from minipod.runtime.ask import Done, Question
from minipod.runtime.runtime import Runtime
from minipod.spec.handlers import LifecycleHandler
from minipod.spec.types import Container
from minipod.supervisor.events import Recorder
from minipod.supervisor.lifecycle import GRACE_MIN
from minipod.supervisor.observed import PostStarted, StartFailed
from minipod.supervisor.questions import Unaskable, ask

_FOR_EVER = 365 * 86400.0  # a postStart hook has no time-out of its own


class Hooks:
    """The hooks that are under way. `found` is called with what a postStart hook has come to."""

    def __init__(
        self,
        runtime: Runtime,
        events: Recorder,
        pod_ip: Callable[[], str],
        found: Callable[[PostStarted | StartFailed], None],
    ) -> None:
        self._runtime, self._events, self._pod_ip, self._found = runtime, events, pod_ip, found
        self._post_starts: dict[str, Question] = {}  # by id of the container
        self._pre_stops: dict[str, Question] = {}
        self._stop_by: dict[str, float] = {}  # when each is killed; of those whose stop was begun
        self._pre_stopped: set[str] = set()

    def started(self, container: Container, container_id: str) -> None:
        """It runs: begin its postStart hook, if it has one."""
        hook = container.lifecycle and container.lifecycle.post_start
        if not hook:
            return

        def done(success: bool | None, _: str) -> None:
            self._post_starts.pop(container_id, None)
            if success:
                self._found(PostStarted(at=time.time(), name=container.name, id=container_id))
                return
            self._events.warning("FailedPostStartHook", "PostStartHook failed", container)
            text = f"PostStartHook failed in container {container.name}"
            reason = "PostStartHookError"
            self._found(StartFailed(at=time.time(), name=container.name, reason=reason, message=text))

        self._post_starts[container_id] = self._ask(container, container_id, hook, _FOR_EVER, done)

    def stop(self, container: Container, container_id: str, grace: float, run_hook: bool) -> None:
        """Stop it within `grace` seconds, its preStop hook included. Called again, it only hurries."""
        hook = container.lifecycle and container.lifecycle.pre_stop if run_hook else None
        if container_id in self._post_starts:
            self._post_starts.pop(container_id).drop()
        self._stop_by[container_id] = time.time() + grace
        if container_id in self._pre_stops:
            self._pre_stops[container_id].limit(grace)
        elif not hook or container_id in self._pre_stopped:
            self._runtime.stop_container(container_id, grace, _nothing)
        else:
            self._pre_stop(container, container_id, hook, grace)

    def _pre_stop(
        self, container: Container, container_id: str, hook: LifecycleHandler, grace: float
    ) -> None:
        def done(success: bool | None, _: str) -> None:
            self._pre_stops.pop(container_id, None)
            self._pre_stopped.add(container_id)
            if not success:
                self._events.warning("FailedPreStopHook", "PreStopHook failed", container)
            left = self._stop_by[container_id] - time.time()
            self._runtime.stop_container(container_id, max(left, GRACE_MIN), _nothing)

        self._pre_stops[container_id] = self._ask(container, container_id, hook, grace, done)

    def ended(self, container_id: str) -> None:
        """The container has ended by itself or otherwise: so have its hooks."""
        for under_way in (self._post_starts, self._pre_stops):
            if question := under_way.pop(container_id, None):
                question.drop()
        self._stop_by.pop(container_id, None)
        self._pre_stopped.discard(container_id)

    def _ask(
        self, container: Container, container_id: str, hook: LifecycleHandler, timeout: float, done: Done
    ) -> Question:
        try:
            return ask(self._runtime, container, container_id, self._pod_ip(), hook, timeout, done)
        except (Unaskable, OSError) as error:
            question = Question(self._runtime.loop, None, done)
            question.later(False, str(error))
            return question


def _nothing() -> None:
    """Nobody waits for a stop: that the container has ended is a fact of its own."""
