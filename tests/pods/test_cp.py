"""minipod cp: files and folders into a container and out of it, and never anywhere else."""

import os
import stat
from pathlib import Path

import pytest

from tests.support.node import Node, mounted, pod


@pytest.fixture(scope="module")
def web(shared_node: Node) -> Node:
    volumes = [{"name": "d", "emptyDir": {}}]
    user = {"securityContext": {"runAsUser": 1000, "runAsGroup": 2000}}
    other = {"volumeMounts": mounted(d="/d"), "workingDir": "/d", **user}
    shared_node.apply(pod("web", {"volumeMounts": mounted(d="/data")}, other, volumes=volumes))
    return shared_node


@pytest.fixture
def desk(web, tmp_path) -> Path:
    """A folder to copy from and to; what is copied to the container begins anew in each test."""
    web.exec("web", "sh", "-c", "rm -rf /t /data/*; mkdir /t")
    return tmp_path


def inside(web: Node, script: str) -> str:
    return web.exec("web", "sh", "-c", script).stdout


def test_a_file_goes_into_a_container_with_its_mode_and_owner(web, desk):
    file = desk / "run me"
    file.write_bytes(os.urandom(3_000_000))
    os.chown(file, 12, 34)
    file.chmod(0o4751)
    web.run("cp", str(file), "web:/t")
    web.run("cp", str(file), "default/web:/t/other")
    for name in ("run me", "other"):
        assert inside(web, f"stat -c '%a %u %g %s' '/t/{name}'") == "4751 12 34 3000000\n"


def test_a_file_comes_out_whole(web, desk):
    inside(web, "head -c 3000000 /dev/urandom >/t/f; chmod 750 /t/f")
    web.run("cp", "web:/t/f", str(desk / "deep/er/f"))
    web.run("cp", "web:/t/f", str(desk))
    digest = inside(web, "sha256sum </t/f").split()[0]
    for path in (desk / "f", desk / "deep/er/f"):
        assert web.sh(f"sha256sum <{path}").split()[0] == digest
        assert stat.S_IMODE(path.stat().st_mode) == 0o750


def test_a_folder_goes_in_with_its_links_and_comes_out_without(web, desk):
    tree = desk / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b/file").write_text("deep\n")
    (tree / "link").symlink_to("a/b/file")
    web.run("cp", str(tree), "web:/t/new")
    web.run("cp", str(tree), "web:/t")  # a folder that is there: into it
    for name in ("new", "tree"):
        assert inside(web, f"cat /t/{name}/link; readlink /t/{name}/link") == "deep\na/b/file\n"
    result = web.run("cp", "web:/t/tree", str(desk / "out"))
    assert (desk / "out/a/b/file").read_text() == "deep\n"
    assert not os.path.lexists(desk / "out/link")
    assert result.stderr == 'warning: skipping symlink: "web:/t/tree/link" -> "a/b/file"\n'


def test_the_content_of_a_folder_goes_into_another(web, desk):
    (desk / "one").write_text("1")
    web.run("cp", f"{desk}/.", "web:/t")
    assert inside(web, "ls /t") == "one\n"


def test_the_container_needs_neither_tar_nor_cp_and_volumes_are_reached(web, desk):
    (desk / "f").write_text("for both\n")
    inside(web, "mv /bin/tar /bin/tar-away")
    try:
        web.run("cp", str(desk / "f"), "web:/data/f")
    finally:
        inside(web, "mv /bin/tar-away /bin/tar")
    assert web.exec("web", "cat", "/d/f", container="c1").stdout == "for both\n"


def test_files_for_another_user_belong_to_it_and_relative_paths_begin_at_its_working_directory(web, desk):
    (desk / "f").write_text("mine")
    web.run("cp", "-c", "c1", str(desk / "f"), "web:copied")
    assert inside(web, "stat -c '%u %g' /data/copied") == "1000 2000\n"


def test_without_preserve_a_copy_has_the_usual_owner_and_mode(web, desk):
    (desk / "f").write_text("f")
    os.chown(desk / "f", 12, 34)
    (desk / "f").chmod(0o4777)
    web.run("cp", "--no-preserve", str(desk / "f"), "web:/t")
    assert inside(web, "stat -c '%a %u %g' /t/f") == f"{0o777 & ~current_umask():o} 0 0\n"


def current_umask() -> int:
    found = os.umask(0)
    os.umask(found)
    return found


# --- nothing but the container


