import bz2
import gzip
import io
import json
import lzma
import os
import signal
import subprocess
import sys
import tarfile

import pytest

from minipod.errors import InvalidImageName, MinipodError, NotAnImage
from minipod.image import importer, store
from tests.support.wait import wait_until


def make_tar(*members):
    """A tar of members: (name, content), or (name, TarInfo changes)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            data = content if isinstance(content, bytes) else b""
            info.size = len(data)
            for key, value in ({} if isinstance(content, bytes) else content).items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PLAIN = make_tar(("bin/sh", b"#!"), ("etc/hostname", b"x\n"))


def import_bytes(images, data, name="x", config=None):
    return importer.import_tar(images, io.BytesIO(data), name, config)


def left_in(images):
    """What the store holds beside complete images and their names."""
    return [entry for entry in os.listdir(images) if len(entry) != 64 and entry != "names"]


@pytest.fixture
def images(tmp_path):
    return str(tmp_path / "lib" / "images")


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_tar_is_imported_however_it_is_compressed(images, compress):
    image = import_bytes(images, compress(PLAIN))
    with open(f"{image.rootfs}/etc/hostname") as file:
        assert file.read() == "x\n"


def test_a_tar_compressed_by_zstd_is_imported(images, tmp_path):
    packed = subprocess.run(["zstd", "-c"], input=PLAIN, stdout=subprocess.PIPE, check=True).stdout
    path = tmp_path / "x.tar.zst"
    path.write_bytes(packed)
    assert os.path.exists(importer.import_tar(images, str(path), "x").rootfs + "/bin/sh")


def test_the_same_tar_is_the_same_image_under_both_names(images):
    first, second = import_bytes(images, PLAIN, "a:1"), import_bytes(images, PLAIN, "b")
    assert second.names == ("docker.io/library/a:1", "docker.io/library/b")
    assert first.id == second.id
    assert left_in(images) == []


def test_another_configuration_is_another_image(images):
    plain, other = import_bytes(images, PLAIN), import_bytes(images, PLAIN, config=store.Config(cmd=("sh",)))
    assert plain.id != other.id
    assert (plain.names, other.names) == (("docker.io/library/x",), ("docker.io/library/x",))
    assert store.find(images, plain.id).names == ()


def test_an_image_without_a_configuration_has_a_path(images):
    assert import_bytes(images, PLAIN).env == (f"PATH={importer.DEFAULT_PATH}",)


def test_size_counts_a_file_with_two_names_once(images):
    content = os.urandom(1 << 20)
    link = {"type": tarfile.LNKTYPE, "linkname": "one"}
    one = import_bytes(images, make_tar(("one", content)), "one")
    two = import_bytes(images, make_tar(("one", content), ("two", link)), "two")
    assert 1 << 20 <= one.size == two.size


def test_modes_are_kept_whatever_the_umask(images):
    old = os.umask(0o077)
    try:
        image = import_bytes(
            images, make_tar(("tmp", {"type": tarfile.DIRTYPE, "mode": 0o1777}), ("su", {"mode": 0o4755}))
        )
    finally:
        os.umask(old)
    assert [oct(os.stat(f"{image.rootfs}/{name}").st_mode & 0o7777) for name in ("tmp", "su")] == [
        "0o1777",
        "0o4755",
    ]


def test_what_every_container_has_mounted_is_there_to_be_mounted_on(images):
    old = os.umask(0o077)
    try:
        rootfs = import_bytes(images, make_tar(("bin/sh", b"#!"))).rootfs
    finally:
        os.umask(old)
    assert [
        f"{name} {os.stat(f'{rootfs}/{name}').st_mode:o}" for name in ("proc", "sys", "dev", "etc/hosts")
    ] == [
        "proc 40755",
        "sys 40755",
        "dev 40755",
        "etc/hosts 100644",
    ]


def test_an_image_whose_etc_is_a_link_keeps_it(images):
    link = ("etc", {"type": tarfile.SYMTYPE, "linkname": "/tmp"})
    image = import_bytes(images, make_tar(link, ("bin/sh", b"#!")))
    assert os.readlink(f"{image.rootfs}/etc") == "/tmp"


def test_other_users_of_the_host_can_not_enter_the_store(images):
    import_bytes(images, PLAIN)
    assert os.stat(images).st_mode & 0o077 == 0


SYMLINK, HARDLINK = tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("../escaped", b"!")],
        [("a/../../escaped", b"!")],
        [("/escaped", b"!")],
        [("link", {"type": SYMLINK, "linkname": ".."}), ("link/escaped", b"!")],
        [("link", {"type": SYMLINK, "linkname": "{outside}"}), ("link/escaped", b"!")],
        [
            ("d", {"type": tarfile.DIRTYPE, "mode": 0o755}),
            ("a", {"type": SYMLINK, "linkname": "d/b"}),
            ("d/b", {"type": SYMLINK, "linkname": "{outside}"}),
            ("a/escaped", b"!"),
        ],
        [("hard", {"type": HARDLINK, "linkname": "{outside}/precious"}), ("hard", b"!")],
        [("hard", {"type": HARDLINK, "linkname": "../../../precious"}), ("hard", b"!")],
        [
            ("link", {"type": SYMLINK, "linkname": "{outside}/precious"}),
            ("hard", {"type": HARDLINK, "linkname": "link"}),
            ("hard", b"!"),
        ],
    ],
)
def test_nothing_is_written_outside_the_image(tmp_path, members):
    outside = tmp_path / "outside"
    (outside / "store").mkdir(parents=True)
    (outside / "precious").write_text("mine")
    for _, change in members:
        if isinstance(change, dict) and "linkname" in change:
            change["linkname"] = change["linkname"].replace("{outside}", str(outside))
    images = str(outside / "store" / "images")
    try:
        import_bytes(images, make_tar(("bin/sh", b""), *members))
    except MinipodError:
        assert left_in(images) == []
    assert sorted(os.listdir(outside)) == ["precious", "store"]
    assert os.listdir(outside / "store") == ["images"]
    assert (outside / "precious").read_text() == "mine"
    assert not os.path.exists("/escaped")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "not look like a tar"),
        (make_tar(), "empty"),
        (b"no tar at all, but longer than a word" * 100, "tar"),
        (gzip.compress(PLAIN)[:-20], "unexpected end of file"),
        (make_tar(("big", b"x" * 100_000))[:50_000], "Unexpected EOF"),
        (make_tar(("oci-layout", b"{}"), ("index.json", b"{}")), "packed image"),
        (make_tar(("manifest.json", b"[]"), ("repositories", b"{}")), "packed image"),
        (make_tar(("../x", b"")), r"contains '\.\.'"),
    ],
)
def test_what_is_not_a_root_file_system_is_refused_and_leaves_nothing(images, data, words):
    with pytest.raises(NotAnImage, match=words):
        import_bytes(images, data)
    assert os.listdir(images) == ["names"]
    assert os.listdir(f"{images}/names") == []


def test_a_tar_with_very_many_complaints_does_not_block(images):
    members = [(f"{'d' * 90}/{number}/../x", b"") for number in range(2000)]
    with pytest.raises(MinipodError, match=r"contains '\.\.'"):
        import_bytes(images, make_tar(*members))


def test_a_tar_that_is_not_there_is_reported(images, tmp_path):
    with pytest.raises(MinipodError, match="No such file"):
        importer.import_tar(images, str(tmp_path / "none.tar"), "x")


def test_a_stream_that_breaks_off_leaves_nothing(images):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            data = super().read(512)
            if not data:
                raise ConnectionResetError("gone")
            return data

    with pytest.raises(ConnectionResetError):
        importer.import_tar(images, Broken(PLAIN[:2048]), "x")
    assert left_in(images) == []


@pytest.mark.parametrize("name", ["UPPER", "x:", "a" * 240 + "/b:" + "c" * 100])
def test_a_name_the_store_can_not_keep_is_refused_before_anything_is_unpacked(images, name):
    with pytest.raises(InvalidImageName):
        import_bytes(images, PLAIN, name)
    assert not os.path.exists(images)


DIES_WHILE_READING = """
import os, signal, sys
from minipod.image import importer

