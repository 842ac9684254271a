"""CRI logs: what a container wrote is what `logs` shows."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minipod.runtime import logs

ENTRY = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) ([FP]) (.*)")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "default_p_1" / "app" / "0.log")


def entries(path):
    """Stream, tag and text of each line of the file; all have CRI's form."""
    with open(path, "rb") as file:
        return [ENTRY.fullmatch(line.rstrip(b"\n")).groups() for line in file]


def shown(path, **options):
    """All of it, the beginning of a line that isn't whole yet included."""
    reader = logs.LogReader(path, **options)
    try:
        return b"".join([*reader.read(), reader.finish()])
    finally:
        reader.close()


def files(path):
    return sorted(os.listdir(os.path.dirname(path)))


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes on by a second at each look, from second 1000000000 on."""
    now = [1_000_000_000]

    def time_ns():
        now[0] += 1
        return (now[0] - 1) * 1_000_000_000

    monkeypatch.setattr(logs.time, "time_ns", time_ns)
    return now


# --- writing


def test_a_line_is_one_full_entry(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"hello\n")
    writer.close()
    assert entries(path) == [(b"stdout", b"F", b"hello")]


def test_a_line_that_comes_in_pieces_is_written_when_it_is_whole(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"hel")
    assert entries(path) == []
    writer.write("stdout", b"lo\nwor")
    assert entries(path) == [(b"stdout", b"F", b"hello")]
    writer.close()


def test_streams_do_not_mix_within_a_line(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a")
    writer.write("stderr", b"b\n")
    writer.write("stdout", b"c\n")
    writer.close()
    assert entries(path) == [(b"stderr", b"F", b"b"), (b"stdout", b"F", b"ac")]


def test_a_carriage_return_goes_with_its_newline_even_when_cut_apart(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a\r")
    writer.write("stdout", b"\nb\rc\r\n")
    writer.close()
    assert entries(path) == [(b"stdout", b"F", b"a"), (b"stdout", b"F", b"b\rc")]


def test_an_unfinished_last_line_is_partial(path):
    writer = logs.LogWriter(path)
    writer.write("stderr", b"bye")
    writer.close()
    assert entries(path) == [(b"stderr", b"P", b"bye")]


@pytest.mark.parametrize(
    ("length", "sizes"),
    [
        (16384, [(b"F", 16384)]),
        (16385, [(b"P", 16384), (b"F", 1)]),
        (32768, [(b"P", 16384), (b"F", 16384)]),
        (40000, [(b"P", 16384), (b"P", 16384), (b"F", 7232)]),
    ],
)
def test_a_line_over_16_kib_is_cut_into_parts(path, length, sizes):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"x" * length + b"\n")
    writer.close()
    assert [(tag, len(text)) for _, tag, text in entries(path)] == sizes


def test_a_long_line_does_not_wait_for_its_end(path):
    writer = logs.LogWriter(path)
    for _ in range(3):
        writer.write("stdout", b"x" * 10000)
    assert [(tag, len(text)) for _, tag, text in entries(path)] == [(b"P", 16384)]
    writer.close()


def test_a_batch_is_one_write(path, monkeypatch):
    writer = logs.LogWriter(path)
    written = []
    monkeypatch.setattr(logs.os, "write", lambda _fd, data: written.append(data) or len(data))
    writer.write("stdout", b"a\nb\n" + b"x" * 20000 + b"\n")
    assert len(written) == 1
    writer.close()


def test_writing_goes_on_where_an_earlier_writer_ended(path):
    for text in (b"a\n", b"b\n"):
        writer = logs.LogWriter(path)
        writer.write("stdout", text)
        writer.close()
    assert shown(path) == b"a\nb\n"


def test_rotation_keeps_the_newest_files_and_no_more(path):
    writer = logs.LogWriter(path, max_bytes=100, max_files=3)
    for number in range(10):
        writer.write("stdout", b"line %d\n" % number)
    writer.close()
    assert len(files(path)) == 3
    assert all(os.path.getsize(f"{os.path.dirname(path)}/{name}") <= 100 for name in files(path))
    assert shown(path) == b"line 4\nline 5\nline 6\nline 7\nline 8\nline 9\n"


def test_rotation_with_one_file_starts_it_anew(path):
    writer = logs.LogWriter(path, max_bytes=60, max_files=1)
    writer.write("stdout", b"old\n")
    writer.write("stdout", b"new, and too long for both\n")
    writer.close()
    assert files(path) == ["0.log"]
    assert shown(path) == b"new, and too long for both\n"


def test_after_reopen_the_new_file_is_written(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a\n")
    os.rename(path, path + ".20200101-000000")
    writer.write("stdout", b"b\n")
    writer.reopen()
    writer.write("stdout", b"c\n")
    writer.close()
    assert [text for _, _, text in entries(path)] == [b"c"]
    assert shown(path) == b"a\nb\nc\n"


def test_a_full_disk_loses_output_and_says_so_later(path, monkeypatch):
    writer = logs.LogWriter(path)
    real = os.write
    monkeypatch.setattr(logs.os, "write", lambda fd, data: real(fd, data[:5]))
    writer.write("stdout", b"lost\n")
    monkeypatch.setattr(logs.os, "write", real)
    writer.write("stdout", b"kept\n")
    writer.write("stdout", b"more\n")
    writer.close()
    loss = b"minipod: 4 bytes of output were lost: [Errno 28] No space left on device"
    assert entries(path) == [
        (b"stderr", b"F", loss),
        (b"stdout", b"F", b"kept"),
        (b"stdout", b"F", b"more"),
    ]


# --- reading


def test_no_log_is_no_output(path):
    assert shown(path) == b""


def test_parts_are_joined_and_an_unfinished_line_stays_unfinished(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"x" * 50000 + b"\nend")
    writer.close()
    assert shown(path) == b"x" * 50000 + b"\nend"


def test_parts_are_joined_over_rotated_files(path):
    writer = logs.LogWriter(path, max_bytes=20000)
    writer.write("stdout", b"x" * 17000)
    writer.write("stderr", b"between\n")
    writer.write("stdout", b"x" * 17000 + b"\n")
    writer.close()
    assert len(files(path)) > 1
    assert shown(path) == b"between\n" + b"x" * 34000 + b"\n"


def test_a_line_longer_than_can_be_joined_is_passed_on_in_pieces(path, monkeypatch):
    monkeypatch.setattr(logs, "JOINED_MAX", 20000)
    writer = logs.LogWriter(path)
    writer.write("stdout", b"x" * 60000)
    reader = logs.LogReader(path)
    assert len(b"".join(reader.read())) >= 32768
    writer.close()
    assert shown(path) == b"x" * 60000
    reader.close()


def test_lines_that_are_not_cri_are_left_out(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a\n")
    with open(path, "ab") as file:
        file.write(b"\0\0\0\nrubbish\n\n")
    writer.write("stdout", b"b\n")
    writer.close()
    assert shown(path) == b"a\nb\n"


def test_timestamps_stand_once_before_each_line(path, clock):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"x" * 16385 + b"\nb\n")
    writer.close()
    time = b"2001-09-09T01:46:40.000000000Z "
    assert shown(path, timestamps=True) == time + b"x" * 16385 + b"\n" + time + b"b\n"


def test_since_shows_what_was_written_then_or_later(path, clock):
    writer = logs.LogWriter(path)
    for line in (b"0\n", b"1\n", b"2\n"):
        writer.write("stdout", line)
    writer.close()
    assert shown(path, since=1_000_000_001) == b"1\n2\n"
    assert shown(path, since=1_000_000_000.5) == b"1\n2\n"


def test_tail_is_taken_before_since(path, clock):
    writer = logs.LogWriter(path)
    for number in range(4):
        writer.write("stdout", b"%d\n" % number)
    writer.close()
    assert shown(path, tail=2, since=1_000_000_001) == b"2\n3\n"


@pytest.mark.parametrize("tail", [0, 1, 2, 3, 7, 8, 9, 10, 1000])
def test_tail_counts_lines_over_rotated_files(path, tail):
    writer = logs.LogWriter(path, max_bytes=200)
    lines = [b"line %d\n" % number for number in range(9)]
    for line in lines:
        writer.write("stdout", line)
    writer.close()
    assert len(files(path)) > 2
    assert shown(path, tail=tail) == b"".join(lines[len(lines) - min(tail, len(lines)) :])


def test_tail_counts_a_line_of_many_parts_once(path):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a\n" + b"x" * 200_000 + b"\nunfinished")
    writer.close()
    assert shown(path, tail=1) == b"unfinished"
    assert shown(path, tail=2) == b"x" * 200_000 + b"\nunfinished"


def test_tail_of_a_big_file_reads_only_its_end(path, monkeypatch):
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a line like any other\n" * 100_000)
    writer.close()
    offsets = []
    real = os.pread
    monkeypatch.setattr(logs.os, "pread", lambda fd, n, offset: offsets.append(offset) or real(fd, n, offset))
    assert shown(path, tail=10) == b"a line like any other\n" * 10
    assert offsets == [os.path.getsize(path) - logs.BLOCK]


LINES = st.lists(
    st.tuples(st.sampled_from(["stdout", "stderr"]), st.text("ab\r\n", max_size=60).map(str.encode)),
    max_size=30,
)


@settings(deadline=None)
@given(
    chunks=LINES,
    max_bytes=st.integers(80, 2000),
    part=st.integers(1, 20),
    block=st.integers(1, 300),
    tail=st.integers(0, 40),
)
def test_what_each_stream_wrote_is_what_is_read(tmp_path_factory, chunks, max_bytes, part, block, tail):
    folder = tmp_path_factory.mktemp("log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "PART", part)
        patch.setattr(logs, "BLOCK", block)
        for stream in ("stdout", "stderr"):
            path = str(folder / f"{stream}.log")
            written = [chunk for of, chunk in chunks if of == stream]
            writer = logs.LogWriter(path, max_bytes, max_files=1000)
            for chunk in written:
                writer.write(stream, chunk)
            writer.close()
            text = shown(path)
            assert text.replace(b"\r", b"") == b"".join(written).replace(b"\r", b"")
            lines = re.findall(rb"[^\n]*\n|[^\n]+$", text)
            assert shown(path, tail=tail) == b"".join(lines[max(0, len(lines) - tail) :])


# --- following


def test_a_reader_gives_only_what_is_new(path):
    reader = logs.LogReader(path)
    assert list(reader.read()) == []
    writer = logs.LogWriter(path)
    writer.write("stdout", b"a\nb")
    assert b"".join(reader.read()) == b"a\n"
    writer.write("stdout", b"c\n")
    assert b"".join(reader.read()) == b"bc\n"
    assert b"".join(reader.read()) == b""
    writer.write("stdout", b"end")
    writer.close()
    assert b"".join(reader.read()) == b""
    assert reader.finish() == b"end"
    reader.close()


def test_a_reader_follows_several_rotations_between_two_looks(path):
    writer = logs.LogWriter(path, max_bytes=50)
    writer.write("stdout", b"first\n")
    reader = logs.LogReader(path, tail=0)
    assert b"".join(reader.read()) == b""
    for number in range(4):
        writer.write("stdout", b"%d\n" % number)
    assert len(files(path)) == 5
    assert b"".join(reader.read()) == b"0\n1\n2\n3\n"
    writer.write("stdout", b"last\n")
    assert b"".join(reader.read()) == b"last\n"
    writer.close()
    reader.close()


def test_a_reader_whose_file_was_rotated_away_goes_on_with_the_oldest_left(path):
    writer = logs.LogWriter(path, max_bytes=50, max_files=2)
    writer.write("stdout", b"first\n")
    reader = logs.LogReader(path)
    assert b"".join(reader.read()) == b"first\n"
    for number in range(5):
        writer.write("stdout", b"%d\n" % number)
    assert b"".join(reader.read()) == b"3\n4\n"
    writer.close()
    reader.close()


def test_an_entry_that_is_just_being_written_is_waited_for(path):
    os.makedirs(os.path.dirname(path))
    entry = b"2001-09-09T01:46:40.000000000Z stdout F hello\n"
    reader = logs.LogReader(path)
    for end in (10, 38, len(entry) - 1):
        with open(path, "wb") as file:
            file.write(entry[:end])
        # The same file, longer each time: "wb" keeps its inode.
        assert b"".join(reader.read()) == b""
    with open(path, "wb") as file:
        file.write(entry)
    assert b"".join(reader.read()) == b"hello\n"
    reader.close()
