"""`minipod observe`, as the node asks for it."""

from minipod.api.cri import ContainerInfo, RuntimeStatus
from minipod.spec.types import ContainerState, ContainerStateTerminated
from tests.unit.node.conftest import manifest


def test_of_a_pod_that_is_over_everything_has_ended(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        terminated = ContainerState(terminated=ContainerStateTerminated(exit_code=0))
        containers = [each.name for each in it.objects.pod("default", "web").spec.containers]
        it.pods.report("web", **dict.fromkeys(containers, terminated))
        answer = await it.client.verb("GET", "observe", name="web")
        assert "not started" not in answer.out
        assert answer.out.split("\n")[1].split()[2:] == ["ended"] * (1 + len(containers))

    in_world(test)


def test_of_a_pod_that_has_not_begun_nothing_has_started(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        answer = await it.client.verb("GET", "observe", name="web")
        assert "ended" not in answer.out
        assert "not started" in answer.out

    in_world(test)


def test_a_container_that_is_only_created_has_not_ended(in_world):
    async def test(it):
        await it.client.apply(manifest("web"))
        name = it.objects.pod("default", "web").spec.containers[0].name

        async def created(uid):
            return RuntimeStatus(containers=(ContainerInfo("id", "box", name, 0, "created"),))

        it.pods.observe_pids = created
        answer = await it.client.verb("GET", "observe", name="web")
        assert "ended" not in answer.out

    in_world(test)
