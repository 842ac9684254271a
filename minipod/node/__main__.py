"""`python -m minipod.node`: the daemon. The command line starts it, or systemd; its standard error is its log."""

import asyncio
import gc
import logging
import os
import sys
import time

from minipod.errors import MinipodError
from minipod.kernel.process import set_title
from minipod.names import layout
from minipod.node import daemon, folders


def main() -> int:
    """Run until stopped; the exit code."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s.%(msecs)03dZ %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
    )
    logging.Formatter.converter = time.gmtime
    os.umask(0o022)
    here = layout()
    try:
        if os.geteuid() != 0:
            raise MinipodError("the node must run as root")
        held = folders.lock(here)
        set_title("minipod: node")
        gc.freeze()  # what is imported stays: no collection needs to look at it again
        asyncio.run(daemon.run(here))
        os.close(held)
    except (MinipodError, OSError) as error:
        print(f"minipod node: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
