import pytest

from minipod.node import screen


@pytest.mark.parametrize(
    ("word", "colour"),
    [
        ("Running", screen.GREEN),
        ("Completed", screen.GREEN),
        ("ContainerCreating", screen.YELLOW),
        ("Init:0/2", screen.YELLOW),
        ("Terminating", screen.YELLOW),
        ("CrashLoopBackOff", screen.RED),
        ("Init:CrashLoopBackOff", screen.RED),
        ("Init:ExitCode:3", screen.RED),
        ("ErrImagePull", screen.RED),
        ("CreateContainerConfigError", screen.RED),
        ("OOMKilled", screen.RED),
        ("Normal", 0),
        ("", 0),
    ],
)
def test_a_status_word_has_a_colour(word, colour):
    assert screen.colour_of(word) == colour


def test_a_table_in_colour_stands_as_it_does_without():
    rows = [["web", "Running", "1s"], ["db", "Error", "2s"]]
    head = ["NAME", "STATUS", "AGE"]
    plain = screen.Table(head).text(rows)
    painted = screen.Table(head, colours=True).text(rows)
    assert "\x1b[32mRunning\x1b[0m   1s" in painted
    for code in ("\x1b[32m", "\x1b[31m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert painted == plain


def test_what_a_container_says_is_no_command_to_the_terminal():
    said = "\x1b]0;mine\x07\rgone"
    assert screen.Table(["MESSAGE"], colours=True).text([[said]]) == "MESSAGE\n^[]0;mine\x07\\rgone"
    assert screen.tabbed([f"Message:\t{said}"]) == ["Message:  ^[]0;mine\x07\\rgone"]


def test_the_head_comes_once_and_columns_never_become_narrower():
    table = screen.Table(["NAME", "AGE"])
    assert table.text([["long-name", "1s"]]) == "NAME        AGE\nlong-name   1s"
    assert table.text([["a", "2s"]]) == "a           2s"


def test_without_headers_there_are_only_rows():
    assert screen.Table(["NAME", "AGE"], headers=False).text([["a", "1s"]]) == "a   1s"


def test_a_pipe_gets_everything():
    assert "x" * 500 in screen.Table(["MESSAGE"], width=0).text([["x" * 500]])


def test_sentences_give_way_before_names():
    table = screen.Table(["OBJECT", "MESSAGE"], width=60)
    (line,) = table.text([["pod/" + "n" * 26, "m" * 100]]).split("\n")[1:]
    assert line == "pod/" + "n" * 26 + "   " + "m" * 26 + "…"
    assert len(line) == 60


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_a_table_fits_the_terminal(width):
    head = ["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    row = ["3s (x4 over 2m)", "Warning", "FailedCreatePodSandBox", "pod/" + "n" * 40, "m" * 200]
    lines = screen.Table(head, width=width).text([row]).split("\n")
    assert max(map(len, lines)) <= width


def test_cells_are_aligned_block_by_block_as_gos_tabwriter_does():
    assert screen.tabbed(
        ["Name:\tweb", "Labels:\ta=b", "\tc=d", "IPs:", "  IP:\t1.2.3.4", "A\tB\tC", "AAA\tBBB\tC"]
    ) == [
        "Name:    web",
        "Labels:  a=b",
        "         c=d",
        "IPs:",
        "  IP:  1.2.3.4",
        "A      B    C",
        "AAA    BBB  C",
    ]


def test_only_the_value_of_a_line_is_painted():
    lines = ["Status:  Running", "  Running:  Running", "  Last State:  Terminated", "  Warning  Failed"]
    assert screen.highlight(lines, {"Status:": 1, "Last State:": 2, "Warning ": 0}) == [
        "Status:  \x1b[32mRunning\x1b[0m",
        *lines[1:3],
        "  \x1b[33mWarning\x1b[0m  Failed",
    ]
