import asyncio
import io
import tarfile

import pytest

from minipod.node import images
from minipod.spec.types import ContainerStatus, PodStatus
from tests.unit.node.conftest import RUNNING, manifest


def tar(size=10):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("etc/hello")
        info.size = size
        archive.addfile(info, io.BytesIO(b"x" * size))
    return buffer.getvalue()


async def post(it, body, name="tools"):
    url = it.client.url("/minipod/v1/images", {"name": name})
    async with it.client.session.post(url, data=body) as response:
        return response.status, await response.json()


def test_an_image_is_imported_listed_and_removed(in_world):
    async def test(it):
        code, image = await post(it, tar())
        assert (code, image["names"]) == (201, ["docker.io/library/tools"])
        _, listed = await it.client.json("GET", "/minipod/v1/images")
        assert [each["id"] for each in listed["items"]] == [image["id"]]
        table = await it.client.verb("GET", "image/ls")
        assert table.out.splitlines()[1].split()[:3] == ["docker.io/library/tools", "*", image["id"][:12]]
        code, _ = await it.client.json("DELETE", "/minipod/v1/images/tools")
        assert code == 200
        assert (await it.client.verb("GET", "image/ls")).err.startswith("No images.")

    in_world(test)


def test_an_image_that_a_pod_names_stays(in_world):
    async def test(it):
        await post(it, tar())
        pod = manifest("web")
        pod["spec"]["containers"][0]["image"] = "docker.io/library/tools:1.0"
        await it.client.apply(pod)
        code, status = await it.client.json("DELETE", "/minipod/v1/images/tools")
        assert (code, status["reason"]) == (409, "Conflict")
        it.objects.pod_gone(it.objects.pod("default", "web").metadata.uid)
        assert (await it.client.json("DELETE", "/minipod/v1/images/tools"))[0] == 200

    in_world(test)


def test_an_image_that_a_container_runs_from_stays_when_its_name_means_another(in_world):
    async def test(it):
        _, old = await post(it, tar())
        await it.client.apply(manifest("web"))
        uid = it.objects.pod("default", "web").metadata.uid
        running = ContainerStatus(name="app", state=RUNNING, image_id=f"sha256:{old['id']}")
        it.objects.pod_changed(uid, PodStatus(phase="Running", container_statuses=(running,)))
        await post(it, tar(11))
        code, status = await it.client.json("DELETE", f"/minipod/v1/images/{old['id']}")
        assert (code, status["reason"]) == (409, "Conflict")
        it.objects.pod_gone(uid)
        assert (await it.client.json("DELETE", f"/minipod/v1/images/{old['id']}"))[0] == 200

    in_world(test)


def test_an_upload_that_breaks_off_leaves_nothing(in_world):
    async def test(it):
        half, sent = tar(5 << 20)[: 3 << 20], asyncio.Event()

        async def body():
            yield half
            sent.set()
            await asyncio.sleep(60)

        request = asyncio.create_task(post(it, body()))
        await sent.wait()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()  # the import has ended
        assert images.store.list_(it.node.layout.images) == []

    in_world(test)


@pytest.mark.parametrize(
    ("name", "body", "code"), [("tools", b"no tar", 400), ("Bad Name", b"", 400), ("", b"", 400)]
)
def test_what_cant_be_imported_is_refused(in_world, name, body, code):
    async def test(it):
        assert (await post(it, body, name))[0] == code

    in_world(test)


def test_an_image_that_isnt_there_cant_be_removed(in_world):
    async def test(it):
        code, status = await it.client.json("DELETE", "/minipod/v1/images/localhost:5000/a/b:1")
        assert (code, status["reason"]) == (404, "NotFound")
        assert "localhost:5000/a/b:1" in status["message"]

    in_world(test)


@pytest.mark.parametrize(
    ("count", "shown"), [(0, "0B"), (999, "999B"), (1500, "1.5kB"), (2_083_000, "2.08MB"), (5 * 10**9, "5GB")]
)
def test_sizes_are_for_people(count, shown):
    assert images.size(count) == shown
