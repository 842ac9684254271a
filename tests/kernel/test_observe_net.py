"""Who has which socket in a network namespace, and what else is there, compared with /proc and iproute2."""

import json
import os
import socket
import subprocess

import pytest

from minipod.kernel import netlink, process, syscalls
from minipod.kernel.netlink import Netlink
from minipod.observe import net
from minipod.observe.members import Holder, Member
from tests.kernel.child import resident
from tests.support.namespaces import isolated

pytestmark = isolated


def member(name: str, *pids: int) -> Member:
    return Member(name, pids[0], "", pids)


def new_network() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNET)
    with Netlink() as inside:
        inside.set_up(netlink.LOOPBACK)


def join(pid: int) -> None:
    pidfd = process.pidfd_open(pid)
    syscalls.setns(pidfd, syscalls.CLONE_NEWNET, "the pod")
    os.close(pidfd)


def listening(port: int, backlog: int = 5) -> socket.socket:
    sock = socket.create_server(("127.0.0.1", port), backlog=backlog)
    sock.set_inheritable(True)
    return sock


def serving(port: int):
    def prepare() -> socket.socket:
        new_network()
        return listening(port)

    return prepare


def inodes_of(pid: int) -> set[str]:
    return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}


def named(found: net.Network, state: str = "LISTEN") -> dict[str, list[str]]:
    """Who has the sockets in a state, by their own address."""
    return {each.local: [x.container for x in each.holders] for each in found.sockets if each.state == state}


def test_a_listening_socket_is_told_with_the_process_that_has_it(start):
    pid = start(serving(80))
    (found,) = net.look([member("web", pid)]).sockets
    assert (found.protocol, found.state, found.local, found.peer) == ("tcp", "LISTEN", "127.0.0.1:80", "")
    assert [(each.container, each.pid) for each in found.holders] == [("web", pid)]
    assert f"socket:[{found.inode}]" in inodes_of(pid)


def test_each_end_of_a_connection_is_its_containers(start):
    web = start(serving(80))

    def connect() -> socket.socket:
        join(web)
        return socket.create_connection(("127.0.0.1", 80))

    client = start(connect)
    found = net.look([member("web", web), member("client", client)])
    (end,) = [each for each in found.sockets if each.state == "ESTABLISHED" and each.holders]
    assert (end.peer, [each.container for each in end.holders]) == ("127.0.0.1:80", ["client"])


def test_what_waits_at_a_listening_socket_is_counted(start):
    def prepare() -> list[socket.socket]:
        new_network()
        return [listening(80, backlog=7), *(socket.create_connection(("127.0.0.1", 80)) for _ in range(2))]

    found = net.look([member("web", start(prepare))])
    assert [(each.receive, each.send) for each in found.sockets if each.state == "LISTEN"] == [(2, 7)]


def test_a_socket_that_was_inherited_is_both_processes(start):
    pids = os.pipe()

    def prepare() -> socket.socket:
        new_network()
        sock = listening(80)
        os.write(pids[1], str(resident(lambda: sock)).encode())
        return sock

    parent = start(prepare)
    child = int(os.read(pids[0], 16))
    (found,) = net.look([member("web", parent, child)]).sockets
    assert {each.pid for each in found.holders} == {parent, child}


def test_a_datagram_socket_is_told_too(start):
    def prepare() -> socket.socket:
        new_network()
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.bind(("::1", 53))
        return sock

    (found,) = net.look([member("dns", start(prepare))]).sockets
    assert (found.protocol, found.local, found.state) == ("udp", "[::1]:53", "CLOSE")


def test_somebody_from_outside_who_has_a_socket_in_the_pod_is_called_so(start):
    pid = start(new_network)

    def intrude() -> socket.socket:
        join(pid)
        return listening(23)

    start(intrude)
    assert named(net.look([member("web", pid)])) == {"127.0.0.1:23": ["(outside)"]}


def test_of_the_hosts_own_network_only_the_pods_sockets_are_told(start):
    with Netlink() as here:
        here.set_up(netlink.LOOPBACK)
    pid = start(lambda: listening(80))
    with listening(22):
        found = net.look([member("web", pid)])
    assert (found.host, list(named(found))) == (True, ["127.0.0.1:80"])


@pytest.fixture
def wired(start):
    """A pod's network as it is built: eth0 on a bridge, with an address and a way out."""
    pid = start(new_network)
    with Netlink() as host:
        bridge = host.ensure_bridge("minipod0", [("10.9.0.1", 24)])
        fd = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
        host.create_veth("mpod1", bridge, fd)
    with Netlink(fd) as inside:
        eth0 = inside.index("eth0")
        inside.add_address(eth0, "10.9.0.2", 24)
        inside.set_up(eth0)
        inside.add_default_route(eth0, "10.9.0.1")
    os.close(fd)
    return pid


