"""What a pod's containers can say to each other with: System V IPC, POSIX queues, /dev/shm, and who is attached."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import msgspec

from minipod.errors import KernelError
from minipod.kernel import files
from minipod.kernel.syscalls import CLONE_NEWIPC, setns
from minipod.observe import members as who
from minipod.observe import mounts
from minipod.observe.members import Holder, Member
from minipod.observe.text import Row, printable, size, table

_MOST_FILES, _DEEPEST = 1000, 8  # told of /dev/shm: a container may have made any number of files and folders
T = TypeVar("T")


class Segment(msgspec.Struct, frozen=True):
    """One System V shared memory segment (shmget(2)). `creator` and `last` are PIDs, 0 if outside of our namespace."""

    id: int
    key: int
    mode: str  # octal
    size: int  # bytes
    attached: int  # how often, says the kernel
    uid: int
    creator: int
    last: int
    holders: tuple[Holder, ...]  # the pod's processes that have it in their memory


class Semaphores(msgspec.Struct, frozen=True):
    """One System V semaphore set (semget(2))."""

    id: int
    key: int
    mode: str
    count: int
    uid: int


class Queue(msgspec.Struct, frozen=True):
    """One System V message queue (msgget(2))."""

    id: int
    key: int
    mode: str
    messages: int
    bytes: int
    uid: int
    sender: int  # PID of the last one
    receiver: int


class PosixQueue(msgspec.Struct, frozen=True):
    """One POSIX message queue (mq_overview(7))."""

    name: str  # with the slash
    mode: str
    bytes: int  # in all its messages
    uid: int
    notified: int  # PID of who asked to be told of the next message
    holders: tuple[Holder, ...]


class SharedFile(msgspec.Struct, frozen=True):
    """One file in /dev/shm (shm_overview(7)); those who have it open or mapped."""

    name: str  # relative to /dev/shm
    mode: str
    size: int
    uid: int
    device: str
    inode: int
    holders: tuple[Holder, ...]


class Ipc(msgspec.Struct, frozen=True):
    """One IPC namespace, and the /dev/shm of the pod."""

    namespace: int
    segments: tuple[Segment, ...]
    semaphores: tuple[Semaphores, ...]
    queues: tuple[Queue, ...]
    posix_queues: tuple[PosixQueue, ...]
    shared_files: tuple[SharedFile, ...]


def look(members: Sequence[Member]) -> Ipc | None:
    """The IPC namespace of the first member that lives; None if nobody does. Needs CAP_SYS_ADMIN to enter it."""
    fd = who.open_namespace(members, "ipc")
    if fd < 0:
        return None
    try:
        segments, semaphores, queues = _inside(fd, lambda: [_rows(name) for name in ("shm", "sem", "msg")])
        attached = who.holders(members, who.attached_segments)
        mapped, opened = who.holders(members, who.mapped_files), who.holders(members, who.open_files)
        return Ipc(
            namespace=os.fstat(fd).st_ino,
            segments=tuple(_segment(row, attached.get(row["shmid"], ())) for row in segments),
            semaphores=tuple(_semaphores(row) for row in semaphores),
            queues=tuple(_queue(row) for row in queues),
            posix_queues=tuple(_posix_queues(members, opened)),
            shared_files=tuple(_shared_files(members, opened, mapped)),
        )
    finally:
        os.close(fd)


def _inside(ipc_fd: int, read: Callable[[], T]) -> T:
    """Call `read` in another IPC namespace, in a thread of its own: setns(2) moves only the thread that calls it."""
    answer: list[T] = []
    problem: list[KernelError] = []

    def run() -> None:
        try:
            setns(ipc_fd, CLONE_NEWIPC, "IPC namespace")
            answer.append(read())
        except KernelError as error:
            problem.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if problem:
        raise problem[0]
    return answer[0]


def _rows(name: str) -> list[dict[str, int]]:
    """The lines of a file in /proc/sysvipc, which shows the namespace of whoever opens it; `perms` is octal there."""
    head, *lines = files.read(f"/proc/sysvipc/{name}").splitlines()
    rows = [dict(zip(head.split(), line.split(), strict=False)) for line in lines]
    return [{key: int(value, 8 if key == "perms" else 10) for key, value in row.items()} for row in rows]


def _segment(row: dict[str, int], holders: tuple[Holder, ...]) -> Segment:
    # The mode has flags above its nine bits: SHM_DEST (01000), to be removed when the last one detaches.
    return Segment(
        id=row["shmid"],
        key=row["key"],
        mode=f"{row['perms']:04o}",
        size=row["size"],
        attached=row["nattch"],
        uid=row["uid"],
        creator=row["cpid"],
        last=row["lpid"],
        holders=holders,
    )


def _semaphores(row: dict[str, int]) -> Semaphores:
    return Semaphores(row["semid"], row["key"], f"{row['perms']:04o}", row["nsems"], row["uid"])


def _queue(row: dict[str, int]) -> Queue:
    return Queue(
        id=row["msqid"],
        key=row["key"],
        mode=f"{row['perms']:04o}",
        messages=row["qnum"],
        bytes=row["cbytes"],
        uid=row["uid"],
        sender=row["lspid"],
        receiver=row["lrpid"],
    )


# --- files -----------------------------------------------------------------------------------------------------------

_Holders = dict[tuple[int, int], tuple[Holder, ...]]


def _posix_queues(members: Sequence[Member], opened: _Holders) -> Iterator[PosixQueue]:
    """Each queue is a file in the file system of the namespace, wherever a container has that mounted."""
    for root, name, status in _files_on(members, "mqueue", "/dev/mqueue"):
        fields = _queue_fields(root, name)
        yield PosixQueue(
            name=printable(f"/{name}"),
            mode=f"{status.st_mode & 0o7777:04o}",
            bytes=fields.get("QSIZE", 0),
            uid=status.st_uid,
            notified=fields.get("NOTIFY_PID", 0),
            holders=opened.get((status.st_dev, status.st_ino), ()),
        )


def _queue_fields(directory: int, name: str) -> dict[str, int]:
    """QSIZE:129 NOTIFY:2 SIGNO:0 NOTIFY_PID:8260 (mq_overview(7))."""
    try:
        fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=directory)
    except OSError:
        return {}
    with open(fd, "rb") as file:
        pairs = [field.split(":") for field in file.read().decode().split()]
    return {key: int(value) for key, value in pairs}


def _shared_files(members: Sequence[Member], opened: _Holders, mapped: _Holders) -> Iterator[SharedFile]:
    for _, name, status in _files_on(members, "tmpfs", "/dev/shm"):
        place = (status.st_dev, status.st_ino)
        yield SharedFile(
            name=printable(name),
            mode=f"{status.st_mode & 0o7777:04o}",
            size=status.st_size,
            uid=status.st_uid,
            device=mounts.device_name(status.st_dev),
            inode=status.st_ino,
            holders=tuple(dict.fromkeys((*mapped.get(place, ()), *opened.get(place, ())))),
        )


def _files_on(members: Sequence[Member], fstype: str, path: str) -> Iterator[tuple[int, str, os.stat_result]]:
    """(descriptor of its folder, name, status) of each file below `path`, of each file system once.

    Only where it is a file system of that type: /dev/shm may be anything in an image. Symbolic links aren't followed.
    """
    seen: set[int] = set()
    for member in members:
        try:
            with mounts.inside(member.pid, member.cgroup, path) as fd:
                device = os.fstat(fd).st_dev
                mount = mounts.mount_of(member.pid, fd)
                if mount and mount.fstype == fstype and device not in seen:
                    seen.add(device)
                    yield from _walk(fd)
        except KernelError:  # it has ended, or has no such folder
            continue


def _walk(top: int) -> Iterator[tuple[int, str, os.stat_result]]:
    left = _MOST_FILES
    for folder, below, names, fd in os.fwalk(".", dir_fd=top):
        if folder.count("/") == _DEEPEST or not left:
            below.clear()
        for name in sorted(names)[:left]:
            left -= 1
            try:
                yield (
                    fd,
                    f"{folder}/{name}".removeprefix("./"),
                    os.stat(name, dir_fd=fd, follow_symlinks=False),
                )
            except FileNotFoundError:  # removed meanwhile
                continue


# --- for a person ----------------------------------------------------------------------------------------------------


def as_text(ipc: Ipc | None, width: int) -> str:
    """Tables of at most `width` columns, only of what there is."""
    if ipc is None:
        return "IPC\nnobody in the pod runs"
    segments: list[Row] = [
        (*_keyed(each), size(each.size), str(each.attached), _by(each.holders)) for each in ipc.segments
    ]
    queues: list[Row] = [(*_keyed(each), str(each.messages), str(each.bytes)) for each in ipc.queues]
    posix: list[Row] = [(*_named(each), str(each.bytes), _by(each.holders)) for each in ipc.posix_queues]
    shared: list[Row] = [(*_named(each), size(each.size), _by(each.holders)) for each in ipc.shared_files]
    tables: list[tuple[Row, list[Row]]] = [
        (("SHARED MEMORY", "KEY", "MODE", "UID", "SIZE", "ATTACHED", "BY"), segments),
        (("SEMAPHORES", "KEY", "MODE", "UID", "COUNT"), [(*_keyed(s), str(s.count)) for s in ipc.semaphores]),
        (("MESSAGE QUEUE", "KEY", "MODE", "UID", "MESSAGES", "BYTES"), queues),
        (("POSIX QUEUE", "MODE", "UID", "BYTES", "OPEN IN"), posix),
        (("FILE IN /dev/shm", "MODE", "UID", "SIZE", "OPEN OR MAPPED IN"), shared),
    ]
    if not any(rows for _, rows in tables):
        return f"IPC NAMESPACE {ipc.namespace}\nno System V object, no POSIX queue, no file in /dev/shm"
    shown = [table(head, rows, width) for head, rows in tables if rows]
    return "\n\n".join([f"IPC NAMESPACE {ipc.namespace}", *shown])


def _keyed(each: Segment | Semaphores | Queue) -> Row:
    # key_t is signed, and so is it in /proc/sysvipc; ipcs(1) shows it like this.
    return str(each.id), f"{each.key & 0xFFFFFFFF:#010x}", each.mode, str(each.uid)


def _named(each: PosixQueue | SharedFile) -> Row:
    return each.name, each.mode, str(each.uid)


def _by(holders: Sequence[Holder]) -> str:
    return " ".join(map(str, holders)) or "-"
