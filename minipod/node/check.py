"""`minipod node check`: whether this machine can run pods. Its own process: it tries things out in the kernel."""

import sys

import msgspec

from minipod.kernel.features import Feature, probe
from minipod.node.tables import align


def table(features: list[Feature]) -> str:
    """A line for each feature, and one below each that is missing saying how to get it."""
    rows = [["FEATURE", "STATUS", "DETAIL"]]
    rows += [[each.name, "ok" if each.ok else "missing", each.detail] for each in features]
    head, *lines = align(rows).split("\n")
    text = [head.rstrip()]
    for feature, line in zip(features, lines, strict=True):
        text.append(line.rstrip())
        if feature.hint:
            text.append(f"    -> {feature.hint}")
    missing = [each.name for each in features if not each.ok]
    text += ["", f"Missing: {', '.join(missing)}." if missing else "This machine can run pods."]
    return "\n".join(text)


def main(arguments: list[str]) -> int:
    """Prints the table, or JSON with `-o json`; 1 if something needed is missing."""
    features = probe()
    if arguments == ["-o", "json"]:
        print(msgspec.json.format(msgspec.json.encode(features), indent=2).decode())
    else:
        print(table(features))
    return 0 if all(each.ok for each in features) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
