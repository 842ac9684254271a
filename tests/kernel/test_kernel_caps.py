"""Capabilities and users, as the program sees them that is executed in the end."""

import errno
import os

import pytest

from minipod.errors import KernelError
from minipod.kernel import caps, process
from tests.kernel.child import in_child

DEFAULT = "00000000a80425fb"
DEFAULT_MASK = caps.to_mask(caps.DEFAULT)
NONE = "0000000000000000"


def sets():
    status = process.status("self")
    return [status[name] for name in ("CapBnd", "CapPrm", "CapEff", "CapInh")]


def test_what_this_host_has_is_of_the_kernels_and_the_default_is_of_it():
    bounding = int(sets()[0], 16)
    assert (bounding & ~caps.of_kernel(), DEFAULT_MASK & ~bounding) == (0, 0)


def test_root_with_the_default_capabilities():
    def become():
        caps.drop_bounding(DEFAULT_MASK)
        caps.set_user(0, 0)
        caps.set_caps(DEFAULT_MASK, DEFAULT_MASK)
        return sets(), os.getresuid()

    assert in_child(become) == ([DEFAULT, DEFAULT, DEFAULT, NONE], (0, 0, 0))


def test_another_user_keeps_the_bounding_set_and_nothing_else():
    def become():
        caps.drop_bounding(DEFAULT_MASK)
        caps.set_user(1000, 3000, (2000, 4000))
        return sets(), os.getresuid(), os.getresgid(), sorted(os.getgroups())

    assert in_child(become) == ([DEFAULT, NONE, NONE, NONE], (1000,) * 3, (3000,) * 3, [2000, 4000])


def test_kept_capabilities_can_be_raised_again_by_another_user():
    def become():
        caps.drop_bounding(DEFAULT_MASK)
        caps.set_user(1000, 1000, keep_caps=True)
        before = sets()[2]
        caps.set_caps(DEFAULT_MASK, DEFAULT_MASK)
        return before, sets()

    assert in_child(become) == (NONE, [DEFAULT, DEFAULT, DEFAULT, NONE])


def test_supplementary_groups_of_before_are_gone():
    def become():
        os.setgroups([27, 100])
        caps.set_user(1000, 1000)
        return os.getgroups()

    assert in_child(become) == []


def test_dropping_what_we_never_had_is_fine():
    def drop():
        caps.drop_bounding(caps.to_mask(["CHOWN"]))
        caps.drop_bounding(0)
        return sets()[0]

    assert in_child(drop) == NONE


def test_without_setpcap_nothing_is_dropped_from_the_bounding_set():
    def refused():
        caps.set_caps(caps.to_mask(["CHOWN"]), caps.to_mask(["CHOWN"]))
        with pytest.raises(KernelError, match=r"prctl PR_CAPBSET_DROP 0: .*\(EPERM\)"):
            caps.drop_bounding(0)

    in_child(refused)


def test_a_capability_once_given_up_can_not_be_had_again():
    def refused():
        caps.set_caps(0, 0)
        with pytest.raises(KernelError, match=r"^capset permitted=1 ") as caught:
            caps.set_caps(1, 1)
        return caught.value.errno

    assert in_child(refused) == errno.EPERM


def test_a_user_without_the_right_can_not_become_another():
    def refused():
        caps.set_user(1000, 1000)
        with pytest.raises(KernelError, match="setuid user 0, group 0"):
            caps.set_user(0, 0)

    in_child(refused)
