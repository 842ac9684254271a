"""What all tests have in common: marks, isolation, and the check that the session leaves the host as it found it."""

import os
import signal

import pytest

pytest.register_assert_rewrite("tests.support")

from tests.support import host, isolation  # noqa: E402 - after the line above

_BEFORE = pytest.StashKey[host.Host]()
_LEAKS = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    # In the background of a script these are ignored, and so they would be by everything that is started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.addinivalue_line(
        "markers", "isolated: runs in mount, network, IPC, UTS and PID namespaces of its own"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Kernel tests are isolated unless they say otherwise; who isn't root is told which tests were left out."""
    for item in items:
        if "/tests/kernel/" in str(item.path) and not item.get_closest_marker("not_isolated"):
            item.add_marker("isolated")
        if "/tests/kernel/" in str(item.path) or "/tests/pods/" in str(item.path):
            item.add_marker("root")
        if item.get_closest_marker("root") and os.geteuid():
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if item.get_closest_marker("isolated") is None or os.geteuid():
        return None
    isolation.run(item)
    return True


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before anything else, so that fixtures of the whole session are checked too.

    MINIPOD_SHARED_HOST=1 says that others change this machine meanwhile: differences are shown, but are no failure.
    """
    os.environ[host.MARK] = str(os.getpid())
    session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # else each isolated test makes one
    session.config.stash[_BEFORE] = host.snapshot(only_ours=True)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    before = session.config.stash.get(_BEFORE, None)
    if before is None or session.config.option.collectonly:
        return
    leaks = host.leaks(before, lambda: host.snapshot(only_ours=True))
    session.config.stash[_LEAKS] = leaks
    if leaks and not os.environ.get("MINIPOD_SHARED_HOST"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    leaks = config.stash.get(_LEAKS, [])
    if leaks:
        terminalreporter.section("the tests left something on the host", red=True, bold=True)
        for leak in leaks:
            terminalreporter.line(leak, red=True)
