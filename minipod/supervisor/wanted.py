"""What should run in a pod, and how far each container has come: predicates on the specification and what is known.

Pure. The rules are the kubelet's: pkg/kubelet/container/helpers.go (ShouldContainerBeRestarted) and
computeInitContainerActions in pkg/kubelet/kuberuntime/kuberuntime_container.go.
"""

from minipod.spec.handlers import ContainerRestartRule
from minipod.spec.types import Container, EphemeralContainer, Pod
from minipod.supervisor.known import Known, Observed

# --- one container -----------------------------------------------------------------------------------------------


def is_sidecar(container: Container) -> bool:
    """Of an init container: it goes on running beside the app containers."""
    return container.restart_policy == "Always"


def is_started(container: Container, known: Known) -> bool:
    """It runs, its postStart hook is done and its startup probe has succeeded. The next container waits for that."""
    return (
        known.running
        and not hook_pending(container, known)
        and (not container.startup_probe or known.started)
    )


def is_ready(container: Container, known: Known) -> bool:
    return is_started(container, known) and (not container.readiness_probe or known.ready)


def hook_pending(container: Container, known: Known) -> bool:
    """It runs, and its postStart hook has not succeeded. One that has failed is the container's end."""
    hook = container.lifecycle and container.lifecycle.post_start
    return bool(hook) and known.running and not known.post_started


def hook_failed(known: Known) -> bool:
    return known.running and known.failure is not None and known.failure.reason == "PostStartHookError"


def rule_for(container: Container, exit_code: int) -> ContainerRestartRule | None:
    """The first of its restart rules that fits."""
    for rule in container.restart_policy_rules:
        if rule.exit_codes and (exit_code in rule.exit_codes.values) == (rule.exit_codes.operator == "In"):
            return rule
    return None


def restarts(pod: Pod, container: Container, exit_code: int) -> bool:
    """Whether it is started again after `exit_code`: by its rules, else by its policy, else by the pod's."""
    if isinstance(container, EphemeralContainer):
        return False
    if rule_for(container, exit_code):
        return True
    policy = container.restart_policy or pod.spec.restart_policy
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def should_restart(pod: Pod, container: Container, known: Known) -> bool:
    """It has ended, and its policy wants it back, or all are started over."""
    return known.exited is not None and (known.again or restarts(pod, container, known.exited.exit_code))


def should_run(pod: Pod, container: Container, known: Known) -> bool:
    """An app container or a sidecar that isn't running should be: it never was, or its policy restarts it."""
    if known.running:
        return False
    return known.exited is None or should_restart(pod, container, known)


def in_sandbox(known: Known, observed: Observed) -> bool:
    """Its latest attempt belongs to the current sandbox, and to what was started in it last."""
    return (
        known.latest is not None
        and not known.again
        and observed.sandbox is not None
        and known.latest.sandbox_id == observed.sandbox.id
    )


# --- init containers ---------------------------------------------------------------------------------------------


def init_done(container: Container, observed: Observed) -> bool:
    """The next one may start: in this sandbox it exited 0, or is a sidecar that has started."""
    known = observed.known(container.name)
    if not in_sandbox(known, observed):
        return False
    return is_started(container, known) if is_sidecar(container) else known.succeeded


def init_failed(pod: Pod, container: Container, known: Known) -> bool:
    """It has ended badly and is not tried again: the pod has failed."""
    if is_sidecar(container) or known.exited is None or known.succeeded:
        return False
    return not should_restart(pod, container, known)


def initialized(pod: Pod, observed: Observed) -> bool:
    """All are done, or an app container was started in this sandbox, which says that they were."""
    if any(in_sandbox(observed.known(c.name), observed) for c in pod.spec.containers):
        return True
    return all(init_done(c, observed) for c in pod.spec.init_containers)


# --- the pod -----------------------------------------------------------------------------------------------------


def startable(pod: Pod, observed: Observed) -> tuple[Container, ...]:
    """The containers that should run now and don't, back-off aside: ephemeral ones that never did, sidecars that have
    ended, and one more init container or some of the app containers."""
    found: list[Container] = [c for c in pod.spec.ephemeral_containers if not observed.known(c.name).latest]
    done = initialized(pod, observed)
    for container in pod.spec.init_containers:
        known = observed.known(container.name)
        if not known.running and (is_sidecar(container) or not (done or init_done(container, observed))):
            found.append(container)
        if not done and not init_done(container, observed):
            return tuple(found)  # the ones after it wait for it
    return (*found, *(c for c in pod.spec.containers if should_run(pod, c, observed.known(c.name))))


def containers_of(pod: Pod) -> tuple[Container, ...]:
    """All, in the kubelet's order of starting them."""
    return (*pod.spec.ephemeral_containers, *pod.spec.init_containers, *pod.spec.containers)


def restarts_all(pod: Pod, observed: Observed) -> bool:
    """A container has ended in a way that starts all of them over."""
    for container in containers_of(pod):
        known = observed.known(container.name)
        if known.exited and not known.again:
            rule = rule_for(container, known.exited.exit_code)
            if rule and rule.action == "RestartAllContainers":
                return True
    return False


def anything_running(observed: Observed) -> bool:
    return any(known.running for known in observed.containers.values())


def anything_starting(observed: Observed) -> bool:
    return bool(observed.sandbox_starting) or any(known.starting for known in observed.containers.values())


def sandbox_changed(observed: Observed) -> bool:
    """There is no usable sandbox: none was made yet, its pause died, or its supervisor did."""
    return not observed.sandbox_ready
