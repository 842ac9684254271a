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
import traceback
from typing import NoReturn

import msgspec

from minipod.api.channel import READY, Channel
from minipod.api.messages import Launch, Launched, launches
from minipod.errors import MinipodError, Unreachable
from minipod.kernel import cgroups, process, syscalls
from minipod.kernel.cgroups import detect
from minipod.names import layout
from minipod.supervisor.process import supervise

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
    base = f"{hierarchies.v2}/{here.supervisor_cgroup('')}"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _seal()
    blanks: list[Blank] = []
    while len(blanks) < _BLANKS:
        blanks.append(_fork_blank(base, node, blanks))
    node.send(READY)
    poll = select.poll()
    poll.register(node, select.POLLIN)
    while True:
        if not poll.poll(_QUIET if len(blanks) < _BLANKS else None):
            blanks.append(_fork_blank(base, node, blanks))
            continue
        packet, fds = node.recv()
        if not packet:
            os._exit(0)  # the blanks see the end of their channels
        uid = msgspec.json.decode(packet, type=_Glance).pod.metadata.uid
        taken = False
        while not taken:
            blank = blanks.pop(0) if blanks else _fork_blank(base, node, blanks)
            # Before it begins: should it die at once, the node must know whose cgroup to clear away.
            try:
                node.send(msgspec.json.encode(Launched(uid, blank.pid, blank.id)))
            except Unreachable:
                os._exit(0)  # the next node will ask the next forge
            taken = _hand_over(blank, packet, fds)
            if not taken:
                cgroups.rmdir(f"{base}{blank.id}")
        for received in fds:
            os.close(received)


def _hand_over(blank: Blank, packet: bytes, fds: list[int]) -> bool:
    """False if somebody killed the blank while it waited."""
    try:
        blank.channel.send(packet, tuple(fds))
    except Unreachable:
        return False
    finally:
        blank.channel.close()
    return True


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


def _fork_blank(base: str, node: Channel, others: list[Blank]) -> Blank:
    supervisor_id = os.urandom(6).hex()
    path = f"{base}{supervisor_id}"
    cgroups.mkdir(path)
    ours, theirs = Channel.pair()
    born = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    pid, _ = syscalls.clone3_fork(cgroup_fd=born)
    os.close(born)
    if pid == 0:
        ours.close()
        node.close()
        for other in others:
            other.channel.close()
        _blank(supervisor_id, theirs)
    theirs.close()
    return Blank(supervisor_id, pid, ours)


def _blank(supervisor_id: str, channel: Channel) -> NoReturn:
    """Wait for a pod; if the forge ends before there is one, end too."""
    code = 0
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process.set_title("minipod: blank supervisor")
        packet, fds = channel.recv()
        channel.close()
        if packet:
            launch: Launch = launches.decode(packet)
            process.set_title(f"minipod: supervisor {launch.pod.metadata.namespace}/{launch.pod.metadata.name}")
            supervise(launch, Channel(socket.socket(fileno=fds[0])), supervisor_id)
    except MinipodError as error:
        print(f"supervisor {supervisor_id}: {error}", file=sys.stderr, flush=True)
        code = 1
    except BaseException:  # noqa: BLE001  # a supervisor leaves by _exit, whatever happens
        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)
