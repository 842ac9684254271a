"""The node's other processes: the forge and the netlink worker, started by exec and kept running."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable

import msgspec

from minipod.api.channel import READY, Channel
from minipod.api.messages import Launched
from minipod.errors import Unreachable
from minipod.kernel import syscalls

_log = logging.getLogger("minipod")
_PYTHON = os.path.realpath(sys.executable)
_RESTART = 0.2  # seconds between a death and the next start, at most a few a second


class Process:
    """One helper process: `python -IS -c CODE`, with a packet socket to us. It says READY when it can be used.

    It runs from a read-only detached copy of the interpreter's mount: through /proc/PID/exe of a stage that is about to
    become a container, the container could otherwise open the host's python for writing (as in CVE-2019-5736).
    """

    def __init__(
        self,
        name: str,
        code: str,
        received: Callable[[bytes], None],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`received` gets each packet it sends; `ended` is called between its end and its next start."""
        self.name, self._code, self._received, self._ended = name, code, received, ended
        self.channel: Channel | None = None
        self.pid = 0
        self.ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    def start(self) -> None:
        """Start it, and again whenever it ends."""
        self._task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Close its channel, on which it ends, and wait."""
        self._stopping = True
        if self.channel:
            self._close()
        if self._task:
            await self._task

    def send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Raises Unreachable while it is being started again."""
        if self.channel is None:
            raise Unreachable(f"the {self.name} is being started")
        self.channel.send(packet, fds)

    async def _keep(self) -> None:
        while not self._stopping:
            try:
                code: object = await self._run()
            except OSError as error:  # no memory, no process, no descriptor: perhaps a moment later
                code = error
            self.ready.clear()
            if not self._stopping:
                _log.warning("the %s ended (%s); starting another", self.name, code)
                self._ended()
                await asyncio.sleep(_RESTART)

    async def _run(self) -> int:
        ours, theirs = Channel.pair()
        code = f"import sys; sys.path[:] = {sys.path!r}; {self._code.format(fd=theirs.fileno())}"
        program = syscalls.detached_copy(_PYTHON)
        code = f"import os; os.close({program}); {code}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-IS", "-c", code),
            executable=f"/proc/self/fd/{program}",
            pass_fds=(theirs.fileno(), program),
            stdin=asyncio.subprocess.DEVNULL,
        )
        os.close(program)
        theirs.close()
        self.channel, self.pid = ours, process.pid
        asyncio.get_running_loop().add_reader(ours.fileno(), self._readable)
        if self._stopping:  # while it was being started
            self._close()
        result = await process.wait()
        while self.channel:  # what it said before it ended
            self._readable()
        self.pid = 0
        return result

    def _readable(self) -> None:
        assert self.channel is not None
        packet, fds = self.channel.recv()
        for fd in fds:
            os.close(fd)
        if packet == READY:
            self.ready.set()
        elif packet:
            self._received(packet)
        else:
            self._close()

    def _close(self) -> None:
        assert self.channel is not None
        asyncio.get_running_loop().remove_reader(self.channel.fileno())
        self.channel.close()
        self.channel = None


def forge(launched: Callable[[Launched], None], ended: Callable[[], None]) -> Process:
    """The process that forks supervisors; `launched` hears which one takes a Launch."""
    # Without typing_extensions msgspec makes do with typing: 1.6 MB less to fork, as inspect and ast stay out.
    code = "sys.modules['typing_extensions'] = None; from minipod.supervisor.forge import main; main({fd})"
    return Process("forge", code, lambda packet: launched(msgspec.json.decode(packet, type=Launched)), ended)


def netlink_worker() -> Process:
    """The process that speaks netlink."""
    return Process("netlink worker", "from minipod.runtime.netlink import main; main({fd})", lambda _: None)
