"""What a container that has ended left to be said: its termination message.

The container writes it into a file, empty at its start, that is mounted at terminationMessagePath; if it has failed
and written nothing, the end of its log may stand in (pkg/kubelet/kuberuntime, getTerminationMessage).
"""

import os

FILE_BYTES = 4096  # from the end of the file (MaxContainerTerminationMessageLength)
LOG_BYTES, LOG_LINES = 2048, 80  # from the end of the log


def message(path: str, log: str, fallback: bool, exit_code: int) -> str:
    """The text in `path`; with `fallback`, if there is none and `exit_code` isn't 0, the last lines of `log`."""
    text = _tail(path, FILE_BYTES).decode(errors="replace")
    if text or not fallback or exit_code == 0:
        return text
    # A line of the log is at least as long as its text: reading as much again and more is enough for the time stamps.
    lines = _tail(log, 16 * LOG_BYTES).decode(errors="replace").splitlines()[-LOG_LINES:]
    return "".join(map(log_text, lines)).encode()[-LOG_BYTES:].decode(errors="replace")


def log_text(line: str) -> str:
    """What a line in CRI format says: `TIME STREAM F TEXT`, or P instead of F when the text has no end of line."""
    *_, tag, text = line.split(" ", 3) if line.count(" ") >= 3 else ("P", "")  # the first one may be torn
    return text if tag == "P" else f"{text}\n"


def _tail(path: str, size: int) -> bytes:
    """The last bytes of a file; none of what isn't a file any more."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(fd, size, max(0, os.fstat(fd).st_size - size))
    except OSError:
        return b""
    finally:
        os.close(fd)
