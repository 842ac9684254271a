"""Bringing a root file system into the store. For the node and the command line; the forge never imports this.

GNU tar unpacks: it knows every tar dialect, drops the leading "/" of names, refuses names with "..", and makes symbolic
links that point outside only after everything else, so that nothing is written through them (seen in its extract.c,
"delayed links"; a test tries each).
"""

import hashlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from typing import BinaryIO

import msgspec

from minipod.errors import MinipodError, NotAnImage
from minipod.image import reference, store

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_TAR = (
    "tar",
    "--extract",
    "--file=-",
    "--numeric-owner",  # the archive's names of users are not the host's
    "--preserve-permissions",
    "--xattrs",
    # File capabilities and a program's own attributes; not trusted.*, by which an image could steer its overlay mount.
    "--xattrs-include=security.capability",
    "--xattrs-include=user.*",
)
# tar recognises compression by itself in a file only, not in a pipe.
_COMPRESSION = {
    b"\x1f\x8b": "--gzip",
    b"BZh": "--bzip2",
    b"\xfd7zXZ\0": "--xz",
    b"\x28\xb5\x2f\xfd": "--zstd",
}
_CHUNK = 1 << 20


def import_tar(
    images: str, source: str | BinaryIO, name: str, config: store.Config | None = None
) -> store.Image:
    """Unpack a tar of a root file system (a path or an open stream, compressed or not) and give it a name.

    As root, in the host's mount namespace; otherwise every file becomes the caller's. Without `config` the image has a
    PATH and nothing else. The id is the SHA-256 of the configuration, which holds that of the tar, as in OCI: the same
    tar with the same configuration is the same image. Raises InvalidImageName, and MinipodError when the tar can't be
    read, is not one, or is not a root file system; then nothing is left in the store.
    """
    wanted = reference.parse(name)
    if wanted.digest:
        raise MinipodError(f'can\'t import "{name}": a digest names what a registry sent; give a tag or none')
    store_name = wanted.canonical if wanted.tag else wanted.name
    store.file_name(store_name)  # a name that can't be kept is refused before the work
    config = config or store.Config(env=(f"PATH={DEFAULT_PATH}",))
    os.makedirs(f"{images}/names", exist_ok=True)
    os.chmod(images, 0o700)
    store.collect(images)
    with store.locked(images, shared=True) as lock:
        partial = f"{images}/.{secrets.token_hex(8)}.partial"
        try:
            rootfs = f"{partial}/rootfs"
            os.makedirs(rootfs)
            tar_digest = _unpack_source(source, name, rootfs, lock)
            _check_root_file_system(rootfs, name)
            _make_mount_points(rootfs)
            id = _write_configuration(partial, config, tar_digest)
            _commit(images, partial, id, store_name)
        finally:
            shutil.rmtree(partial, ignore_errors=True)  # gone already if it became the image
    return store.find(images, id)


def read_config(path: str) -> store.Config:
    """The member "config" of an OCI image configuration on disk. Raises MinipodError."""
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=store.Configuration).config or store.Config()
    except (OSError, msgspec.DecodeError) as error:
        raise MinipodError(f"can't read the image configuration {path}: {error}") from None


def _unpack_source(source: str | BinaryIO, name: str, rootfs: str, lock: int) -> str:
    if not isinstance(source, str):
        return _unpack(source, f'"{name}"', rootfs, lock)
    try:
        with open(source, "rb") as stream:
            return _unpack(stream, source, rootfs, lock)
    except OSError as error:
        raise MinipodError(f"can't import {source}: {error.strerror}") from None


def _unpack(stream: BinaryIO, what: str, rootfs: str, lock: int) -> str:
    """Unpack and hash in one pass; returns the SHA-256 of what came in, as 64 digits."""
    digest = hashlib.sha256()
    chunk = stream.read(_CHUNK)
    options = [option for magic, option in _COMPRESSION.items() if chunk.startswith(magic)]
    command = [*_TAR, f"--directory={rootfs}", *options]
    # A file for tar's complaints: many of them would fill a pipe, and tar would wait for us as we wait for it.
    with tempfile.TemporaryFile() as complaints:
        environment = {**os.environ, "LC_ALL": "C"}
        # With the lock: should this process be killed, tar goes on for a moment, and nobody may clear up under it.
        tar = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=complaints, env=environment, pass_fds=[lock]
        )
        try:
            with tar:
                assert tar.stdin
                while chunk:
                    digest.update(chunk)
                    tar.stdin.write(chunk)
                    chunk = stream.read(_CHUNK)
        except BrokenPipeError:
            pass  # tar gave up, and says why
        complaints.seek(0)
        complaint = complaints.read(4096).decode(errors="replace").strip()
    if tar.returncode:
        kind = (
            MinipodError if "No space left" in complaint else NotAnImage
        )  # the machine's fault, or the tar's
        raise kind(f"can't import {what}: {complaint or f'tar ended with {tar.returncode}'}")
    return digest.hexdigest()


def _check_root_file_system(rootfs: str, name: str) -> None:
    entries = set(os.listdir(rootfs))
    if not entries:
        raise NotAnImage(f'can\'t import "{name}": the tar is empty')
    if "oci-layout" in entries or {"manifest.json", "repositories"} <= entries:
        raise NotAnImage(
            f'can\'t import "{name}": the tar holds a packed image, not a root file system; '
            "make one of a container with `podman export` or `docker export`"
        )


def _make_mount_points(rootfs: str) -> None:
    """What every container has mounted, as empty folders and files, so that nothing must be made at its start.

    Making one in an overlay's upper directory copies its folder up first, which can cost more than a whole container.
    Where the image has anything in the way, a symbolic link too, it stays as it is.
    """
    for folder in ("dev", "etc", "proc", "sys"):
        if not os.path.lexists(f"{rootfs}/{folder}"):
            os.mkdir(f"{rootfs}/{folder}")
            os.chmod(f"{rootfs}/{folder}", 0o755)  # whatever the umask
    if os.path.isdir(f"{rootfs}/etc") and not os.path.islink(f"{rootfs}/etc"):
        for name in ("hosts", "hostname", "resolv.conf"):
            if not os.path.lexists(f"{rootfs}/etc/{name}"):
                with open(f"{rootfs}/etc/{name}", "x") as file:
                    os.chmod(file.fileno(), 0o644)


def _write_configuration(partial: str, config: store.Config, tar_digest: str) -> str:
    """Write config.json and return the image's id, which doesn't depend on the time or on this disk."""
    configuration = store.Configuration(
        config=config, rootfs=store.RootFS(diff_ids=(f"sha256:{tar_digest}",))
    )
    id = hashlib.sha256(msgspec.json.encode(configuration)).hexdigest()
    configuration = msgspec.structs.replace(
        configuration,
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        size=_size(f"{partial}/rootfs"),
    )
    with open(f"{partial}/config.json", "wb") as file:
        file.write(msgspec.json.encode(configuration))
    return id


def _size(directory: str) -> int:
    """Bytes on disk of all files in `directory`; one with several names counts once."""
    seen: dict[tuple[int, int], int] = {}
    for parent, folders, files in os.walk(directory):
        for entry in (*folders, *files):
            status = os.lstat(f"{parent}/{entry}")
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _commit(images: str, partial: str, id: str, name: str) -> None:
    """First the image, then its name: whoever finds the name finds the image."""
    with store.locked(f"{images}/names"):
        if not os.path.isdir(f"{images}/{id}"):
            os.rename(partial, f"{images}/{id}")
        store.name_image(images, name, id)
