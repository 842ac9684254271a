"""Neighbours, and every socket of a network namespace: sock_diag(7), asked as kernel/netlink.py asks rtnetlink."""

import errno
import socket
from typing import Any

import msgspec
from pyroute2.netlink.diag import inet_diag_msg, inet_diag_req, unix_diag_msg, unix_diag_req
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from minipod.errors import KernelError
from minipod.kernel.netlink import Netlink

_BY_FAMILY, _GETNEIGH = 20, 30  # SOCK_DIAG_BY_FAMILY, RTM_GETNEIGH
_NETLINK_SOCK_DIAG = 4
_PROTOCOLS = {
    "tcp": socket.IPPROTO_TCP,
    "udp": socket.IPPROTO_UDP,
    "sctp": socket.IPPROTO_SCTP,
    "raw": socket.IPPROTO_RAW,
}
# net/tcp_states.h; UDP uses two of them: CLOSE for a socket that receives from anybody, and ESTABLISHED.
_STATES = {
    1: "ESTABLISHED",
    2: "SYN_SENT",
    3: "SYN_RECV",
    4: "FIN_WAIT1",
    5: "FIN_WAIT2",
    7: "CLOSE",
    8: "CLOSE_WAIT",
    9: "LAST_ACK",
    10: "LISTEN",
    11: "CLOSING",
    12: "NEW_SYN_RECV",
}
_WANTED = sum(1 << number for number in _STATES)  # not 6, TIME_WAIT: nobody has that socket any more
_UNIX_TYPES = {
    socket.SOCK_STREAM: "unix",
    socket.SOCK_DGRAM: "unix-dgram",
    socket.SOCK_SEQPACKET: "unix-seqpacket",
}
_SHOW_NAME, _SHOW_FILE, _SHOW_PEER, _SHOW_QUEUES = 0x01, 0x02, 0x04, 0x10  # linux/unix_diag.h, UDIAG_SHOW_*
# include/uapi/linux/neighbour.h, NUD_*
_NEIGHBOUR_STATES = {
    0x01: "INCOMPLETE",
    0x02: "REACHABLE",
    0x04: "STALE",
    0x08: "DELAY",
    0x10: "PROBE",
    0x20: "FAILED",
    0x80: "PERMANENT",
}


class Socket(msgspec.Struct, frozen=True):
    """One socket. `inode` is what /proc/PID/fd shows as socket:[inode]; 0: no process has it (yet).

    `receive` and `send` are bytes in its queues; of a listening one connections that wait, and how many may.
    """

    protocol: str  # tcp, udp, sctp, raw
    state: str
    address: str
    port: int
    peer: str  # "0.0.0.0" or "::" without one
    peer_port: int
    receive: int
    send: int
    uid: int  # as seen from our user namespace
    inode: int


class UnixSocket(msgspec.Struct, frozen=True):
    """One unix(7) socket. `receive` and `send` as for Socket; `peer` is the inode of the other end, 0 without one."""

    protocol: str  # unix, unix-dgram, unix-seqpacket
    state: str
    name: str  # a path, @NAME for an abstract one, "" without a name
    peer: int
    receive: int
    send: int
    inode: int


class Neighbour(msgspec.Struct, frozen=True):
    """One entry of the ARP or NDP table of the link with that index; `mac` is "" while it isn't known."""

    index: int
    address: str
    mac: str
    state: str


class Neighbours(Netlink):
    """A routing socket that is asked for the neighbours, too."""

    def neighbours(self) -> list[Neighbour]:
        """Every neighbour that was resolved, or tried; as ip-neighbour(8), without those that need no resolving."""
        return [each for data in self._dump(_GETNEIGH, ndmsg()) if (each := _neighbour(data))]


class SocketDiagnostics(Netlink):
    """A diagnostics socket of the network namespace of `netns_fd`, or of the one that the caller is in."""

    PROTOCOL = _NETLINK_SOCK_DIAG

    def sockets(self) -> list[Socket]:
        """Every IPv4 and IPv6 socket that is bound, listens or is connected, of the protocols this kernel can tell of.

        Source: linux/inet_diag.h. A protocol's module (tcp_diag, udp_diag ...) is loaded by the kernel when asked for.
        """
        return [
            _socket(protocol, data)
            for protocol in _PROTOCOLS
            for family in (socket.AF_INET, socket.AF_INET6)
            for data in self._of(protocol, family)
        ]

    def unix_sockets(self) -> list[UnixSocket]:
        """Every unix socket that was made in the namespace. Source: linux/unix_diag.h."""
        request = unix_diag_req()
        request["sdiag_family"], request["udiag_states"] = socket.AF_UNIX, _WANTED
        request["udiag_show"] = _SHOW_NAME | _SHOW_FILE | _SHOW_PEER | _SHOW_QUEUES
        return [_unix_socket(data) for data in self._known(request)]

    def _of(self, protocol: str, family: int) -> list[bytes]:
        request = inet_diag_req()
        request["sdiag_family"], request["sdiag_protocol"] = family, _PROTOCOLS[protocol]
        request["idiag_states"] = _WANTED
        return self._known(request)

    def _known(self, request: Any) -> list[bytes]:
        """The answers; none if this kernel hasn't the module for that."""
        try:
            return self._dump(_BY_FAMILY, request)
        except KernelError as error:
            if error.errno == errno.ENOENT:
                return []
            raise


def _socket(protocol: str, data: bytes) -> Socket:
    message = inet_diag_msg(data)
    message.decode()
    return Socket(
        protocol=protocol,
        state=_STATES.get(message["idiag_state"], str(message["idiag_state"])),
        address=message["idiag_src"],
        port=message["idiag_sport"],
        peer=message["idiag_dst"],
        peer_port=message["idiag_dport"],
        receive=message["idiag_rqueue"],
        send=message["idiag_wqueue"],
        uid=message["idiag_uid"],
        inode=message["idiag_inode"],
    )


def _unix_socket(data: bytes) -> UnixSocket:
    message = unix_diag_msg(data)
    message.decode()
    name, queues = message.get_attr("UNIX_DIAG_NAME") or "", message.get_attr("UNIX_DIAG_RQLEN")
    abstract = name and not message.get_attr(
        "UNIX_DIAG_VFS"
    )  # a path has an inode (pyroute2 drops the leading NUL)
    return UnixSocket(
        protocol=_UNIX_TYPES.get(message["udiag_type"], "unix"),
        state=_STATES.get(message["udiag_state"], str(message["udiag_state"])),
        name=f"@{name}" if abstract else name,
        peer=message.get_attr("UNIX_DIAG_PEER") or 0,
        receive=queues["udiag_rqueue"] if queues else 0,
        send=queues["udiag_wqueue"] if queues else 0,
        inode=message["udiag_ino"],
    )


def _neighbour(data: bytes) -> Neighbour | None:
    message = ndmsg(data)
    message.decode()
    state = _NEIGHBOUR_STATES.get(message["state"])
    address = message.get_attr("NDA_DST")
    if not state or not address:
        return None
    return Neighbour(message["ifindex"], address, message.get_attr("NDA_LLADDR") or "", state)
