"""`minipod wait`, on real pods."""

from subprocess import PIPE

from tests.support.node import pod

UNREADY = {"readinessProbe": {"exec": {"command": ["test", "-e", "/ready"]}, "periodSeconds": 1}}


def test_wait_returns_when_the_condition_is_met(node):
    node.apply(pod("web", UNREADY))
    with node.popen("wait", "pod/web", "--for=condition=Ready", stdout=PIPE) as process:
        node.exec("web", "touch", "/ready")
        assert process.stdout.read() == "pod/web condition met\n"
    assert process.returncode == 0


def test_wait_ends_when_its_time_is_over(node):
    node.apply(pod("web", UNREADY))
    result = node.run("wait", "pod", "web", "--for=condition=Ready", "--timeout=100ms", check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == "error: timed out waiting for the condition on pods/web\n"


def test_wait_for_delete_returns_when_the_pod_is_gone(node):
    node.apply(pod("web", {}))
    with node.popen("wait", "pod/web", "--for=delete", stdout=PIPE) as process:
        node.run("delete", "pod", "web")
        assert process.stdout.read() == "pod/web condition met\n"
    assert node.run("wait", "pod/web", "--for=delete").returncode == 0


def test_wait_for_a_field_of_all_pods_with_a_label(node):
    for name in ("one", "two"):
        node.apply(pod(name, {}, metadata={"labels": {"app": "web"}}))
    result = node.run("wait", "pods", "-l", "app=web", "--for=jsonpath={.status.phase}=Running")
    assert sorted(result.stdout.splitlines()) == ["pod/one condition met", "pod/two condition met"]


def test_wait_for_a_pod_that_is_not_there_is_an_error(node):
    result = node.run("wait", "pod/none", "--for=condition=Ready", check=False)
    assert (result.returncode, result.stderr) == (1, 'Error from server (NotFound): pods "none" not found\n')
