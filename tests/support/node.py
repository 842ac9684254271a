"""minipod.testing's private node for our own tests: the image busybox, and manifests that say only what matters."""

import subprocess
from pathlib import Path
from typing import Any

from minipod.image import importer
from minipod.testing.node import MINIPOD, STAYS, Node, interrupt, link_images, make, private_node

__all__ = ["MINIPOD", "ROOT", "STAYS", "Node", "interrupt", "link_images", "make", "private_node"]

ROOT = Path(__file__).parents[2]

# Sleeps, but ends at once when it is told to: a PID 1 without a handler would use up its grace period.
IDLE = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


def pod(name: str, *containers: dict[str, Any], **spec: Any) -> dict[str, Any]:
    """A Pod; a container only needs what matters to the test, and idles unless it has a command."""
    full = [
        {"name": f"c{number}", "image": "busybox", "command": ["sh", "-c", IDLE]} | each
        for number, each in enumerate(containers)
    ]
    metadata = {"name": name} | spec.pop("metadata", {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": full} | spec}


def sh(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a script to its end."""
    return {"command": ["sh", "-c", script], **fields}


def idle_after(script: str, **fields: Any) -> dict[str, Any]:
    """A container that runs a script, and then idles."""
    return sh(f"{script}\n{IDLE}", **fields)


def mounted(**paths: str) -> list[dict[str, str]]:
    """volumeMounts: volume=path."""
    return [{"name": name, "mountPath": path} for name, path in paths.items()]


def busybox(folder: Path) -> Path:
    """The root file system of the image, as a tar."""
    tar = folder / "busybox.tar"
    subprocess.run([str(ROOT / "rootfs/busybox"), str(tar)], check=True)
    return tar


def store_of(tar: Path) -> str:
    """An image store beside `tar` that has it as busybox."""
    images = str(tar.with_name("images"))
    importer.import_tar(images, str(tar), "busybox", importer.read_config(str(tar.with_suffix(".json"))))
    return images
