"""`minipod plan`: what would be done for a pod, without doing it.

The same builders as for a real pod (supervisor/engine.py says in which order). What is chosen when a pod is made has
symbols: $UID and so on in what people read, and in a script names of its own below a working folder.
"""

import asyncio
import os
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import asdict

from minipod.api.messages import NodeFacts
from minipod.names import Layout, component
from minipod.node import apply, status
from minipod.node.build import Ids, parts
from minipod.node.console import Console
from minipod.node.network import skeleton
from minipod.node.node import NODE
from minipod.node.printers import no_printer
from minipod.node.query import flag
from minipod.plan import frame, shell
from minipod.plan.core import Op, Stage
from minipod.plan.fields import field
from minipod.plan.ops.namespaces import Join, Unshare
from minipod.plan.places import word
from minipod.plan.words import variable
from minipod.spec import qos
from minipod.spec.types import Pod
from minipod.supervisor import config

_LAST_ADDRESS = 254  # a node gives out the lower ones first


async def plan(request: web.Request, console: Console) -> int:
    """POST /minipod/v1/plan: `output` is "", json or shell, `undo` is for shell only."""
    node, query = request.app[NODE], request.query
    form, back = query.get("output", ""), flag(query.get("undo"))
    if form not in ("", "json", "shell"):
        raise no_printer(form, ("json", "shell"))
    if back and form != "shell":
        raise status.BadQuery("--undo goes with -o shell")
    text = await apply.body(request)
    checked = apply.check(text, query.get("source") or "-", query.get("namespace", ""))
    if form == "shell" and len(checked) > 1:
        raise status.BadQuery(f"a script is for one pod, and the manifests have {len(checked)}")
    pods = [each.pod for each in checked]
    console.out(await asyncio.to_thread(_rendered, pods, node.facts, form, back))
    return 0


def _rendered(pods: list[Pod], facts: NodeFacts, form: str, back: bool) -> str:
    if form == "shell":
        return script(pods[0], facts, back)
    if form == "json":
        return msgspec.json.format(
            msgspec.json.encode({"pods": [as_json(pod, facts) for pod in pods]})
        ).decode()
    return "\n\n".join("\n".join(as_text(pod, facts)) for pod in pods)


# --- the plan --------------------------------------------------------------------------------------------------------


class _Layout(Layout):
    """Names that aren't cut out of an id, for ids that are symbols."""

    def netns_pin(self, pod_name: str, sandbox_id: str) -> str:
        return f"{self.netns}/{pod_name}-{sandbox_id}"

    def veth_host(self, sandbox_id: str) -> str:
        return self.veth + sandbox_id


class _Folder(Layout):
    """A script's: everything of its one pod in a folder, $WORK; what is several pods' is called as the node's."""

    node: Layout
    key: str  # names the pod

    @property
    def images(self) -> str:
        return self.node.images

    @property
    def addresses(self) -> str:
        return self.node.addresses

    def pod_cgroup(self, _qos: str, _uid: str) -> str:
        return frame.CGROUP

    def pod_run(self, _uid: str) -> str:
        return self.run

    def pod_lib(self, _uid: str) -> str:
        return self.lib

    def pins(self, _sandbox_id: str) -> str:
        return f"{self.run}/ns"

    def netns_pin(self, _pod_name: str, _sandbox_id: str) -> str:
        return f"{self.netns}/{self.key}"

    def veth_host(self, _sandbox_id: str) -> str:
        return f"{self.veth}{zlib.crc32(self.key.encode()):08x}"


class _Facts(NodeFacts, frozen=True):
    """The machine's, with another layout."""

    own: Any = None

    @property
    def layout(self) -> Layout:
        layout: Layout = self.own
        return layout


def _symbolic(pod: Pod, facts: NodeFacts) -> list[shell.Part]:
    """For people: real places, and symbols for ids."""
    own = _Facts(**asdict(facts), own=_Layout(**facts.layout.__dict__))
    return parts(pod, own, Ids(variable("UID"), variable("SANDBOX"), variable("CONTAINER")))


