"""A cut is exact to the byte: the receiver gets so many and then the end, whatever the reads and the other faults."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_netfault.control import NetFault

directions = pytest.mark.parametrize("direction", ["up", "down"])
hows = pytest.mark.parametrize("how", ["fin", "rst"])
DATA = bytes(range(256)) * 400


@directions
@hows
@pytest.mark.parametrize("after", [0, 1, 2, 999, 65_536, len(DATA) - 1, len(DATA)])
def test_the_receiver_gets_exactly_so_many_bytes(
    rig: Any, helpers: Any, direction: str, how: str, after: int
) -> None:
    with rig.link.cut(after, direction=direction, how=how):
        if after == 0:  # cut before the upstream was asked for
            assert helpers.call(rig.link) == (b"", how)
            return
        sender, receiver = rig.connect().ends(direction)
        sender.sendall(DATA)
        assert helpers.take_all(receiver) == (DATA[:after], how)
        assert helpers.take_all(sender) == (b"", how)
    hits = [event for event in rig.link.events if event.kind == "hit"]
    assert [(hit.bytes_up, hit.bytes_down) for hit in hits] == [
        (after, 0) if direction == "up" else (0, after)
    ]


@directions
@hows
def test_the_other_direction_is_cut_with_it(rig: Any, helpers: Any, direction: str, how: str) -> None:
    pair = rig.connect()
    sender, receiver = pair.ends(direction)
    receiver.sendall(b"before")
    assert sender.recv(9) == b"before"
    rig.link.cut(3, direction=direction, how=how)
    sender.sendall(b"abcdef")
    assert helpers.take_all(receiver) == (b"abc", how)
    assert helpers.take_all(sender) == (b"", how)


@hows
def test_both_directions_count_and_the_first_to_get_there_is_cut(rig: Any, helpers: Any, how: str) -> None:
    pair = rig.connect()
    rig.link.cut(10, how=how)
    pair.client.sendall(b"12345")
    assert helpers.take(pair.server, 5) == b"12345"
    pair.server.sendall(b"0123456789more")
    assert helpers.take_all(pair.client) == (b"0123456789", how)
    assert helpers.take_all(pair.server) == (b"", how)


@directions
@hows
@pytest.mark.parametrize("passed", [4, 5])
def test_a_position_already_passed_cuts_at_once(
    rig: Any, helpers: Any, direction: str, how: str, passed: int
) -> None:
    pair = rig.connect()
    sender, receiver = pair.ends(direction)
    sender.sendall(b"12345")
    assert helpers.take(receiver, 5) == b"12345"
    rig.link.cut(passed, direction=direction, how=how)
    assert helpers.take_all(receiver) == (b"", how)
    assert helpers.take_all(sender) == (b"", how)


@directions
@hows
def test_one_connection_of_several(rig: Any, helpers: Any, direction: str, how: str) -> None:
    rig.link.cut(3, direction=direction, connection=2, how=how)
    pairs = [rig.connect() for _ in range(3)]
    for pair in pairs:
        pair.ends(direction)[0].sendall(b"abcdef")
    assert helpers.take_all(pairs[1].ends(direction)[1]) == (b"abc", how)
    for pair in (pairs[0], pairs[2]):
        assert helpers.take(pair.ends(direction)[1], 6) == b"abcdef"
    assert [one.number for one in rig.link.connections if one.state == "open"] == [1, 3]


@directions
def test_behind_a_delay(rig: Any, helpers: Any, direction: str) -> None:
    """Bytes that are on their way have not been delivered; the cut comes when they are."""
    for faults in (("delay", "cut"), ("cut", "delay")):
        sender, receiver = rig.connect().ends(direction)
        make = {
            "delay": lambda: rig.link.delay(0.1),
            "cut": lambda way=direction: rig.link.cut(4, direction=way),
        }
        active = [make[fault]() for fault in faults]
        sender.sendall(b"ab")
        sender.sendall(b"cdef")
        assert rig.nothing(receiver)
        assert helpers.take_all(receiver) == (b"abcd", "fin")
        for fault in active:
            fault.heal()


@directions
@hows
def test_a_cut_is_held_by_a_later_silence(rig: Any, helpers: Any, direction: str, how: str) -> None:
    sender, receiver = rig.connect().ends(direction)
    rig.link.cut(3, direction=direction, how=how)
    hole = rig.link.blackhole()
    sender.sendall(b"abcdef")
    assert rig.nothing(receiver)
    hole.heal()
    assert helpers.take_all(receiver) == (b"abc", how)


@directions
def test_a_cut_into_silence_delivers_so_many_and_closes_nothing(
    rig: Any, helpers: Any, direction: str
) -> None:
    pair = rig.connect()
    sender, receiver = pair.ends(direction)
    fault = rig.link.cut(3, direction=direction, how="blackhole")
    sender.sendall(b"abcdef")
    assert helpers.take(receiver, 3) == b"abc"
    receiver.sendall(b"other way")
    sender.shutdown(socket.SHUT_WR)
    assert rig.nothing(receiver)
    assert rig.nothing(sender)
    assert fault.met_traffic
    fault.heal()
    assert helpers.take_all(receiver) == (b"def", "fin")
    assert helpers.take(sender, 9) == b"other way"


@pytest.mark.parametrize("passed", [0, 3, 7])
def test_a_silence_cut_at_a_passed_position_loses_nothing_when_healed(
    rig: Any, helpers: Any, passed: int
) -> None:
    pair = rig.connect()
    pair.client.sendall(b"1234567")
    assert helpers.take(pair.server, 7) == b"1234567"
    fault = rig.link.cut(passed, how="blackhole")
    pair.client.sendall(b"89abcdefgh")
    pair.server.sendall(b"and back")
    assert rig.nothing(pair.server)
    assert rig.nothing(pair.client)
    fault.heal()
    assert helpers.take(pair.server, 10) == b"89abcdefgh"
    assert helpers.take(pair.client, 8) == b"and back"


def test_a_healed_cut_cuts_nothing(rig: Any, helpers: Any) -> None:
    pair = rig.connect()
    with rig.link.cut(10) as fault:
        pair.client.sendall(b"12345")
        assert helpers.take(pair.server, 5) == b"12345"
        assert not fault.met_traffic
    pair.client.sendall(b"67890abc")
    assert helpers.take(pair.server, 8) == b"67890abc"


@directions
def test_a_reset_cut_waits_for_a_slow_reader(rig: Any, helpers: Any, direction: str) -> None:
    """All N bytes arrive before the RST, which would otherwise throw away what the kernel has not sent yet."""
    size = 3 * 1024 * 1024
    pair = rig.connect(receive_buffer=8192)
    sender, receiver = pair.ends(direction)
    rig.link.cut(size, direction=direction, how="rst")
    sent = rig.fill(sender)
    while sent < size + 100:
        helpers.take(receiver, 65536)
        size -= 65536
        sent += rig.fill(sender)
    data, ending = helpers.take_all(receiver)
    assert ending == "rst"
    assert len(data) == size


@directions
def test_a_reset_cut_does_not_wait_for_a_reader_that_is_gone(rig: Any, helpers: Any, direction: str) -> None:
    pair = rig.connect(receive_buffer=8192)
    sender, receiver = pair.ends(direction)
    size = rig.fill(sender) - 3 * 1024 * 1024
    position = getattr(rig.link.connections[0], f"bytes_{direction}")
    rig.link.cut(position + 1000, direction=direction, how="rst")
    while not [event for event in rig.link.events if event.kind == "hit"]:
        helpers.take(receiver, 10_000)
        rig.fence()
    helpers.hang_up(receiver)
    while rig.link.connections:
        rig.fence()
    assert size
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        helpers.take(sender, 1)


@settings(max_examples=60)
@given(
    after=st.integers(0, 300),
    chunks=st.lists(st.binary(min_size=1, max_size=60), min_size=1, max_size=8),
    how=st.sampled_from(["fin", "rst"]),
    direction=st.sampled_from(["up", "down"]),
    stack=st.lists(st.sampled_from(["slice", "delay", "throttle"]), max_size=3),
    late=st.booleans(),
)
def test_to_the_byte_whatever_the_chunks_and_the_stack(
    cut_net: NetFault,
    helpers: Any,
    after: int,
    chunks: list[bytes],
    how: Any,
    direction: Any,
    stack: list[str],
    late: bool,
) -> None:
    data = b"".join(chunks)
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = cut_net.forward(server.getsockname())
        with socket.create_connection((link.host, link.port), timeout=20) as client:
            upstream, _ = server.accept()
            with upstream:
                upstream.settimeout(20)
                sender, receiver = (client, upstream) if direction == "up" else (upstream, client)
                for number, name in enumerate(stack):
                    if late and number == 1:
                        link.cut(after, direction=direction, how=how)
                    {
                        "slice": lambda: link.slice(7),
                        "delay": lambda: link.delay(0.001),
                        "throttle": lambda: link.throttle(1e6),
                    }[name]()
                if not (late and len(stack) > 1):
                    link.cut(after, direction=direction, how=how)
                try:
                    for chunk in chunks:
                        sender.sendall(chunk)
                    sender.shutdown(socket.SHUT_WR)
                except OSError:
                    assert after <= len(data)  # it was cut already
                got = helpers.take_all(receiver)
        link.close()
    assert got == ((data[:after], how) if after <= len(data) else (data, "fin"))
