"""`minipod plan`: the node says what it would do, and does nothing."""

import json
import os
import re
import subprocess

import pytest

from tests.unit.node.conftest import manifest


@pytest.fixture
def image(tmp_path):
    """busybox, with nothing in it."""
    images, name = tmp_path / "lib/images", "a" * 64
    os.makedirs(images / name / "rootfs")
    os.makedirs(images / "names", exist_ok=True)
    (images / name / "config.json").write_text('{"config": {"Cmd": ["sh"]}}')
    (images / "names/docker.io+library+busybox").symlink_to(f"../{name}")


def test_nothing_is_made(in_world, image):
    async def planned(world):
        answer = await world.client.verb("POST", "plan", json.dumps(manifest("web")))
        return answer.code, world.pods.started, world.objects.pods()

    assert in_world(planned) == (0, [], [])


def text_of(in_world, pod, **query):
    async def planned(world):
        answer = await world.client.verb("POST", "plan", json.dumps(pod), **query)
        assert (answer.code, answer.err) == (0, "")
        return answer.out

    return in_world(planned)


def test_the_stages_are_there_in_their_order(in_world, image):
    pod = manifest("web", "app", initContainers=[{"name": "init", "image": "busybox"}])
    lines = [line.partition(":")[0] for line in text_of(in_world, pod).splitlines() if line[:1].isalpha()]
    assert lines == [
        "pod/web",
        "pod",
        "sandbox/objects",
        "sandbox/pause",
        "sandbox/network",
        "sandbox/pins",
        "container/init/objects",
        "container/init",
        "container/app/objects",
        "container/app",
    ]


def test_a_line_is_a_command_and_the_field_that_asked_for_it(in_world, image):
    assert "  hostname other  # spec.hostname\n" in text_of(in_world, manifest("web", hostname="other"))


def test_a_program_gets_the_same_with_names(in_world, image):
    pod = manifest("web", "app", shareProcessNamespace=True)
    (plan,) = json.loads(text_of(in_world, pod, output="json"))["pods"]
    stages = {stage["name"]: stage for stage in plan["stages"]}
    assert stages["sandbox/pause"]["makes"] == ["net", "ipc", "uts", "mnt", "pid"]
    assert stages["container/app"]["joins"] == ["net", "ipc", "uts", "pid"]
    assert {"operation": "mount_root", "field": "spec.containers[0].image"}.items() <= next(
        op for op in stages["container/app"]["operations"] if op["operation"] == "mount_root"
    ).items()


@pytest.mark.parametrize("back", ["", "true"])
def test_a_script_is_one_for_any_posix_shell(in_world, image, back):
    pod = manifest("web", "app", "b", initContainers=[{"name": "init", "image": "busybox", "args": ["it's"]}])
    script = text_of(in_world, pod, output="shell", undo=back)
    assert subprocess.run(["sh", "-n"], input=script, text=True, check=False).returncode == 0
    # SC2016, SC2059: a text that another shell expands, addresses in a format.
    complaints = subprocess.run(
        ["shellcheck", "--shell=sh", "--exclude=SC2016,SC2059", "-"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
    ).stdout
    assert complaints == ""


def test_what_has_no_command_is_named(in_world, image):
    pod = manifest("web")
    pod["spec"]["containers"][0] |= {
        "livenessProbe": {"tcpSocket": {"port": 80}},
        "lifecycle": {"preStop": {"sleep": {"seconds": 1}}},
        "tty": True,
    }
    script = text_of(in_world, pod, output="shell")
    assert "#   spec.containers[0]: livenessProbe, lifecycle, tty\n" in script
    assert "#   restarts (spec.restartPolicy: Always)" in script


def test_no_name_in_a_script_is_longer_than_a_file_may_be_called(in_world, image):
    pod = manifest("a" * 253)
    pod["metadata"]["namespace"] = "n" * 63
    script = text_of(in_world, pod, output="shell")
    (folder,) = re.findall(r"^WORK=\$\{WORK:-/run/(.*)\}", script, re.MULTILINE)
    (mark,) = re.findall("minipod-plan-n{63}_a+(-[0-9a-f]{8})", folder)
    assert (len(folder), f"/pod{folder.removeprefix('minipod-plan-')}\n" in script, len(mark)) == (
        255,
        True,
        9,
    )


def test_two_pods_are_two_plans_but_no_script(in_world, image):
    async def planned(world):
        two = "\n---\n".join(json.dumps(manifest(name)) for name in ("one", "two"))
        return await world.client.verb("POST", "plan", two), await world.client.verb(
            "POST", "plan", two, output="shell"
        )

    plans, script = in_world(planned)
    assert ("pod/one\n" in plans.out, "\npod/two\n" in plans.out) == (True, True)
    assert (script.code, script.err) == (1, "error: a script is for one pod, and the manifests have 2")


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"output": "yaml"}, 'output format "yaml", allowed formats are: json,shell'),
        ({"undo": "true"}, "--undo goes with -o shell"),
    ],
)
def test_what_can_not_be_is_refused(in_world, query, complaint):
    async def planned(world):
        return await world.client.verb("POST", "plan", json.dumps(manifest("web")), **query)

    answer = in_world(planned)
    assert (answer.code, complaint in answer.err) == (1, True)


def test_an_image_that_is_missing_is_named(in_world):
    async def planned(world):
        return await world.client.verb("POST", "plan", json.dumps(manifest("web")))

    answer = in_world(planned)
    assert (answer.code, 'image "busybox" is not in' in answer.err) == (1, True)
