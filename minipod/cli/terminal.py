"""The user's terminal while it belongs to a command in a container."""

import os
import signal
import termios
import tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_DEADLY = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def in_raw_mode(work: "Callable[[int], None]", master: int) -> None:
    """Does `work` with the terminal on stdin in raw mode, and the size of `master` following it.

    `work` gets a descriptor to wait for beside its own: readable after a signal, so that one that comes just before
    the waiting is noticed (a Python handler runs between two bytecodes, not inside poll). The terminal's modes come
    back however this ends, except by SIGKILL. TCSANOW: output that nobody takes doesn't hold it up (termios(3)).
    """
    modes = termios.tcgetattr(0)

    def give_back_and_die(number: int, _: "FrameType | None") -> None:
        termios.tcsetattr(0, termios.TCSANOW, modes)
        signal.signal(number, before[signal.Signals(number)])
        os.kill(os.getpid(), number)

    def resize(*_: object) -> None:
        try:
            termios.tcsetwinsize(master, termios.tcgetwinsize(0))
        except termios.error:
            pass  # the command has ended

    wake, woken = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(woken)
    before = {number: signal.signal(number, give_back_and_die) for number in _DEADLY}
    before[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, resize)
    try:
        tty.setraw(0, termios.TCSANOW)
        resize()  # it may have changed since the request was sent
        work(wake)
    finally:
        termios.tcsetattr(0, termios.TCSANOW, modes)
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(-1)
