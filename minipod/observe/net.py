"""A pod's network: links, addresses, routes, neighbours, and every socket with the process that has it."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from minipod.observe import members as who
from minipod.observe.members import Holder, Member
from minipod.observe.text import Row, printable, table

if TYPE_CHECKING:  # pyroute2 takes 0.2 s to import: not before somebody looks
    from minipod.kernel import diag
    from minipod.kernel.netlink import Address, Link, Netlink, Route

_LOCAL_TABLE = 255  # what the kernel derives from the addresses


class Interface(msgspec.Struct, frozen=True):
    """One network interface. `peer` is the other end of its veth on the host, `bridge` what that one is a port of."""

    index: int
    name: str
    kind: str  # veth, bridge ...; "" for lo
    up: bool
    mac: str
    mtu: int
    addresses: tuple[str, ...]  # with prefix length
    peer: str = ""
    bridge: str = ""


class PodRoute(msgspec.Struct, frozen=True):
    """One route, of any table but the local one."""

    destination: str
    gateway: str  # "" where the link leads there itself
    interface: str
    table: int


class Neighbour(msgspec.Struct, frozen=True):
    """One entry of the ARP or NDP table."""

    address: str
    mac: str
    interface: str
    state: str


class Socket(msgspec.Struct, frozen=True):
    """One socket of the namespace. `holders` is empty where no process has it: it is being closed, say."""

    protocol: str  # tcp, udp, sctp, raw, unix, unix-dgram, unix-seqpacket
    state: str
    local: str  # address:port; a path, or @NAME in the abstract namespace
    peer: str  # "" without one; who has the other end, where that has no name
    receive: int  # bytes in its queue; of a listening one connections that wait to be accepted
    send: int  # bytes in its queue; of a listening one how many may wait
    uid: int | None  # None for unix sockets
    inode: int
    holders: tuple[Holder, ...]


class Network(msgspec.Struct, frozen=True):
    """One network namespace. Of the host's own, only the pod's sockets are told."""

    namespace: int  # inode
    host: bool
    interfaces: tuple[Interface, ...]
    routes: tuple[PodRoute, ...]
    neighbours: tuple[Neighbour, ...]
    sockets: tuple[Socket, ...]


def look(members: Sequence[Member]) -> Network | None:
    """The network namespace of the first member that lives; None if nobody does. Needs CAP_SYS_ADMIN to enter it."""
    from minipod.kernel import diag
    from minipod.kernel.netlink import Netlink

    fd = who.open_namespace(members, "net")
    if fd < 0:
        return None
    try:
        with diag.Neighbours(fd) as netlink, diag.SocketDiagnostics(fd) as diagnostics, Netlink() as host:
            return _network(os.fstat(fd).st_ino, members, netlink, diagnostics, host)
    finally:
        os.close(fd)


def _network(
    inode: int,
    members: Sequence[Member],
    netlink: "diag.Neighbours",
    diagnostics: "diag.SocketDiagnostics",
    host: "Netlink",
) -> Network:
    links, addresses = netlink.links(), netlink.addresses()
    names = {link.index: printable(link.name) for link in links}
    is_host = inode == os.stat("/proc/self/ns/net").st_ino
    outside = {} if is_host else {link.index: link for link in host.links()}
    return Network(
        namespace=inode,
        host=is_host,
        interfaces=tuple(_interface(link, addresses, outside) for link in links),
        routes=tuple(_route(each, names) for each in netlink.routes() if each.table != _LOCAL_TABLE),
        neighbours=tuple(
            Neighbour(each.address, each.mac, names.get(each.index, str(each.index)), each.state)
            for each in netlink.neighbours()
        ),
        sockets=_sockets(diagnostics.sockets(), diagnostics.unix_sockets(), members, is_host),
    )


def _interface(link: "Link", addresses: Sequence["Address"], outside: dict[int, "Link"]) -> Interface:
    # The index of a veth's other end is one of that end's namespace: only a link that points back is meant.
    other = outside.get(link.peer) if link.kind == "veth" else None
    other = other if other and (other.kind, other.peer) == ("veth", link.index) else None
    bridge = outside.get(other.master) if other else None
    return Interface(
        index=link.index,
        name=printable(link.name),
        kind=link.kind,
        up=link.up,
        mac=link.mac,
        mtu=link.mtu,
        addresses=tuple(f"{each.address}/{each.prefix}" for each in addresses if each.index == link.index),
        peer=other.name if other else "",
        bridge=bridge.name if bridge else "",
    )


def _route(route: "Route", names: dict[int, str]) -> PodRoute:
    return PodRoute(route.destination, route.gateway, names.get(route.index, ""), route.table)


def _sockets(
    found: Sequence["diag.Socket"],
    unix: Sequence["diag.UnixSocket"],
    members: Sequence[Member],
    is_host: bool,
) -> tuple[Socket, ...]:
    """Listening ones first. Whoever has a socket that is no member's has entered the namespace from outside."""
    having = who.holders(members, who.sockets)
    inodes = {0, *(each.inode for each in found), *(each.inode for each in unix)} - {0}
    if not is_host and not inodes <= having.keys():
        ours = {pid for member in members for pid in member.pids}
        others = tuple(
            pid for name in os.listdir("/proc") if name.isdecimal() and (pid := int(name)) not in ours
        )
        having = who.holders((Member("(outside)", 0, "", others),), who.sockets) | having
    sockets = [*(_inet(each, having) for each in found), *_unix(unix, having)]
    return tuple(
        sorted(
            (each for each in sockets if not is_host or each.holders),
            key=lambda each: (each.state != "LISTEN", each.protocol.startswith("unix")),
        )
    )


