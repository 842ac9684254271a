"""What holds for every pod, whatever happens to it. Most of it is checked in simulation.py, at each step."""

import msgspec
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from minipod.spec.handlers import Probe
from minipod.supervisor import lifecycle
from minipod.supervisor.observed import AnyFact, SupervisorBegan
from tests.unit.supervisor.checks import EPHEMERAL, OVER, SIDECARS
from tests.unit.supervisor.simulation import FOREVER, HOOK, START_OVER, T0, Run, Simulation, make_pod, replay

ANY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
FAILURES = ("ErrImagePull", "ErrImageNeverPull", "CreateContainerConfigError", "RunContainerError")

durations = st.sampled_from([0.5, 3.0, 11.0, 45.0, 700.0])
runs = st.builds(
    Run,
    seconds=st.one_of(durations, st.just(FOREVER)),
    exit_code=st.sampled_from([0, 0, 0, 1, 137, OVER]),
    failure=st.sampled_from(["", "", "", "", *FAILURES]),
    start_seconds=st.sampled_from([0, 0, 2.0]),
    stop_seconds=st.sampled_from([0.0, 1.0, 15.0, FOREVER]),
    hook_seconds=st.sampled_from([0.0, 1.0, 20.0]),
    hook_fails=st.booleans(),
    started_after=st.sampled_from([0.0, 2.0]),
    unhealthy_after=st.sampled_from([5.0, FOREVER]),
)
extras = st.sampled_from(
    [
        {},
        {"lifecycle": HOOK},
        {"startup_probe": Probe()},
        {"liveness_probe": Probe()},
        {"restart_policy_rules": (START_OVER,)},
    ]
)
moments = st.one_of(st.integers(0, 15), st.integers(0, 2500))
accidents = st.lists(
    st.tuples(moments, st.sampled_from(["kill_pause", "lose_supervisor", "shut_down", "evict"])), max_size=3
)


@st.composite
def simulations(draw):
    """A pod with anything that can happen to it in its first half hour. Starts beyond those drawn run for ever."""
    pod = make_pod(
        apps=draw(st.sampled_from(["a", "ab", "abc"])),
        inits=draw(st.sampled_from(["", "i", "ij", "s", "sit", "ist"])),
        fields=draw(st.fixed_dictionaries({}, optional=dict.fromkeys("abist", extras))),
        active_deadline_seconds=draw(st.sampled_from([None, None, None, 20, 1000])),
        policy=draw(st.sampled_from(["Always", "OnFailure", "Never"])),
        grace=draw(st.sampled_from([None, 0, 5, 30])),
    )
    script = draw(st.dictionaries(st.sampled_from("abcijst" + EPHEMERAL), st.lists(runs, max_size=6)))

    def comes_to(name, number):
        given = script.get(name, [])
        if number < len(given):
            return given[number]
        return Run(seconds=1 if name in "ij" else FOREVER, started_after=3)

    simulation = Simulation(
        pod,
        comes_to,
        scale=draw(st.sampled_from([1.0, 0.1])),
        sandbox_seconds=draw(st.sampled_from([0.0, 1.0])),
        sandbox_failures=draw(st.integers(0, 3)),
    )
    for seconds, accident in draw(accidents):
        simulation.at(seconds, getattr(simulation, accident))
    for seconds, name in draw(st.lists(st.tuples(moments, st.sampled_from(EPHEMERAL)), max_size=2)):
        simulation.at(seconds, simulation.debug, name)
    return simulation


def settled(pod, known):
    """An app container that runs, or has ended and may stay so."""
    policy = pod.spec.restart_policy
    return known.running or (
        known.exited and (policy == "Never" or (policy == "OnFailure" and known.succeeded))
    )


@ANY
@given(simulations())
def test_a_pod_never_gets_stuck(simulation):
    simulation.run(20_000)
    pod, observed = simulation.pod, simulation.observed
    event(f"{pod.spec.restart_policy}: {simulation.phases[-1]}")
    if observed.terminal:
        assert observed.sandbox is None
        assert pod.spec.restart_policy != "Always" or observed.terminal.reason in (
            "DeadlineExceeded",
            "Evicted",
        )
        assert not any(known.running for known in observed.containers.values())
    else:
        inits = [c.name for c in pod.spec.init_containers if c.name not in SIDECARS]
        initializing = any(observed.known(name).running for name in inits)
        assert initializing or all(settled(pod, observed.known(c.name)) for c in pod.spec.containers)
        assert initializing or any(observed.known(c.name).running for c in pod.spec.containers)


@ANY
@given(simulations(), moments, st.sampled_from([0, 1, 5, 30]))
def test_a_deleted_pod_is_gone_when_its_grace_is_over(simulation, seconds, grace):
    simulation.at(seconds, simulation.delete, grace)
    simulation.run(20_000)
    assert simulation.removed
    # A start or a sandbox under way is waited for, 2 s at most here, and ends 2 s later at the latest; so does a
    # sidecar whose turn only comes when the grace is over.
    sidecars = [c.name for c in simulation.pod.spec.init_containers if c.name in SIDECARS]
    assert simulation.now <= T0 + seconds + max(grace + (2 if sidecars else 0), 2 + 2) + 1


@ANY
@given(simulations(), moments, st.integers(0, 20))
def test_a_second_deletion_can_only_hurry(simulation, seconds, later):
    simulation.at(seconds, simulation.delete, 30)
    simulation.at(seconds + later, simulation.delete, 0)
    simulation.at(seconds + later, simulation.delete, 1000)
    simulation.run(20_000)
    assert simulation.removed
    assert simulation.now <= T0 + seconds + min(30, later) + 2 + 2 + 1


@ANY
@given(simulations(), moments)
def test_a_pod_that_is_shut_down_is_quiet_in_time(simulation, seconds):
    simulation.at(seconds, simulation.shut_down)
    simulation.run(seconds + lifecycle.SHUTDOWN_GRACE + 2 + 2 + 1)
    # It has left; or it died over it, and the next one knows nothing of a shutdown.
    assert [
        fact for fact in simulation.facts if isinstance(fact, SupervisorBegan) and fact.at >= T0 + seconds
    ]


@ANY
@given(simulations(), moments)
def test_the_journal_tells_everything(simulation, seconds):
    simulation.at(seconds, simulation.delete, 5)
    simulation.run(1500)
    lines = [msgspec.json.encode(fact) for fact in simulation.facts]
    assert replay([msgspec.json.decode(line, type=AnyFact) for line in lines]) == simulation.observed
