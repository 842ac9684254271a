"""What is around the stages of a plan's script: the variables, the functions, and what a node has before any pod. Pure.

What a script makes for more than one pod (bridge, table, cgroups above the pod's) bears a name or a mark that is no
running node's, and the last script's way back removes it.
"""

from collections.abc import Iterator

import msgspec

from minipod.kernel.cgroups import Hierarchies
from minipod.names import Layout, mark
from minipod.plan.words import quote, variable
from minipod.spec.types import Container, Pod

WORK, CGROUP = variable("WORK"), variable("CGROUP")
ALIAS = "minipod plan"  # of the bridge, if a script made it

# When the root is another one.
HOSTS_TOOLS = """mount() { $HOST ./mount --no-mtab "$@"; }
umount() { $HOST ./umount --no-mtab "$@"; }"""

_PLACE = r"""
# How a container's mount is made at a path of the image's. (minipod finds it with openat2(2), RESOLVE_IN_ROOT.)
PLACE=$(cat <<'END'
place() {  # SOURCE PATH: the mount point, if the image lacks it
    at=$(realpath -m "$ROOT$2")
    case $at in "$ROOT" | "$ROOT"/*) ;; *) echo "$2 leads out of the image, to $at" >&2; exit 1 ;; esac
    if [ -e "$at" ]; then :; elif [ -d "$1" ]; then mkdir -p "$at"; else mkdir -p "${at%/*}"; : >"$at"; fi
}
remount_ro() {  # PATH: read-only with all that is mounted below it
    at=$(realpath "$ROOT$1")
    cut -d " " -f 5 /proc/self/mountinfo | sed 's/\\/\\0/g' | while read -r below; do  # a blank is \040 there
        below=$(printf %b "$below")
        case $below in "$at" | "$at"/*) mount -o remount,bind,ro "$below" ;; esac
    done
}
END
)
export PLACE"""

PAUSE_STARTED = """PAUSE=$PID
export PAUSE
while read -r comm <"/proc/$PAUSE/comm" && [ "$comm" != catatonit ]; do sleep 0.01; done
# pivot_root(2) takes along every process of the mount namespace whose root was the old one, so also pause.
nsenter --target "$PAUSE" --mount pivot_root "$ROOT" "$ROOT"
umount --namespace "$PAUSE" --lazy /"""

_FUNCTIONS = r"""
# Run a stage. Descriptor 3 has what a process does before it enters its namespaces, 4 what it does inside. It leads a
# session of its own, and has nobody's signals: a shell lets what it starts with & ignore SIGINT and SIGQUIT.
stage='setsid env --default-signal sh -eu -c "$BEFORE" 9>&1 </dev/null >&2 3>&- 4>&- &'

# start NAME [COMMAND]: it is the child of a shell (run by COMMAND) that ends at once, and so of process 1. Descriptor 9
# is closed by its last exec: until then the script waits.
start() {
    name=$1
    shift
    BEFORE=$(cat <&3) INSIDE=$(cat <&4)
    export BEFORE INSIDE
    said=$("$@" sh -c "$stage"' echo $! >"$WORK/pid"')
    [ "$said" = ready ] || { echo "$name didn't start; $WORK/$name.log may say why" >&2; exit 1; }
    read -r PID <"$WORK/pid"
}

# run NAME [COMMAND]: wait until it has ended, and end with it if it failed.
run() {
    name=$1
    shift
    BEFORE=$(cat <&3) INSIDE=$(cat <&4)
    export BEFORE INSIDE
    "$@" sh -c "$stage"' wait $!' >/dev/null || {
        echo "$name ended with exit code $?; $WORK/$name.log may say why" >&2
        exit 1
    }
}
"""

_TOOLS = r"""
# The host's tools for a process whose root has none: with the libraries they need, and run by their own loader, so that
# it doesn't matter what is at /lib. On a file system of their own, from which no way leads to the host's; it is where
# such a process stands.
TOOLS=$WORK/tools
mkdir "$TOOLS"
mount -t tmpfs -o nosuid,nodev,mode=755 tools "$TOOLS"
for tool in mount umount setpriv env; do
    path=$(command -v "$tool")
    cp -L "$path" "$TOOLS"
    ldd "$path" 2>/dev/null | grep -o '/[^ ]*' | while read -r library; do cp -L "$library" "$TOOLS"; done
done
HOST="/proc/self/cwd/$(basename "$TOOLS"/ld*) --library-path ."
export TOOLS HOST"""

_REMOVE_CGROUP = r"""remove_cgroup() {  # one whose last process has just died is busy for a moment
    tries=0
    while [ -d "$1" ] && ! find "$1" -depth -type d -exec rmdir {} + 2>/dev/null; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || { echo "$1 is still busy" >&2; exit 1; }
        sleep 0.1
    done
}"""


