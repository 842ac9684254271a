"""What is told about a pod: phase, conditions and container statuses as the kubelet's."""

import pytest

from minipod.supervisor.observed import PodFinished
from minipod.supervisor.status import duration, status, timestamp
from tests.unit.supervisor.simulation import FOREVER, Run, Simulation, make_pod


def told(pod, runs=None, seconds=5, **options):
    """The status of a pod after some seconds."""
    return Simulation(pod, runs, **options).run(seconds).status()


def after(**runs):
    """The starts of a container come to these, and then it runs for ever."""
    return lambda name, number: (runs.get(name, []) + [Run()] * 100)[number]


CRASH = Run(seconds=1, exit_code=1)
DONE = Run(seconds=1)
NO_IMAGE = Run(failure="ErrImageNeverPull")


def waiting(container):
    return (container.state.waiting.reason, container.state.waiting.message)


# --- phase


@pytest.mark.parametrize(
    ("policy", "inits", "apps", "phase"),
    [
        ("Always", {}, {"a": [Run()], "b": [Run()]}, "Running"),
        ("Always", {}, {"a": [NO_IMAGE], "b": [Run()]}, "Pending"),
        ("Always", {}, {"a": [CRASH] * 9, "b": [CRASH] * 9}, "Running"),
        ("Always", {}, {"a": [DONE] * 9, "b": [DONE] * 9}, "Running"),
        ("Always", {"i": [Run()]}, {}, "Pending"),
        ("Always", {"i": [CRASH] * 9}, {}, "Pending"),
        ("Always", {"i": [NO_IMAGE]}, {}, "Pending"),
        ("Always", {"i": [DONE]}, {}, "Running"),
        ("OnFailure", {}, {"a": [DONE], "b": [DONE]}, "Succeeded"),
        ("OnFailure", {}, {"a": [DONE], "b": [Run()]}, "Running"),
        ("OnFailure", {}, {"a": [CRASH] * 9, "b": [DONE]}, "Running"),
        ("OnFailure", {"i": [CRASH] * 9}, {}, "Pending"),
        ("Never", {}, {"a": [DONE], "b": [DONE]}, "Succeeded"),
        ("Never", {}, {"a": [DONE], "b": [CRASH]}, "Failed"),
        ("Never", {}, {"a": [CRASH], "b": [Run()]}, "Running"),
        ("Never", {"i": [CRASH]}, {}, "Failed"),
        ("Never", {"i": [DONE]}, {"a": [DONE], "b": [DONE]}, "Succeeded"),
    ],
)
def test_phase(policy, inits, apps, phase):
    assert told(make_pod("ab", inits="".join(inits), policy=policy), after(**inits, **apps)).phase == phase


def test_a_pod_without_a_sandbox_is_pending():
    assert told(make_pod(), sandbox_failures=99).phase == "Pending"


@pytest.mark.parametrize(("stop_seconds", "policy"), [(1, "Always"), (FOREVER, "OnFailure")])
def test_a_deleted_pod_runs_until_its_last_container_has_ended_and_has_failed_then(stop_seconds, policy):
    simulation = Simulation(make_pod(policy=policy), lambda *_: Run(stop_seconds=stop_seconds))
    simulation.at(3, simulation.delete, 10)
    simulation.run(60)
    assert simulation.phases == ["Pending", "Running", "Failed"]


def test_a_pod_deleted_while_a_container_is_restarted_has_not_ended_before_that():
    simulation = Simulation(make_pod(), after(a=[CRASH, Run(start_seconds=5, stop_seconds=1)]))
    simulation.at(3, simulation.delete, 10)
    assert simulation.run(4).status().phase == "Running"
    assert simulation.run(60).phases == ["Pending", "Running", "Failed"]


def test_a_pod_whose_last_app_container_ends_while_an_ephemeral_one_is_started_has_not_ended_before_that():
    simulation = Simulation(make_pod(policy="Never"), after(a=[DONE], x=[Run(start_seconds=5)]))
    simulation.at(0.5, simulation.debug, "x")
    assert simulation.run(4).status().phase == "Running"
    assert simulation.run(60).phases == ["Pending", "Running", "Succeeded"]