class Deadly:
    data = [bytes.fromhex(sys.argv[2])]
    def read(self, size):
        return self.data.pop() if self.data else os.kill(os.getpid(), signal.SIGKILL)

importer.import_tar(sys.argv[1], Deadly(), "x")
"""


def test_an_import_killed_on_the_way_leaves_no_image_and_the_next_import_cleans_up(images):
    command = [sys.executable, "-c", DIES_WHILE_READING, images, PLAIN.hex()]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [entry[-8:] for entry in left_in(images)] == [".partial"]
    assert store.list_(images) == []
    # Its tar may still be at work.
    assert wait_until(lambda: import_bytes(images, PLAIN) and left_in(images) == [])


def test_config_json_is_an_oci_configuration(images):
    image = import_bytes(images, PLAIN, config=store.Config(user="web", cmd=("run", "x"), working_dir="/srv"))
    with open(f"{images}/{image.id}/config.json") as file:
        stored = json.load(file)
    assert stored["config"] == {"User": "web", "Cmd": ["run", "x"], "WorkingDir": "/srv"}
    assert stored["rootfs"]["type"] == "layers"


def test_the_busybox_recipe_makes_the_same_image_every_time(images, tmp_path, request):
    recipe = request.config.rootpath / "rootfs/busybox"
    for name in ("first", "second"):
        subprocess.run([recipe, tmp_path / f"{name}.tar"], check=True)
        config = importer.read_config(str(tmp_path / f"{name}.json"))
        image = importer.import_tar(images, str(tmp_path / f"{name}.tar"), name, config)
    assert image.names == ("docker.io/library/first", "docker.io/library/second")
    assert image.cmd == ("sh",)
    assert os.readlink(f"{image.rootfs}/bin/sh") == "busybox"
    assert oct(os.stat(f"{image.rootfs}/tmp").st_mode & 0o7777) == "0o1777"


@pytest.mark.parametrize("text", ["", "[]", '{"config": {"Cmd": "sh"}}'])
def test_a_configuration_that_is_none_is_refused_with_its_path(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(MinipodError, match=str(path)):
        importer.read_config(str(path))