class Image(msgspec.Struct, frozen=True):
    """An image of the pod, and the variable that says where its root file system is."""

    variable: str  # IMAGE, or IMAGE2
    name: str  # as in the manifest
    rootfs: str


class Frame(msgspec.Struct, frozen=True):
    """What a script must know beside the plans."""

    key: str  # names the pod: <namespace>_<name>
    layout: Layout  # the script's own
    cgroups: Hierarchies
    pod_cgroup: str  # relative; in the plans it is $CGROUP
    images: tuple[Image, ...]
    address4: str = ""  # the defaults; "" with the host's network
    address6: str = ""
    table: str = ""  # the node's nftables table, with $FORWARD4 and $FORWARD6 for what forwarding was before

    @property
    def cgroup_parents(self) -> list[str]:
        """Directories above the pod's own, in every hierarchy, parents first."""
        qos = self.pod_cgroup.rpartition("/")[0]
        return [path for name in (self.layout.cgroup, qos) for path in self.cgroups.directories(name)]


def log(container: str) -> str:
    """The file that what a container writes goes into."""
    return f"{WORK}/{container}.log"


# --- before ----------------------------------------------------------------------------------------------------------


def prologue(pod: Pod, around: Frame) -> Iterator[str]:
    """Everything before the first stage."""
    yield "#!/bin/sh"
    yield f"# The pod {pod.metadata.namespace}/{pod.metadata.name}, as minipod would build it. As root: sh -eu FILE"
    yield "#"
    yield "# What no command tells, and this script leaves out:"
    yield from (f"#   {line}" for line in _left_out(pod))
    yield from (
        "set -eu",
        "umask 022",
        "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "",
    )
    yield from _variables(around, around.images)
    yield _FUNCTIONS + _PLACE
    yield ""
    yield "# --- what a node has before any pod"
    yield '[ ! -e "$WORK" ] || { echo "$WORK is there already: undo it first (plan -o shell --undo)" >&2; exit 1; }'
    yield 'mkdir -p "$WORK" && : >"$WORK/made-by-minipod-plan"'
    yield 'ROOT=$(realpath "$WORK")/rootfs && mkdir "$ROOT" && export ROOT'
    yield _TOOLS
    yield ""
    yield from (f"mkdir -p {quote(path)}" for path in around.cgroup_parents)
    if around.cgroups.v2_controllers:
        give = " ".join(f"+{name}" for name in around.cgroups.v2_controllers)
        qos = around.pod_cgroup.rpartition("/")[0]
        for name in ("", f"/{around.layout.cgroup}", f"/{qos}"):  # only what a cgroup has can it give on
            yield f"echo {give} >{quote(around.cgroups.v2 + name)}/cgroup.subtree_control"
    if around.address4:
        yield from _network(around)
    yield from _host_paths(pod)


def _variables(around: Frame, images: tuple[Image, ...]) -> Iterator[str]:
    yield f"WORK=${{WORK:-{default_work(around.key)}}}  # a folder that isn't there yet"
    for image in images:
        yield f"{image.variable}=${{{image.variable}:-{quote(image.rootfs)}}}  # the root file system of {image.name}"
    names = ["WORK", "CGROUP", *(image.variable for image in images)]
    for name, address in (("ADDRESS4", around.address4), ("ADDRESS6", around.address6)):
        if address:
            names.append(name)
            yield f"{name}=${{{name}:-{address}}}"
    yield f"CGROUP={around.pod_cgroup}"
    yield f"export {' '.join(names)}"


def default_work(key: str) -> str:
    """Where a script keeps what a pod has on the host."""
    return f"/run/minipod-plan-{key}"


def _network(around: Frame) -> Iterator[str]:
    layout = around.layout
    bridge = layout.bridge
    # With minipod's hardware address: a node that is started later takes it for its own.
    yield f"""
if [ ! -e /sys/class/net/{bridge} ]; then
    ip link add {bridge} address {mark(bridge)} type bridge
    ip link set {bridge} alias '{ALIAS}' up
    ip address add {layout.gateway4}/24 dev {bridge}
    [ ! -e /proc/sys/net/ipv6 ] || ip address add {layout.gateway6}/64 dev {bridge} nodad
fi
if ! nft list table inet {layout.table} >/dev/null 2>&1; then
    FORWARD4=$(cat /proc/sys/net/ipv4/ip_forward)
    FORWARD6=$(cat /proc/sys/net/ipv6/conf/all/forwarding 2>/dev/null || echo 0)
    nft -f - <<TABLE
{around.table.strip()}
TABLE
fi
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 1 >/proc/sys/net/ipv4/ip_forward
# As ip netns does it: a mount of its own, shared, so that a namespace pinned there is seen everywhere.
mkdir -p {layout.netns}
if ! mountpoint -q {layout.netns}; then
    mount --bind {layout.netns} {layout.netns}
    mount --make-shared {layout.netns}
fi"""