def test_a_new_sandbox_initializes_again():
    simulation = Simulation(make_pod("a", inits="ij"), after(i=[DONE, Run(seconds=20)], j=[DONE]))
    simulation.at(10, simulation.kill_pause)
    now = simulation.run(15).status()
    first, second = now.init_container_statuses
    assert simulation.phases == ["Pending", "Running", "Pending"]
    assert first.state.running
    assert (waiting(second), second.ready) == (("PodInitializing", ""), False)
    assert second.last_state.terminated.exit_code == 0
    # The kubelet's HasAnyRegularContainerStarted: what was initialized once remains so.
    assert conditions(now)["Initialized"] == TRUE


@pytest.mark.parametrize("seconds", [9, 11])
def test_a_pod_deleted_while_it_gets_a_new_sandbox_is_not_pending_again(seconds):
    """Its old containers have ended: it has failed, also when the sandbox (or an init container) is ready then."""
    runs = after(i=[DONE, Run(start_seconds=2)], a=[Run(stop_seconds=0)])
    simulation = Simulation(make_pod("a", inits="i"), runs, sandbox_seconds=1)
    simulation.at(8, simulation.kill_pause)
    simulation.at(seconds + 0.5, simulation.delete, 5)
    simulation.run(60)
    assert simulation.removed
    assert simulation.phases[-1] == ("Failed" if seconds == 9 else "Pending")


def test_a_terminal_phase_is_told_with_its_reason():
    simulation = Simulation(make_pod("a"))
    simulation.record(PodFinished(at=simulation.now, phase="Failed", reason="Evicted", message="too much"))
    now = simulation.status()
    assert (now.phase, now.reason, now.message) == ("Failed", "Evicted", "too much")


# --- containers


def test_before_anything_ran_containers_are_being_created():
    (container,) = told(make_pod(), sandbox_failures=99).container_statuses
    assert waiting(container) == ("ContainerCreating", "")
    assert (container.ready, container.started, container.restart_count) == (False, False, 0)
    assert (container.image, container.image_id, container.container_id) == ("image-a", "", "")


def test_with_init_containers_all_are_initializing():
    now = told(make_pod("a", inits="ij"), after(i=[Run()]))
    assert now.init_container_statuses[0].state.running
    assert waiting(now.init_container_statuses[1]) == ("PodInitializing", "")
    assert waiting(now.container_statuses[0]) == ("PodInitializing", "")


def test_a_running_container():
    (container,) = told(make_pod()).container_statuses
    assert container.state.running.started_at == "1970-01-12T13:46:40Z"
    assert (container.ready, container.started) == (True, True)
    assert container.container_id == "minipod://id1"


def test_an_init_container_that_exited_0_is_ready():
    (container,) = told(make_pod("a", inits="i"), after(i=[DONE])).init_container_statuses
    assert container.state.terminated.reason == "Completed"
    assert (container.ready, container.started) == (True, False)


def test_a_container_that_ended_for_good():
    (container,) = told(make_pod(policy="Never"), after(a=[CRASH])).container_statuses
    ended = container.state.terminated
    assert (ended.exit_code, ended.reason, ended.container_id) == (1, "Error", "minipod://id1")
    assert (ended.started_at, ended.finished_at) == ("1970-01-12T13:46:40Z", "1970-01-12T13:46:41Z")
    assert (container.ready, container.restart_count) == (False, 0)


def test_a_restarted_container_tells_how_the_attempt_before_ended():
    (container,) = told(make_pod(), after(a=[CRASH])).container_statuses
    assert container.state.running
    assert container.last_state.terminated.exit_code == 1
    assert container.restart_count == 1


