"""Which places a node accepts."""

from pathlib import Path

import pytest

from minipod.errors import MinipodError
from minipod.names import layout
from minipod.node import folders


@pytest.mark.parametrize("home", ["a,b", "a:b", "a\\b"])
def test_a_home_that_overlay_would_take_apart_is_refused_before_it_is_made(tmp_path: Path, home: str) -> None:
    with pytest.raises(MinipodError, match=r"MINIPOD_HOME=.*overlay"):
        folders.lock(layout(f"{tmp_path}/{home}"))
    assert not list(tmp_path.iterdir())
