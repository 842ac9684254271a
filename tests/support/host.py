"""What a machine looks like, as minipod.testing sees it."""

from minipod.testing.host import MARK, Facts, Host, counted, difference, leaks, snapshot

__all__ = ["MARK", "Facts", "Host", "counted", "difference", "leaks", "snapshot"]
