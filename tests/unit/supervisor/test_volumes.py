"""What a container mounts of the pod's volumes."""

import pytest

from minipod.api.messages import NodeFacts
from minipod.errors import MinipodError
from minipod.kernel.cgroups import Hierarchies
from minipod.spec.types import Container, EmptyDirVolumeSource, ObjectMeta, Pod, PodSpec, Volume, VolumeMount
from minipod.supervisor import volumes

FACTS = NodeFacts("/h", "n", "", 1, Hierarchies(v2="/v2", v2_controllers=(), v1={}), "/pause")


def mounted(path: str) -> str:
    """Where a volume with this mountPath comes to be."""
    app = Container(name="app", volume_mounts=(VolumeMount(name="data", mount_path=path),))
    data = Volume(name="data", empty_dir=EmptyDirVolumeSource())
    pod = Pod(metadata=ObjectMeta(name="p", uid="u"), spec=PodSpec(containers=(app,), volumes=(data,)))
    (found,) = volumes.mounts(pod, app, FACTS)
    return found.container_path


@pytest.mark.parametrize("path", ["/data", "data/", "//data//"])
def test_a_path_that_isnt_absolute_begins_at_the_root(path: str) -> None:
    assert mounted(path) == "/data"


@pytest.mark.parametrize("path", ["/", ".", "//", "/./", "/a/..", "/.."])
def test_no_volume_hides_the_image(path: str) -> None:
    with pytest.raises(MinipodError, match='volume "data" can\'t be mounted at /'):
        mounted(path)
