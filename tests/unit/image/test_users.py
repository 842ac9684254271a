import os

import pytest

from minipod.errors import KernelError, MinipodError
from minipod.image.users import User, resolve

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
web:x:1000:100:Web:/srv/web:/bin/sh
1001:x:7:8::/seven:/bin/sh
short:x:5
word:x:many:0::/:/bin/sh
huge:x:4294967295:0::/:/bin/sh
bare:x:9:9:::
"""
GROUP = "root:x:0:\nusers:x:100:\nlogs:x:44:other,web\ndisk:x:6:web\nlogs:x:45:web\nbroken:x\n"


@pytest.fixture
def rootfs(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text(PASSWD)
    (tmp_path / "etc/group").write_text(GROUP)
    return tmp_path


@pytest.mark.parametrize(
    ("image_user", "run_as_user", "run_as_group", "expected"),
    [
        ("", None, None, User(0, 0, (0,), "/root")),
        ("web", None, None, User(1000, 100, (100, 6, 44), "/srv/web")),
        ("1000", None, None, User(1000, 100, (100, 6, 44), "/srv/web")),
        ("web:logs", None, None, User(1000, 44, (44, 6), "/srv/web")),
        ("web:7", None, None, User(1000, 7, (7, 6, 44), "/srv/web")),
        ("web:logs", 0, None, User(0, 0, (0,), "/root")),
        ("web", None, 9, User(1000, 9, (9, 6, 44), "/srv/web")),
        ("", 1000, None, User(1000, 100, (100, 6, 44), "/srv/web")),
        ("", 4242, None, User(4242, 0, (0,), "/")),
        ("", 4242, 4343, User(4242, 4343, (4343,), "/")),
        ("1001", None, None, User(7, 8, (8,), "/seven")),
        ("bare", None, None, User(9, 9, (9,), "/")),
    ],
)
def test_a_user_is_found_in_the_images_own_files(rootfs, image_user, run_as_user, run_as_group, expected):
    assert resolve(str(rootfs), image_user, run_as_user, run_as_group) == expected


@pytest.mark.parametrize("user", ["nobody", "web:nobody", "short", "word", "huge", "-1", "4294967295", "²"])
def test_a_name_the_image_does_not_have_is_an_error(rootfs, user):
    with pytest.raises(MinipodError, match=r"unable to find (user|group)"):
        resolve(str(rootfs), user)


def test_an_image_without_the_files_has_numeric_users(tmp_path):
    assert resolve(str(tmp_path), "12:13") == User(12, 13, (13,), "/")


def test_a_link_to_the_hosts_passwd_leads_to_the_images(rootfs):
    host = rootfs / "outside"
    host.write_text("root:x:0:0::/stolen:/bin/sh\n")
    image = rootfs / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc/passwd").symlink_to(host)
    (image / "etc/group").symlink_to("../../../../outside")
    assert resolve(str(image), "0").home == "/"


def test_an_absolute_link_stays_in_the_image(rootfs):
    (rootfs / "etc/passwd").rename(rootfs / "passwd")
    (rootfs / "etc/passwd").symlink_to("/passwd")
    assert resolve(str(rootfs), "web").uid == 1000


def test_a_fifo_in_place_of_passwd_does_not_block(rootfs):
    os.unlink(rootfs / "etc/passwd")
    os.mkfifo(rootfs / "etc/passwd")
    assert resolve(str(rootfs), "0").home == "/"


def test_a_loop_of_links_is_reported(rootfs):
    os.unlink(rootfs / "etc/passwd")
    (rootfs / "etc/passwd").symlink_to("passwd")
    with pytest.raises(KernelError, match="passwd"):
        resolve(str(rootfs), "0")
