"""What a pod does next: the kubelet's rules, one scenario a test."""

import pytest

from minipod.supervisor.lifecycle import (
    FinishPod,
    RemovePod,
    RunSandbox,
    StartContainer,
    StopContainer,
    StopSandbox,
    backoff_delay,
)
from tests.unit.supervisor.simulation import FOREVER, T0, Run, Simulation, make_pod

NO_IMAGE = Run(failure="ErrImageNeverPull")


def each_time(**runs):
    """Each start of a container comes to the same: each_time(a=Run(…))."""
    return lambda name, _: runs.get(name, Run(seconds=1) if name in "ij" else Run())


def in_turn(**runs):
    """The starts of a container come to these, one after another, and then it runs for ever."""
    return lambda name, number: (runs.get(name, []) + [Run()] * 100)[number]


def names(simulation):
    return [action.name for action in simulation.actions(StartContainer)]


def finish(simulation):
    (action,) = simulation.actions(FinishPod)
    return action


# --- start


def test_a_pod_starts_its_sandbox_and_then_its_containers_in_order():
    simulation = Simulation(make_pod("ba")).run(10)
    assert [action for _, action in simulation.log] == [
        RunSandbox(attempt=0),
        StartContainer(name="b", attempt=0, backoff=0),
        StartContainer(name="a", attempt=0, backoff=0),
    ]


def test_app_containers_are_started_together_in_their_order():
    simulation = Simulation(make_pod("ab"), each_time(a=Run(start_seconds=5))).run(10)
    assert names(simulation) == ["a", "b"]
    assert simulation.starts("a") == simulation.starts("b") == [0]


def test_init_containers_run_one_after_another_before_the_others():
    simulation = Simulation(make_pod("ab", inits="ij"), each_time(i=Run(seconds=3), j=Run(seconds=4))).run(10)
    assert names(simulation) == ["i", "j", "a", "b"]
    assert [simulation.starts(name) for name in "ijab"] == [[0], [3], [7], [7]]


def test_a_container_that_cannot_be_started_does_not_stop_the_following():
    simulation = Simulation(make_pod("ab"), each_time(a=NO_IMAGE)).run(5)
    assert names(simulation) == ["a", "b"]


def test_an_init_container_that_cannot_be_started_holds_back_the_following():
    simulation = Simulation(make_pod("a", inits="ij"), each_time(i=NO_IMAGE)).run(5)
    assert names(simulation) == ["i"]


# --- restart and back-off


@pytest.mark.parametrize(
    ("policy", "exit_code", "starts"),
    [
        ("Always", 0, 2),
        ("Always", 1, 2),
        ("OnFailure", 0, 1),
        ("OnFailure", 1, 2),
        ("Never", 0, 1),
        ("Never", 1, 1),
    ],
)
def test_restart_policy(policy, exit_code, starts):
    runs = in_turn(a=[Run(seconds=1, exit_code=exit_code)])
    simulation = Simulation(make_pod("a", policy=policy), runs).run(5)
    assert len(simulation.starts("a")) == starts


@pytest.mark.parametrize("exit_code", [0, 1])
def test_restarts_come_after_0_10_20_40_80_160_300_300_seconds(exit_code):
    runs = each_time(a=Run(seconds=1, exit_code=exit_code))
    simulation = Simulation(make_pod("a"), runs).run(1300)
    waits = [b - (a + 1) for a, b in zip(simulation.starts("a"), simulation.starts("a")[1:], strict=False)]
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]


def test_backoff_is_scaled():
    simulation = Simulation(make_pod("a"), each_time(a=Run(seconds=1, exit_code=1)), scale=0.01).run(6)
    assert simulation.starts("a") == pytest.approx([0, 1, 2.1, 3.3, 4.7])


@pytest.mark.parametrize(("seconds", "wait"), [(599, 20), (601, 0)])
def test_backoff_begins_anew_when_a_container_ran_for_ten_minutes(seconds, wait):
    short, long = Run(seconds=0.5, exit_code=1), Run(seconds=seconds, exit_code=1)
    simulation = Simulation(make_pod("a"), in_turn(a=[short, short, long])).run(2000)
    *_, third, fourth = simulation.starts("a")
    assert fourth - (third + seconds) == wait


def test_after_a_reset_the_steps_are_taken_again_from_the_first():
    short, long = Run(seconds=1, exit_code=1), Run(seconds=601, exit_code=1)
    simulation = Simulation(make_pod("a"), in_turn(a=[short, short, long, short, short])).run(2000)
    starts = simulation.starts("a")
    ends = [start + seconds for start, seconds in zip(starts, [1, 1, 601, 1, 1], strict=False)]
    waits = [start - end for end, start in zip(ends, starts[1:], strict=False)]
    assert waits == [0, 10, 0, 10, 20]


