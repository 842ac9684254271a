"""The netlink worker: a small warm process with one netlink socket open, and the way a supervisor reaches it.

    supervisor ──NetStage, namespace descriptor──▶ worker ──NetDone | Broken──▶
    anyone     ──DropLink──▶                        worker ──NetDone | Failed──▶

Importing pyroute2 costs more than building a pod (about 150 ms); so it is done once, here, and nowhere else. A
supervisor that finds no worker starts one for itself.
"""

import contextlib
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import NoReturn

import msgspec

from minipod.api.channel import READY, Channel, listen
from minipod.api.messages import Door, Failed, Message
from minipod.errors import KernelError, MinipodError, PlanError, Unreachable
from minipod.kernel import process
from minipod.names import Layout, layout
from minipod.plan.core import Context, Stage, Times, execute
from minipod.plan.ops.network import NetOp
from minipod.runtime.stage import Broken

_SYS_PATH = list(sys.path)  # the forge empties it
_VETH_GOES = 1.0  # seconds to wait for a pair to go with its namespace before it is deleted


class NetStage(Message, frozen=True):
    """Run these network operations; with the descriptor of the pod's network namespace."""

    name: str
    ops: tuple[NetOp, ...]
    door: Door | None = None
    first: int = 0  # the number of the first of them, where they are a part of a stage


class DropLink(Message, frozen=True):
    """Delete one of minipod's interfaces; one that is gone is success."""

    name: str


class EnsureBridge(Message, frozen=True):
    """Make the node's bridge with its addresses, or find it as it should be."""

    name: str
    alias: str  # the mark by which it is known as ours
    addresses: tuple[str, ...]  # with prefix length


class NetDone(Message, frozen=True):
    timings: Times = ()
    pid: int = 0  # the worker's


NetRequest = NetStage | DropLink | EnsureBridge
_Reply = NetDone | Broken | Failed
_requests = msgspec.json.Decoder(NetRequest)
_replies: msgspec.json.Decoder[_Reply] = msgspec.json.Decoder(_Reply)


class Worker:
    """A supervisor's connection to a netlink worker."""

    def __init__(self, here: Layout) -> None:
        self._path = here.netlink_socket

    def run_stage(
        self,
        stage: Stage,
        netns: int,
        door: Door | None = None,
        stop: Callable[[int], Door | None] | None = None,
    ) -> NetDone:
        """Run a stage whose `where` is netlink; `netns` is the pod's namespace. Raises PlanError.

        Where it is to stop, it is sent in pieces: the worker works for all pods, and never waits for one.
        When the worker dies on the way nobody knows how far it came: the sandbox is undone and made again.
        """
        first = 0
        times: Times = ()
        while stop and door and door.action == "stop":
            times += self._run(stage, netns, first, door.index).timings
            first = door.index
            door = stop(first)
        done = self._run(stage, netns, first, len(stage.ops), door)
        return NetDone(times + done.timings, done.pid)

    def _run(self, stage: Stage, netns: int, first: int, last: int, door: Door | None = None) -> NetDone:
        return self.answer(stage, self.ask(stage, netns, first, last, door))

    def ask(
        self, stage: Stage, netns: int, first: int = 0, last: int | None = None, door: Door | None = None
    ) -> "Asked":
        """Have a stage, or some of its operations, run without waiting for it."""
        request = NetStage(stage.name, stage.ops[first:last], door, first)  # type: ignore[arg-type]
        return Asked(self._path, msgspec.json.encode(request), (netns,))

    def answer(self, stage: Stage, asked: "Asked") -> NetDone:
        """Wait until it has run. Raises PlanError."""
        try:
            return asked.answer()
        except Unreachable as error:
            raise PlanError(stage.name, -1, f"running {stage.name}", str(error)) from error

    def delete_link(self, name: str) -> None:
        """Wait until a pair has gone with its namespace; after a while, delete it. Raises MinipodError."""
        deadline = time.monotonic() + _VETH_GOES
        while _exists(name):
            if time.monotonic() > deadline:
                self._ask(DropLink(name))
                return
            time.sleep(0.002)

    def ensure_bridge(self, name: str, alias: str, addresses: tuple[str, ...]) -> None:
        self._ask(EnsureBridge(name, alias, addresses))

    def delete_bridge(self, name: str) -> None:
        self._ask(DropLink(name))

    def _ask(self, request: DropLink | EnsureBridge) -> None:
        Asked(self._path, msgspec.json.encode(request), ()).answer()


