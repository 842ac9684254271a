"""Links, addresses and routes, over rtnetlink(7).

pyroute2 knows the messages; the socket is ours: a request is one send and one receive, in the calling thread, and a
socket in a pod's namespace costs 0.05 ms. (pyroute2's IPRoute starts an event loop for each: 1 ms, and half a
millisecond for every request.) Importing pyroute2 takes 0.2 s: only the warm netlink worker, observers and tests do.

A socket belongs for ever to the network namespace it was made in, wherever its process goes afterwards.
"""

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from typing import Any, Self

import msgspec
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from minipod.errors import KernelError
from minipod.kernel.syscalls import CLONE_NEWNET, setns
from minipod.names import mark

LOOPBACK = 1  # lo has this index in every network namespace

# linux/rtnetlink.h, linux/netlink.h
_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _GETADDR, _NEWROUTE, _GETROUTE = 16, 17, 18, 20, 22, 24, 26
_NAMES = {16: "RTM_NEWLINK", 17: "RTM_DELLINK", 18: "RTM_GETLINK", 20: "RTM_NEWADDR", 24: "RTM_NEWROUTE"}
_REQUEST, _ACK, _DUMP_INTERRUPTED, _EXCLUSIVE, _DUMP, _CREATE = 0x1, 0x4, 0x10, 0x200, 0x300, 0x400
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR, _DONE = 2, 3
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_ERROR_MESSAGE = 1  # NLMSGERR_ATTR_MSG
_UP, _NO_DAD, _TENTATIVE = 0x1, 0x02, 0x40
_MAIN_TABLE, _BOOT, _UNICAST = 254, 3, 1
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port


class Link(msgspec.Struct, frozen=True):
    """One network interface. `master` is the index of the bridge it is a port of, `peer` that of a veth's other end."""

    index: int
    name: str
    kind: str
    up: bool
    mac: str
    alias: str
    mtu: int
    master: int
    peer: int


class Address(msgspec.Struct, frozen=True):
    """One address of the link with that index. A tentative one can't be used yet (duplicate address detection)."""

    index: int
    address: str
    prefix: int
    tentative: bool


class Route(msgspec.Struct, frozen=True):
    """One route. `destination` is "default" or as 10.244.0.0/24; `gateway` is "" where the link leads there itself."""

    index: int
    destination: str
    gateway: str
    table: int