def test_links_of_the_container_lead_to_the_containers_own_files(web, desk):
    inside(
        web,
        "echo the containers >/etc/hostname-x; ln -s /etc/hostname-x /t/abs; ln -s ../../../../../../etc /t/up",
    )
    for path in ("/t/abs", "/t/up/hostname-x", "/../../t/up/../etc/hostname-x"):
        web.run("cp", f"web:{path}", str(desk / "out"))
        assert (desk / "out").read_text() == "the containers\n"


def test_a_link_out_of_the_container_leads_nowhere(web, desk):
    secret = desk / "secret"
    secret.write_text("of the host")
    inside(web, f"ln -s {secret} /t/link; ln -s /proc/1/root{secret} /t/magic; ln -s /proc/1/root /t/root")
    for path in ("/t/link", "/t/magic", f"/t/root{secret}"):
        result = web.run("cp", f"web:{path}", str(desk / "out"), check=False)
        assert (result.returncode, (desk / "out").exists()) == (1, False), result.stderr


def test_what_is_written_replaces_a_link_and_does_not_follow_it(web, desk):
    target, file = desk / "target", desk / "f"
    target.write_text("untouched")
    file.write_text("new")
    (desk / "tree").mkdir()
    (desk / "tree/f").write_text("new")
    inside(web, f"mkdir -p /t/tree; ln -s {target} /t/tree/f; ln -s {target} /t/dangling")
    web.run("cp", str(desk / "tree"), "web:/t")
    web.run("cp", str(file), "web:/t/dangling")
    assert target.read_text() == "untouched"
    assert inside(web, "cat /t/tree/f /t/dangling; find /t -type l") == "newnew"


def test_a_device_or_pipe_of_the_container_is_neither_opened_nor_copied(web, desk):
    inside(web, "mkdir /t/x; mknod /t/x/disk b 7 0; mkfifo /t/x/pipe; echo >/t/x/file")
    result = web.run("cp", "web:/t/x", str(desk / "out"))
    assert os.listdir(desk / "out") == ["file"]
    assert result.stderr.count("warning: skipping") == 2
    (desk / "pipe").write_text("a file")
    web.run("cp", str(desk / "pipe"), "web:/t/x")
    assert inside(web, "cat /t/x/pipe; stat -c %F /t/x/pipe") == "a fileregular file\n"


# --- what can't be


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["/no/such/file", "web:/t"], "error: /no/such/file doesn't exist in local filesystem"),
        (["web:/no/such/file", "x"], "error: web:/no/such/file: no such file or directory"),
        (
            ["/etc/hostname", "web:/no/such/folder/x"],
            "error: web:/no/such/folder/x: no such file or directory",
        ),
        (["/etc/hostname", "web:/proc/x"], "error: /etc/hostname: "),
        (["/etc/hostname", "nobody:/t"], 'pods "nobody" not found'),
        (["-c", "c9", "/etc/hostname", "web:/t"], "container c9 is not valid for pod web"),
        (["a", "b"], "One of src or dest must be a remote file specification"),
        (["web:/a", "web:/b"], "one of src or dest must be a local file specification"),
        (["/etc/hostname", "web:"], "filepath can not be empty"),
        (["/etc/hostname", ":/x"], "filespec must match the canonical format"),
        (["/etc/hostname"], "source and destination are required"),
    ],
)
def test_what_cannot_be_copied_is_told(web, desk, words, error):
    result = web.run("cp", *words, check=False)
    assert (result.returncode, error in result.stderr) == (1, True), result.stderr


def test_one_file_that_cannot_be_written_stops_no_other(web, desk):
    (desk / "tree").mkdir()
    for name in ("a", "b", "c"):
        (desk / "tree" / name).write_text(name)
    inside(web, "mkdir -p /t/tree/b")
    result = web.run("cp", str(desk / "tree"), "web:/t", check=False)
    assert (result.returncode, result.stderr) == (1, f"error: {desk}/tree/b: is a directory\n")
    assert inside(web, "cat /t/tree/a /t/tree/c") == "ac"


def test_a_file_system_of_the_kernels_is_left_out(web, desk):
    result = web.run("cp", "web:/", str(desk / "root"), check=False)
    left_out = {line.split()[2].rstrip(":") for line in result.stderr.splitlines() if "like /proc" in line}
    assert {"web:/proc", "web:/sys"} <= left_out
    assert (desk / "root/bin/busybox").exists()
    assert not (desk / "root/proc").exists()
