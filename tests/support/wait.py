"""Waiting, as minipod.testing does it."""

from minipod.testing.wait import wait_until

__all__ = ["wait_until"]
