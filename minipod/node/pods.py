"""The pods of this node: each has a supervisor; this is who starts it, listens to it, and clears up after it.

A supervisor that ends without having said PodEnded has died. Then everything the pod has is killed and undone
(runtime/fence.py), and another supervisor goes on where the journal ends. Nothing here is remembered in memory alone:
a new node finds the supervisors of the old one by their sockets and locks.
"""

import asyncio
import collections
import concurrent.futures
import contextlib
import logging
import os
from typing import Any, Protocol

import msgspec

from minipod.api import cri
from minipod.api import messages as m
from minipod.api.channel import Channel
from minipod.errors import Conflict, MinipodError, NotFound, Unreachable
from minipod.kernel import cgroups
from minipod.node import gates, processes
from minipod.plan.undo import RemoveTree, Tools
from minipod.runtime import fence
from minipod.spec.qos import qos_class
from minipod.spec.types import Event, Pod, PodStatus

_log = logging.getLogger("minipod")
_ANSWER = 30.0  # seconds a supervisor may take to answer before it counts as silent
_FENCING = concurrent.futures.ThreadPoolExecutor(4, "fence")  # others may hang in a pod's file system
_RELAUNCH_MAX = 5.0  # seconds between two launches of a pod whose supervisors keep dying


class Listener(Protocol):
    """Who keeps the objects."""

    def pod_changed(self, uid: str, status: PodStatus) -> None: ...
    def pod_unknown(self, uid: str, reason: str, message: str, phase: str = "") -> None: ...
    def event_happened(self, uid: str, event: Event) -> None: ...
    def pod_gone(self, uid: str) -> None: ...
    def pods(self) -> list[Pod]: ...


class Running:
    """A pod and the channel to its supervisor."""

    def __init__(self, pod: Pod, channel: Channel) -> None:
        self.pod, self.channel = pod, channel
        self.ended = False  # said PodEnded
        # Requests that are still to be answered, in their order. Whoever asked may have gone away meanwhile.
        self.asked: collections.deque[asyncio.Future[m.Reply]] = collections.deque()
        self.waiting_since = 0.0  # of the first of them, or since it said something; on the loop's clock
        self.silent = False


