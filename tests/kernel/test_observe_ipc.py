"""System V objects, POSIX queues and /dev/shm of an IPC namespace, and who is attached."""

import ctypes
import mmap
import os

import pytest

from minipod.kernel import process, syscalls
from minipod.observe import ipc
from minipod.observe.members import Member
from tests.support.namespaces import isolated

pytestmark = isolated

_libc = ctypes.CDLL(None, use_errno=True)
_libc.shmat.restype = _libc.mmap.restype = ctypes.c_void_p
IPC_PRIVATE, IPC_CREAT, KEY = 0, 0o1000, 0x6D706F64


def call(name: str, *arguments: object) -> int:
    result = getattr(_libc, name)(*arguments)
    assert result != -1, f"{name}: {os.strerror(ctypes.get_errno())}"
    return result


def furnish() -> None:
    """What a container has: an IPC namespace, its queues, and a tmpfs for shared memory."""
    syscalls.unshare(syscalls.CLONE_NEWIPC | syscalls.CLONE_NEWNS)
    syscalls.mount("tmpfs", "/dev", "tmpfs")
    for name, fstype in (("mqueue", "mqueue"), ("shm", "tmpfs")):
        os.mkdir(f"/dev/{name}")
        syscalls.mount(fstype, f"/dev/{name}", fstype)


@pytest.fixture
def app(start):
    """Start a member that furnishes its namespace, and then does something."""

    def run(then) -> Member:
        def prepare():
            furnish()
            return then()

        pid = start(prepare)
        return Member("app", pid, "", (pid,))

    return run


def segment() -> int:
    return call("shmget", KEY, 1 << 16, IPC_CREAT | 0o640)


def test_a_segment_is_told_with_who_has_it_in_memory(app):
    member = app(lambda: call("shmat", segment(), None, 0))
    (found,) = ipc.look([member]).segments
    assert (found.key, found.size, found.mode, found.attached) == (KEY, 1 << 16, "0640", 1)
    assert [(each.container, each.pid) for each in found.holders] == [("app", member.pid)]
    assert found.creator == member.pid


def test_a_segment_that_nobody_has_attached_is_told_without(app):
    (found,) = ipc.look([app(segment)]).segments
    assert (found.attached, found.holders) == (0, ())


def test_a_segment_that_another_container_attached_is_both_theirs(app, start):
    first = app(lambda: call("shmat", segment(), None, 0))

    def attach() -> int:
        pidfd = process.pidfd_open(first.pid)
        syscalls.setns(pidfd, syscalls.CLONE_NEWIPC, "the pod")
        return call("shmat", call("shmget", KEY, 0, 0), None, 0)

    pid = start(attach)
    (found,) = ipc.look([first, Member("other", pid, "", (pid,))]).segments
    assert (found.attached, {each.container for each in found.holders}) == (2, {"app", "other"})


def test_segments_of_another_namespace_are_not_told(app):
    mine = segment()
    try:
        assert ipc.look([app(lambda: None)]).segments == ()
    finally:
        call("shmctl", mine, 0, None)


def test_a_semaphore_set_is_told_with_how_many_there_are(app):
    (found,) = ipc.look([app(lambda: call("semget", KEY, 3, IPC_CREAT | 0o600))]).semaphores
    assert (found.key, found.count, found.mode) == (KEY, 3, "0600")


def test_a_message_queue_is_told_with_what_is_in_it(app):
    def send() -> None:
        queue = call("msgget", KEY, IPC_CREAT | 0o600)
        call("msgsnd", queue, ctypes.create_string_buffer(b"\1" + bytes(7) + b"hello"), 5, 0)

    member = app(send)
    (found,) = ipc.look([member]).queues
    assert (found.messages, found.bytes, found.sender) == (1, 5, member.pid)


def test_a_posix_queue_is_told_with_who_has_it_open(app):
    member = app(lambda: os.open("/dev/mqueue/jobs", os.O_CREAT | os.O_RDWR, 0o600))
    (found,) = ipc.look([member]).posix_queues
    assert (found.name, found.mode, [each.pid for each in found.holders]) == ("/jobs", "0600", [member.pid])


