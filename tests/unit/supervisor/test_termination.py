"""What a container that has ended left to be said."""

import pytest

from minipod.supervisor.config import signal_number
from minipod.supervisor.termination import log_text, message


@pytest.fixture
def files(tmp_path):
    """(file, log), with these texts."""

    def write(text=None, log=""):
        if text is not None:
            (tmp_path / "file").write_text(text)
        (tmp_path / "log").write_text(log)
        return str(tmp_path / "file"), str(tmp_path / "log")

    return write


def logged(*lines):
    return "".join(f"2026-01-01T00:00:00.000000000Z stdout F {line}\n" for line in lines)


def test_the_file_is_the_message(files):
    assert message(*files("the end"), False, 0) == "the end"


def test_of_the_file_the_last_4096_bytes_count(files):
    assert message(*files("a" * 10 + "b" * 4096), False, 0) == "b" * 4096


def test_without_a_file_there_is_no_message(files):
    assert message(*files(), False, 1) == ""


@pytest.mark.parametrize(
    ("text", "fallback", "exit_code", "said"),
    [("", True, 1, "why\n"), ("", True, 0, ""), ("", False, 1, ""), ("because", True, 1, "because")],
)
def test_the_log_stands_in_for_an_empty_file_of_a_container_that_failed(
    files, text, fallback, exit_code, said
):
    assert message(*files(text, logged("why")), fallback, exit_code) == said


def test_of_the_log_the_last_80_lines_count(files):
    assert message(*files("", logged(*range(1, 101))), True, 1).split()[0] == "21"


def test_of_the_log_the_last_2048_bytes_count(files):
    assert (
        message(*files("", logged("x" * 1500, "y" * 1500)), True, 1) == "x" * 546 + "\n" + "y" * 1500 + "\n"
    )


@pytest.mark.parametrize(
    ("line", "text"),
    [("T stdout F a b", "a b\n"), ("T stderr P a", "a"), ("T stdout F ", "\n"), ("torn", "")],
)
def test_a_line_of_the_log_without_what_the_runtime_put_before_it(line, text):
    assert log_text(line) == text


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("SIGTERM", 15),
        ("SIGUSR1", 10),
        ("usr1", 10),
        ("9", 9),
        ("SIGRTMIN+3", 37),
        ("", 0),
        ("SIGNONE", 0),
        ("99", 0),
    ],
)
def test_a_signal_by_its_name_or_number(name, number):
    assert signal_number(name) == number
