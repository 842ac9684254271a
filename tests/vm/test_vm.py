"""The same in a virtual machine: slow, and only for who asks for it with MINIPOD_VM=1 in the environment."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def needs(*tools):
    missing = [tool for tool in tools if not shutil.which(tool)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("MINIPOD_VM"), reason="takes minutes: set MINIPOD_VM=1")
@needs("mmdebstrap", "mke2fs", "qemu-system-x86_64")
def test_a_machine_with_systemd_and_cgroup_v2_is_provisioned_and_runs_pods(tmp_path):
    report = tmp_path / "report.md"
    command = [f"{ROOT}/scripts/vm-test", "--quick", "-o", report]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert result.returncode == 0, result.stdout + (report.read_text() if report.exists() else "")
    assert "checks passed" in report.read_text()


@needs("vagrant")
@pytest.mark.parametrize("provider", ["virtualbox", "libvirt"])
def test_the_vagrantfile_is_valid(provider, tmp_path):
    stub = tmp_path / "VBoxManage"  # all that is asked of VirtualBox here is its version
    stub.write_text("#!/bin/sh\necho 7.0.20r163906\n")
    stub.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "VAGRANT_HOME": str(tmp_path / "home"),
        "VAGRANT_DOTFILE_PATH": str(tmp_path / "dotfile"),
        "VAGRANT_DEFAULT_PROVIDER": provider,
    }
    result = subprocess.run(
        ["vagrant", "validate"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    if "could not be found" in result.stderr:
        pytest.skip(f"vagrant has no provider {provider}: apt-get install vagrant-libvirt")
    assert "validated successfully" in result.stdout, result.stderr
