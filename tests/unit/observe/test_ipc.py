"""The text about a pod's IPC namespace."""

import pytest

from minipod.observe import ipc


@pytest.mark.parametrize(("key", "shown"), [(0x1234, "0x00001234"), (-559038737, "0xdeadbeef")])
def test_a_key_is_told_as_ipcs_tells_it(key, shown):
    seen = ipc.Ipc(1, (), (ipc.Semaphores(0, key, "0600", 1, 0),), (), (), ())
    assert ipc.as_text(seen, 1000).split("\n")[-1].split()[1] == shown
