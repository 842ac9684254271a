"""`minipod apply --break-at`: from what a person calls a place to a pod's door, and the waiting until it is met."""

import asyncio
from collections.abc import Iterable

from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.errors import Conflict, MinipodError
from minipod.node import gates
from minipod.node.build import Ids, parts
from minipod.node.console import Console
from minipod.node.hub import Watch
from minipod.node.node import Node
from minipod.node.status import BadQuery, BadRequest
from minipod.node.waiting import started, why_not
from minipod.plan.core import Plan
from minipod.plan.places import NoSuchPlace, find
from minipod.spec.types import Pod

Key = tuple[str, str]  # namespace and name


def key(pod: Pod) -> Key:
    return pod.metadata.namespace, pod.metadata.name


def doors(pods: Iterable[Pod], place: str, facts: m.NodeFacts) -> dict[Key, m.Door]:
    """Where each pod is to stop. Raises BadQuery for a place that one of them doesn't have."""
    found = {}
    for pod in pods:
        if held := gates.why(pod):
            raise BadQuery(f"pod/{pod.metadata.name} can't be stopped there: it {held}")
        try:
            stage, index = find(plan_of(pod, facts), place)
        except NoSuchPlace as error:
            raise BadQuery(f"pod/{pod.metadata.name} can't be stopped there: {error}") from None
        found[key(pod)] = m.Door(stage, index, "stop")
    return found


def plan_of(pod: Pod, facts: m.NodeFacts) -> Plan:
    """Every stage of a pod's build in its order; its ids and addresses stand for those it will have."""
    made = parts(pod, facts, Ids("uid", "sandbox", "container"), skip=True)
    return tuple(stage for part in made for stage in part.plan)


# --- waiting ---------------------------------------------------------------------------------------------------------


async def wait_stopped(node: Node, pods: Iterable[Pod], watch: Watch, console: Console) -> bool:
    """Wait until each pod has come to its breakpoint, and say so. Returns whether all have.

    `watch` has collected what happened since before the pods were created.
    """
    met = True
    for pod in pods:
        console.progress(f"pod/{pod.metadata.name} on its way to the breakpoint")
        await console.flush()
        build, problem = await _outcome(node, pod, watch)
        if build and build.stage:
            show(console, pod, build)
        else:
            met = False
            console.err(f"error: pod/{pod.metadata.name} {problem or 'is not stopped at a breakpoint'}")
    return met


def show(console: Console, pod: Pod, build: m.Build) -> None:
    """Where a build is stopped, and what can be done there."""
    namespace, name = key(pod)
    where = name if namespace == "default" else f"-n {namespace} {name}"
    console.out(f"pod/{name} stopped before {build.word} ({build.stage}:{build.index})")
    console.out(f"  next: {build.command}")
    console.out(f"  minipod enter {where}      # a shell in what is there so far")
    console.out(f"  minipod step {where}       # do that, and stop again")
    console.out(f"  minipod continue {where}   # go on to the end")


async def hear(channel: Channel) -> m.Done | m.Failed | None:
    """The next that a supervisor says on a socket of ours; None if it has died."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(channel.fileno(), readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(channel.fileno())
    packet, _ = channel.recv()
    if not packet:
        return None
    reply: m.Done | m.Failed = m.replies.decode(packet)
    return reply


async def _stopped(channel: Channel) -> m.Done | m.Failed | None:
    """As hear(), but not of what is done on the way to the stop: that is for whoever steps."""
    while True:
        reply = await hear(channel)
        if not isinstance(reply, m.Done) or reply.build is None or reply.build.stage or reply.build.over:
            return reply


async def ask(node: Node, pod: Pod, request: m.Step | m.Continue | m.AwaitStop) -> Channel:
    """Ask a pod's supervisor; on what is returned it says how far the build has come. Raises MinipodError."""
    ours, theirs = Channel.pair()
    try:
        await node.pods.exec(pod.metadata.uid, request, theirs.fileno())
    except MinipodError as error:
        ours.close()
        raise (BadRequest(str(error)) if isinstance(error, Conflict) else error) from None
    finally:
        theirs.close()
    return ours


async def _outcome(node: Node, pod: Pod, watch: Watch) -> tuple[m.Build | None, str]:
    """Where it is stopped; or why it never will be."""
    channel = await ask(node, pod, m.AwaitStop())
    heard = asyncio.ensure_future(_stopped(channel))
    over = asyncio.ensure_future(_over(node, pod, watch))
    try:
        await asyncio.wait({heard, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (heard, over):
            task.cancel()
        await asyncio.gather(heard, over, return_exceptions=True)
        channel.close()
    if heard.cancelled():
        return None, over.result()
    reply = heard.result()
    if isinstance(reply, m.Done):
        return reply.build, ""
    return None, reply.error if reply else "has lost its supervisor, and with it the breakpoint"


async def _over(node: Node, pod: Pod, watch: Watch) -> str:
    """Wait until a pod has come as far as it will, and say how that is."""
    uid = pod.metadata.uid
    while True:
        now = node.objects.pod_by_uid(uid)
        if now is None:
            return "was deleted before it came to the breakpoint"
        if problem := why_not(now):
            return problem
        if started(now):
            return "has started, and didn't come to the breakpoint"
        if await anext(watch, None) is None:
            return "is on its way to the breakpoint, but the node is stopping"
