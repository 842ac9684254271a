"""Which probes, hooks and restart rules of a container are valid (part of validate.py, which says how to read it)."""

import re
from collections.abc import Mapping

from minipod.spec.handlers import (
    ExecAction,
    GRPCAction,
    HTTPGetAction,
    LifecycleHandler,
    Probe,
    SleepAction,
    TCPSocketAction,
)
from minipod.spec.problems import Problems, between, choice, invalid
from minipod.spec.types import Container, EphemeralContainer, PodSpec

_is_port_name = re.compile(r"(?=.{1,15}$)(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*").fullmatch
_is_signal = re.compile(
    r"SIG(?!RT)[A-Z]{2,6}[12]?|SIGRTMIN(\+([1-9]|1[0-5]))?|SIGRTMAX(-([1-9]|1[0-4]))?"
).fullmatch
_POLICIES = ("Always", "OnFailure", "Never")
_NOT_FOR_INIT = "Forbidden: may not be set for init containers without restartPolicy=Always"

Action = ExecAction | HTTPGetAction | TCPSocketAction | GRPCAction | SleepAction | None


def handlers(path: str, spec: PodSpec, container: Container, init: bool) -> Problems:
    """Everything that is wrong with what is done to a container while it lives."""
    probes = {
        "livenessProbe": container.liveness_probe,
        "readinessProbe": container.readiness_probe,
        "startupProbe": container.startup_probe,
    }
    if init and container.restart_policy != "Always":
        given = {**probes, "lifecycle": container.lifecycle}
        yield from ((f"{path}.{name}", _NOT_FOR_INIT) for name, value in given.items() if value is not None)
    for name, probe in probes.items():
        if probe is not None:
            yield from _probe(f"{path}.{name}", probe, name)
    if container.lifecycle is not None:
        lifecycle = container.lifecycle
        for name, hook in (("postStart", lifecycle.post_start), ("preStop", lifecycle.pre_stop)):
            if hook is not None:
                yield from _hook(f"{path}.lifecycle.{name}", hook, spec)
        if lifecycle.stop_signal and not _is_signal(lifecycle.stop_signal):
            yield f"{path}.lifecycle.stopSignal", f'Unsupported value: "{lifecycle.stop_signal}"'
    policy = container.termination_message_policy
    yield from choice(f"{path}.terminationMessagePolicy", policy, ("FallbackToLogsOnError", "File"))
    yield from _restart(path, container)


def ephemeral(path: str, spec: PodSpec, container: EphemeralContainer) -> Problems:
    """What a container added to a running pod can't have (validateEphemeralContainers): it is there to look around,
    and nothing may depend on it."""
    given = {
        "ports": container.ports,
        "resources": container.resources.limits or container.resources.requests,
        "restartPolicy": container.restart_policy,
        "restartPolicyRules": container.restart_policy_rules,
        "lifecycle": container.lifecycle,
        "livenessProbe": container.liveness_probe,
        "readinessProbe": container.readiness_probe,
        "startupProbe": container.startup_probe,
    }
    for name, value in given.items():
        if value:
            yield f"{path}.{name}", "Forbidden: cannot be set for an Ephemeral Container"
    target = container.target_container_name
    if target and target not in [each.name for each in (*spec.init_containers, *spec.containers)]:
        yield f"{path}.targetContainerName", f'Not found: "{target}"'


def _restart(path: str, container: Container) -> Problems:
    policy, rules = container.restart_policy, container.restart_policy_rules
    if policy:
        yield from choice(f"{path}.restartPolicy", policy, _POLICIES)
    elif rules:
        yield (
            f"{path}.restartPolicy",
            "Required value: must specify restartPolicy when restart rules are used",
        )
    if len(rules) > 20:
        yield f"{path}.restartPolicyRules", "Too many: must have at most 20 items"
    for index, rule in enumerate(rules):
        where = f"{path}.restartPolicyRules[{index}]"
        yield from choice(f"{where}.action", rule.action, ("Restart", "RestartAllContainers"))
        if rule.exit_codes is None:
            yield f"{where}.exitCodes", "Required value: must be specified"
        else:
            yield from choice(f"{where}.exitCodes.operator", rule.exit_codes.operator, ("In", "NotIn"))
            if not rule.exit_codes.values:
                yield f"{where}.exitCodes.values", "Required value: must be specified"


def _probe(path: str, probe: Probe, kind: str) -> Problems:
    actions = {
        "exec": probe.exec,
        "httpGet": probe.http_get,
        "tcpSocket": probe.tcp_socket,
        "grpc": probe.grpc,
    }
    yield from _action(path, actions)
    for name, seconds in (
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ):
        if seconds < 0:
            yield invalid(f"{path}.{name}", seconds, "must be greater than or equal to 0")
    if kind != "readinessProbe" and probe.success_threshold != 1:
        yield invalid(f"{path}.successThreshold", probe.success_threshold, "must be 1")
    grace = probe.termination_grace_period_seconds
    if grace is not None and kind == "readinessProbe":
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes")
    elif grace is not None and grace <= 0:
        yield invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")


def _hook(path: str, hook: LifecycleHandler, spec: PodSpec) -> Problems:
    yield from _action(path, {"exec": hook.exec, "httpGet": hook.http_get, "sleep": hook.sleep})
    grace = spec.termination_grace_period_seconds or 0
    if hook.sleep is not None and not 0 <= hook.sleep.seconds <= grace:
        why = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
        yield invalid(f"{path}.sleep", hook.sleep.seconds, why)


def _action(path: str, actions: Mapping[str, Action]) -> Problems:
    """Exactly one, and that one valid."""
    given = {name: action for name, action in actions.items() if action is not None}
    if not given:
        yield path, "Required value: must specify a handler type"
    for name in list(given)[1:]:
        yield f"{path}.{name}", "Forbidden: may not specify more than 1 handler type"
        given.pop(name)
    for name, action in given.items():
        where = f"{path}.{name}"
        if isinstance(action, ExecAction) and not action.command:
            yield f"{where}.command", "Required value"
        elif isinstance(action, HTTPGetAction | TCPSocketAction):
            yield from _port(f"{where}.port", action.port)
            if isinstance(action, HTTPGetAction):
                yield from choice(f"{where}.scheme", action.scheme, ("HTTP", "HTTPS"))
        elif isinstance(action, GRPCAction):
            yield from between(f"{where}.port", action.port, 1, 65535)


def _port(path: str, port: int | str) -> Problems:
    if isinstance(port, int):
        yield from between(path, port, 1, 65535)
    elif not _is_port_name(port):
        yield invalid(path, port, "must be a number or the name of a port")
