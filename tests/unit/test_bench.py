"""scripts/bench: who is measured, and what crictl is told. A stand-in for it keeps its calls."""

import hashlib
import json
import os
import subprocess
import sys
import tarfile

import pytest

from scripts import peers

# Adds its words, and what the files among them hold, to `calls`. Fails at the verb that `fails` names, and at inspecti
# until `ctr`, which is the same program, has imported an image. Prints an ID: the verb and the number of the call.
STAND_IN = f"""#!{sys.executable} -IS
import json, os, sys
folder, tool = os.path.split(sys.argv[0])
words = sys.argv[3:] if sys.argv[1] == "--timeout" else [tool, *sys.argv[1:]]
files = [json.load(open(word)) for word in words if word.endswith(".json")]
with open(folder + "/calls", "a+") as calls:
    calls.write(json.dumps([words, files]) + "\\n")
    calls.seek(0)
    number = len(calls.readlines())
has = lambda name: os.path.exists(folder + "/" + name)
if has("fails") and words[0] == open(folder + "/fails").read():
    sys.exit("it said no")
if words[0] == "inspecti" and not has("image"):
    sys.exit("no such image")
if words[0] == "ctr":
    open(folder + "/image", "w")
print(words[0] + str(number))
"""


class StandIn:
    def __init__(self, folder):
        self.folder = folder
        self.seen = 0
        folder.mkdir()

    def install(self, *tools):
        for tool in tools:
            (self.folder / tool).write_text(STAND_IN)
            (self.folder / tool).chmod(0o755)

    def has_image(self):
        (self.folder / "image").touch()

    def fails_at(self, verb):
        (self.folder / "fails").write_text(verb)

    def calls(self):
        """Since the last time: [words, what the files among them hold]."""
        lines = (self.folder / "calls").read_text().splitlines()[self.seen :]
        self.seen += len(lines)
        return [json.loads(line) for line in lines]

    def words(self):
        return [words for words, _ in self.calls()]


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Nothing else is on the PATH."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CONTAINER_RUNTIME_ENDPOINT", "unix:///nowhere")
    return StandIn(tmp_path / "bin")


@pytest.fixture
def crictl(stand_in, tmp_path):
    """As the bench has it, after its trial."""
    stand_in.install("crictl")
    stand_in.has_image()
    peer = peers.Crictl(str(tmp_path))
    stand_in.calls()
    return peer


def test_what_is_not_installed_is_left_out_with_a_note(stand_in, tmp_path, capsys):
    assert peers.others(str(tmp_path)) == []
    podman, crictl = capsys.readouterr().out.splitlines()
    assert podman == "podman is left out: it isn't installed: apt-get install podman"
    assert crictl.startswith("crictl is left out: it isn't installed: crictl is at https://")


@pytest.mark.parametrize(
    ("verb", "note"),
    [("info", "apt-get install containerd, and start it"), ("runp", "a network in /etc/cni/net.d")],
)
def test_crictl_is_left_out_where_no_runtime_runs_a_pod_for_it(stand_in, tmp_path, capsys, verb, note):
    stand_in.install("crictl")
    stand_in.has_image()
    stand_in.fails_at(verb)
    assert peers.others(str(tmp_path)) == []
    said = capsys.readouterr().out
    assert note in said
    assert "it said no" in said


def test_crictl_is_left_out_without_an_image_and_a_ctr_to_import_it(stand_in, tmp_path, capsys):
    stand_in.install("crictl")
    assert peers.others(str(tmp_path)) == []
    assert "and ctr, which imports it, isn't on the PATH" in capsys.readouterr().out


def test_a_trial_that_fails_half_way_leaves_no_pod(stand_in, tmp_path):
    stand_in.install("crictl")
    stand_in.has_image()
    stand_in.fails_at("create")
    with pytest.raises(peers.Failed, match="it said no"):
        peers.Crictl(str(tmp_path))
    assert [words[0] for words in stand_in.words()] == ["info", "inspecti", "runp", "create", "rmp"]


