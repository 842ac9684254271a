"""Sidecars, deadlines, hooks and failed probes: what decide() makes of them, one scenario a test."""

import pytest

from minipod.spec.handlers import ContainerRestartRule, ContainerRestartRuleOnExitCodes, Probe
from minipod.supervisor.lifecycle import FinishPod, StopContainer
from minipod.supervisor.wanted import restarts
from tests.unit.supervisor.simulation import FOREVER, HOOK, T0, Run, Simulation, make_container, make_pod


def each_time(**runs):
    """Each start of a container comes to the same; what isn't named runs for ever, but i and j for a second."""
    return lambda name, _: runs.get(name, Run(seconds=1) if name in "ij" else Run())


def in_turn(**runs):
    return lambda name, number: (runs.get(name, []) + [Run()] * 100)[number]


def starts(simulation):
    return [(name, at) for name in "istabj" for at in simulation.starts(name)]


def stops(simulation):
    return [(at - T0, a.name) for at, a in simulation.log if isinstance(a, StopContainer)]


# --- start


def test_what_comes_after_a_sidecar_starts_as_soon_as_it_has_started():
    simulation = Simulation(make_pod("a", inits="sit"), each_time(i=Run(seconds=3))).run(10)
    assert starts(simulation) == [("i", 0), ("s", 0), ("t", 3), ("a", 3)]


def test_a_sidecar_with_a_startup_probe_is_waited_for_until_it_succeeds():
    pod = make_pod("a", inits="s", fields={"s": {"startup_probe": Probe()}})
    simulation = Simulation(pod, each_time(s=Run(started_after=7)))
    assert simulation.run(5).status().phase == "Pending"
    assert starts(simulation.run(10)) == [("s", 0), ("a", 7)]


def test_a_sidecar_that_ends_while_the_pod_initializes_is_started_again():
    runs = in_turn(s=[Run(seconds=2, exit_code=1)], i=[Run(seconds=5)])
    assert starts(Simulation(make_pod("a", inits="si"), runs).run(20)) == [
        ("i", 0),
        ("s", 0),
        ("s", 2),
        ("a", 5),
    ]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("exit_code", [0, 1])
def test_a_sidecar_is_started_again_under_every_policy(policy, exit_code):
    runs = in_turn(s=[Run(seconds=5, exit_code=exit_code)])
    simulation = Simulation(make_pod("a", inits="s", policy=policy), runs).run(20)
    assert simulation.starts("s") == [0, 5]
    assert simulation.starts("a") == [0]
    assert simulation.phases == ["Pending", "Running"]


def test_the_next_container_waits_for_post_start():
    simulation = Simulation(
        make_pod("ab", fields={"a": {"lifecycle": HOOK}}), each_time(a=Run(hook_seconds=4))
    )
    assert starts(simulation.run(10)) == [("a", 0), ("b", 4)]


def test_a_container_whose_post_start_fails_is_killed_alone_and_restarted():
    runs = in_turn(a=[Run(hook_fails=True, stop_seconds=2)])
    simulation = Simulation(make_pod("ab", fields={"a": {"lifecycle": HOOK}}), runs).run(10)
    assert simulation.actions(StopContainer) == [
        StopContainer("a", "id1", 30, "FailedPostStartHook", alone=True)
    ]
    assert starts(simulation) == [("a", 0), ("a", 3), ("b", 4)]


# --- probes


@pytest.mark.parametrize(
    ("policy", "more", "probe", "grace"),
    [
        ("Always", ", will be restarted", Probe(), 30),
        ("Never", "", Probe(), 30),
        ("OnFailure", ", will be restarted", Probe(termination_grace_period_seconds=7), 7),
        ("Always", ", will be restarted", Probe(termination_grace_period_seconds=1), 2),
    ],
)
def test_a_container_whose_liveness_probe_has_failed_is_killed(policy, more, probe, grace):
    pod = make_pod("ab", policy=policy, fields={"a": {"liveness_probe": probe}})
    simulation = Simulation(pod, in_turn(a=[Run(unhealthy_after=5, stop_seconds=1)])).run(20)
    assert simulation.actions(StopContainer) == [
        StopContainer("a", "id1", grace, f"Container a failed liveness probe{more}", alone=True)
    ]
    assert simulation.starts("a") == ([0, 6] if more else [0])


def test_a_pod_killed_by_its_liveness_probe_has_its_whole_grace_when_it_is_deleted_later():
    pod = make_pod("a", fields={"a": {"liveness_probe": Probe()}})
    simulation = Simulation(pod, in_turn(a=[Run(unhealthy_after=5), Run(stop_seconds=FOREVER)]))
    simulation.at(50, simulation.delete, 20)
    simulation.run(100)
    assert simulation.now == T0 + 70


# --- the end


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Succeeded"), (1, "Failed")])
def test_a_pod_whose_app_containers_have_ended_ends_although_its_sidecars_run(exit_code, phase):
    runs = each_time(a=Run(seconds=5, exit_code=exit_code), s=Run(stop_seconds=3, exit_code=1))
    simulation = Simulation(make_pod("a", inits="s", policy="Never"), runs).run(20)
    assert simulation.phases == ["Pending", "Running", phase]
    assert stops(simulation) == [(5, "s")]


