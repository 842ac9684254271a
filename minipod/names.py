"""Every name minipod gives to something: paths, cgroups, interfaces, pins. Pure: no I/O.

One setting, MINIPOD_HOME, moves everything elsewhere, so that several nodes run side by side:

    unset             /var/lib/minipod   /run/minipod   /var/log   minipod0    10.244.0.0/24   cgroup minipod
    MINIPOD_HOME=/x   /x/lib             /x/run         /x/log     mp<hash>0   10.<hash>/24    cgroup minipod-<hash>

Below /run nothing survives a boot; /var/lib/minipod does.
"""

import os
import zlib


class Layout:
    """Where one node keeps what; all paths absolute. A plain class: the command line imports it, and little else."""

    home: str  # "" for the machine's own node
    lib: str  # store, images, what a pod has on disk
    run: str  # sockets, locks, saved plans, pins, tmpfs volumes
    log: str  # pods/ below it, in CRI's layout
    etc: str  # node.toml, manifests/
    netns: str  # where `ip netns` looks
    bridge: str  # at most 15 bytes, as every interface name (IFNAMSIZ)
    veth: str  # prefix of the host end of each pod's pair, 4 bytes
    table: str  # nftables table, family inet
    cgroup: str  # name of the top cgroup, one component
    subnet4: str  # first three numbers of the pods' /24
    subnet6: str  # the pods' unique local /64 (RFC 4193), without the trailing "::"

    def __init__(self, **places: str) -> None:
        self.__dict__.update(places)

    # --- the node
    @property
    def socket(self) -> str:
        return f"{self.run}/minipod.sock"

    @property
    def netlink_socket(self) -> str:
        return f"{self.run}/netlink.sock"

    @property
    def images(self) -> str:
        return f"{self.lib}/images"

    @property
    def store(self) -> str:
        return f"{self.lib}/store.sqlite"

    @property
    def addresses(self) -> str:
        return f"{self.run}/addresses"

    @property
    def mountpoint(self) -> str:
        """An empty folder on which every container mounts its root, in a mount namespace of its own."""
        return f"{self.run}/rootfs"

    @property
    def gateway4(self) -> str:
        return f"{self.subnet4}.1"

    @property
    def gateway6(self) -> str:
        return f"{self.subnet6}::1"

    # --- a pod, by uid
    def pod_run(self, uid: str) -> str:
        """Lock, socket, saved plans, tmpfs volumes and files mounted into containers."""
        return f"{self.run}/pods/{uid}"

    def pod_lib(self, uid: str) -> str:
        """Writable layers, emptyDirs on disk, journal."""
        return f"{self.lib}/pods/{uid}"

    def pod_log(self, namespace: str, name: str, uid: str) -> str:
        return f"{self.log}/pods/{component(f'{namespace}_{name}_{uid}')}"

    def pod_cgroup(self, qos: str, uid: str) -> str:
        """Relative to each hierarchy's mount point; `qos` is guaranteed, burstable or besteffort."""
        return f"{self.cgroup}/{qos}/pod{uid}"

    def supervisor_cgroup(self, supervisor_id: str) -> str:
        return f"{self.cgroup}/supervisors/{supervisor_id}"

    # --- a sandbox, by id
    def pins(self, sandbox_id: str) -> str:
        return f"{self.run}/ns/{sandbox_id}"

    def netns_pin(self, pod_name: str, sandbox_id: str) -> str:
        """The name under which `ip netns exec` finds a pod."""
        return f"{self.netns}/{component(f'{pod_name}-{sandbox_id[:8]}')}"

    def veth_host(self, sandbox_id: str) -> str:
        return self.veth + sandbox_id[:11]


def component(name: str) -> str:
    """A file name of at most 255 bytes (NAME_MAX): a longer one is shortened and marked with its hash."""
    raw = name.encode()
    if len(raw) <= 255:
        return name
    return raw[:246].decode(errors="ignore") + f"-{zlib.crc32(raw):08x}"


def mark(name: str) -> str:
    """The hardware address of a link of ours with that name: the one mark that a link can be born with.

    (An alias takes a second request, and whoever is killed in between leaves a link that nobody knows.) It also keeps a
    bridge's address from changing with its ports.
    """
    return "02:6d:" + zlib.crc32(name.encode()).to_bytes(4, "big").hex(":")


def layout(home: str | None = None) -> Layout:
    """The layout that MINIPOD_HOME (or `home`) asks for.

    MINIPOD_CGROUP names another top cgroup: systemd's unit for pods, for example (scripts/minipod-pods.service).
    """
    home = os.environ.get("MINIPOD_HOME", "") if home is None else home
    cgroup = os.environ.get("MINIPOD_CGROUP", "")
    if not home:
        return Layout(
            home="",
            lib="/var/lib/minipod",
            run="/run/minipod",
            log="/var/log",
            etc="/etc/minipod",
            netns="/run/netns",
            bridge="minipod0",
            veth="mpod",
            table="minipod",
            cgroup=cgroup or "minipod",
            subnet4="10.244.0",
            subnet6="fd6d:706f:6400:1",
        )
    home = os.path.abspath(home)
    mark = f"{zlib.crc32(home.encode()):08x}"
    return Layout(
        home=home,
        lib=f"{home}/lib",
        run=f"{home}/run",
        log=f"{home}/log",
        etc=f"{home}/etc",
        netns="/run/netns",
        bridge=f"mp{mark}0",
        veth=f"m{mark[:3]}",
        table=f"minipod-{mark}",
        cgroup=cgroup or f"minipod-{mark}",
        # 10.64.0.0/10 holds the private nodes; the machine's own node is outside it.
        subnet4=f"10.{64 + int(mark[:2], 16) % 64}.{int(mark[2:4], 16)}",
        subnet6=f"fd6d:706f:{int(mark[:4], 16) or 1:x}:{int(mark[4:], 16) or 1:x}",
    )
