"""A node that was away: it is killed, its pods go on, and the next node knows all that happened meanwhile."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.faults import READY, Api, Object, impatient_node, running, titles
from tests.support.node import mounted, pod, sh
from tests.support.wait import wait_until

COUNT = "echo >>/d/started"


def volume_pod(name: str, script: str, policy: str = "Always", **container: object) -> Object:
    """A pod of one container with a volume that a test can reach without a node."""
    return pod(
        name,
        sh(script, volumeMounts=mounted(d="/d"), **container),
        restartPolicy=policy,
        volumes=[{"name": "d", "emptyDir": {"medium": "Memory"}}],
        terminationGracePeriodSeconds=1,
    )


def probe(file: str) -> Object:
    return {"exec": {"command": ["test", "-e", f"/d/{file}"]}, "periodSeconds": 1, "failureThreshold": 1}


PODS = (
    volume_pod("crashing", f"{COUNT}; test -e /d/enough || exit 3; touch /d/survived; {READY}"),
    volume_pod("unhealthy", f"{COUNT}; touch /d/healthy; {READY}", livenessProbe=probe("healthy")),
    volume_pod("unready", f"touch /d/ready; {READY}", readinessProbe=probe("ready")),
    volume_pod("ending", "until test -e /d/end; do sleep 0.1; done", "Never"),
)


class Away(NamedTuple):
    """A node after another that was killed, and how often containers had begun until the new one came."""

    api: Api
    starts: dict[str, int]

    def wait(self, name: str, condition) -> Object:
        wait_until(lambda: condition(self.api.pods()[name]["status"]))
        return self.api.pods()[name]

    def events(self, name: str, reason: str) -> list[Object]:
        items = self.api.ask("GET", "/api/v1/events")["items"]
        return [each for each in items if (each["involvedObject"]["name"], each["reason"]) == (name, reason)]


@pytest.fixture(scope="module")
def away(tmp_path_factory, minipod_images) -> Iterator[Away]:
    with impatient_node(tmp_path_factory.mktemp("away") / "home", minipod_images) as node:
        api = Api(node)
        node.apply(PODS, "--wait=false")
        uids = {name: each["metadata"]["uid"] for name, each in api.pods().items()}
        volumes = {name: Path(api.started(uid, "")) for name, uid in uids.items()}

        def starts(name: str) -> int:
            with suppress(FileNotFoundError):
                return (volumes[name] / "started").read_text().count("\n")
            return 0

        def told(name: str, fact: str, **values: object) -> bool:
            """Whether the pod's journal says so, which its supervisor writes."""
            facts = api.journal(uids[name])
            return any(each["fact"] == fact and values.items() <= each.items() for each in facts)

        for name in ("unhealthy", "unready", "ending"):
            wait_until(lambda name=name: running(api.pods()[name]))
        wait_until(lambda: told("unready", "ProbeIs", probe="readiness", success=True))
        wait_until(lambda: told("unhealthy", "ProbeIs", probe="liveness", success=True))
        wait_until(lambda: starts("crashing"))
        dead = api.helper("node")
        api.kill(dead, signal.SIGKILL)
        wait_until(lambda: dead not in titles(node))
        # Nobody but the supervisors is left to see to all this.
        before = starts("crashing")
        wait_until(lambda: starts("crashing") >= before + 2)
        (volumes["crashing"] / "enough").touch()
        os.unlink(volumes["unhealthy"] / "healthy")
        os.unlink(volumes["unready"] / "ready")
        (volumes["ending"] / "end").touch()
        wait_until(lambda: starts("unhealthy") == 2)
        wait_until(lambda: told("unready", "ProbeIs", probe="readiness", success=False))
        wait_until(lambda: told("ending", "PodFinished", phase="Succeeded"))
        wait_until((volumes["crashing"] / "survived").exists)
        assert not api.helper("node")
        count = {name: starts(name) for name in ("crashing", "unhealthy")}
        node.start()
        yield Away(api, count)


def counts(status: Object, started: int) -> bool:
    (container,) = status["containerStatuses"]
    return "running" in container["state"] and container["restartCount"] == started - 1


def test_a_container_went_on_crashing_and_restarting_and_every_time_counts(away):
    started = away.starts["crashing"]
    (container,) = away.wait("crashing", lambda status: counts(status, started))["status"][
        "containerStatuses"
    ]
    last = container["lastState"]["terminated"]
    assert (last["reason"], last["exitCode"]) == ("Error", 3)
    wait_until(lambda: sum(each["count"] for each in away.events("crashing", "Started")) == started)
    assert away.events("crashing", "BackOff")


def test_a_container_that_was_not_well_was_killed_and_restarted(away):
    (container,) = away.wait("unhealthy", lambda status: counts(status, 2))["status"]["containerStatuses"]
    assert container["lastState"]["terminated"]["finishedAt"] <= container["state"]["running"]["startedAt"]
    wait_until(lambda: away.events("unhealthy", "Killing"))
    assert "failed liveness probe, will be restarted" in away.events("unhealthy", "Killing")[0]["message"]
    assert away.events("unhealthy", "Unhealthy")


def test_a_pod_that_became_unready_is_known_to_be_so(away):
    status = away.wait("unready", lambda status: not status["containerStatuses"][0]["ready"])["status"]
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert status["containerStatuses"][0]["restartCount"] == 0


def test_a_pod_that_ended_has_ended(away):
    status = away.wait("ending", lambda status: status["phase"] == "Succeeded")["status"]
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
