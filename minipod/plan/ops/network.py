"""Network operations, run in the netlink worker: the pair on the host, everything else inside the pod's namespace."""

from minipod.names import mark
from minipod.plan.core import Context, HostOp, Netlink, Op
from minipod.plan.undo import DeleteLink, Undo
from minipod.plan.words import ADDRESS6, PAUSE, quote

_INSIDE = f"nsenter --target {quote(PAUSE)} --net ip"


def _worker(context: Context) -> Netlink:
    assert context.netlink is not None, "network operations run in the netlink worker"
    return context.netlink


class CreateVeth(HostOp, frozen=True):
    """A pair of interfaces: `name` on the bridge, up; `eth0` in the pod, made there by the same request.

    (Moving an existing interface to another namespace waits for an RCU grace period, about 16 ms.)
    """

    name: str
    bridge: str
    mtu: int = 1500

    def run(self, context: Context) -> None:
        _worker(context).create_veth(self.name, self.bridge, context.fds["sandbox.net"], self.mtu)

    def explain(self) -> str:
        return (
            f"ip link add {quote(self.name)} address {mark(self.name)} mtu {self.mtu} master {self.bridge} up"
            f" type veth peer name eth0 mtu {self.mtu} netns {quote(PAUSE)}"
        )

    def undo(self) -> Undo:
        return DeleteLink(self.name)


class LinkUp(Op, frozen=True):
    """Raise an interface of the pod. In a new namespace lo is interface 1 and eth0 interface 2."""

    name: str

    def run(self, context: Context) -> None:
        _worker(context).configure(context.fds["sandbox.net"], "up", self.name)

    def explain(self) -> str:
        return f"{_INSIDE} link set {self.name} up"


class AddAddress(Op, frozen=True):
    """An address for eth0. IPv6 without duplicate address detection, which would hold it back for two seconds."""

    address: str  # with prefix length

    def run(self, context: Context) -> None:
        _worker(context).configure(context.fds["sandbox.net"], "address", self.address)

    def explain(self) -> str:
        nodad = " nodad" if ":" in self.address or ADDRESS6 in self.address else ""
        return f"{_INSIDE} address add {quote(self.address)} dev eth0{nodad}"


class AddDefaultRoute(Op, frozen=True):
    """Everything beyond the bridge's subnet goes through the bridge."""

    gateway: str

    def run(self, context: Context) -> None:
        _worker(context).configure(context.fds["sandbox.net"], "route", self.gateway)

    def explain(self) -> str:
        return f"{_INSIDE} {'-6 ' if ':' in self.gateway else ''}route add default via {self.gateway}"


NetOp = CreateVeth | LinkUp | AddAddress | AddDefaultRoute