@contextlib.contextmanager
def entered(netns_fd: int) -> Iterator[None]:
    """Be in another network namespace: sockets made meanwhile are of it, /proc/sys/net is its. This thread only."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(netns_fd, CLONE_NEWNET, "network namespace")
        try:
            yield
        finally:
            setns(home, CLONE_NEWNET, "the network namespace it came from")
    finally:
        os.close(home)


class Netlink:
    """A routing socket of the network namespace of `netns_fd`, or of the one that the caller is in."""

    PROTOCOL = 0  # NETLINK_ROUTE

    def __init__(self, netns_fd: int = -1) -> None:
        with entered(netns_fd) if netns_fd >= 0 else contextlib.nullcontext():
            self._socket = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, self.PROTOCOL
            )
        self._socket.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # --- links -------------------------------------------------------------------------------------------------------

    def index(self, name: str) -> int:
        """The index of a link, 0 if there is none of that name. (eth0 is 2 only where no module adds tunnels.)"""
        reply = self._get(name)
        return int(struct.unpack_from("=i", reply, _HEADER.size + 4)[0]) if reply else 0

    def link(self, name: str) -> Link | None:
        """Everything about one link, None if there is none of that name."""
        reply = self._get(name)
        return _link(reply) if reply else None

    def ensure_bridge(self, name: str, addresses: Iterable[tuple[str, int]], alias: str = "") -> int:
        """Have a bridge of ours, up, with these addresses (and prefix lengths). Returns its index.

        EEXIST: a link of that name is there that doesn't bear our mark; it is left alone.
        """
        link = self.link(name)
        if link and (link.kind != "bridge" or link.mac != mark(name)):
            hint = "minipod did not make it: remove it, or give minipod another bridge name"
            raise KernelError(errno.EEXIST, "RTM_NEWLINK", f"bridge {name}", hint)
        if not link:
            kind = {"attrs": [("IFLA_INFO_KIND", "bridge")]}
            attributes = [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mark(name)), ("IFLA_LINKINFO", kind)]
            self._link_request(_NEWLINK, f"bridge {name}", attributes, flags=_CREATE | _EXCLUSIVE)
        index = link.index if link else self.index(name)
        alias_attribute = [("IFLA_IFALIAS", alias)] if alias else []
        self._link_request(_NEWLINK, f"bridge {name} up", alias_attribute, index=index, up=True)
        for address, prefix in addresses:
            with _accepting(errno.EEXIST):
                self.add_address(index, address, prefix)
        return index

    def create_veth(
        self, name: str, bridge: int, netns_fd: int, peer: str = "eth0", mtu: int = 0, alias: str = ""
    ) -> None:
        """Make a pair: `name` here, up, a port of the bridge of that index; `peer`, down, in the namespace of netns_fd.

        One request makes all of it: moving a link to another namespace later takes 16 ms. (`alias`, for people, takes a
        second one.) The pair goes with either end, so also with the pod's namespace.
        """
        size = [("IFLA_MTU", mtu)] if mtu else []
        inside = {"attrs": [("IFLA_IFNAME", peer), ("IFLA_NET_NS_FD", netns_fd), *size]}
        veth = [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", inside)]})]
        attributes = [
            ("IFLA_IFNAME", name),
            ("IFLA_ADDRESS", mark(name)),
            ("IFLA_MASTER", bridge),
            *size,
            ("IFLA_LINKINFO", {"attrs": veth}),
        ]
        self._link_request(_NEWLINK, f"veth {name}", attributes, up=True, flags=_CREATE | _EXCLUSIVE)
        if alias:
            self._link_request(
                _NEWLINK, f"alias of {name}", [("IFLA_IFALIAS", alias)], index=self.index(name)
            )

    def delete_link(self, name: str) -> bool:
        """Delete a link of ours; one that isn't there is success. False: it doesn't bear our mark and is left alone.

        Takes 16-20 ms (the kernel waits for every CPU): where a namespace is about to go, let it take the link along.
        """
        link = self.link(name)
        if link is None:
            return True
        if link.mac != mark(name):
            return False
        with _accepting(errno.ENODEV):
            self._link_request(_DELLINK, f"link {name}", index=link.index)
        return True

    def set_up(self, index: int) -> None:
        """Bring a link up."""
        self._link_request(_NEWLINK, f"link {index} up", index=index, up=True)

    # --- addresses and routes ----------------------------------------------------------------------------------------

    def add_address(self, index: int, address: str, prefix: int) -> None:
        """Add an IPv4 or IPv6 address, usable at once: no duplicate address detection. EEXIST: it is there already."""
        message = ifaddrmsg()
        message["family"], message["index"], message["prefixlen"] = _family(address), index, prefix
        message["flags"] = _NO_DAD if ":" in address else 0
        message["attrs"] = [("IFA_LOCAL", address), ("IFA_ADDRESS", address)]
        self._change(_NEWADDR, message, f"{address}/{prefix} to link {index}", _CREATE | _EXCLUSIVE)

    def add_default_route(self, index: int, gateway: str) -> None:
        """Send what isn't for a network of this namespace's links to `gateway`, through a link that is up already."""
        message = rtmsg()
        message["family"], message["table"] = _family(gateway), _MAIN_TABLE
        message["proto"], message["type"] = _BOOT, _UNICAST
        message["attrs"] = [("RTA_GATEWAY", gateway), ("RTA_OIF", index)]
        self._change(_NEWROUTE, message, f"default via {gateway}", _CREATE | _EXCLUSIVE)

    # --- what there is -----------------------------------------------------------------------------------------------

    def links(self) -> list[Link]:
        """Every link of the namespace."""
        return [_link(data) for data in self._dump(_GETLINK, ifinfmsg())]

    def addresses(self) -> list[Address]:
        """Every IPv4 and IPv6 address of the namespace."""
        return [_address(data) for data in self._dump(_GETADDR, ifaddrmsg())]

    def routes(self) -> list[Route]:
        """Every IPv4 and IPv6 route of the namespace, all tables."""
        found = []
        for family in (socket.AF_INET, socket.AF_INET6):
            message = rtmsg()
            message["family"] = family
            found += [_route(data) for data in self._dump(_GETROUTE, message)]
        return found

    # --- messages ----------------------------------------------------------------------------------------------------

    def _link_request(
        self,
        kind: int,
        obj: str,
        attributes: Iterable[tuple[str, object]] = (),
        index: int = 0,
        up: bool = False,
        flags: int = 0,
    ) -> None:
        message = ifinfmsg()
        message["index"], message["attrs"] = index, list(attributes)
        if up:
            message["flags"] = message["change"] = _UP
        self._change(kind, message, obj, flags)

    def _get(self, name: str) -> bytes:
        """The answer to RTM_GETLINK by name, b"" if there is none of it."""
        message = ifinfmsg()
        message["attrs"] = [("IFLA_IFNAME", name)]
        self._send(_GETLINK, message, 0)
        for kind, _, data in self._receive():
            if kind != _ERROR:
                return data
            with _accepting(errno.ENODEV):
                _raise_error(data, "RTM_GETLINK", f"link {name}")
        return b""

    def _change(self, kind: int, message: Any, obj: str, flags: int) -> None:
        self._send(kind, message, _ACK | flags)
        for answer, _, data in self._receive():
            if answer == _ERROR:
                _raise_error(data, _NAMES[kind], obj)

    def _dump(self, kind: int, message: Any) -> list[bytes]:
        while True:  # until it isn't interrupted by a change
            self._send(kind, message, _DUMP)
            found, interrupted, done = [], False, False
            while not done:
                for answer, flags, data in self._receive():
                    interrupted |= bool(flags & _DUMP_INTERRUPTED)
                    if answer == _ERROR:
                        _raise_error(data, "dump", "links, addresses, routes or sockets")
                    if answer == _DONE:
                        done = True
                    else:
                        found.append(data)
            if not interrupted:
                return found

    def _send(self, kind: int, message: Any, flags: int) -> None:
        self._sequence += 1
        header = message["header"]
        header["type"], header["flags"], header["sequence_number"] = kind, _REQUEST | flags, self._sequence
        message.reset()
        message.encode()
        self._socket.send(message.data)

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        """The messages of the next datagram that answers the last request: (type, flags, whole message)."""
        answered = False
        while not answered:  # what is left of a request that failed halfway is passed over
            data, position = self._socket.recv(1 << 18), 0
            while position < len(data):
                length, kind, flags, sequence, _ = _HEADER.unpack_from(data, position)
                if sequence == self._sequence:
                    answered = True
                    yield kind, flags, data[position : position + length]
                position += (length + 3) & ~3


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextlib.contextmanager
def _accepting(number: int) -> Iterator[None]:
    try:
        yield
    except KernelError as error:
        if error.errno != number:
            raise


def _raise_error(data: bytes, call: str, obj: str) -> None:
    """Raise what NLMSG_ERROR reports, with the kernel's own words if it has some; 0 is an acknowledgement."""
    number = -struct.unpack_from("=i", data, _HEADER.size)[0]
    if number == 0:
        return
    flags = _HEADER.unpack_from(data)[2]
    # After errno comes the request's header, and with _CAPPED not the rest of the request; then attributes.
    position = _HEADER.size + 4 + (_HEADER.size if flags & _CAPPED else _HEADER.unpack_from(data, 20)[0])
    text = ""
    while flags & _ACK_TLVS and position + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, position)
        if kind == _ERROR_MESSAGE:
            text = data[position + 4 : position + length].rstrip(b"\0").decode("utf-8", "replace")
        position += (length + 3) & ~3
    raise KernelError(number, call, obj, text)


def _decoded(message: Any) -> Any:
    message.decode()
    return message


def _link(data: bytes) -> Link:
    message = _decoded(ifinfmsg(data))
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        kind=(info.get_attr("IFLA_INFO_KIND") if info else None) or "",
        up=bool(message["flags"] & _UP),
        mac=message.get_attr("IFLA_ADDRESS") or "",
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        master=message.get_attr("IFLA_MASTER") or 0,
        peer=message.get_attr("IFLA_LINK") or 0,
    )


def _address(data: bytes) -> Address:
    message = _decoded(ifaddrmsg(data))
    address = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
    return Address(message["index"], address, message["prefixlen"], bool(message["flags"] & _TENTATIVE))


def _route(data: bytes) -> Route:
    message = _decoded(rtmsg(data))
    destination = message.get_attr("RTA_DST")
    return Route(
        index=message.get_attr("RTA_OIF") or 0,
        destination=f"{destination}/{message['dst_len']}" if destination else "default",
        gateway=message.get_attr("RTA_GATEWAY") or "",
        table=message.get_attr("RTA_TABLE") or message["table"],
    )
