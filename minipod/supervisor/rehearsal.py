"""What a blank supervisor does while it has no pod: it thinks one through, without a single request to the kernel.

After a fork every page that Python touches is copied, and touching is all that reading an object is: its reference
count changes. A first pod pays for some thousand such copies. A blank pays before it has a pod, while nobody waits.
"""

import time

from minipod.api import cri
from minipod.api import messages as m
from minipod.kernel.cgroups import Hierarchies
from minipod.plan import container, pod, sandbox
from minipod.plan.core import undo
from minipod.plan.undo import encode
from minipod.spec.types import Container, EmptyDirVolumeSource, ObjectMeta, Pod, PodSpec, Volume, VolumeMount
from minipod.supervisor import lifecycle, observed
from minipod.supervisor.known import Observed
from minipod.supervisor.status import status

_MOUNT = (VolumeMount(name="data", mount_path="/data"),)
_POD = Pod(
    metadata=ObjectMeta(name="rehearsal", namespace="default", uid="rehearsal"),
    spec=PodSpec(
        containers=(Container(name="a", image="none", command=("true",), volume_mounts=_MOUNT),),
        volumes=(Volume(name="data", empty_dir=EmptyDirVolumeSource()),),
        restart_policy="Always",
    ),
)


_FACTS = m.NodeFacts(
    home="/none",
    node_name="none",
    host_ip="",
    memory_bytes=1,
    cgroups=Hierarchies(v2="/none", v2_controllers=(), v1={"cpu": "/none"}),
    pause="/none",
)


def rehearse() -> None:
    """Plan, decide, tell: everything but execute."""
    facts = _FACTS
    launch = m.launches.decode(m.encode(m.Launch(_POD, facts)))
    where = cri.SandboxConfig("rehearsal", "default", "rehearsal", "rehearsal", "none", address4="10.0.0.1")
    what = cri.ContainerConfig("a", "none", "/none", ("true",), mounts=(cri.Mount("/none", "/data"),))
    plans = (
        pod.pod(facts, "rehearsal", "none", cri.Resources(cpu_shares=2), (pod.EmptyDir(path="/none"),)),
        sandbox.sandbox(facts, "rehearsal", where),
        container.container(facts, "rehearsal", where, "rehearsal", what),
    )
    for plan in plans:
        encode(undo(plan))
    now = time.time()
    known = Observed()
    for fact in (
        observed.SupervisorBegan(at=now),
        observed.SandboxStarting(at=now, id="rehearsal", attempt=0),
        observed.SandboxIs(at=now, sandbox=cri.SandboxInfo(id="rehearsal", state="ready", created_at=now)),
    ):
        known = observed.apply(known, fact)
        lifecycle.decide(launch.pod, known, now)
        m.encode(m.PodChanged("rehearsal", status(launch.pod, known, now)))
