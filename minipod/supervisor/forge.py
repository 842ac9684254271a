"""The forge: a small warm process that forks supervisors.

Forking costs by resident size, and importing costs more than building a pod: so one process imports exactly what a
supervisor needs and nothing else, and keeps blank supervisors forked ahead. A blank is born in a cgroup2 cgroup of its
own, named by its supervisor id, and becomes a pod's supervisor when a Launch is passed on to it.

The forge's only duty is to fork. Its children are reaped by the kernel (SIGCHLD ignored), and live on when it dies.
"""

import gc
import os
import select
import signal
import socket
import sys
from typing import NoReturn

import msgspec

from minipod.api.channel import READY, Channel
from minipod.api.messages import Launch, Launched, launches
from minipod.errors import MinipodError, Unreachable
from minipod.kernel import cgroups, process, syscalls
from minipod.kernel.cgroups import detect
from minipod.names import layout
from minipod.runtime import base
from minipod.supervisor.process import supervise
from minipod.supervisor.rehearsal import rehearse

_BLANKS = 2
_QUIET = 20  # milliseconds without a request before blanks are refilled: forking would slow a build under way


class Blank:
    """A supervisor that has no pod yet."""

    def __init__(self, supervisor_id: str, pid: int, channel: Channel) -> None:
        self.id, self.pid, self.channel = supervisor_id, pid, channel


def main(fd: int) -> NoReturn:
    """Serve the node's channel, descriptor `fd`, until it closes."""
    node = Channel(socket.socket(fileno=fd))
    here, hierarchies = layout(), detect()
    process.set_title("minipod: forge")
    process.default_signals()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    forge = Forge(node, f"{hierarchies.v2}/{here.supervisor_cgroup('')}", base.make(here))
    _seal()
    try:
        forge.serve()
    except Unreachable:
        os._exit(0)  # the node's next one has a forge of its own; the blanks see the end of their channels


class Forge:
    """What all supervisors are born with: the path of their cgroups but for its last part, and the base."""

    def __init__(self, node: Channel, cgroup: str, base: int) -> None:
        self._node, self._cgroup, self._base = node, cgroup, base
        self._blanks: list[Blank] = []

    def serve(self) -> NoReturn:
        while len(self._blanks) < _BLANKS:
            self._blanks.append(self._fork_blank())
        self._node.send(READY)
        while True:
            poll = select.poll()
            poll.register(self._node, select.POLLIN)
            for blank in self._blanks:
                poll.register(blank.channel, 0)  # its end is reported anyway
            events = dict(poll.poll(_QUIET if len(self._blanks) < _BLANKS else None))
            if self._node.fileno() in events:
                self._launch()
            elif not events:
                self._blanks.append(self._fork_blank())
            for blank in [
                each for each in self._blanks if each.channel.fileno() in events
            ]:  # somebody killed it
                self._blanks.remove(blank)
                self._forget(blank)

    def _launch(self) -> None:
        """Take one Launch, and give it to a blank that is alive. Raises Unreachable when the node has gone."""
        packet, fds = self._node.recv()
        if not packet:
            raise Unreachable("the node closed its channel")
        uid = msgspec.json.decode(packet, type=_Glance).pod.metadata.uid
        while True:
            blank = self._blanks.pop(0) if self._blanks else self._fork_blank()
            # Before it begins: should it die at once, the node must know whose cgroup to clear away.
            self._node.send(msgspec.json.encode(Launched(uid, blank.pid, blank.id)))
            try:
                blank.channel.send(packet, tuple(fds))
                break
            except Unreachable:
                self._forget(blank)
        blank.channel.close()
        for received in fds:
            os.close(received)

    def _forget(self, blank: Blank) -> None:
        """A blank that died before it had a pod."""
        blank.channel.close()
        path = self._cgroup + blank.id
        cgroups.wait_empty(path, 1)  # its channel closes a moment before it is out of its cgroup
        cgroups.rmdir(path)

    def _fork_blank(self) -> Blank:
        supervisor_id = os.urandom(6).hex()
        path = self._cgroup + supervisor_id
        cgroups.mkdir(path)
        ours, theirs = Channel.pair()
        born = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        pid, _ = syscalls.clone3_fork(cgroup_fd=born)
        os.close(born)
        if pid == 0:
            ours.close()
            self._node.close()
            for other in self._blanks:
                other.channel.close()
            _blank(supervisor_id, theirs, self._base)
        theirs.close()
        return Blank(supervisor_id, pid, ours)


class _Meta(msgspec.Struct):
    uid: str


class _Pod(msgspec.Struct):
    metadata: _Meta


class _Glance(msgspec.Struct):
    """As much of a Launch as the forge has to know."""

    pod: _Pod


def _seal() -> None:
    """Nothing is imported any more: from here on processes enter roots in which a module could be somebody else's."""
    sys.meta_path.clear()
    sys.path_hooks.clear()
    sys.path.clear()
    gc.collect()
    gc.freeze()  # or the first collection in a child would touch, and so copy, every page


def _blank(supervisor_id: str, channel: Channel, base: int) -> NoReturn:
    """Wait for a pod; if the forge ends before there is one, end too."""
    code = 0
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process.set_title("minipod: blank supervisor")
        waiting = select.poll()
        waiting.register(channel, select.POLLIN)
        if not waiting.poll(0):
            rehearse()
        packet, fds = channel.recv()
        channel.close()
        if packet:
            launch: Launch = launches.decode(packet)
            process.set_title(
                f"minipod: supervisor {launch.pod.metadata.namespace}/{launch.pod.metadata.name}"
            )
            supervise(launch, Channel(socket.socket(fileno=fds[0])), supervisor_id, base)
    except MinipodError as error:
        print(f"supervisor {supervisor_id}: {error}", file=sys.stderr, flush=True)
        code = 1
    except BaseException:  # noqa: BLE001  # a supervisor leaves by _exit, whatever happens
        sys.excepthook(*sys.exc_info())  # prints it; the module traceback would be 0.5 MB more to fork
        code = 1
    finally:
        os._exit(code)