_Holders = dict[int, tuple[Holder, ...]]


def _inet(each: "diag.Socket", having: _Holders) -> Socket:
    return Socket(
        protocol=each.protocol,
        state=each.state,
        local=_endpoint(each.address, each.port),
        peer=_endpoint(each.peer, each.peer_port) if each.peer_port else "",
        receive=each.receive,
        send=each.send,
        uid=each.uid,
        inode=each.inode,
        holders=having.get(each.inode, ()),
    )


def _unix(found: Sequence["diag.UnixSocket"], having: _Holders) -> Iterator[Socket]:
    """Those that have a name, and those connected to one of these: not the pairs that a program makes for itself."""
    names = {each.inode: each.name for each in found}
    for each in found:
        peer = names.get(each.peer, "")
        if each.name or peer:
            yield Socket(
                protocol=each.protocol,
                state=each.state,
                local=printable(each.name),
                peer=printable(peer) or " ".join(map(str, having.get(each.peer, ()))),
                receive=each.receive,
                send=each.send,
                uid=None,
                inode=each.inode,
                holders=having.get(each.inode, ()),
            )


def _endpoint(address: str, port: int) -> str:
    """As ss(8) writes it: an IPv6 address in brackets, a star for no port."""
    return f"[{address}]:{port or '*'}" if ":" in address else f"{address}:{port or '*'}"


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(network: Network | None, width: int) -> str:
    """Tables of at most `width` columns; none for what there is none of."""
    if network is None:
        return "NETWORK\nnobody in the pod runs"
    interfaces = [row for each in network.interfaces for row in _interface_rows(each)]
    routes = [
        (each.destination, each.gateway or "-", each.interface, _table(each.table)) for each in network.routes
    ]
    neighbours = [(each.address, each.mac or "-", each.interface, each.state) for each in network.neighbours]
    tables: list[tuple[Row, Sequence[Row]]] = [
        (
            ("NETWORK",),
            [("the host's own: of its sockets, only the pod's are shown",)] if network.host else [],
        ),
        (("INTERFACE", "STATE", "ADDRESS", "MAC", "MTU", "ON THE HOST"), interfaces),
        (("ROUTE", "VIA", "INTERFACE", "TABLE"), routes),
        (("NEIGHBOUR", "MAC", "INTERFACE", "STATE"), neighbours),
        (
            ("SOCKET", "STATE", "CONTAINER", "PROCESS", "LOCAL", "PEER"),
            [_socket_row(each) for each in network.sockets],
        ),
    ]
    return "\n\n".join(table(head, rows, width) for head, rows in tables if rows)


def _interface_rows(interface: Interface) -> list[Row]:
    """A line for each address."""
    outside = f"{interface.peer}, port of {interface.bridge}" if interface.bridge else interface.peer
    first, *others = interface.addresses or ("-",)
    state = "UP" if interface.up else "DOWN"
    lines: list[Row] = [
        (interface.name, state, first, interface.mac or "-", str(interface.mtu), outside or "-")
    ]
    return lines + [("", "", address, "", "", "") for address in others]


def _table(number: int) -> str:
    return {254: "main", 253: "default"}.get(number, str(number))  # /etc/iproute2/rt_tables


def _socket_row(socket: Socket) -> Row:
    containers = " ".join(dict.fromkeys(each.container for each in socket.holders))
    processes = " ".join(f"{each.command}({each.pid})" for each in socket.holders)
    return (
        socket.protocol,
        socket.state,
        containers or "-",
        processes or "-",
        socket.local,
        socket.peer or "-",
    )
