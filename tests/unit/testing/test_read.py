"""What a test may give as a manifest."""

import pytest

from minipod.errors import BadManifest
from minipod.testing.pod import read

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}
YAML = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
JSON = '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"}}'


@pytest.mark.parametrize("manifest", [POD, YAML, JSON])
def test_a_manifest_is_a_dict_or_text(manifest):
    assert read(manifest) == POD


def test_a_manifest_is_a_file_beside_the_test(tmp_path):
    (tmp_path / "web.yaml").write_text(YAML)
    assert read("web.yaml", tmp_path) == read(tmp_path / "web.yaml", "/elsewhere") == POD


def test_a_manifest_that_is_no_yaml_is_refused_with_its_name(tmp_path):
    (tmp_path / "web.yaml").write_text("a: 'b")
    with pytest.raises(BadManifest, match=r"web\.yaml:1: "):
        read("web.yaml", tmp_path)


def test_more_than_one_object_is_refused():
    with pytest.raises(AssertionError, match="the manifest holds 2 objects; apply one pod at a time"):
        read(f"{YAML}---\n{YAML}")