def _host_paths(pod: Pod) -> Iterator[str]:
    """The kubelet's part of a hostPath: what must be there, or is made (and stays, for it is the user's)."""
    for index, volume in enumerate(pod.spec.volumes):
        if not volume.host_path:
            continue
        path, kind = quote(volume.host_path.path), volume.host_path.type or ""
        why = f"  # spec.volumes[{index}].hostPath"
        if kind in ("", "DirectoryOrCreate"):
            yield f"[ -e {path} ] || mkdir -p {path}{why}"
        elif kind == "FileOrCreate":
            yield f"[ -e {path} ] || : >{path}{why}"
        test = {"Directory": "-d", "File": "-f", "Socket": "-S", "CharDevice": "-c", "BlockDevice": "-b"}
        if kind:
            yield f"[ {test[kind.removesuffix('OrCreate')]} {path} ]{why}"


def epilogue(around: Frame) -> Iterator[str]:
    """What is done when the pod is built."""
    yield ""
    yield 'umount -l "$TOOLS" && rmdir "$TOOLS"'
    yield f'echo "pod {around.key} is built; its logs are $WORK/*.log"'


def _left_out(pod: Pod) -> Iterator[str]:
    yield "the log is what the container writes, in $WORK/NAME.log: not in CRI's format, never rotated"
    yield f"restarts (spec.restartPolicy: {pod.spec.restart_policy}), the termination message, the grace period"
    if not pod.spec.host_network:
        yield "the way out over IPv6, which a node makes where the host has one (forwarding, accept_ra)"
    lists = {"initContainers": pod.spec.init_containers, "containers": pod.spec.containers}
    for kind, containers in lists.items():
        for index, container in enumerate(containers):
            names = ", ".join(_no_command(container))
            if names:
                yield f"spec.{kind}[{index}]: {names}"
    yield "what a line says that begins with # among the commands"


def _no_command(container: Container) -> Iterator[str]:
    for name, value in (
        ("startupProbe", container.startup_probe),
        ("livenessProbe", container.liveness_probe),
        ("readinessProbe", container.readiness_probe),
        ("lifecycle", container.lifecycle),
        ("stdin", container.stdin),
        ("tty", container.tty),
    ):
        if value:
            yield name


# --- the way back ----------------------------------------------------------------------------------------------------


def undo_prologue(around: Frame) -> Iterator[str]:
    """Everything before the undo lists: the pod's processes are killed first, as they hold what these remove."""
    pod = quote(f"{around.cgroups.v2}/{CGROUP}")
    yield "#!/bin/sh"
    yield f"# The way back from the script that builds {around.key}. As root: sh -eu FILE, with the same variables"
    yield from ("set -eu", "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "")
    yield from _variables(around, ())
    yield 'if [ -e "$WORK" ] && [ ! -e "$WORK/made-by-minipod-plan" ]; then'
    yield '    echo "$WORK was made by somebody else" >&2; exit 1'
    yield "fi"
    yield _REMOVE_CGROUP
    yield ""
    yield "# Nothing escapes: every process of the pod was in its cgroup before it did anything else."
    yield f"[ ! -d {pod} ] || echo 1 >{pod}/cgroup.kill"
    yield f"while grep -qs 'populated 1' {pod}/cgroup.events; do sleep 0.1; done"


def undo_epilogue(around: Frame) -> Iterator[str]:
    """What no undo list has: the working folder, and what a script made for more than one pod."""
    yield '! mountpoint -q "$WORK/tools" || umount -l "$WORK/tools"'
    yield 'rm -rf --one-file-system "$WORK"'
    for path in reversed(around.cgroup_parents):
        yield f"rmdir {quote(path)} 2>/dev/null || :  # another script's pod may be there"
    if around.address4:
        yield from _without_network(around.layout)


def _without_network(layout: Layout) -> Iterator[str]:
    bridge, table = layout.bridge, layout.table
    yield f"""# Bridge and table, if a script made them, and no other pod is there.
alias=$(cat /sys/class/net/{bridge}/ifalias 2>/dev/null || :)
if [ "$alias" = '{ALIAS}' ] && [ -z "$(ls /sys/class/net/{bridge}/brif)" ]; then
    before=$(nft list table inet {table} 2>/dev/null | sed -n 's/.*forwarding was ipv4=\\([01]\\).*/\\1/p')
    [ "$before" != 0 ] || echo 0 >/proc/sys/net/ipv4/ip_forward
    [ -z "$before" ] || nft delete table inet {table}
    ip link delete {bridge}
fi"""