class Pods:
    """Starts, finds, asks and clears up."""

    def __init__(self, facts: m.NodeFacts, listener: Listener) -> None:
        self.facts, self.listener = facts, listener
        self._running: dict[str, Running] = {}
        self._supervisors: dict[str, str] = {}  # the id of each pod's, from the moment it is chosen
        self._deaths: dict[str, int] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self.forge = processes.forge(self._launched, self._sweep)
        self.netlink = processes.netlink_worker()
        self._closing = False

    # --- the node's life ----------------------------------------------------------------------------------------

    async def start_helpers(self) -> None:
        """Start the netlink worker and the forge; returns when both can be used."""
        self.netlink.start()
        self._sweep()
        self.forge.start()
        await self.netlink.ready.wait()
        await self.forge.ready.wait()

    async def begin(self) -> None:
        """Find the pods that already run, and bring back those that should."""
        wanted = {pod.metadata.uid: pod for pod in self.listener.pods() if not gates.gated(pod)}
        for uid in self._folders() - set(wanted):
            self._spawn(self._clear(uid, None))
        for pod in wanted.values():
            if not self._find(pod):
                self._spawn(self._revive(pod))
        self._spawn(self._listen_for_silence())

    async def close(self) -> None:
        """End the helpers. Pods go on."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        for running in self._running.values():
            asyncio.get_running_loop().remove_reader(running.channel.fileno())
            running.channel.close()
        await self.forge.stop()
        self._sweep()
        await self.netlink.stop()

    # --- what the API asks --------------------------------------------------------------------------------------

    async def start(self, pod: Pod, door: m.Door | None = None, asked_at: int = 0) -> None:
        """Launch the supervisor of a pod that is in the store. Returns when the forge has it.

        Raises MinipodError if that isn't possible now, on a full disk for example; then it is tried again.
        """
        try:
            await self._launch(pod, door, lost=False, asked_at=asked_at)
        except OSError as error:
            self._spawn(self._revive(pod))
            raise MinipodError(f"pod/{pod.metadata.name} can't be begun yet: {error}; trying again") from None

    async def delete(self, uid: str, grace: float | None) -> None:
        """Ask a pod to end; returns at once. A supervisor that dies over it is replaced by one that is asked again."""
        running = self._running.get(uid)
        if not running:
            return  # the next one will be told, by _listen()
        try:
            answer = self._send(running, m.Delete(grace))
        except Unreachable:
            return
        self._spawn(self._see_it_heard(running, answer))

    async def update(self, pod: Pod) -> None:
        """Tell the supervisor what the object is now; returns at once. One that isn't there is told later."""
        running = self._running.get(pod.metadata.uid)
        if running:
            with contextlib.suppress(Unreachable):
                self._send(running, m.Update(pod))

    async def _see_it_heard(self, running: Running, answer: asyncio.Future[m.Reply]) -> None:
        """Kill a supervisor that is alive but doesn't hear that its pod shall end."""
        uid = running.pod.metadata.uid
        try:
            await asyncio.wait_for(answer, _ANSWER)
        except TimeoutError:
            supervisor_id = self._supervisors.get(uid) or fence.supervisor_of(self.facts.layout, uid)
            if self._running.get(uid) is running and supervisor_id:
                fence.kill(f"{self.facts.cgroups.v2}/{self.facts.layout.supervisor_cgroup(supervisor_id)}")

    async def exec(self, uid: str, request: m.WithSocket, sock_fd: int) -> None:
        """Hand the asker's socket to the supervisor. Raises MinipodError if it refuses."""
        await self._ask(self._of(uid), request, (sock_fd,))

    async def observe_pids(self, uid: str) -> cri.RuntimeStatus:
        """The pids of pause and of the containers, from the mechanism itself."""
        status = (await self._ask(self._of(uid), m.Status())).status
        return status or cri.RuntimeStatus()

    async def trace(self, uid: str) -> tuple[cri.Timing, ...]:
        """What was done for the pod, from its supervisor."""
        return (await self._ask(self._of(uid), m.Trace())).timings

    async def status(self) -> dict[str, Any]:
        """For `node status`."""
        return {"forge": self.forge.pid, "netlinkWorker": self.netlink.pid, "supervisors": len(self._running)}

    # --- launching ----------------------------------------------------------------------------------------------

    async def _launch(self, pod: Pod, door: m.Door | None, lost: bool, asked_at: int = 0) -> None:
        layout, meta = self.facts.layout, pod.metadata
        for folder, mode in (
            (layout.pod_run(meta.uid), 0o711),
            (layout.pod_lib(meta.uid), 0o711),
            (layout.pod_log(meta.namespace, meta.name, meta.uid), 0o755),
        ):
            os.makedirs(folder, mode, exist_ok=True)
        launch = m.Launch(pod, self.facts, door=door, lost=lost, asked_at=asked_at)
        while True:
            ours, theirs = Channel.pair()
            try:
                self.forge.send(m.encode(launch), (theirs.fileno(),))
                break
            except Unreachable:
                ours.close()
                await asyncio.sleep(0.05)
                launch = msgspec.structs.replace(launch, pod=self._current(pod))  # deleted meanwhile, perhaps
            finally:
                theirs.close()
        self._listen(Running(pod, ours))

    def _launched(self, launched: m.Launched) -> None:
        self._supervisors[launched.uid] = launched.supervisor_id

    def _find(self, pod: Pod) -> bool:
        """Connect to the supervisor of a pod that an earlier node started."""
        here = self.facts.layout.pod_run(pod.metadata.uid)
        try:
            running = Running(pod, Channel.connect(f"{here}/supervisor.sock"))
            self._send(running, m.Subscribe())
            self._send(running, m.Update(pod))  # an earlier node may not have come to tell it
        except Unreachable:
            return False
        self._listen(running)
        return True

    def _listen(self, running: Running) -> None:
        """Hear the supervisor from now on, and tell it if the pod was deleted while there was nobody to tell."""
        uid = running.pod.metadata.uid
        self._running[uid] = running
        asyncio.get_running_loop().add_reader(running.channel.fileno(), self._readable, running)
        meta = self._current(running.pod).metadata
        if meta.deletion_timestamp:
            self._spawn(self.delete(uid, meta.deletion_grace_period_seconds))

    def _current(self, pod: Pod) -> Pod:
        """The pod as the store has it now."""
        return next((each for each in self.listener.pods() if each.metadata.uid == pod.metadata.uid), pod)

    def _readable(self, running: Running) -> None:
        uid = running.pod.metadata.uid
        packet, fds = running.channel.recv()
        for fd in fds:
            os.close(fd)
        if not packet:
            self._disconnected(running)
            return
        running.waiting_since = asyncio.get_running_loop().time()
        if running.silent:
            self._speaks_again(running)
        message = m.notices.decode(packet)
        match message:
            case m.PodChanged():
                self._deaths.pop(uid, None)
                self.listener.pod_changed(uid, message.status)
            case m.EventHappened():
                self.listener.event_happened(uid, message.event)
            case m.PodEnded():
                running.ended = True
            case m.Done() | m.Failed():
                self._answered(running, message)

    # --- asking -------------------------------------------------------------------------------------------------

    def _of(self, uid: str) -> Running:
        try:
            return self._running[uid]
        except KeyError:
            held = "".join(gates.why(pod) for pod in self.listener.pods() if pod.metadata.uid == uid)
            raise Conflict(f"the pod {held or 'has no supervisor at the moment; try again'}") from None

    async def _ask(self, running: Running, request: m.Message, fds: tuple[int, ...] = ()) -> m.Done:
        try:
            answer = await asyncio.wait_for(self._send(running, request, fds), _ANSWER)
        except TimeoutError:
            raise Unreachable("the pod's supervisor is alive but doesn't answer") from None
        if isinstance(answer, m.Done):
            return answer
        if answer.reason == "NotFound":
            raise NotFound("container", getattr(request, "container", ""))
        if answer.reason == "Unreachable":
            raise Unreachable(answer.error)
        raise Conflict(answer.error) if answer.reason == "Conflict" else MinipodError(answer.error)

    def _send(
        self, running: Running, request: m.Message, fds: tuple[int, ...] = ()
    ) -> asyncio.Future[m.Reply]:
        """What will be the answer. Raises Unreachable."""
        loop = asyncio.get_running_loop()
        running.channel.send(m.encode(request), fds)
        if not running.asked:
            running.waiting_since = loop.time()
        running.asked.append(loop.create_future())
        return running.asked[-1]

    def _answered(self, running: Running, reply: m.Reply) -> None:
        answer = running.asked.popleft()
        if not answer.done():  # else nobody waits for it any more
            answer.set_result(reply)

    # --- when a supervisor says nothing -------------------------------------------------------------------------

    async def _listen_for_silence(self) -> None:
        """Ask every supervisor now and then, if nothing else is asked. Whoever doesn't answer is left alone: it may be
        stopped, or waiting for a disk, and its containers run. But nobody knows how."""
        after = self.facts.settings.silent_after
        while True:
            await asyncio.sleep(after / 2)  # waking 200 supervisors costs 0.1 s of CPU
            now = asyncio.get_running_loop().time()
            for running in list(self._running.values()):
                if not running.asked:
                    with contextlib.suppress(Unreachable):
                        self._send(running, m.Status())
                elif not running.silent and now - running.waiting_since > after:
                    running.silent = True
                    text = f"The pod's supervisor is alive, but hasn't answered for {after:g} s"
                    self.listener.pod_unknown(running.pod.metadata.uid, "SupervisorSilent", text)

    def _speaks_again(self, running: Running) -> None:
        running.silent = False
        event = Event(reason="SupervisorAnswers", message="The pod's supervisor answers again", type="Normal")
        self.listener.event_happened(running.pod.metadata.uid, event)
        with contextlib.suppress(Unreachable):
            self._send(running, m.Subscribe())  # says again what it said last: here it is no longer known

    # --- when a supervisor ends ---------------------------------------------------------------------------------

    def _disconnected(self, running: Running) -> None:
        uid = running.pod.metadata.uid
        asyncio.get_running_loop().remove_reader(running.channel.fileno())
        running.channel.close()
        if self._running.get(uid) is running:
            del self._running[uid]
        while running.asked:
            self._answered(running, m.Failed("the pod's supervisor died", "Unreachable"))
        if self._closing:
            return
        if running.ended:
            self._spawn(self._clear(uid, running.pod))
        else:
            self._spawn(self._revive(running.pod))

    async def _clear(self, uid: str, pod: Pod | None) -> None:
        """A pod is over: fence, undo for good, and forget it."""
        while not await self._fence(uid, pod, for_good=True):  # noqa: ASYNC110  # tried again, not waited for
            await asyncio.sleep(1)
        self._deaths.pop(uid, None)
        if pod:
            meta = pod.metadata
            RemoveTree(self.facts.layout.pod_log(meta.namespace, meta.name, uid)).run(Tools(lambda _: None))
            self.listener.pod_gone(uid)

    async def _revive(self, pod: Pod) -> None:
        """A supervisor died, or none is there: fence, undo, and launch another."""
        uid = pod.metadata.uid
        deaths = self._deaths[uid] = self._deaths.get(uid, 0) + 1
        if deaths > 1:
            await asyncio.sleep(min(0.1 * 2**deaths, _RELAUNCH_MAX))
        while not await self._fence(uid, pod, for_good=False):
            text = "The pod's supervisor died, and what it had can't be cleared away yet; the node's log says why"
            self.listener.pod_unknown(uid, "SupervisorLost", text, "Unknown")
            await asyncio.sleep(1)
        journal = f"{self.facts.layout.pod_lib(uid)}/journal"
        began = os.path.exists(journal)  # noqa: ASYNC240  # one stat of a local file
        while began or not self._current(pod).metadata.deletion_timestamp:
            try:
                await self._launch(self._current(pod), None, lost=began)
                return
            except OSError as error:
                _log.error("pod %s: %s; trying again", uid, error)
            await asyncio.sleep(1)
        await self._clear(uid, pod)  # deleted before anything was begun

    async def _fence(self, uid: str, pod: Pod | None, for_good: bool) -> bool:
        cgroup, supervisor_id = self._cgroup(uid, pod), self._supervisors.get(uid, "")
        layout, hierarchies = self.facts.layout, self.facts.cgroups
        try:
            await asyncio.get_running_loop().run_in_executor(
                _FENCING, fence.fence, layout, hierarchies, uid, cgroup, supervisor_id, for_good
            )
        except (MinipodError, OSError) as error:
            _log.error("pod %s: %s; trying again", uid, error)
            return False
        self._supervisors.pop(uid, None)
        return True

    def _cgroup(self, uid: str, pod: Pod | None) -> str:
        """Relative. Of a pod nobody knows any more, wherever it is found."""
        layout, v2 = self.facts.layout, self.facts.cgroups.v2
        if pod:
            return layout.pod_cgroup(qos_class(pod).lower(), uid)
        places = [layout.pod_cgroup(qos, uid) for qos in ("guaranteed", "burstable", "besteffort")]
        return next((place for place in places if os.path.isdir(f"{v2}/{place}")), places[0])

    def _folders(self) -> set[str]:
        found: set[str] = set()
        for base in (f"{self.facts.layout.run}/pods", f"{self.facts.layout.lib}/pods"):
            if os.path.isdir(base):
                found.update(os.listdir(base))
        return found

    def _sweep(self) -> None:
        """While no forge runs: end the supervisors that no pod knows of, and remove their cgroups.

        They were blank when their forge died, or died before they had the pod's lock: none of them began to build.
        """
        layout = self.facts.layout
        known = {fence.supervisor_of(layout, uid) for uid in self._folders()}.union(
            self._supervisors.values()
        )
        for entry in os.scandir(f"{self.facts.cgroups.v2}/{layout.supervisor_cgroup('')}"):
            if entry.is_dir() and entry.name not in known:
                try:
                    fence.kill(entry.path)
                    cgroups.rmdir(entry.path)
                except MinipodError as error:
                    _log.error("%s; the next forge's end is the next try", error)

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception():
            _log.error("%s", task.exception(), exc_info=task.exception())
