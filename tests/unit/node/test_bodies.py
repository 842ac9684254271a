"""A request whose body makes no sense is the client's mistake: it is refused in words, and not with a 500."""

import pytest

from minipod.node import server
from tests.unit.node.conftest import manifest, taken_apart, text

PODS = "/api/v1/namespaces/default/pods"
SUBRESOURCES = ("status", "ephemeralcontainers")
NOT_JSON = {"nothing": b"", "half of it": b"{", "bytes": b"\xff\xfe", "too deep": b'{"a":' * 100_000}
NO_OBJECT = {"a list": b"[1]", "a number": b"5", "a string": b'"x"', "null": b"null"}
NO_OBJECT_INSIDE = {
    f"{name} inside": b'{"spec": %s, "status": %s}' % (value, value)
    for name, value in {"a list": b"[]", "pairs": b"[[1, 2]]", "a number": b"5", "a string": b'"ab"'}.items()
}
VERBS = ("apply", "plan", "delete")


async def send(it, method: str, path: str, body: bytes) -> tuple[int, str]:
    async with it.client.session.request(
        method, it.client.url(path), data=body, headers={"Content-Type": "application/json"}
    ) as response:
        return response.status, await response.text()


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("what", [*NOT_JSON, *NO_OBJECT, *NO_OBJECT_INSIDE])
def test_a_change_of_a_part_must_be_a_json_object(in_world, method, what):
    body = (NOT_JSON | NO_OBJECT | NO_OBJECT_INSIDE)[what]

    async def test(it):
        await it.client.json("POST", PODS, text(manifest("web")))
        before = it.objects.pod("default", "web")
        for part in SUBRESOURCES:
            code, answer = await send(it, method, f"{PODS}/web/{part}", body)
            assert (code, "the body " in answer) == (400, True), answer
        assert it.objects.pod("default", "web") is before

    in_world(test)


@pytest.mark.parametrize("what", [*NOT_JSON, *NO_OBJECT])
def test_a_manifest_must_be_an_object(in_world, what):
    body = (NOT_JSON | NO_OBJECT)[what]

    async def test(it):
        code, answer = await send(it, "POST", PODS, body)
        assert code == 400, answer
        for verb in VERBS:
            _, answer = await send(it, "POST", f"/minipod/v1/{verb}", body)
            printed = taken_apart(answer)
            assert (printed.code, "internal error" in printed.err) == (1, False), (verb, printed)
        assert it.objects.pods() == []

    in_world(test)


def test_a_body_that_is_too_large_is_refused(in_world, monkeypatch):
    async def test(it):
        await it.client.json("POST", PODS, text(manifest("web")))
        large = b"x" * 1001
        for method, path in (("POST", PODS), *(("PUT", f"{PODS}/web/{part}") for part in SUBRESOURCES)):
            assert (await send(it, method, path, large))[0] == 413
        for verb in VERBS:
            printed = taken_apart((await send(it, "POST", f"/minipod/v1/{verb}", large))[1])
            assert (printed.code, printed.err.startswith("error: the request is too large")) == (1, True)

    monkeypatch.setattr(server, "MAX_MANIFEST", 1000)
    in_world(test)
