"""The supervisor: one process per pod, which owns the pod's whole life. The node may come and go."""

import os
import signal
import time

from minipod.api.channel import Channel
from minipod.api.cri import ContainerInfo, SandboxInfo
from minipod.api.messages import ContainerChanged, EventHappened, Launch, PodChanged, PodEnded
from minipod.errors import MinipodError
from minipod.plan.core import Op, Stage
from minipod.runtime.fence import lock
from minipod.runtime.loop import Loop
from minipod.runtime.runtime import Runtime
from minipod.supervisor import usage
from minipod.supervisor.engine import Engine
from minipod.supervisor.server import Server


class AcceptRequest(Op, frozen=True):
    """Not an operation: what the node did before there was a supervisor, for the trace."""

    def explain(self) -> str:
        return "# from the request read to the supervisor's begin"


_ASKED = Stage("node/apply", "supervisor", (AcceptRequest(),))


def supervise(launch: Launch, channel: Channel, supervisor_id: str, base: int) -> None:
    """Run the pod until it is removed. Its folders exist; `channel` is the node's, `base` runtime.base's."""
    layout, uid = launch.facts.layout, launch.pod.metadata.uid
    here = layout.pod_run(uid)
    held = lock(layout, uid)
    if held < 0:
        raise MinipodError(f"pod {uid} has a supervisor already")
    # Whoever has to fence this pod finds here which cgroup to kill.
    with open(f"{here}/supervisor", "w") as file:
        file.write(supervisor_id)
    loop = Loop()

    def changed(info: SandboxInfo | ContainerInfo) -> None:
        if isinstance(info, ContainerInfo):
            server.notify(ContainerChanged(info))
        if engine:
            engine.changed(info)

    runtime = Runtime(launch.facts, uid, loop, changed, base, launch.door)
    engine = None
    if launch.asked_at:
        times = ((0, launch.asked_at, time.monotonic_ns() - launch.asked_at),)
        runtime.stages.history.ran("node", _ASKED, channel.peer(), times)
    if launch.engine:
        engine = Engine(
            launch, runtime, loop, lambda status, sequence: server.notify(PodChanged(uid, status, sequence))
        )
    server = Server(loop, runtime, engine, f"{here}/supervisor.sock")
    server.serve(channel)
    server.subscribe(channel)
    if engine:
        engine.events.happened = lambda event: server.notify(EventHappened(uid, event))
        loop.on_signal(signal.SIGTERM, engine.shut_down)
        usage.watch(launch.pod, launch.facts, loop, runtime.status, engine.evict)
        engine.begin()
    loop.run()
    if not (engine and engine.left):
        server.notify(PodEnded(uid))
    os.close(held)