def ip_in(pid: int, *words: str) -> list[dict]:
    done = subprocess.run(
        ["nsenter", "-t", str(pid), "-n", "ip", "-j", *words], check=True, capture_output=True
    )
    return json.loads(done.stdout or "[]")


def test_an_interface_is_told_with_its_other_end_and_the_bridge_of_that(wired):
    (eth0,) = [each for each in net.look([member("web", wired)]).interfaces if each.name == "eth0"]
    (link,) = ip_in(wired, "link", "show", "eth0")
    assert (eth0.mac, eth0.mtu, eth0.peer, eth0.bridge) == (link["address"], link["mtu"], "mpod1", "minipod0")
    assert "10.9.0.2/24" in eth0.addresses


def test_routes_are_those_of_the_main_table(wired):
    found = net.look([member("web", wired)]).routes
    assert {(each.destination, each.gateway) for each in found if ":" not in each.destination} == {
        (route["dst"], route.get("gateway", "")) for route in ip_in(wired, "-4", "route")
    }


def test_neighbours_are_those_that_ip_shows(wired):
    ip_in(wired, "neigh", "add", "10.9.0.7", "lladdr", "02:00:00:00:00:07", "dev", "eth0", "nud", "permanent")
    found = net.look([member("web", wired)]).neighbours
    assert [
        (each.address, each.mac, each.interface, each.state) for each in found if "." in each.address
    ] == [("10.9.0.7", "02:00:00:00:00:07", "eth0", "PERMANENT")]


def test_whoever_looks_stays_in_their_own_namespace(wired):
    before = os.stat("/proc/thread-self/ns/net").st_ino
    assert net.look([member("web", wired)]).namespace != before
    assert os.stat("/proc/thread-self/ns/net").st_ino == before


def test_there_is_no_network_of_somebody_who_has_ended():
    assert net.look([member("web", 1 << 22)]) is None


def test_a_person_reads_who_listens_and_where_the_cable_ends(wired, start):
    def prepare() -> socket.socket:
        join(wired)
        return listening(80)

    server = start(prepare)
    text = net.as_text(net.look([member("pause", wired), member("web", server)]), 200)
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line.strip()}
    assert rows["tcp"][1:3] == ["LISTEN", "web"]
    assert "127.0.0.1:80" in rows["tcp"]
    assert rows["eth0"][-4:] == ["mpod1,", "port", "of", "minipod0"]


# --- unix sockets


def test_a_unix_socket_is_told_with_its_path_and_both_ends(start, tmp_path):
    path, pids = str(tmp_path / "sock"), os.pipe()

    def serve() -> list[socket.socket]:
        new_network()
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(path)
        sock.listen()

        def connect() -> socket.socket:
            sock.close()
            end = socket.socket(socket.AF_UNIX)
            end.connect(path)
            return end

        os.write(pids[1], str(resident(connect)).encode())
        return [sock, sock.accept()[0]]

    web = start(serve)
    client = int(os.read(pids[0], 16))
    found = net.look([member("web", web), member("client", client)]).sockets
    assert {(each.state, each.local, each.peer, each.holders[0].pid) for each in found} == {
        ("LISTEN", path, "", web),
        ("ESTABLISHED", path, str(Holder("client", client, found[0].holders[0].command)), web),
        ("ESTABLISHED", "", path, client),
    }
    assert {each.protocol for each in found} == {"unix"}


def test_a_name_in_the_abstract_namespace_begins_with_an_at(start):
    def bind() -> socket.socket:
        new_network()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sock.bind("\0minipod\x1b")
        return sock

    (found,) = net.look([member("web", start(bind))]).sockets
    assert (found.protocol, found.local) == ("unix-dgram", "@minipod\N{REPLACEMENT CHARACTER}")


def test_a_pair_that_a_program_made_for_itself_is_left_out(start):
    def pair() -> tuple[socket.socket, socket.socket]:
        new_network()
        return socket.socketpair()

    assert net.look([member("web", start(pair))]).sockets == ()


def test_an_escape_sequence_in_the_name_of_an_interface_does_not_reach_the_terminal(start):
    def prepare() -> None:
        new_network()
        subprocess.run(["ip", "link", "add", "\x1b[31m", "type", "bridge"], check=True)

    seen = net.look([member("app", start(prepare))])
    assert "\ufffd[31m" in [each.name for each in seen.interfaces]
