"""What a supervisor is asked: each request of api/messages.py, on the node's channel or on the pod's own socket."""

import os
import socket
import time
from collections.abc import Callable

import msgspec

from minipod.api import cri
from minipod.api import messages as m
from minipod.api.channel import Channel, listen
from minipod.errors import MinipodError, Unreachable
from minipod.runtime import commands, forward, upkeep
from minipod.runtime.loop import Loop
from minipod.runtime.runtime import Runtime
from minipod.supervisor.engine import Engine
from minipod.supervisor.status import timestamp

# What may be asked while the build is stopped at a breakpoint: all that doesn't change what is being built.
_ALWAYS = (m.Status, m.Stats, m.ReopenLog, m.Trace, m.Update, m.Delete)

_RECENT = 3600  # seconds; kube-apiserver's --event-ttl


class Server:
    """Answers requests, and sends notices to those who have subscribed."""

    def __init__(self, loop: Loop, runtime: Runtime, engine: Engine | None, path: str) -> None:
        self._loop, self._runtime, self._engine = loop, runtime, engine
        self._channels: dict[int, Channel] = {}
        self._subscribers: set[Channel] = set()
        self._latest: m.PodChanged | None = None
        self._listener = listen(path)
        loop.add_reader(self._listener.fileno(), lambda: self.serve(Channel(self._listener.accept()[0])))

    def serve(self, channel: Channel) -> None:
        """Answer what comes over this channel, until it closes."""
        self._channels[channel.fileno()] = channel
        self._loop.add_reader(channel.fileno(), lambda: self._receive(channel))

    def subscribe(self, channel: Channel) -> None:
        """Tell it everything from now on, and first what happened while it wasn't there: a node counts no event twice,
        and forgets them after an hour."""
        self._subscribers.add(channel)
        if self._latest:
            self._send(channel, self._latest)
        if self._engine:
            recent = timestamp(time.time() - _RECENT)
            for event in self._engine.journal.observed.events:
                if event.last_timestamp >= recent:
                    self._send(channel, m.EventHappened(self._engine.pod.metadata.uid, event))

    def notify(self, notice: m.Notice) -> None:
        if isinstance(notice, m.PodChanged):
            self._latest = notice
        for channel in list(self._subscribers):
            self._send(channel, notice)

    def _receive(self, channel: Channel) -> None:
        packet, fds = channel.recv()
        if not packet:
            self._drop(channel)
            return

        def reply(answer: m.Reply) -> None:
            self._send(channel, answer)

        try:
            request = m.requests.decode(packet)
            if isinstance(request, m.Subscribe):
                self.subscribe(channel)
                reply(m.Done())
            elif isinstance(request, m.WithSocket):
                self._hand_over(request, socket.socket(fileno=fds.pop()))
                reply(m.Done())
            else:
                if not isinstance(request, _ALWAYS):
                    self._runtime.breakpoint.refuse()
                self._answer(request, reply)
        # IndexError: no descriptor came.
        except (MinipodError, OSError, msgspec.MsgspecError, IndexError) as error:
            reply(m.Failed(str(error), type(error).__name__))
        finally:
            for fd in fds:
                os.close(fd)

    def _hand_over(self, request: m.WithSocket, client: socket.socket) -> None:
        match request:
            case m.Exec():
                commands.run(self._runtime, request, client)
            case m.Attach():
                commands.attach(self._runtime, request, client)
            case m.PortForward():
                forward.forward(self._runtime, request, client)
            case m.Enter():
                commands.enter(self._runtime, request, client)
            case m.Step() | m.Continue() | m.AwaitStop():
                self._runtime.breakpoint.ask(request, Channel(client))

    def _answer(self, request: m.Request, reply: Callable[[m.Reply], None]) -> None:
        runtime = self._runtime
        match request:
            case m.RunSandbox():
                reply(m.Done(cri.RuntimeStatus(sandboxes=(runtime.run_sandbox(request.id, request.config),))))
            case m.StopSandbox():
                runtime.stop_sandbox(request.id)
                reply(m.Done())
            case m.RemoveSandbox():
                runtime.remove_sandbox(request.id)
                reply(m.Done())
            case m.CreateContainer():
                info = runtime.create_container(request.id, request.sandbox_id, request.config)
                reply(m.Done(cri.RuntimeStatus(containers=(info,))))
            case m.StartContainer():
                reply(m.Done(cri.RuntimeStatus(containers=(runtime.start_container(request.id),))))
            case m.StopContainer():
                runtime.stop_container(request.id, request.timeout, lambda: reply(m.Done()))
            case m.RemoveContainer():
                runtime.remove_container(request.id)
                reply(m.Done())
            case m.Update():
                reply(m.Done())
                if self._engine:
                    self._engine.update(request.pod)
            case m.Delete():
                reply(m.Done())
                if self._engine:
                    self._engine.delete(request.grace)
                else:
                    self._loop.stop()
            case _:
                self._answer_about(request, reply)

    def _answer_about(self, request: m.Request, reply: Callable[[m.Reply], None]) -> None:
        """Requests about what is there."""
        runtime = self._runtime
        match request:
            case m.UpdateResources():
                upkeep.update_resources(runtime, request.id, request.resources)
                reply(m.Done())
            case m.ReopenLog():
                upkeep.reopen_log(runtime, request.id)
                reply(m.Done())
            case m.Stats():
                reply(m.Done(stats=tuple(upkeep.stats(runtime, request.id))))
            case m.Status():
                reply(m.Done(runtime.status()))
            case m.Trace():
                reply(m.Done(timings=runtime.stages.history.timings()))

    def _send(self, channel: Channel, message: m.Message) -> None:
        if channel.fileno() < 0:  # dropped, over another message
            return
        try:
            channel.send(m.encode(message))
        except Unreachable:
            self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        self._subscribers.discard(channel)
        if self._channels.pop(channel.fileno(), None):
            self._loop.remove_reader(channel.fileno())
            channel.close()
