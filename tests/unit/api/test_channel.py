"""Packets between minipod's processes."""

import os

import pytest

from minipod.api.channel import Channel
from minipod.errors import Unreachable


@pytest.fixture
def pair():
    a, b = Channel.pair()
    yield a, b
    a.close()
    b.close()


def test_a_packet_arrives_whole(pair):
    pair[0].send(b"x" * 1_000_000)
    assert pair[1].recv() == (b"x" * 1_000_000, [])


def test_descriptors_arrive_with_their_packet(pair):
    read, write = os.pipe()
    pair[0].send(b"here", (write,))
    packet, (copy,) = pair[1].recv()
    os.write(copy, b"through")
    assert (packet, os.read(read, 100)) == (b"here", b"through")
    for fd in (read, write, copy):
        os.close(fd)


def test_the_end_is_an_empty_packet(pair):
    pair[0].close()
    assert pair[1].recv() == (b"", [])


def test_who_sends_to_nobody_is_told(pair):
    pair[0].close()
    with pytest.raises(Unreachable):
        pair[1].send(b"hello?")


def test_last_words_are_heard_from_one_who_did_not_listen_any_more(pair):
    pair[0].send(b"a request")
    pair[1].send(b"last words")
    pair[1].close()
    assert [pair[0].recv()[0], pair[0].recv()[0]] == [b"last words", b""]


def test_the_end_of_one_who_did_not_listen_is_the_end(pair):
    pair[0].send(b"a request")
    pair[1].close()
    assert pair[0].recv() == (b"", [])
