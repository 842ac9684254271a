"""The leak check proves itself: it finds one planted leak of each kind, and nothing where there is nothing."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.support import host
from tests.support.namespaces import isolated

pytestmark = isolated

CGROUP = f"minipod-leak-{os.getpid()}"

SHELL = {  # kind of fact: (what is there before, the leak)
    "link": ("", "ip link add leak type bridge"),
    "link alias": ("ip link add leak type bridge", "ip link set leak alias somebody"),
    "link port": (
        "ip link add b0 type bridge; ip link add v0 type veth peer name v1",
        "ip link set v0 master b0",
    ),
    "address": ("", "ip addr add 10.99.0.1/32 dev lo"),
    "address IPv6": ("ip link set lo up", "ip addr add fd99::1/128 dev lo"),
    "route": ("ip link set lo up", "ip route add 10.98.0.0/24 dev lo"),
    "route in a table": ("ip link set lo up", "ip route add 10.98.0.0/24 dev lo table 77"),
    "rule": ("", "ip rule add from 10.97.0.0/16 table 77"),
    "neighbour": (
        "ip link add b0 type bridge; ip link set b0 up",
        "ip neigh add 10.96.0.1 lladdr 02:00:00:00:00:01 dev b0",
    ),
    "nft table": ("", "nft add table inet leak"),
    "nft rule": (
        "nft 'add table inet t; add chain inet t c; add rule inet t c drop'",
        "nft add rule inet t c drop",
    ),
    "nft element": (
        "nft 'add table inet t; add set inet t s { type ipv4_addr; }'",
        "nft 'add element inet t s { 10.95.0.1 }'",
    ),
    "mount": ("", "mount -t tmpfs leak /mnt"),
    "mount over a mount": ("mount -t tmpfs leak /mnt", "mount -t tmpfs leak /mnt"),
    "mount made read-only": ("mount -t tmpfs leak /mnt", "mount -o remount,bind,ro /mnt"),
    "mount made shared": ("mount -t tmpfs leak /mnt", "mount --make-shared /mnt"),
    "namespace pinned": ("", "ip netns add leak"),
    "namespace in use": ("", "unshare --uts sleep 1000 & until pgrep -x sleep >/dev/null; do :; done"),
    "cgroup": ("", f"mkdir $(findmnt -n -o TARGET -t cgroup2 | head -n 1)/{CGROUP}"),
    "process": ("", "sleep 1000 &"),
    "ipc System V queue": ("", "ipcmk -Q"),
    "ipc System V memory": ("", "ipcmk -M 4096"),
    "ipc POSIX memory": ("", "touch /dev/shm/leak"),
    "sysctl": ("echo 0 >/proc/sys/net/ipv4/ip_forward", "echo 1 >/proc/sys/net/ipv4/ip_forward"),
    "sysctl hostname": ("", "hostname leak"),
    "file": ("", "touch $ROOT/leak"),
    "file directory": ("", "mkdir -p $ROOT/a/leak"),
}


@pytest.fixture
def look(tmp_path) -> Iterator[Callable[[], host.Host]]:
    yield lambda: host.snapshot([str(tmp_path)], cgroups=CGROUP)
    for directory in reversed(host.snapshot(cgroups=CGROUP).facts["cgroup"]):
        os.rmdir(directory)


def _found(kind: str, before: host.Host, after: host.Host) -> list[str]:
    return [
        line
        for line in host.difference(before, after)
        if line.startswith(f"{kind.partition(' ')[0]} left behind")
    ]


@pytest.mark.parametrize("kind", SHELL)
def test_a_planted_leak_is_found(kind, look, tmp_path):
    prepare, plant = (f"export ROOT={tmp_path}; {command}" for command in SHELL[kind])
    subprocess.run(prepare, shell=True, check=True, stdout=subprocess.DEVNULL)
    before = look()
    subprocess.run(plant, shell=True, check=True, stdout=subprocess.DEVNULL)
    assert _found(kind, before, look())


def test_a_cgroup_in_any_hierarchy_is_found(look):
    before = look()
    mounts = subprocess.check_output(
        ["findmnt", "-n", "-o", "TARGET", "-t", "cgroup,cgroup2"], text=True
    ).split()
    for mount in mounts:
        os.mkdir(f"{mount}/{CGROUP}")
    assert _found("cgroup", before, look()) == [f"cgroup left behind: {mount}/{CGROUP}" for mount in mounts]


def test_a_zombie_is_found(look):
    before = look()
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    found = _found("process", before, look())
    child.wait()
    assert len(found) == 1
    assert "(zombie)" in found[0]


def test_a_process_with_the_number_of_another_is_found(look):
    first = subprocess.Popen(["sleep", "1000"])
    before = look()
    first.kill()
    first.wait()
    ticks = os.times().elapsed * os.sysconf("SC_CLK_TCK")
    while os.times().elapsed * os.sysconf("SC_CLK_TCK") < ticks + 2:
        pass  # a process is known by the tick of 10 ms in which it started
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(first.pid - 1))
    second = subprocess.Popen(["sleep", "1000"])
    found = _found("process", before, look())
    second.kill()
    second.wait()
    assert second.pid == first.pid
    assert len(found) == 1


def test_a_socket_with_an_abstract_name_is_found(look):
    before = look()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("\0leak")
        sock.listen()
        assert _found("socket", before, look()) == ["socket left behind: @leak"]


def test_a_namespace_that_only_a_descriptor_holds_is_found(look):
    before = look()
    holder = subprocess.Popen(
        ["unshare", "--uts", "sh", "-c", "exec 9</proc/self/ns/uts; exec nsenter -t $PPID -u sleep 1000"]
    )
    try:
        while not any(
            " held by /proc/" in line and "/fd/9" in line for line in _found("namespace", before, look())
        ):
            assert holder.poll() is None
    finally:
        holder.kill()
        holder.wait()


def test_nothing_is_found_where_nothing_was_left(look):
    before = look()
    subprocess.run(
        "ip link add x type bridge; ip link del x; mount -t tmpfs x /mnt; umount /mnt", shell=True, check=True
    )
    assert host.leaks(before, look) == []


def test_what_is_gone_is_told_too(look):
    subprocess.run("ip link add gone type bridge", shell=True, check=True)
    before = look()
    subprocess.run("ip link del gone", shell=True, check=True)
    assert any(line.startswith("link gone: gone bridge") for line in host.difference(before, look()))


def test_a_session_that_leaves_a_process_fails_and_names_it(tmp_path):
    (tmp_path / "test_leak.py").write_text(
        "import subprocess\ndef test_it():\n    subprocess.run('sleep 1000.25 &', shell=True)\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)],
        env={
            **os.environ,
            "PYTHONPATH": os.getcwd(),
            "MINIPOD_LEAK_SECONDS": "0.1",
            "MINIPOD_SHARED_HOST": "",
        },
        capture_output=True,
        text=True,
        cwd=os.getcwd(),
    )
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout
    assert "process left behind" in result.stdout
    assert "sleep 1000.25" in result.stdout
