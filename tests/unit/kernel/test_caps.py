"""Capability masks."""

import pytest

from minipod.errors import KernelError
from minipod.kernel import caps


def test_the_default_is_the_mask_that_docker_and_containerd_show():
    assert caps.to_mask(caps.DEFAULT) == 0xA80425FB
    assert len(caps.DEFAULT) == 14


def test_added_capabilities_are_added_to_the_mask():
    assert caps.to_mask([*caps.DEFAULT, "NET_ADMIN", "SYS_TIME"]) == 0xAA0435FB


def test_names_come_with_and_without_cap_and_in_any_case():
    assert caps.to_mask(["CAP_CHOWN", "net_raw"]) == caps.to_mask(["CHOWN", "NET_RAW"]) == 1 << 0 | 1 << 13


@pytest.mark.parametrize("mask", [0, 1, 0xA80425FB, (1 << 41) - 1, 1 << 45 | 1])
def test_a_mask_becomes_names_and_the_names_the_mask(mask):
    assert caps.to_mask(caps.to_names(mask)) == mask


def test_a_capability_newer_than_this_list_has_a_number():
    assert caps.to_names(1 << 45) == ["CAP_45"]


@pytest.mark.parametrize("name", ["SYS_NOTHING", "", "64", "CAP_"])
def test_an_unknown_name_is_named(name):
    with pytest.raises(KernelError, match=f"^capability {name}: Invalid argument"):
        caps.to_mask([name])
