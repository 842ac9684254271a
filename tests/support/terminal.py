"""A command of a private node at a terminal, and us in front of it."""

import codecs
import os
import pty
import select
import signal
import struct
import termios
from fcntl import ioctl
from typing import Any

from tests.support.node import Node, interrupt


class Terminal:
    """A command with a terminal, and us at it."""

    def __init__(self, node: Node, *words: str, rows: int = 24, columns: int = 80, **options: Any) -> None:
        self.master, slave = pty.openpty()
        self.resize(rows, columns)
        streams = {"stdin": slave, "stdout": slave, "stderr": slave}
        self.process = node.popen(*words, **streams, **options)
        os.close(slave)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a character may come in two pieces

    def resize(self, rows: int, columns: int) -> None:
        ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def read_until(self, text: str) -> str:
        while text not in self.text:
            try:
                self.text += self._decoder.decode(os.read(self.master, 4096))
            except OSError:  # EIO: nobody has the other end any more
                raise AssertionError(f"it ended without {text!r}: {self.text}") from None
        found, _, self.text = self.text.partition(text)
        return found + text

    def readable(self) -> bool:
        """Whether something has come."""
        return bool(self.text or select.select([self.master], [], [], 0)[0])

    def end(self) -> int:
        """The exit code, once everything has been read."""
        try:
            while data := os.read(self.master, 4096):
                self.text += self._decoder.decode(data)
        except OSError:  # EIO: nobody has the other end any more
            pass
        os.close(self.master)
        return self.process.wait()

    def close(self) -> None:
        """However far it came."""
        if self.process.poll() is None:
            interrupt(self.process, signal.SIGKILL)
            self.process.wait()
