"""What cp makes of files, one name at a time. Real files, no container."""

import os
import stat
from pathlib import Path

import pytest

from minipod.cli.tree import Copier


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """A folder to copy from, and one to copy to."""
    source, target = tmp_path / "from", tmp_path / "to"
    source.mkdir()
    target.mkdir()
    return source, target


def download(source: Path, target: Path) -> None:
    copier = Copier(None, preserve=False, links=False)
    copier.contents(os.open(source, os.O_PATH), os.open(target, os.O_RDONLY), "pod:/files")
    assert not copier.failed


def test_a_copy_that_takes_the_place_of_a_link_has_the_mode_of_the_original(places):
    source, target = places
    (source / "secret").write_text("new")
    (source / "secret").chmod(0o600)
    (target / "elsewhere").write_text("kept")
    (target / "secret").symlink_to("elsewhere")
    download(source, target)
    assert (target / "elsewhere").read_text() == "kept"
    assert (target / "secret").read_text() == "new"
    assert stat.S_IMODE((target / "secret").lstat().st_mode) == 0o600


def test_a_name_with_escape_sequences_is_told_without_them(places, capfd):
    source, target = places
    (source / "\x1b]0;mine\x07\udc80").symlink_to("\x1b[2J")
    download(source, target)
    said = r"pod:/files/\x1b]0;mine\x07\udc80"
    assert capfd.readouterr().err == f'warning: skipping symlink: "{said}" -> "\\x1b[2J"\n'
