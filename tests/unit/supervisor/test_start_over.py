"""A container's end that starts all of them over (RestartAllContainers), ephemeral containers, shutdown."""

import pytest

from minipod.supervisor import lifecycle
from minipod.supervisor.lifecycle import FinishPod, Leave, RestartAll, RunSandbox, StartOver, StopContainer
from tests.unit.supervisor.checks import OVER
from tests.unit.supervisor.simulation import START_OVER, T0, Run, Simulation, make_pod
from tests.unit.supervisor.test_lifecycle import each_time, finish, in_turn, names

RULE = {"restart_policy_rules": (START_OVER,)}


def kinds(simulation):
    return [type(action).__name__ for _, action in simulation.log]


def condition(simulation, kind):
    return next(each for each in simulation.status().conditions if each.type == kind)


# --- RestartAllContainers


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_all_containers_start_over_in_the_same_sandbox_whatever_their_policy_says(policy):
    pod = make_pod("ab", inits="is", policy=policy, fields={"a": RULE})
    runs = in_turn(i=[Run(seconds=1)] * 9, a=[Run(seconds=5, exit_code=OVER)], b=[Run(seconds=2)])
    simulation = Simulation(pod, runs).run(20)
    assert names(simulation)[-4:] == ["i", "s", "a", "b"]
    assert len(simulation.actions(RunSandbox)) == 1
    assert simulation.phases[-1] == "Running"


def test_containers_that_still_run_are_ended_within_two_seconds_and_without_a_grace():
    pod = make_pod("ab", fields={"a": RULE}, grace=600)
    runs = in_turn(a=[Run(seconds=5, exit_code=OVER)], b=[Run(stop_seconds=100)])
    simulation = Simulation(pod, runs).run(30)
    (stop,) = simulation.actions(StopContainer)
    assert (stop.name, stop.grace) == ("b", 2)
    assert simulation.starts("b") == [0, 7]


def test_a_sidecar_can_start_a_job_over_that_would_never_be_restarted():
    pod = make_pod("a", inits="s", policy="Never", fields={"s": RULE})
    simulation = Simulation(pod, in_turn(s=[Run(seconds=5, exit_code=OVER)])).run(20)
    assert simulation.starts("a") == [0, 5]
    assert simulation.actions(FinishPod) == []


def test_an_init_container_can_begin_the_pod_anew():
    pod = make_pod("a", inits="ij", policy="Never", fields={"j": RULE})
    runs = in_turn(i=[Run(seconds=1)] * 9, j=[Run(seconds=1, exit_code=OVER), Run(seconds=1)])
    assert names(Simulation(pod, runs).run(20)) == ["i", "j", "i", "j", "a"]


def test_an_init_container_that_fails_then_fails_the_pod():
    pod = make_pod("a", inits="i", policy="Never", fields={"a": RULE})
    runs = in_turn(i=[Run(seconds=1), Run(seconds=1, exit_code=1)], a=[Run(seconds=5, exit_code=OVER)])
    assert finish(Simulation(pod, runs).run(20)).phase == "Failed"


def test_another_exit_code_starts_nothing_over():
    pod = make_pod("ab", policy="Never", fields={"a": RULE})
    simulation = Simulation(pod, each_time(a=Run(seconds=1, exit_code=7), b=Run(seconds=2))).run(20)
    assert simulation.actions(RestartAll) == []
    assert finish(simulation).phase == "Failed"


def test_whoever_starts_all_over_again_and_again_is_backed_off():
    pod = make_pod("a", fields={"a": RULE})
    simulation = Simulation(pod, each_time(a=Run(seconds=1, exit_code=OVER))).run(80)
    assert simulation.starts("a") == [0, 1, 12, 33, 74]


def test_the_condition_is_true_while_containers_are_being_ended():
    pod = make_pod("ab", fields={"a": RULE})
    runs = in_turn(a=[Run(seconds=5, exit_code=OVER)], b=[Run(stop_seconds=1)])
    simulation = Simulation(pod, runs).run(5.5)
    assert condition(simulation, "AllContainersRestarting").reason == "RestartAllContainersStarted"
    simulation.run(10)
    assert condition(simulation, "AllContainersRestarting").status == "False"
    assert not any(
        each.type == "AllContainersRestarting" for each in Simulation(make_pod("a")).status().conditions
    )


def test_while_init_containers_run_again_the_pod_is_pending_and_counts_go_on():
    pod = make_pod("a", inits="i", fields={"a": RULE})
    runs = in_turn(i=[Run(seconds=1), Run(seconds=3)], a=[Run(seconds=5, exit_code=OVER)])
    simulation = Simulation(pod, runs).run(7)
    status = simulation.status()
    assert status.phase == "Pending"
    assert status.container_statuses[0].state.waiting.reason == "PodInitializing"
    assert status.init_container_statuses[0].restart_count == 1
    assert status.container_statuses[0].last_state.terminated.exit_code == OVER
    assert simulation.run(20).status().container_statuses[0].restart_count == 1


