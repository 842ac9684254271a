import os

import pytest

from minipod.errors import ImageInUse, ImageNotFound, InvalidImageName
from minipod.image import store


def add(images, id, *names, config=b"{}"):
    """An image as an import leaves it, without the import."""
    os.makedirs(f"{images}/names", exist_ok=True)
    os.makedirs(f"{images}/{id}/rootfs/bin")
    with open(f"{images}/{id}/config.json", "wb") as file:
        file.write(config)
    for name in names:
        store.name_image(images, name, id)


def unused(_):
    return False


BUSYBOX, OTHER = "b" * 64, "c" * 63 + "d"


@pytest.fixture
def images(tmp_path):
    return str(tmp_path / "images")


@pytest.mark.parametrize(
    "text",
    ["busybox", "busybox:1.28", "docker.io/library/busybox", BUSYBOX, "sha256:" + BUSYBOX, BUSYBOX[:12]],
)
def test_an_image_without_a_tag_is_found_by_every_tag_and_by_its_id(images, text):
    add(images, BUSYBOX, "docker.io/library/busybox")
    assert store.find(images, text).id == BUSYBOX


def test_a_tag_that_is_there_wins_over_the_image_without_one(images):
    add(images, BUSYBOX, "docker.io/library/busybox")
    add(images, OTHER, "docker.io/library/busybox:1.28")
    assert [store.find(images, f"busybox{tag}").id for tag in ("", ":1.28", ":1.29")] == [
        BUSYBOX,
        OTHER,
        BUSYBOX,
    ]


@pytest.mark.parametrize(
    "text", ["busybox", "busybox:1.29", "example.org/library/busybox:1.28", "c" * 11, "e" * 64]
)
def test_what_is_not_in_the_store_is_not_found(images, text):
    add(images, OTHER, "docker.io/library/busybox:1.28")
    with pytest.raises(ImageNotFound, match=text):
        store.find(images, text)


def test_an_image_without_a_tag_does_not_answer_for_a_digest(images):
    add(images, BUSYBOX, "docker.io/library/busybox")
    with pytest.raises(ImageNotFound):
        store.find(images, "busybox@sha256:" + BUSYBOX)


def test_an_ambiguous_beginning_of_an_id_finds_nothing(images):
    add(images, BUSYBOX)
    add(images, BUSYBOX[:-1] + "e")
    with pytest.raises(ImageNotFound):
        store.find(images, BUSYBOX[:20])


def test_a_store_that_does_not_exist_yet_is_empty(images):
    assert store.list_(images) == []
    with pytest.raises(ImageNotFound):
        store.find(images, "busybox")


def test_a_malformed_name_is_not_looked_up(images):
    with pytest.raises(InvalidImageName):
        store.find(images, "../names")


def test_an_oci_configuration_is_read_with_its_nulls_and_unknown_members(images):
    text = b"""{"created": "2024-01-02T03:04:05Z", "architecture": "amd64", "size": 7, "config": {"User": "web",
        "Env": ["A=1"], "Entrypoint": null, "Cmd": ["run"], "WorkingDir": "", "StopSignal": "SIGINT", "Labels": {}}}"""
    add(images, BUSYBOX, "docker.io/library/busybox", config=text)
    assert store.find(images, "busybox") == store.Image(
        id=BUSYBOX,
        names=("docker.io/library/busybox",),
        rootfs=f"{images}/{BUSYBOX}/rootfs",
        env=("A=1",),
        entrypoint=(),
        cmd=("run",),
        workdir="/",
        user="web",
        stop_signal="SIGINT",
        size=7,
        created="2024-01-02T03:04:05Z",
    )


def test_the_list_has_every_image_with_all_its_names(images):
    add(images, BUSYBOX, "docker.io/library/z", "docker.io/library/a:1")
    add(images, OTHER)
    names = [(image.id, image.names) for image in store.list_(images)]
    assert names == [(OTHER, ()), (BUSYBOX, ("docker.io/library/a:1", "docker.io/library/z"))]


def test_removing_one_of_two_names_keeps_the_image(images):
    add(images, BUSYBOX, "docker.io/library/a:1", "docker.io/library/b:1")
    store.remove(images, "a:1", in_use=lambda _: True)
    assert store.find(images, "b:1").names == ("docker.io/library/b:1",)


@pytest.mark.parametrize("text", ["a:1", BUSYBOX])
def test_removing_the_last_name_or_the_id_leaves_nothing(images, text):
    add(images, BUSYBOX, "docker.io/library/a:1")
    assert store.remove(images, text, unused).id == BUSYBOX
    assert sorted(os.listdir(images)) == ["names"]
    assert os.listdir(f"{images}/names") == []


def test_an_image_in_use_is_not_removed(images):
    add(images, BUSYBOX, "docker.io/library/a:1")
    with pytest.raises(ImageInUse, match="a:1"):
        store.remove(images, "a:1", in_use=lambda image: image.id == BUSYBOX)
    assert store.find(images, "a:1").id == BUSYBOX


def test_removing_a_tag_does_not_remove_the_image_without_one(images):
    add(images, BUSYBOX, "docker.io/library/busybox")
    with pytest.raises(ImageNotFound):
        store.remove(images, "busybox:1.28", unused)
    assert store.find(images, "busybox:1.28").id == BUSYBOX


def test_removing_does_not_follow_a_link_out_of_the_image(images, tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").touch()
    add(images, BUSYBOX, "docker.io/library/a:1")
    os.symlink(tmp_path / "precious", f"{images}/{BUSYBOX}/rootfs/link")
    store.remove(images, "a:1", unused)
    assert (tmp_path / "precious/file").exists()


def test_collecting_removes_what_a_dead_import_left(images):
    add(images, BUSYBOX, "docker.io/library/a:1")
    os.makedirs(f"{images}/.0123.partial/rootfs/bin")
    store.collect(images)
    assert sorted(os.listdir(images)) == [BUSYBOX, "names"]


def test_collecting_leaves_an_import_under_way_alone(images):
    os.makedirs(f"{images}/.0123.partial")
    with store.locked(images, shared=True):
        store.collect(images)
    assert os.listdir(images) == [".0123.partial"]