class Asked:
    """A request on its way: to the node's worker, or to one for this request only where that isn't there."""

    def __init__(self, path: str, packet: bytes, fds: tuple[int, ...]) -> None:
        self._private = 0
        try:
            self._channel = Channel.connect(path)
        except Unreachable:
            self._channel, self._private = _start_private()
        with contextlib.suppress(Unreachable):  # answer() says so
            self._channel.send(packet, fds)

    def answer(self) -> NetDone:
        """Wait for what came of it. Raises PlanError, MinipodError and Unreachable."""
        try:
            answer, _ = self._channel.recv()
        finally:
            self._channel.close()
            if self._private:
                os.waitpid(self._private, 0)
        if not answer:
            raise Unreachable("the netlink worker went away in the middle")
        reply = _replies.decode(answer)
        if isinstance(reply, Broken):
            raise reply.error()
        if isinstance(reply, Failed):
            raise MinipodError(reply.error)
        return reply


def _exists(name: str) -> bool:
    try:
        socket.if_nametoindex(name)
    except OSError:
        return False
    return True


def _start_private() -> tuple[Channel, int]:
    """A worker for one request only, when the node's isn't there, and its pid: it ends when the channel closes."""
    ours, theirs = Channel.pair()
    os.set_inheritable(theirs.fileno(), True)
    serve = f"from minipod.runtime.netlink import serve; serve({theirs.fileno()})"
    code = f"import sys; sys.path[:] = {_SYS_PATH!r}; {serve}"
    pid = os.posix_spawn(sys.executable, [sys.executable, "-IS", "-c", code], {}, setsigmask=())
    theirs.close()
    return ours, pid


# --- the worker itself ------------------------------------------------------------------------------------------


class _Netlink:
    """plan.core.Netlink: one socket on the host kept open, one in a pod's namespace for the length of a stage."""

    def __init__(self) -> None:
        from minipod.kernel import netlink  # only the worker pays for pyroute2

        self._module = netlink
        self._host = netlink.Netlink()
        self._pod: netlink.Netlink | None = None
        self._eth0 = 0

    def create_veth(self, name: str, bridge: str, netns: int, mtu: int) -> None:
        self._host.create_veth(name, self._host.index(bridge), netns, mtu=mtu)

    def configure(self, netns: int, kind: str, argument: str) -> None:
        if self._pod is None:
            self._pod = self._module.Netlink(netns)
            self._eth0 = self._pod.index("eth0")  # not always 2: a module may put its tunnels first
        if kind == "up":
            self._pod.set_up(self._eth0 if argument == "eth0" else self._module.LOOPBACK)
        elif kind == "address":
            address, _, prefix = argument.partition("/")
            self._pod.add_address(self._eth0, address, int(prefix))
        else:
            self._pod.add_default_route(self._eth0, argument)

    def leave(self) -> None:
        if self._pod is not None:
            self._pod.close()
            self._pod = None

    def answer(self, request: NetRequest, fds: list[int]) -> NetDone:
        if isinstance(request, DropLink):
            self._host.delete_link(request.name)
            return NetDone()
        if isinstance(request, EnsureBridge):
            addresses = (address.partition("/") for address in request.addresses)
            self._host.ensure_bridge(
                request.name, [(ip, int(length)) for ip, _, length in addresses], request.alias
            )
            return NetDone()
        context = Context({"sandbox.net": fds[0]}, request.door)
        context.netlink = self
        try:
            execute(Stage(request.name, "netlink", request.ops), context, request.first)
        finally:
            self.leave()
        return NetDone(tuple(context.timings), os.getpid())


def serve(fd: int) -> NoReturn:
    """Answer requests that come over one connected descriptor, until it closes."""
    netlink = _Netlink()
    channel = Channel(socket.socket(fileno=fd))
    while _serve_one(netlink, channel):
        pass
    os._exit(0)


def main(node: int) -> NoReturn:
    """Listen on the node's netlink socket. Ends with the node, whose socket is the descriptor `node`."""
    process.set_title("minipod: netlink worker")
    listener = listen(layout().netlink_socket)
    netlink = _Netlink()
    poll, channels = select.poll(), dict[int, Channel]()
    poll.register(listener, select.POLLIN)
    poll.register(node, select.POLLIN)
    parent = Channel(socket.socket(fileno=node))
    parent.send(READY)
    while True:
        for fd, _ in poll.poll():
            if fd == node:
                os._exit(0)
            elif fd == listener.fileno():
                channel = Channel(listener.accept()[0])
                channels[channel.fileno()] = channel
                poll.register(channel, select.POLLIN)
            elif not _serve_one(netlink, channels[fd]):
                poll.unregister(fd)
                channels.pop(fd).close()


def _serve_one(netlink: _Netlink, channel: Channel) -> bool:
    packet, fds = channel.recv()
    if not packet:
        return False
    reply: _Reply
    try:
        reply = netlink.answer(_requests.decode(packet), fds)
    except PlanError as error:
        reply = Broken.of(error, os.getpid())
    except (KernelError, OSError) as error:
        reply = Failed(str(error))
    finally:
        for received in fds:
            os.close(received)
    try:
        channel.send(msgspec.json.encode(reply))
    except Unreachable:
        return False
    return True
