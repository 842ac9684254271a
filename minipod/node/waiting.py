"""When an applied pod has started, or can't: pure, but for the loop that waits for it to change."""

from collections.abc import Iterable, Mapping, Sequence

from minipod.errors import NotFound
from minipod.node import gates, screen
from minipod.node.console import Console
from minipod.node.hub import Watch
from minipod.node.logs import find_status
from minipod.node.node import Node
from minipod.node.status import BadRequest
from minipod.node.tables import pod_status
from minipod.spec.types import ContainerStatus, Event, Pod

# Reasons of a waiting container that don't go away by themselves (kubelet: pkg/kubelet/images/types.go,
# pkg/kubelet/kuberuntime/kuberuntime_container.go).
_STUCK = {
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "ImageInspectError",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
    "CrashLoopBackOff",
}
# Reasons of events that tell what no status does: the kubelet tries again, for ever if need be.
_HELD_UP = ("FailedMount", "FailedCreatePodSandBox")
_NEVER_RAN = ("StartError", "ContainerCannotRun")  # terminated, but its process was never exec'ed
_ENDED = ("Succeeded", "Failed")


async def wait_started(node: Node, pods: Iterable[Pod], watch: Watch, console: Console) -> int:
    """Wait until each pod has started or ended or can't start; prints why it can't. Returns the exit code.

    `watch` has collected what happened since before the pods were created.
    """
    waiting = {pod.metadata.uid: pod for pod in pods}
    failed = False
    for pod in list(waiting.values()):
        failed |= _settle(node.objects.pod_by_uid(pod.metadata.uid), pod, waiting, console)
    shown = ""
    told: set[tuple[str, str]] = set()
    while waiting:
        progress = ", ".join(f"pod/{pod.metadata.name} {pod_status(pod)}" for pod in waiting.values())
        if progress != shown:
            console.progress(progress)
            await console.flush()
            shown = progress
        change = await anext(watch, None)
        if change is None:
            console.err("error: the node is stopping; the pods go on starting")
            return 1
        if isinstance(change.object, Event):
            await _tell(change.object, waiting, told, console)
            continue
        before = waiting.get(change.object.metadata.uid)
        if before:  # what it is by now, not what it was at that change
            failed |= _settle(node.objects.pod_by_uid(before.metadata.uid), before, waiting, console)
    return int(failed)


async def _tell(
    event: Event, waiting: Mapping[str, Pod], told: set[tuple[str, str]], console: Console
) -> None:
    """Say once what keeps a pod from starting but may go away: somebody makes the folder that is missing."""
    key = event.involved_object.uid, event.reason
    if event.reason in _HELD_UP and event.involved_object.uid in waiting and key not in told:
        told.add(key)
        console.err(f"Warning: pod/{event.involved_object.name}: {event.message}; trying again")
        await console.flush()


async def wait_running(node: Node, pod: Pod, container: str) -> Pod:
    """Wait until a container runs or has ended. Raises BadRequest if it can't start, NotFound if the pod goes."""
    uid = pod.metadata.uid
    with node.objects.watch(lambda change: change.object.metadata.uid == uid) as watch:
        while True:
            now = node.objects.pod_by_uid(uid)
            if now is None:
                raise NotFound("pods", pod.metadata.name)
            found = find_status(now, container)
            if found and _has_run(found):
                return now
            if problem := why_not(now, container):
                raise BadRequest(f"pod/{pod.metadata.name} {problem}")
            if await anext(watch, None) is None:
                raise BadRequest("the node is stopping; the pod goes on starting")


def _settle(now: Pod | None, before: Pod, waiting: dict[str, Pod], console: Console) -> bool:
    """Stop waiting for a pod that has come as far as it will; True if that is not far enough."""
    uid, name = before.metadata.uid, before.metadata.name
    if now is None:
        problem = "was deleted while it started"
    elif started(now):
        problem = ""
    else:
        waiting[uid] = now
        problem = why_not(now)
        if not problem:
            return False
    del waiting[uid]
    if problem:
        console.err(f"error: pod/{name} {problem}")
    return bool(problem)


def started(pod: Pod) -> bool:
    """Whether the process of every app container has been exec'ed."""
    ran = {status.name for status in pod.status.container_statuses if _has_run(status)}
    return all(container.name in ran for container in pod.spec.containers)


def why_not(pod: Pod, awaited: str = "") -> str:
    """Why the pod won't start by itself, or "" while it may. An ephemeral container only matters if it is `awaited`,
    and then nothing else does."""
    if held := gates.why(pod):
        return held
    ephemeral = [each for each in pod.status.ephemeral_container_statuses if each.name == awaited]
    others: tuple[tuple[str, Sequence[ContainerStatus]], ...] = (
        ("init container", pod.status.init_container_statuses),
        ("container", pod.status.container_statuses),
    )
    for kind, statuses in (("ephemeral container", ephemeral),) if ephemeral else others:
        for status in statuses:
            if problem := _stuck(status) or _gave_up(pod, status):
                return f'{kind} "{status.name}" {problem}'
    if pod.status.phase not in _ENDED:
        return ""
    for status in (*pod.status.init_container_statuses, *pod.status.container_statuses):
        terminated = status.state.terminated
        if terminated and terminated.exit_code:
            more = f": {screen.escaped(terminated.message.strip())}" if terminated.message else ""
            return f'has ended: container "{status.name}" {terminated.reason}, exit code {terminated.exit_code}{more}'
    return f"has ended: {pod.status.reason or pod.status.phase}" + (
        f": {pod.status.message}" if pod.status.message else ""
    )


def _stuck(status: ContainerStatus) -> str:
    waiting = status.state.waiting
    if not waiting or waiting.reason not in _STUCK:
        return ""
    problem = f"can't start: {waiting.reason}" + (f": {waiting.message}" if waiting.message else "")
    last = status.last_state.terminated
    if last and not (last.message and last.message in waiting.message):
        said = f": {last.message.strip()}" if last.message else ""
        problem += f" (last: {last.reason}, exit code {last.exit_code}{said})"
    return problem


def _gave_up(pod: Pod, status: ContainerStatus) -> str:
    """A container that never ran and isn't tried again."""
    own = next((each.restart_policy for each in pod.spec.containers if each.name == status.name), "")
    ended = status.state.terminated
    if not ended or ended.reason not in _NEVER_RAN or (own or pod.spec.restart_policy) != "Never":
        return ""
    return f"can't start: {ended.reason}" + (f": {ended.message.strip()}" if ended.message else "")


def _has_run(status: ContainerStatus) -> bool:
    ended = (status.state.terminated, status.last_state.terminated)
    return bool(status.state.running) or any(each and each.reason not in _NEVER_RAN for each in ended)