def test_each_container_has_its_own_backoff():
    runs = each_time(a=Run(seconds=1, exit_code=1), b=Run(seconds=12))
    simulation = Simulation(make_pod("ab"), runs).run(13)
    assert simulation.starts("a") == [0, 1, 12]
    assert simulation.starts("b") == [0, 12]


def test_backoff_does_not_overflow_after_months_of_crashes():
    assert backoff_delay(100_000, 1) == 300


def test_a_failed_init_container_is_retried_with_backoff():
    runs = in_turn(i=[Run(seconds=1, exit_code=1)] * 2 + [Run(seconds=1)])
    simulation = Simulation(make_pod("a", inits="i", policy="OnFailure"), runs).run(60)
    assert simulation.starts("i") == [0, 1, 12]
    assert simulation.starts("a") == [13]


@pytest.mark.parametrize(
    ("reason", "starts"),
    [
        ("ErrImagePull", [0, 10, 30, 70, 150, 310, 610, 910]),
        ("ErrImageNeverPull", [10.0 * n for n in range(101)]),
        ("CreateContainerConfigError", [10.0 * n for n in range(101)]),
        ("RunContainerError", [0, 0, 10, 30, 70, 150, 310, 610, 910]),
    ],
)
def test_a_start_that_fails_is_tried_again(reason, starts):
    simulation = Simulation(make_pod("a"), each_time(a=Run(failure=reason))).run(1000)
    assert simulation.starts("a") == starts


def test_only_a_start_that_left_a_container_counts_as_an_attempt():
    def attempts(reason):
        simulation = Simulation(make_pod("a"), each_time(a=Run(failure=reason))).run(10)
        return [action.attempt for action in simulation.actions(StartContainer)]

    assert attempts("CreateContainerError") == [0, 0]
    assert attempts("RunContainerError") == [0, 1, 2]


def test_under_never_an_image_that_comes_late_is_still_started():
    runs = in_turn(a=[Run(failure="ErrImagePull")] * 2)
    simulation = Simulation(make_pod("a", policy="Never"), runs).run(60)
    assert simulation.phases == ["Pending", "Running"]


# --- the end


@pytest.mark.parametrize(
    ("policy", "codes", "phase"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("Never", (1, 0), "Failed"),
        ("OnFailure", (0, 0), "Succeeded"),
    ],
)
def test_a_pod_whose_containers_have_all_ended_is_finished(policy, codes, phase):
    runs = each_time(a=Run(seconds=1, exit_code=codes[0]), b=Run(seconds=2, exit_code=codes[1]))
    simulation = Simulation(make_pod("ab", policy=policy), runs).run(100)
    assert finish(simulation) == FinishPod(phase=phase, reason="", message="")
    assert isinstance(simulation.log[-1][1], StopSandbox)
    assert not simulation.removed


def test_under_never_a_failed_init_container_fails_the_pod():
    simulation = Simulation(
        make_pod("a", inits="ij", policy="Never"), each_time(i=Run(seconds=1, exit_code=3))
    ).run(100)
    assert finish(simulation).phase == "Failed"
    assert names(simulation) == ["i"]


def test_under_never_a_command_that_cannot_be_run_fails_the_pod():
    runs = each_time(a=Run(failure="RunContainerError"))
    simulation = Simulation(make_pod("a", policy="Never"), runs).run(100)
    assert finish(simulation).phase == "Failed"


def test_a_finished_pod_can_be_deleted():
    simulation = Simulation(make_pod("a", policy="Never"), each_time(a=Run(seconds=1)))
    simulation.at(50, simulation.delete, 30)
    simulation.run(100)
    assert simulation.removed
    assert simulation.now == T0 + 50


# --- deletion


def test_deletion_stops_all_containers_then_the_sandbox_then_removes_the_pod():
    simulation = Simulation(make_pod("ab"), each_time(a=Run(stop_seconds=3), b=Run(stop_seconds=FOREVER)))
    simulation.at(10, simulation.delete, 30)
    simulation.run(100)
    assert [(at - T0, action) for at, action in simulation.log[3:]] == [
        (10, StopContainer(name="a", id="id1", grace=30, message="Stopping container a")),
        (10, StopContainer(name="b", id="id2", grace=30, message="Stopping container b")),
        (40, StopSandbox(id="id0")),
        (40, RemovePod()),
    ]


def test_deletion_gives_two_seconds_at_least():
    simulation = Simulation(make_pod("a"), each_time(a=Run(stop_seconds=FOREVER)))
    simulation.at(10, simulation.delete, 0)
    simulation.run(100)
    assert simulation.now == T0 + 12


def test_a_second_deletion_shortens_the_grace():
    simulation = Simulation(make_pod("a"), each_time(a=Run(stop_seconds=FOREVER)))
    simulation.at(10, simulation.delete, 30)
    simulation.at(15, simulation.delete, 5)
    simulation.at(16, simulation.delete, 60)
    simulation.run(100)
    assert [stop.grace for stop in simulation.actions(StopContainer)] == [30, 5]
    assert simulation.now == T0 + 20


