"""The same in a virtual machine with systemd and cgroup v2, and what makes one of its own for a lab."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(1500)  # scripts/vm-test gives up before
def test_a_machine_with_systemd_and_cgroup_v2_is_provisioned_and_runs_pods(machine):
    code = machine.process.wait()
    report = machine.report.read_text() if machine.report.exists() else ""
    assert code == 0, machine.log.read_text() + report
    assert "checks passed" in report


@pytest.mark.skipif(not shutil.which("vagrant"), reason="not installed: vagrant")
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