def test_sidecars_stop_after_the_app_containers_the_last_one_first():
    runs = each_time(a=Run(stop_seconds=3), s=Run(stop_seconds=1), t=Run(stop_seconds=2))
    simulation = Simulation(make_pod("a", inits="st"), runs)
    simulation.at(10, simulation.delete, 30)
    simulation.run(100)
    assert stops(simulation) == [(10, "a"), (13, "t"), (15, "s")]
    assert [action.grace for action in simulation.actions(StopContainer)] == [30, 27, 25]


def test_when_the_grace_is_used_up_all_sidecars_get_two_seconds():
    runs = each_time(**{name: Run(stop_seconds=FOREVER) for name in "ast"})
    simulation = Simulation(make_pod("a", inits="st"), runs)
    simulation.at(10, simulation.delete, 5)
    simulation.run(100)
    assert stops(simulation) == [(10, "a"), (15, "t"), (15, "s")]
    assert simulation.now == T0 + 17


def test_the_clock_of_a_stop_runs_on_from_one_sidecar_to_the_next():
    runs = each_time(a=Run(seconds=5), s=Run(stop_seconds=FOREVER), t=Run(stop_seconds=7))
    simulation = Simulation(make_pod("a", inits="st", policy="Never", grace=10), runs).run(100)
    assert [(action.name, action.grace) for action in simulation.actions(StopContainer)] == [
        ("t", 10),
        ("s", 3),
    ]


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_a_pod_that_is_active_too_long_has_failed_however_its_containers_end(policy):
    pod = make_pod("a", inits="i", policy=policy, active_deadline_seconds=8)
    simulation = Simulation(pod, each_time(a=Run(stop_seconds=2), i=Run(seconds=3))).run(60)
    message = "Pod was active on the node longer than the specified deadline"
    assert simulation.actions(FinishPod) == [FinishPod("Failed", "DeadlineExceeded", message)]
    assert stops(simulation) == [(8, "a")]
    assert simulation.phases == ["Pending", "Running", "Failed"]
    assert (simulation.status().reason, simulation.status().message) == ("DeadlineExceeded", message)


def test_the_deadline_is_not_told_before_the_last_container_has_ended():
    simulation = Simulation(make_pod("a", active_deadline_seconds=8), each_time(a=Run(stop_seconds=5))).run(
        10
    )
    assert (simulation.status().phase, simulation.status().reason) == ("Running", "")


def test_the_deadline_ends_a_pod_that_only_waits():
    simulation = Simulation(
        make_pod("a", active_deadline_seconds=8), each_time(a=Run(failure="ErrImagePull"))
    )
    assert simulation.run(60).phases == ["Pending", "Failed"]


def test_a_pod_that_ended_before_its_deadline_has_succeeded_although_its_sidecar_takes_longer():
    runs = each_time(a=Run(seconds=5), s=Run(stop_seconds=20))
    simulation = Simulation(make_pod("a", inits="s", policy="Never", active_deadline_seconds=8), runs).run(60)
    assert simulation.phases[-1] == "Succeeded"


# --- rules


@pytest.mark.parametrize(
    ("pods", "own", "operator", "exit_code", "restarted"),
    [
        ("Always", "", "", 0, True),
        ("OnFailure", "", "", 0, False),
        ("OnFailure", "", "", 1, True),
        ("Never", "", "", 1, False),
        ("Never", "Always", "", 0, True),
        ("Always", "Never", "", 1, False),
        ("Never", "Never", "In", 42, True),
        ("Never", "Never", "In", 1, False),
        ("Never", "Never", "NotIn", 42, False),
        ("Never", "Never", "NotIn", 1, True),
    ],
)
def test_rules_come_before_the_container_s_policy_and_that_before_the_pod_s(
    pods, own, operator, exit_code, restarted
):
    codes = ContainerRestartRuleOnExitCodes(operator=operator, values=(42, 43))
    rules = (ContainerRestartRule(action="Restart", exit_codes=codes),) if operator else ()
    container = make_container("a", restart_policy=own, restart_policy_rules=rules)
    assert restarts(make_pod(policy=pods), container, exit_code) is restarted


# --- what is told


def test_a_sidecar_that_has_not_started_is_incomplete_and_unready():
    pod = make_pod("a", inits="s", fields={"s": {"startup_probe": Probe()}})
    status = Simulation(pod).run(5).status()
    conditions = {each.type: each for each in status.conditions}
    assert conditions["Initialized"].message == "containers with incomplete status: [s]"
    assert conditions["ContainersReady"].message == "containers with unready status: [s a]"
    assert (status.init_container_statuses[0].started, status.init_container_statuses[0].ready) == (
        False,
        False,
    )


def test_a_container_is_ready_when_its_readiness_probe_has_succeeded():
    simulation = Simulation(make_pod("a", fields={"a": {"readiness_probe": Probe()}})).run(5)
    (status,) = simulation.status().container_statuses
    assert (status.started, status.ready) == (True, False)