# --- what is printed -------------------------------------------------------------------------------------------------


def as_text(pod: Pod, facts: NodeFacts) -> Iterator[str]:
    """A block for each stage: a line for each operation, with the field that asked for it."""
    yield f"pod/{pod.metadata.name}"
    for part in _symbolic(pod, facts):
        for stage in part.plan:
            yield f"\n{stage.name}: {shell.described(stage)}"
            for index, op in enumerate(stage.ops):
                why = field(pod, stage, op)
                yield f"{index:4}  {op.explain()}" + (f"  # {why}" if why else "")
        if part.to_the_end:
            yield "      # its end is waited for"


def as_json(pod: Pod, facts: NodeFacts) -> dict[str, Any]:
    """The same for programs."""
    stages = [
        {
            "name": stage.name,
            "process": stage.where,
            "cgroup": shell.shown(stage.cgroup),
            "joins": _kinds(stage, Join),
            "makes": [*_kinds(stage, Unshare), *(["pid"] if stage.new_pid else [])],
            "waits": part.to_the_end and stage.where == "child",
            "operations": [
                {"operation": word(op), "command": op.explain(), "field": field(pod, stage, op)}
                for op in stage.ops
            ],
        }
        for part in _symbolic(pod, facts)
        for stage in part.plan
    ]
    return {"name": pod.metadata.name, "namespace": pod.metadata.namespace, "stages": stages}


def _kinds(stage: Stage, which: type[Op]) -> list[str]:
    return [kind for op in stage.ops if isinstance(op, which) for kind in getattr(op, "kinds", ())]


def script(pod: Pod, facts: NodeFacts, back: bool = False) -> str:
    """What builds the pod, or the way back."""
    meta, folder = pod.metadata, os.path.basename(frame.default_work(""))
    # Cut where the longest of the names that it is part of, the folder's, would be too long.
    key = component(f"{folder}{meta.namespace}_{meta.name}").removeprefix(folder)
    layout, node = _folder(key, facts.layout), facts.layout
    own = _Facts(**asdict(facts), own=layout)
    images = _images(pod, own)
    ids = Ids(
        key, f"sandbox-{key}", "container-{}", {image.rootfs: variable(image.variable) for image in images}
    )
    networked = not pod.spec.host_network
    around = frame.Frame(
        key=key,
        layout=layout,
        cgroups=facts.cgroups,
        pod_cgroup=f"{layout.cgroup}/{qos.qos_class(pod).lower()}/pod{key}",
        images=images,
        address4=f"{node.subnet4}.{_LAST_ADDRESS}" if networked else "",
        address6=f"{node.subnet6}::{_LAST_ADDRESS:x}" if networked and facts.ipv6 else "",
        table=skeleton(node, ("$FORWARD4", "$FORWARD6")) if networked else "",
    )
    made = parts(pod, own, ids)
    return (shell.undo_script(made, around) if back else shell.script(pod, made, around)).removesuffix("\n")


def _folder(key: str, node: Layout) -> _Folder:
    work = frame.WORK
    cgroup = "minipod-plan" if "/" in node.cgroup else f"{node.cgroup}-plan"
    return _Folder(**{**node.__dict__, "run": work, "lib": work, "cgroup": cgroup, "node": node, "key": key})


def _images(pod: Pod, facts: NodeFacts) -> tuple[frame.Image, ...]:
    """Each image once: its variable is IMAGE, of a second one IMAGE2."""
    names: dict[str, str] = {}
    for spec in (*pod.spec.init_containers, *pod.spec.containers):
        names.setdefault(config.container(pod, spec, facts, 0).rootfs, spec.image)
    numbered = enumerate(names.items(), start=1)
    return tuple(
        frame.Image(f"IMAGE{number if number > 1 else ''}", name, rootfs)
        for number, (rootfs, name) in numbered
    )