def test_a_supervisor_that_dies_meanwhile_is_followed_by_one_that_goes_on():
    pod = make_pod("ab", policy="OnFailure", fields={"a": RULE})
    runs = in_turn(a=[Run(seconds=5, exit_code=OVER)], b=[Run(stop_seconds=2)])
    simulation = Simulation(pod, runs)
    simulation.at(6, simulation.lose_supervisor)
    simulation.run(30)
    assert "StartOver" in kinds(simulation)
    assert all(simulation.observed.known(name).running for name in "ab")


# --- ephemeral containers


def test_an_ephemeral_container_is_started_once():
    simulation = Simulation(make_pod("a"), each_time(x=Run(seconds=1, exit_code=3)))
    simulation.at(5, simulation.debug, "x")
    simulation.run(100)
    assert simulation.starts("x") == [5]
    (status,) = simulation.status().ephemeral_container_statuses
    assert (status.state.terminated.exit_code, status.ready, status.started) == (3, False, None)


def test_an_ephemeral_container_does_not_wait_for_init_containers():
    simulation = Simulation(make_pod("a", inits="i"), each_time(i=Run()))
    simulation.at(5, simulation.debug, "x")
    assert simulation.run(10).starts("x") == [5]


def test_one_whose_image_is_missing_is_tried_again():
    simulation = Simulation(make_pod("a"), in_turn(x=[Run(failure="ErrImagePull")]))
    simulation.at(5, simulation.debug, "x")
    assert simulation.run(30).starts("x") == [5, 15]


def test_a_job_ends_although_somebody_looks_on():
    simulation = Simulation(make_pod("a", policy="Never"), each_time(a=Run(seconds=9)))
    simulation.at(5, simulation.debug, "x")
    assert simulation.run(60).phases[-1] == "Succeeded"
    assert [stop.name for stop in simulation.actions(StopContainer)] == ["x"]


@pytest.mark.parametrize("accident", ["kill_pause", "lose_supervisor"])
def test_an_ephemeral_container_is_not_started_in_another_sandbox(accident):
    simulation = Simulation(make_pod("a"))
    simulation.at(5, simulation.debug, "x")
    simulation.at(10, getattr(simulation, accident))
    simulation.run(60)
    assert (simulation.starts("x"), len(simulation.starts("a"))) == ([5], 2)


def test_ephemeral_containers_have_no_say_in_whether_the_pod_is_ready():
    simulation = Simulation(make_pod("a"), each_time(x=Run(seconds=1, exit_code=1)))
    simulation.at(5, simulation.debug, "x")
    assert condition(simulation.run(20), "Ready").status == "True"


# --- shutdown


@pytest.mark.parametrize(("grace", "seconds"), [(5, 5), (30, 30), (600, 30)])
def test_a_shutdown_gives_containers_their_grace_but_no_more_than_the_unit_has(grace, seconds):
    simulation = Simulation(make_pod("a", grace=grace), each_time(a=Run(stop_seconds=1000)))
    simulation.at(100, simulation.shut_down)
    simulation.run(200)
    (stop,) = simulation.actions(StopContainer)
    assert stop.grace == seconds
    (left,) = [at for at, action in simulation.log if isinstance(action, Leave)]
    assert left - T0 == 100 + seconds


def test_after_a_shutdown_the_next_supervisor_starts_the_pod_again():
    simulation = Simulation(make_pod("a", inits="i"), in_turn(i=[Run(seconds=1)] * 9, a=[Run(exit_code=0)]))
    simulation.at(100, simulation.shut_down)
    simulation.run(200)
    assert names(simulation) == ["i", "a", "i", "a"]
    assert simulation.status().container_statuses[0].restart_count == 1


def test_a_shutdown_ends_a_pod_that_is_never_restarted():
    simulation = Simulation(make_pod("a", policy="Never"))
    simulation.at(100, simulation.shut_down)
    assert simulation.run(200).phases == ["Pending", "Running", "Failed"]


def test_a_deleted_pod_goes_also_when_its_supervisor_is_shut_down():
    simulation = Simulation(make_pod("a"), each_time(a=Run(stop_seconds=3)))
    simulation.at(100, simulation.shut_down)
    simulation.at(101, simulation.delete, 30)
    assert simulation.run(200).removed
    assert simulation.actions(Leave) == []


def test_an_evicted_pod_has_the_shortest_grace_there_is():
    simulation = Simulation(make_pod("a"), each_time(a=Run(stop_seconds=1000)))
    simulation.at(50, simulation.evict)
    simulation.run(100)
    (stop,) = simulation.actions(StopContainer)
    assert stop.grace == lifecycle.GRACE_MIN
    status = simulation.status()
    assert (status.phase, status.reason, status.message) == ("Failed", "Evicted", "too much")
    assert condition(simulation, "DisruptionTarget").reason == "TerminationByKubelet"


def test_start_over_is_asked_for_when_nothing_runs():
    pod = make_pod("ab", fields={"a": RULE})
    runs = in_turn(a=[Run(seconds=5, exit_code=OVER)], b=[Run(stop_seconds=1)])
    simulation = Simulation(pod, runs).run(20)
    (over,) = [at for at, action in simulation.log if isinstance(action, StartOver)]
    assert over - T0 == 6
