"""`minipod version`."""

from minipod import __version__
from minipod.api import client
from minipod.cli.console import out
from minipod.cli.options import Args, Command, Option


def run(args: Args) -> int:
    out(f"Client Version: v{__version__}")
    if args.on("client"):
        return 0
    try:
        reply = client.send(client.connect(), "GET", "/version")
    except OSError:
        out("Server Version: <not running>")
        return 0
    import json

    out(f"Server Version: {json.loads(reply.read()).get('gitVersion', '<unknown>')}")
    return 0


COMMAND = Command(
    "version",
    "Print the versions of command and node",
    run,
    usage=("version [--client]",),
    examples=(
        ("Of this command and of the node, if it runs", "minipod version"),
        ("Of this command only", "minipod version --client"),
        ("Of the node only", "minipod version | tail -n 1"),
    ),
    options=(Option("client", "Only this command's"),),
)