def test_a_posix_queue_is_told_with_the_bytes_in_it(app):
    def send() -> None:
        queue = call("mq_open", b"/jobs", os.O_CREAT | os.O_RDWR, 0o600, None)
        call("mq_send", queue, b"hello", 5, 0)

    (found,) = ipc.look([app(send)]).posix_queues
    assert found.bytes == 5


def shared_file(name: str) -> int:
    fd = os.open(f"/dev/shm/{name}", os.O_CREAT | os.O_RDWR, 0o600)
    os.truncate(fd, 4096)
    return fd


def test_a_file_in_dev_shm_is_told_with_who_has_it_open(app):
    member = app(lambda: shared_file("ring"))
    (found,) = ipc.look([member]).shared_files
    inode = os.stat(f"/proc/{member.pid}/root/dev/shm/ring").st_ino
    assert (found.name, found.size, found.inode) == ("ring", 4096, inode)
    assert [each.pid for each in found.holders] == [member.pid]


def test_a_mapping_keeps_a_file_after_its_descriptor_is_closed(app):
    def map_it() -> None:
        fd = shared_file("ring")
        call("mmap", None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0)
        os.close(fd)  # mmap.mmap would keep a copy of it

    member = app(map_it)
    held = [os.readlink(f"/proc/{member.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{member.pid}/fd")]
    assert "/dev/shm/ring" not in held
    assert [each.pid for each in ipc.look([member]).shared_files[0].holders] == [member.pid]


def test_files_in_folders_are_told_with_their_path(app):
    def nested() -> None:
        os.mkdir("/dev/shm/a")
        os.close(shared_file("a/b"))

    assert [each.name for each in ipc.look([app(nested)]).shared_files] == ["a/b"]


def test_folders_are_followed_only_so_deep(app):
    def dig() -> None:
        for depth in range(1, 30):
            os.mkdir("/dev/shm" + "/d" * depth)
            os.close(shared_file("d/" * depth + "file"))

    names = [each.name for each in ipc.look([app(dig)]).shared_files]
    assert "d/file" in names
    assert len(names) < 20


def test_what_several_containers_have_mounted_is_told_once(app):
    member = app(lambda: shared_file("ring"))
    both = [member, Member("other", member.pid, "", ())]
    assert len(ipc.look(both).shared_files) == 1


def test_a_link_for_dev_shm_does_not_lead_out_of_the_container(app):
    def trick() -> None:
        syscalls.umount2("/dev/shm")
        os.rmdir("/dev/shm")
        os.symlink("/proc/1/root/dev/shm", "/dev/shm")

    with open("/dev/shm/secret", "x"):
        member = app(trick)
    assert os.listdir(f"/proc/{member.pid}/root/dev/shm") == ["secret"]  # where the link leads
    assert ipc.look([member]).shared_files == ()


def test_a_name_with_an_escape_sequence_does_not_reach_the_terminal(app):
    found = ipc.look([app(lambda: shared_file("\x1b[31mred"))])
    assert "\x1b" not in ipc.as_text(found, 200)
    assert "[31mred" in ipc.as_text(found, 200)


def test_whoever_looks_stays_in_their_own_namespace(app):
    before = os.stat("/proc/thread-self/ns/ipc").st_ino
    assert ipc.look([app(lambda: None)]).namespace != before
    assert os.stat("/proc/thread-self/ns/ipc").st_ino == before


def test_a_person_reads_who_is_attached(app):
    text = ipc.as_text(ipc.look([app(lambda: call("shmat", segment(), None, 0))]), 200)
    (row,) = [line.split() for line in text.splitlines() if f"{KEY:#x}" in line]
    assert row[2:6] == ["0640", "0", "64Ki", "1"]
    assert row[6].startswith("app/")


def test_a_person_is_told_that_there_is_nothing(app):
    assert "no System V object" in ipc.as_text(ipc.look([app(lambda: None)]), 80)


def test_there_is_nothing_of_somebody_who_has_ended():
    assert ipc.look([Member("gone", 1 << 22, "", (1 << 22,))]) is None
