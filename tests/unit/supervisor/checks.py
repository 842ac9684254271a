"""What must always hold of a pod, whatever happens to it: looked at by the simulation at every step."""

from minipod.supervisor import lifecycle
from minipod.supervisor.status import phase

SIDECARS = "st"  # init containers of these names go on running
EPHEMERAL = "xy"  # added while the pod runs
OVER = 88  # the exit code that starts all containers over


class BackoffTable:
    """The reference's numbers, kept apart from the code under test."""

    WAITS = (0, 10, 20, 40, 80, 160, 300)

    def __init__(self, scale):
        self.scale, self.ended, self.restarts, self.counted_at = scale, None, 0, 0

    def earliest(self):
        if self.ended is None:
            return 0
        if self.ended - self.counted_at > 600 * self.scale:
            self.restarts = 0
        return self.ended + self.WAITS[min(self.restarts, 6)] * self.scale

    def started(self, now):
        if self.ended is not None:
            self.restarts, self.counted_at = self.restarts + 1, now


class Checks:
    """The part of a Simulation that looks on."""

    def _busy(self):
        return lifecycle.anything_running(self.observed) or lifecycle.anything_starting(self.observed)

    def _check_alive(self):
        assert not self.observed.deleted_at
        assert not self.observed.terminal
        assert not self.observed.shutdown_at

    def _check_order(self, name):
        """Init containers before it have exited 0 in this sandbox, sidecars before it were started in it; app
        containers before it were tried. An ephemeral one waits for nobody."""
        if name in EPHEMERAL:
            return
        inits = [c.name for c in self.pod.spec.init_containers]
        before = inits[: inits.index(name)] if name in inits else inits
        for other in before:
            latest = self.observed.known(other).latest
            assert other not in self._again
            assert latest.sandbox_id == self.observed.sandbox.id
            if other not in SIDECARS:
                assert latest.state == "exited"
                assert latest.exit_code == 0
        if name not in inits:
            apps = [c.name for c in self.pod.spec.containers]
            assert all(other in self._starts for other in apps[: apps.index(name)])

    def _check_policy(self, name, known):
        if known.latest is None or name in SIDECARS:
            return
        assert name not in EPHEMERAL
        (container,) = (c for c in lifecycle.containers_of(self.pod) if c.name == name)
        if name in self._again or (container.restart_policy_rules and known.latest.exit_code == OVER):
            return
        assert self.pod.spec.restart_policy != "Never"
        if self.pod.spec.restart_policy == "OnFailure" and known.latest.exit_code == 0:
            assert name in [c.name for c in self.pod.spec.init_containers]
            assert known.latest.sandbox_id != self.observed.sandbox.id

    def _check_stop_order(self, action, stop_by):
        """A sidecar ends after the app containers and the sidecars behind it, unless the grace is over."""
        if action.name not in SIDECARS or action.alone or stop_by <= self.now + lifecycle.GRACE_MIN:
            return
        inits = [c.name for c in self.pod.spec.init_containers]
        later = [name for name in inits[inits.index(action.name) + 1 :] if name in SIDECARS]
        for name in [*later, *(c.name for c in self.pod.spec.containers)]:
            assert not self.observed.known(name).running

    def _check_status(self):
        now = phase(self.pod, self.observed)
        if self.phases and self.phases[-1] in ("Succeeded", "Failed"):
            assert now == self.phases[-1]
        if not self.phases or self.phases[-1] != now:
            self.phases.append(now)
        if now == "Succeeded":
            assert all(self.observed.known(c.name).succeeded for c in self.pod.spec.containers)
        self.status()

    def _table(self, name):
        return self._tables.setdefault(name, BackoffTable(self.scale))
