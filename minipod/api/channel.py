"""Packets with descriptors between minipod's processes: a SOCK_SEQPACKET unix socket (unix(7))."""

import array
import os
import socket
import sys

from minipod.errors import Unreachable

READY = b"ready"  # the first packet of a process that was started and can be used now
MAX_PACKET = 4 << 20
MAX_FDS = 16


class Channel:
    """One end. A packet is one encoded message; descriptors travel beside it (SCM_RIGHTS) and arrive close-on-exec."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        try:
            # The default (net.core.wmem_default, about 200 KiB) is less than a large pod's manifest;
            # SO_SNDBUFFORCE may exceed the maximum, given CAP_NET_ADMIN.
            sock.setsockopt(socket.SOL_SOCKET, 32, MAX_PACKET)  # 32: SO_SNDBUFFORCE
        except OSError:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_PACKET)

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(a), cls(b)

    @classmethod
    def connect(cls, path: str) -> "Channel":
        """Raises Unreachable if nobody listens at `path`."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with short_path(path) as short:
                sock.connect(short)
        except OSError as error:
            sock.close()
            raise Unreachable(f"connect to {path}: {error.strerror}") from error
        return cls(sock)

    def fileno(self) -> int:
        return self.sock.fileno()

    def send(self, packet: bytes, fds: tuple[int, ...] = ()) -> None:
        """Raises Unreachable when the other end is gone."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self.sock.sendmsg([packet], rights, socket.MSG_NOSIGNAL)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Unreachable(f"the other end is gone: {error.strerror}") from error

    def recv(self) -> tuple[bytes, list[int]]:
        """The next packet and its descriptors; (b"", []) when the other end is gone."""
        room = socket.CMSG_SPACE(MAX_FDS * 4)
        try:
            packet, control, _, _ = self.sock.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:
            # Said once, and first, if the other end closed before it had read everything (unix_release_sock() in
            # net/unix/af_unix.c): what it had sent before is still to come.
            packet, control, _, _ = self.sock.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
        fds = array.array("i")
        for level, kind, data in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
        return packet, list(fds)

    def peer(self) -> int:
        """The pid of who made the other end, as it was then (SO_PEERCRED, unix(7))."""
        credentials = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int.from_bytes(credentials[:4], sys.byteorder)

    def close(self) -> None:
        self.sock.close()


class short_path:
    """A name for `path` that fits sun_path's 108 bytes, however deep the folder: through /proc/self/fd."""

    def __init__(self, path: str) -> None:
        self.path, self.fd = path, -1

    def __enter__(self) -> str:
        if len(self.path.encode()) < 108:
            return self.path
        folder, name = os.path.split(self.path)
        self.fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self.fd}/{name}"

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def listen(path: str) -> socket.socket:
    """A listening packet socket at `path`, mode 0600; one that a dead process left there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with short_path(path) as short:
        if os.path.exists(short):
            os.unlink(short)
        sock.bind(short)
        os.chmod(short, 0o600)
    sock.listen(64)
    return sock