def test_a_container_that_was_being_started_is_stopped_with_what_is_left_of_the_grace():
    simulation = Simulation(make_pod("a"), each_time(a=Run(start_seconds=4, stop_seconds=FOREVER)))
    simulation.at(1, simulation.delete, 10)
    simulation.run(100)
    assert [stop.grace for stop in simulation.actions(StopContainer)] == [7]
    assert simulation.now == T0 + 11


def test_deletion_during_backoff_starts_nothing_more():
    simulation = Simulation(make_pod("a"), each_time(a=Run(seconds=1, exit_code=1)))
    simulation.at(5, simulation.delete, 30)
    simulation.run(100)
    assert simulation.starts("a") == [0, 1]
    assert simulation.now == T0 + 5


def test_a_pod_without_a_sandbox_is_removed_at_once():
    simulation = Simulation(make_pod("a"), sandbox_failures=100)
    simulation.at(5, simulation.delete, 30)
    simulation.run(100)
    assert simulation.now == T0 + 5


# --- sandbox


def test_a_sandbox_that_cannot_be_made_is_tried_again_after_1_2_4_8_10_10_seconds():
    simulation = Simulation(make_pod("a"), sandbox_failures=6)
    simulation.run(100)
    times = [at - T0 for at, action in simulation.log if isinstance(action, RunSandbox)]
    assert times == [0, 1, 3, 7, 15, 25, 35]
    assert simulation.starts("a") == [35]


def test_a_lost_sandbox_is_replaced_once_its_containers_have_ended():
    simulation = Simulation(
        make_pod("a", inits="i", grace=7), in_turn(i=[Run(seconds=1)] * 2, a=[Run(stop_seconds=9)])
    )
    simulation.at(10, simulation.kill_pause)
    simulation.run(100)
    assert [(at - T0, action) for at, action in simulation.log[3:]] == [
        (10, StopContainer(name="a", id="id2", grace=7, message="Stopping container a")),
        (17, StopSandbox(id="id0")),
        (17, RunSandbox(attempt=1)),
        (17, StartContainer(name="i", attempt=1, backoff=1)),
        (18, StartContainer(name="a", attempt=1, backoff=1)),
    ]


def test_in_a_new_sandbox_what_has_succeeded_under_on_failure_is_not_started_again():
    simulation = Simulation(make_pod("ab", inits="i", policy="OnFailure"), each_time(a=Run(seconds=2)))
    simulation.at(10, simulation.kill_pause)
    simulation.run(100)
    assert names(simulation) == ["i", "a", "b", "i", "b"]


@pytest.mark.parametrize("accident", ["kill_pause", "lose_supervisor"])
def test_under_never_a_pod_that_ran_and_lost_its_sandbox_has_failed(accident):
    simulation = Simulation(
        make_pod("ab", policy="Never"), each_time(a=Run(seconds=2), b=Run(stop_seconds=1))
    )
    simulation.at(10, getattr(simulation, accident))
    simulation.run(100)
    assert finish(simulation).phase == "Failed"
    assert names(simulation) == ["a", "b"]
    assert len(simulation.actions(RunSandbox)) == 1


def test_under_never_a_pod_that_lost_its_sandbox_while_initializing_has_failed():
    simulation = Simulation(
        make_pod("a", inits="ij", policy="Never"), each_time(i=Run(seconds=2), j=NO_IMAGE)
    )
    simulation.at(10, simulation.kill_pause)
    simulation.run(100)
    assert finish(simulation).message == "The pod's sandbox ended, and its restartPolicy is Never"
    assert simulation.starts("i") == [0]


def test_under_never_a_sandbox_lost_before_anything_ran_is_replaced():
    simulation = Simulation(make_pod("a", policy="Never"), in_turn(a=[NO_IMAGE]))
    simulation.at(5, simulation.kill_pause)
    simulation.run(100)
    assert simulation.phases == ["Pending", "Running"]
    assert len(simulation.actions(RunSandbox)) == 2


def test_under_never_a_container_that_was_just_being_started_counts_as_run():
    """Nobody knows how far it got, and nothing may run twice."""
    simulation = Simulation(make_pod("a", policy="Never"), each_time(a=Run(start_seconds=5)))
    simulation.at(3, simulation.lose_supervisor)
    simulation.run(100)
    assert finish(simulation).phase == "Failed"
    assert names(simulation) == ["a"]


def test_after_a_lost_supervisor_restart_counts_and_backoff_go_on():
    simulation = Simulation(make_pod("a"), in_turn(a=[Run(seconds=1, exit_code=1)] * 2))
    simulation.at(15, simulation.lose_supervisor)
    simulation.run(100)
    assert simulation.starts("a") == [0, 1, 12, 35]
    assert [action.attempt for action in simulation.actions(StartContainer)] == [0, 1, 2, 3]
    assert simulation.observed.known("a").previous.reason == "ContainerStatusUnknown"