def test_a_crash_loop():
    (container,) = told(make_pod(), after(a=[CRASH] * 9)).container_statuses
    message = "back-off 10s restarting failed container=a pod=p_default(u)"
    assert waiting(container) == ("CrashLoopBackOff", message)
    assert container.last_state.terminated.exit_code == 1
    assert (container.restart_count, container.container_id) == (1, "minipod://id2")


def test_a_container_that_has_only_just_ended_is_not_waiting_yet():
    simulation = Simulation(make_pod(), after(a=[CRASH] * 9)).run(2)
    for ended, reason in (("a", "terminated"), ("", "waiting")):
        (container,) = status(
            simulation.pod, simulation.observed, simulation.now, ended=ended
        ).container_statuses
        assert getattr(container.state, reason)


def test_a_crash_loop_late_in_the_night():
    (container,) = told(make_pod(), after(a=[CRASH] * 99), seconds=4000).container_statuses
    assert container.state.waiting.message.startswith("back-off 5m0s ")


def test_a_container_that_crashed_in_a_pod_being_deleted_has_ended():
    simulation = Simulation(make_pod("ab"), after(a=[CRASH] * 9, b=[Run(stop_seconds=FOREVER)]))
    simulation.at(5, simulation.delete, 30)
    container = simulation.run(10).status().container_statuses[0]
    assert container.state.terminated.exit_code == 1


def test_a_missing_image_is_missed_first_and_then_waited_for():
    runs = after(a=[Run(failure="ErrImagePull")] * 99)
    assert waiting(told(make_pod(), runs, 5).container_statuses[0]) == ("ErrImagePull", "why")
    message = 'Back-off pulling image "image-a": ErrImagePull: why'
    assert waiting(told(make_pod(), runs, 15).container_statuses[0]) == ("ImagePullBackOff", message)


@pytest.mark.parametrize("seconds", [5, 500])
@pytest.mark.parametrize("reason", ["ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError"])
def test_other_failures_to_start_keep_their_name(reason, seconds):
    (container,) = told(make_pod(), lambda *_: Run(failure=reason), seconds).container_statuses
    assert waiting(container) == (reason, "why")


def test_a_command_that_cannot_be_run_is_a_crash_loop_with_start_error_behind_it():
    runs = after(a=[Run(failure="RunContainerError")] * 9)
    (container,) = told(make_pod(), runs).container_statuses
    assert container.state.waiting.reason == "CrashLoopBackOff"
    assert container.last_state.terminated.reason == "StartError"
    assert container.last_state.terminated.exit_code == 128


def test_under_never_a_command_that_cannot_be_run_has_ended_with_start_error():
    runs = after(a=[Run(failure="RunContainerError")])
    (container,) = told(make_pod(policy="Never"), runs).container_statuses
    assert container.state.terminated.reason == "StartError"


def test_what_ran_without_a_supervisor_has_ended_in_an_unknown_way():
    simulation = Simulation(make_pod(policy="Never"))
    simulation.at(3, simulation.lose_supervisor)
    now = simulation.run(10).status()
    ended = now.container_statuses[0].state.terminated
    assert (now.phase, ended.exit_code, ended.reason) == ("Failed", 137, "ContainerStatusUnknown")


def test_app_statuses_are_sorted_by_name_and_init_statuses_are_in_order():
    now = told(make_pod("cab", inits="ji"), after(j=[DONE], i=[DONE]))
    assert [c.name for c in now.container_statuses] == ["a", "b", "c"]
    assert [c.name for c in now.init_container_statuses] == ["j", "i"]


# --- conditions


def conditions(now):
    return {c.type: (c.status, c.reason, c.message) for c in now.conditions}


TRUE = ("True", "", "")


def unready(names):
    return ("False", "ContainersNotReady", f"containers with unready status: [{names}]")


def test_conditions_of_a_running_pod_are_all_true_and_in_the_kubelets_order():
    now = told(make_pod("ab", inits="i"), after(i=[DONE]))
    assert [c.type for c in now.conditions] == [
        "PodReadyToStartContainers",
        "Initialized",
        "Ready",
        "ContainersReady",
        "PodScheduled",
    ]
    assert {c.status for c in now.conditions} == {"True"}


