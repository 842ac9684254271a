"""Starting the node on first use: by systemd where the unit is installed, else as a daemon of our own.

daemon(7), the old way: a session of its own, /, umask 022, a clean environment, default signals, no descriptors but
its log. One lock, so that of several commands at once one starts the node and the others wait for it.
"""

import _socket
import fcntl
import os
import signal
import sys
import time

from minipod.api import client
from minipod.errors import Unreachable
from minipod.names import layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE = (
    120.0  # seconds until a node that doesn't answer is reported; a busy emulated machine needs one minute
)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_UNIT = "minipod.service"


def start_node(progress: "Callable[[bytes], None]") -> _socket.socket:
    """A connection to the node, started if need be; `progress` is told if it takes long.

    Raises Unreachable, with what the node said.
    """
    if os.geteuid() != 0:
        raise Unreachable("minipod's node isn't running, and only root can start it: try it with sudo")
    lib = layout().lib
    os.makedirs(lib, mode=0o711, exist_ok=True)
    lock = os.open(f"{lib}/start.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Someone else may have started it while we waited.
        return _settled(f"{lib}/node.lock") or (
            _by_systemd(progress) if has_unit() else _by_ourselves(progress)
        )
    finally:
        os.close(lock)


def _settled(path: str) -> _socket.socket | None:
    """A connection to a node that has just started, or None when there is none: also none that is still stopping.

    A node holds its lock longer than its socket, at both ends of its life.
    """
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        sock = _try()
        if sock:
            return sock
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
        except BlockingIOError:
            time.sleep(0.01)
        finally:
            os.close(lock)
    raise Unreachable(
        f"a node holds {path}, but nobody answers on {client.socket_path()}: it hangs, or is stopping"
    )


def has_unit() -> bool:
    """Whether the node is systemd's to start: sd_booted(3), and the unit is installed."""
    folders = (
        "/etc/systemd/system",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    )
    return (
        not os.environ.get("MINIPOD_HOME")
        and os.path.isdir("/run/systemd/system")
        and any(os.path.exists(f"{folder}/{_UNIT}") for folder in folders)
    )


def _try() -> _socket.socket | None:
    try:
        return client.connect()
    except (FileNotFoundError, ConnectionRefusedError):
        return None


def _by_systemd(progress: "Callable[[bytes], None]") -> _socket.socket:
    pid = os.posix_spawnp("systemctl", ["systemctl", "start", _UNIT], os.environ)
    if os.waitpid(pid, 0)[1]:
        raise Unreachable(f"systemd can't start {_UNIT}; see: journalctl -u {_UNIT} -n 50")
    return _wait(progress, 0, f"journalctl -u {_UNIT}")


def _by_ourselves(progress: "Callable[[bytes], None]") -> _socket.socket:
    places = layout()
    path = f"{places.log}/minipod.log"
    os.makedirs(places.log, mode=0o755, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    old = os.fstat(log).st_size
    pid = os.fork()
    if pid == 0:
        try:
            _become_node(log)
        finally:
            os._exit(127)
    os.close(log)
    try:
        return _wait(progress, pid, path, old)
    except ChildProcessError:
        raise Unreachable(f"the node started by this command is gone; see {path}") from None


def _become_node(log: int) -> None:
    """In the child: daemon(7)'s steps, then exec."""
    argv, variables = command("minipod.node"), environment()  # while relative paths are still the user's
    os.setsid()
    os.chdir("/")
    os.umask(0o022)
    null = os.open("/dev/null", os.O_RDONLY)
    for fd, onto in ((null, 0), (log, 1), (log, 2)):
        os.dup2(fd, onto)
    os.closerange(3, 1 << 20)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.execve(sys.executable, argv, variables)


def command(module: str, *words: str) -> list[str]:
    """argv that runs a module of minipod with this interpreter and these paths, and no site packages but ours."""
    code = (
        f"import sys; sys.path[:] = {[os.path.abspath(folder) for folder in sys.path if folder]!r}; "
        f"import runpy; runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-S", "-c", code, *words]


def environment() -> dict[str, str]:
    """PATH (with the sbin folders a user's may lack), LANG and MINIPOD_*."""
    path = os.environ.get("PATH", "").split(":")
    path += [folder for folder in _PATH.split(":") if folder not in path]
    clean = {key: value for key, value in os.environ.items() if key.startswith("MINIPOD_")}
    if clean.get("MINIPOD_HOME"):
        clean["MINIPOD_HOME"] = os.path.abspath(clean["MINIPOD_HOME"])
    return {"PATH": ":".join(filter(None, path)), "LANG": os.environ.get("LANG") or "C.UTF-8"} | clean


def _wait(progress: "Callable[[bytes], None]", pid: int, log: str, old: int = 0) -> _socket.socket:
    """Until the socket answers, the node (our child `pid`, unless 0) dies, or patience ends."""
    begin = time.monotonic()
    while (waited := time.monotonic() - begin) < PATIENCE:
        sock = _try()
        if sock:
            return sock
        if pid and os.waitpid(pid, os.WNOHANG)[0]:
            raise Unreachable(f"the node can't start:\n{_tail(log, old)}")
        if waited > 1:
            progress(f"Starting the node ... {waited:.0f} s".encode())
        time.sleep(0.01)
    raise Unreachable(f"the node doesn't answer on {client.socket_path()} after {PATIENCE:.0f} s; see {log}")


def _tail(path: str, old: int) -> str:
    """What the node wrote since byte `old` of its log, at most 20 lines."""
    with open(path, "rb") as file:
        file.seek(old)
        lines = file.read().decode(errors="replace").strip().splitlines()
    return "\n".join(lines[-20:]) or f"(it said nothing; see {path})"
