"""The probes of one pod at work: each asks when probes.py says so, and what comes of it becomes a fact."""

import time
from collections.abc import Callable

from minipod.runtime.ask import Question
from minipod.runtime.runtime import Runtime
from minipod.spec.handlers import Probe
from minipod.spec.types import Container, Pod
from minipod.supervisor import probes
from minipod.supervisor.events import Recorder
from minipod.supervisor.known import Known, Observed
from minipod.supervisor.observed import ProbeIs
from minipod.supervisor.questions import Unaskable, ask
from minipod.supervisor.wanted import containers_of

_TEXT = 1024  # characters of an event, as the kubelet cuts them (maxProbeMessageLength)


class Worker:
    """One probe of one attempt of a container."""

    def __init__(self, prober: "Prober", kind: str, probe: Probe, container: Container, known: Known) -> None:
        assert known.latest is not None, "only what runs is probed"
        self._prober, self._kind, self._probe, self._container = prober, kind, probe, container
        self._id = known.latest.id
        self._question: Question | None = None
        self._gone = False
        self._count = probes.first(probe, known.latest.started_at, time.time())
        self._wait()

    def stop(self) -> None:
        self._gone = True
        if self._question:
            self._question.drop()

    def _wait(self) -> None:
        self._prober.runtime.loop.call_later(max(0.0, self._count.next_at - time.time()), self._ask)

    def _ask(self) -> None:
        if self._gone:
            return
        prober, timeout = self._prober, self._probe.timeout_seconds or 1
        try:
            self._question = ask(
                prober.runtime,
                self._container,
                self._id,
                prober.pod_ip(),
                self._probe,
                timeout,
                self._answered,
            )
        except (Unaskable, OSError) as error:
            self._answered(None, str(error))

    def _answered(self, success: bool | None, text: str) -> None:
        before, self._count = (
            self._count,
            probes.answered(self._probe, self._count, success, time.time()),
        )
        kind = self._kind.capitalize()
        if success is None:
            text = f"{kind} probe errored and resulted in unknown state: {text}"
        elif not success:
            text = f"{kind} probe failed: {text}"
        if not success:
            self._prober.events.warning("Unhealthy", text[:_TEXT], self._container)
        self._wait()
        if self._count.result != before.result and self._count.result is not None:
            fact = ProbeIs(
                at=time.time(),
                name=self._container.name,
                id=self._id,
                probe=self._kind,
                success=self._count.result,
            )
            self._prober.found(fact)


class Prober:
    """All probes of a pod. `found` is called with each new result."""

    def __init__(
        self,
        pod: Pod,
        runtime: Runtime,
        events: Recorder,
        pod_ip: Callable[[], str],
        found: Callable[[ProbeIs], None],
    ) -> None:
        self.runtime, self.events, self.pod_ip, self.found = runtime, events, pod_ip, found
        self._probes = [
            (container, kind, probe)
            for container in containers_of(pod)
            for kind in probes.KINDS
            if (probe := probes.probe_of(container, kind))
        ]
        self._workers: dict[tuple[str, str], Worker] = {}  # by id of the container and kind of the probe

    def follow(self, observed: Observed) -> None:
        """Begin the probes that are wanted now, and end the others."""
        wanted = {}
        for container, kind, probe in self._probes:
            known = observed.known(container.name)
            if known.latest and probes.wanted(kind, container, known, bool(observed.deleted_at)):
                wanted[known.latest.id, kind] = (kind, probe, container, known)
        for key in self._workers.keys() - wanted.keys():
            self._workers.pop(key).stop()
        for key, arguments in wanted.items():
            if key not in self._workers:
                self._workers[key] = Worker(self, *arguments)