def test_an_image_that_crictl_lacks_is_imported_by_ctr(stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv(
        "PATH", f"{stand_in.folder}:/usr/bin:/bin"
    )  # busybox's root file system is made by tar, among others
    stand_in.install("crictl", "ctr")
    peers.Crictl(str(tmp_path))
    info, before, imported, after, trial, *_ = stand_in.words()
    assert (info, trial[0]) == (["info"], "runp")
    assert before == after == ["inspecti", "-q", "docker.io/library/busybox:latest"]
    *command, archive = imported
    assert command == ["ctr", "-n", "k8s.io", "images", "import"]
    with tarfile.open(archive) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))
        config = json.load(tar.extractfile(manifest["Config"]))
        (layer,) = manifest["Layers"]
        digest = hashlib.file_digest(tar.extractfile(layer), "sha256").hexdigest()
        with tarfile.open(fileobj=tar.extractfile(layer)) as files:
            assert "./bin/busybox" in files.getnames()
    assert manifest["RepoTags"] == ["docker.io/library/busybox:latest"]
    assert config["rootfs"] == {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    assert config["config"]["Cmd"] == ["sh"]


def test_crictl_starts_the_pod_of_the_manifest(stand_in, crictl):
    crictl.start(peers.POD.format(name="web"))
    runp, create_a, create_b, start = stand_in.calls()
    sandbox, *containers = crictl.pods["web"]
    pod_file = runp[0][1]
    (pod,) = runp[1]
    assert runp[0] == ["runp", pod_file]
    assert pod["metadata"] == {"name": "web", "uid": "uid-web", "namespace": "default"}
    for name, (words, (container, told)) in {"a": create_a, "b": create_b}.items():
        assert [*words[:2], words[3]] == ["create", sandbox, pod_file]
        assert told == pod
        assert container["metadata"] == {"name": name}
        assert container["image"] == {"image": "docker.io/library/busybox:latest"}
        assert container["command"] == ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"]
    assert start == [["start", *containers], []]


def test_its_containers_share_what_a_pods_containers_share(stand_in, crictl):
    crictl.start(peers.POD.format(name="web"))
    _, (_, (a, pod)), (_, (b, _)), _ = stand_in.calls()
    for config in (pod, a, b):  # network and IPC are the pod's (0), PID the container's own (1)
        assert config["linux"]["security_context"]["namespace_options"] == {"network": 0, "pid": 1, "ipc": 0}
    (mount,) = a["mounts"]
    assert b["mounts"] == [mount]
    assert mount["container_path"] == "/shared"
    assert os.path.isdir(mount["host_path"])
    assert os.path.isdir(pod["log_directory"])
    assert a["log_path"] != b["log_path"]


def test_crictl_runs_a_command_in_the_first_container_and_removes_the_pod_with_its_containers(
    stand_in, crictl
):
    crictl.start(peers.POD.format(name="web"))
    pod, first, _ = crictl.pods["web"]
    stand_in.calls()
    crictl.exec("web")
    crictl.delete("web")
    crictl.close()
    assert stand_in.words() == [["exec", first, "true"], ["rmp", "-f", pod]]


def test_pods_of_one_file_are_started_one_by_one_and_removed_together(stand_in, crictl):
    crictl.start("---\n".join(peers.POD.format(name=name) for name in ("one", "two")))
    pods = [ids[0] for ids in crictl.pods.values()]
    assert list(crictl.pods) == ["one", "two"]
    assert [words[0] for words in stand_in.words()] == ["runp", "create", "create", "start"] * 2
    crictl.delete_all()
    assert stand_in.words() == [["rmp", "-f", *pods]]


def test_the_memory_of_containerds_shims_is_counted(crictl, tmp_path):
    shim = tmp_path / "containerd-shim-runc-v2"  # /proc/PID/comm keeps 15 characters of it
    shim.symlink_to("/bin/sleep")
    with subprocess.Popen([shim, "1000"]) as process:
        try:
            assert process.pid in crictl.processes()
            assert process.pid not in crictl.daemons()
        finally:
            process.kill()