@pytest.mark.parametrize(
    ("pod", "runs", "expected"),
    [
        (
            make_pod("ab", inits="ij"),
            {"i": [DONE], "j": [Run()]},
            {
                "PodReadyToStartContainers": TRUE,
                "Initialized": (
                    "False",
                    "ContainersNotInitialized",
                    "containers with incomplete status: [j]",
                ),
                "Ready": unready("a b"),
                "ContainersReady": unready("a b"),
                "PodScheduled": TRUE,
            },
        ),
        (
            make_pod("ab"),
            {"b": [CRASH] * 9},
            {
                "PodReadyToStartContainers": TRUE,
                "Initialized": TRUE,
                "Ready": unready("b"),
                "ContainersReady": unready("b"),
                "PodScheduled": TRUE,
            },
        ),
        (
            make_pod("a", inits="i", policy="Never"),
            {"i": [DONE], "a": [DONE]},
            {
                "PodReadyToStartContainers": ("False", "", ""),
                "Initialized": ("True", "PodCompleted", ""),
                "Ready": ("False", "PodCompleted", ""),
                "ContainersReady": ("False", "PodCompleted", ""),
                "PodScheduled": TRUE,
            },
        ),
        (
            make_pod("a", inits="i", policy="Never"),
            {"i": [CRASH]},
            {
                "PodReadyToStartContainers": ("False", "", ""),
                "Initialized": (
                    "False",
                    "ContainersNotInitialized",
                    "containers with incomplete status: [i]",
                ),
                "Ready": ("False", "PodFailed", ""),
                "ContainersReady": ("False", "PodFailed", ""),
                "PodScheduled": TRUE,
            },
        ),
    ],
    ids=["initializing", "crash loop", "succeeded", "failed"],
)
def test_conditions(pod, runs, expected):
    assert conditions(told(pod, after(**runs))) == expected


def test_a_pod_without_a_sandbox_is_not_ready_to_start_containers():
    assert conditions(told(make_pod(), sandbox_failures=99))["PodReadyToStartContainers"] == ("False", "", "")


def test_a_condition_keeps_its_time_until_its_status_changes():
    simulation = Simulation(make_pod("a"), after(a=[Run(seconds=100)] * 2)).run(50)
    first = simulation.status()
    simulation.run(101)
    second = status(simulation.pod, simulation.observed, simulation.now, previous=first)
    assert second.conditions == first.conditions
    simulation.run(205)
    third = status(simulation.pod, simulation.observed, simulation.now, previous=second)
    changed = [c.type for c, before in zip(third.conditions, second.conditions, strict=True) if c != before]
    assert changed == ["Ready", "ContainersReady"]
    assert third.conditions[2].last_transition_time == "1970-01-12T13:50:05Z"


# --- the rest


def test_addresses_and_class():
    now = told(make_pod())
    assert (now.pod_ip, [a.ip for a in now.pod_ips]) == ("10.0.0.2", ["10.0.0.2", "fd00::2"])
    assert (now.host_ip, [a.ip for a in now.host_ips]) == ("192.0.2.1", ["192.0.2.1"])
    assert (now.start_time, now.qos_class) == ("1970-01-12T13:46:40Z", "BestEffort")


def test_on_the_hosts_network_the_address_is_the_hosts():
    assert told(make_pod(host_network=True)).pod_ip == "192.0.2.1"


def test_a_finished_pod_has_given_its_address_back():
    now = told(make_pod(policy="Never"), after(a=[DONE]))
    assert (now.pod_ip, now.pod_ips) == ("", ())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.5, "500ms"), (10, "10s"), (1.5, "1.5s"), (80, "1m20s"), (300, "5m0s")]
)
def test_durations_are_written_as_go_writes_them(seconds, text):
    assert duration(seconds) == text


def test_no_time_is_no_text():
    assert timestamp(0) == ""
