"""A cut at a place in a frame: exact to the byte on live connections, whatever the chunks."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import RECORDINGS, framed, recorded

from pytest_netfault import Cut, Frame, NetFault, UnsupportedFault
from pytest_netfault.framers import Conversation, Message
from pytest_netfault.framers.seek import MOST_HELD, Seeker
from pytest_netfault.proxy.wire import BYTES_KEPT

PING = b"*1\r\n$4\r\nPING\r\n"
SET = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n12\r\n"
PONG = b"+PONG\r\n"
hows = pytest.mark.parametrize("how", ["fin", "rst"])

# How many bytes of PING, SET, PING arrive.
PLACES = [
    (Frame("resp", 1), 0),
    (Frame("resp", 2), len(PING)),
    (Frame("resp", 2, where=1), len(PING) + 1),
    (Frame("resp", 2, where="middle"), len(PING) + len(SET) // 2),
    (Frame("resp", 2, where=-1), len(PING) + len(SET) - 1),
    (Frame("resp", 2, where=1_000), len(PING) + len(SET)),
    (Frame("resp", 2, where="end"), len(PING) + len(SET)),
    (Frame("resp", "ping", index=2), len(PING) + len(SET)),
    (Frame("resp", "PING", index=2, where="middle"), len(PING) + len(SET) + len(PING) // 2),
    (Frame("resp", "SET", where=-3), len(PING) + len(SET) - 3),
]


@hows
@pytest.mark.parametrize(("at", "delivered"), PLACES, ids=lambda value: str(value))
def test_the_receiver_gets_the_frame_up_to_there(
    rig: Any, helpers: Any, at: Frame, delivered: int, how: Literal["fin", "rst"]
) -> None:
    with rig.link.cut(at=at, direction="up", how=how):
        if not delivered:
            assert helpers.call(rig.link) == (b"", how)
            return
        pair = rig.connect()
        pair.client.sendall(PING + SET + PING)
        assert helpers.take_all(pair.server) == ((PING + SET + PING)[:delivered], how)
        assert helpers.take_all(pair.client) == (b"", how)
    [hit] = [event for event in rig.link.events if event.kind == "hit"]
    assert hit.bytes_up == delivered


@pytest.mark.parametrize(("at", "delivered"), PLACES[1:], ids=lambda value: str(value))
def test_byte_by_byte_it_is_the_same_place(rig: Any, helpers: Any, at: Frame, delivered: int) -> None:
    rig.link.cut(at=at, direction="up")
    pair = rig.connect()
    pair.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        for byte in PING + SET + PING:
            pair.client.sendall(bytes([byte]))
    assert helpers.take_all(pair.server) == ((PING + SET + PING)[:delivered], "fin")


@pytest.mark.parametrize(("at", "delivered"), PLACES[2:], ids=lambda value: str(value))
def test_a_connection_that_is_open_already_is_cut_there_too(
    rig: Any, helpers: Any, at: Frame, delivered: int
) -> None:
    pair = rig.connect()
    first = PING + SET[:1]
    pair.client.sendall(first)
    assert helpers.take(pair.server, len(first)) == first
    rig.link.cut(at=at, direction="up")
    pair.client.sendall(SET[1:] + PING)
    assert helpers.take_all(pair.server) == ((PING + SET + PING)[len(first) : delivered], "fin")


def test_a_frame_that_has_passed_cuts_at_once(rig: Any, helpers: Any) -> None:
    pair = rig.connect()
    pair.client.sendall(PING + SET)
    assert helpers.take(pair.server, len(PING + SET)) == PING + SET
    rig.link.cut(at=Frame("resp", "PING", where="middle"), direction="up")
    assert helpers.take_all(pair.server) == (b"", "fin")


def test_a_response_is_found_by_the_name_of_its_request(rig: Any, helpers: Any) -> None:
    """gRPC: the path of the request says what the messages of the response are called."""
    [one] = recorded("etcd-python")
    rig.link.cut(at=Frame("grpc", "watch response", index=2, where="middle"), direction="down")
    pair = rig.connect()
    received = sent = b""
    for way, data in one.pieces:
        if way == "up":
            pair.client.sendall(data)
            assert helpers.take(pair.server, len(data)) == data
            continue
        try:
            pair.server.sendall(data)
        except OSError:
            break
        sent += data
        second = [frame for frame in framed(one)[1]["down"] if frame.type == "Watch response"][1]
        middle = (second.start + second.end) // 2
        received += helpers.take(pair.client, min(len(sent), middle) - len(received))
        if len(sent) > middle:
            break
    assert helpers.take_all(pair.client) == (b"", "fin")
    [hit] = [event for event in rig.link.events if event.kind == "hit"]
    assert hit.bytes_down == middle == len(received)
    size = second.end - second.start
    assert str(hit.frames[0]) == f"inside the 2nd Watch response, {size // 2} of {size} bytes in"


def test_both_directions_are_counted_by_themselves(rig: Any, helpers: Any) -> None:
    rig.link.cut(at=Frame("resp", 2, where="middle"))
    pair = rig.connect()
    pair.client.sendall(PING)
    assert helpers.take(pair.server, len(PING)) == PING
    pair.server.sendall(PONG + PONG)
    assert helpers.take_all(pair.client) == (PONG + PONG[:3], "fin")


def test_a_cut_into_silence(rig: Any, helpers: Any) -> None:
    with rig.link.cut(at=Frame("resp", 1, where="middle"), direction="up", how="blackhole"):
        pair = rig.connect()
        pair.client.sendall(PING)
        assert helpers.take(pair.server, 7) == PING[:7]
        assert rig.nothing(pair.server)
    assert helpers.take(pair.server, 7) == PING[7:]


def test_what_was_held_for_a_cut_that_is_healed_arrives(rig: Any, helpers: Any) -> None:
    with rig.link.cut(at=Frame("resp", "GET", where="middle"), direction="up"):
        pair = rig.connect()
        pair.client.sendall(PING + SET[:6])
        assert helpers.take(pair.server, len(PING)) == PING
        assert rig.nothing(pair.server)  # what it is is not known yet
    assert helpers.take(pair.server, 6) == SET[:6]


def test_what_was_held_goes_before_the_end_of_the_sender(rig: Any, helpers: Any) -> None:
    rig.link.cut(at=Frame("resp", 1, where="middle"), direction="up")
    pair = rig.connect()
    pair.client.sendall(PING[:9])
    pair.client.shutdown(socket.SHUT_WR)
    assert helpers.take_all(pair.server) == (PING[:9], "fin")
    assert rig.link.connections


def test_another_protocol_is_not_cut(rig: Any, helpers: Any) -> None:
    rig.link.cut(at=Frame("postgres", 1, where="middle"), direction="up")
    pair = rig.connect()
    pair.client.sendall(PING * 2_000)
    assert helpers.take(pair.server, 2_000 * len(PING)) == PING * 2_000


def test_one_connection_of_several(rig: Any, helpers: Any) -> None:
    rig.link.cut(at=Frame("resp", 1, where="end"), direction="up", connection=2)
    first, second = rig.connect(), rig.connect()
    for pair in (first, second):
        pair.client.sendall(PING + PING)
    assert helpers.take_all(second.server) == (PING, "fin")
    assert helpers.take(first.server, 2 * len(PING)) == PING + PING


def test_an_open_connection_whose_beginning_nobody_kept_is_refused_in_words(rig: Any, helpers: Any) -> None:
    pair = rig.connect()
    data = b"x" * (BYTES_KEPT + 1)
    pair.client.sendall(data)
    assert helpers.take(pair.server, len(data)) == data
    with pytest.raises(UnsupportedFault, match=r"more than 16,384 bytes.*forward\(\.\.\., frames='resp'\)"):
        rig.link.cut(at=Frame("resp", 2))
    rig.link.cut(at=Frame("resp", 2), connection=2)  # nothing is asked of the first
    assert rig.link.connections[0].state == "open"


def test_a_link_that_names_frames_counts_them_from_the_beginning(
    make_rig: Callable[..., Any], helpers: Any
) -> None:
    for frames in ("redis", True):
        rig = make_rig(frames=frames)
        pair = rig.connect()
        many = PING * 3_000
        pair.client.sendall(many)
        assert helpers.take(pair.server, len(many)) == many
        rig.link.cut(at=Frame("resp", 3_002, where="middle"), direction="up")
        pair.client.sendall(PING + PING)
        assert helpers.take_all(pair.server) == (PING + PING[:7], "fin")


def test_a_link_that_names_frames_says_where_a_fault_has_ended_a_connection(
    make_rig: Callable[..., Any], helpers: Any
) -> None:
    rig = make_rig(frames=True)
    pair = rig.connect()
    pair.client.sendall(PING + SET)
    pair.server.sendall(PONG + PONG[:3])
    assert helpers.take(pair.server, len(PING + SET)) == PING + SET
    assert helpers.take(pair.client, len(PONG) + 3) == PONG + PONG[:3]
    rig.link.reset()
    [event] = [event for event in rig.link.events if event.kind == "rst"]
    assert [str(spot) for spot in event.frames] == [
        "behind the 1st SET",
        "inside the 2nd frame, 3 bytes in",
    ]


def test_a_link_that_names_frames_lists_them_also_of_connections_that_have_ended(
    make_rig: Callable[..., Any], helpers: Any
) -> None:
    rig = make_rig(frames=True)
    for size in (1, 3_000):  # the second is more than what is kept
        pair = rig.connect()
        many = PING * size + SET
        pair.client.sendall(many)
        assert helpers.take(pair.server, len(many)) == many
        pair.client.shutdown(socket.SHUT_WR)
        assert helpers.take_all(pair.server) == (b"", "fin")
        pair.server.close()
        assert helpers.take_all(pair.client) == (b"", "fin")
    first, second = rig.link.frames.values()
    assert (first.protocol, second.protocol) == ("resp", "resp")
    assert [(frame.type, frame.index, frame.end) for frame in first.up] == [("PING", 1, 14), ("SET", 2, 42)]
    assert len(second.up) == 3_001
    assert first.down == second.down == ()


@pytest.mark.parametrize(
    ("frames", "error", "words"),
    [("smtp", ValueError, "protocol must be one of amqp"), (7, TypeError, "protocol must be a name")],
)
def test_frames_of_a_link_are_a_protocol(frames: Any, error: type[Exception], words: str) -> None:
    with NetFault() as net, pytest.raises(error, match=words):
        net.forward(1, frames=frames)


def test_a_cut_at_a_byte_says_in_which_frame_it_fell(rig: Any, helpers: Any) -> None:
    """Without being asked for: who cuts wants to know."""
    rig.link.cut(len(PING) + 3, direction="up")
    pair = rig.connect()
    pair.client.sendall(PING + SET)
    assert helpers.take_all(pair.server) == ((PING + SET)[: len(PING) + 3], "fin")
    hit, fin = (event for event in rig.link.events if event.kind in ("hit", "fin") and event.by == "netfault")
    assert str(hit.frames[0]) == f"inside the 1st SET, 3 of {len(SET)} bytes in"
    assert fin.frames[0] == hit.frames[0]


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("where", ["start", "middle", "end", -1])
def test_every_frame_of_real_traffic_can_be_found(name: str, where: Any) -> None:
    """What passes is never behind the place, and little is held for it."""
    one = recorded(name)[0]
    frames = framed(one)[1]
    for way in ("up", "down"):
        for frame in frames[way][:40]:
            seeker = Seeker(Conversation(one.protocol), way, frame.number, frame.type, where)
            fed = 0
            for piece_way, data in one.pieces:
                seeker.feed(piece_way, data)
                fed += len(data) if piece_way == way else 0
                if seeker.found is not None:
                    break
                assert fed - seeker.safe <= MOST_HELD
            assert seeker.found == expected(frame, where)


def expected(frame: Message, where: str | int) -> int:
    size = frame.end - frame.start
    middle = size // 2 if size <= MOST_HELD else MOST_HELD // 2
    return {"start": frame.start, "middle": frame.start + middle, "end": frame.end, -1: frame.end - 1}[where]


@given(
    st.sampled_from([name for name in RECORDINGS if name != "amqp"]),
    st.integers(0, 30),
    st.sampled_from(["start", "middle", "end", 0, 5, -1, -4]),
    st.booleans(),
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
)
@settings(deadline=None, max_examples=60)
def test_the_place_does_not_depend_on_the_chunks(
    name: str, number: int, where: Any, typed: bool, sizes: list[int]
) -> None:
    one = recorded(name)[0]
    whole = framed(one)[1]["down"]
    frame = whole[number % len(whole)]
    if frame.index is None:
        typed = True
    which = (frame.number, frame.type) if typed else (frame.index or 1, None)

    def look(cut: bool) -> int | None:
        seeker = Seeker(Conversation(one.protocol), "down", *which, where)
        safe = 0
        for way, data in one.pieces:
            at = turn = 0
            while at < len(data):
                size = sizes[turn % len(sizes)] if cut else len(data)
                seeker.feed(way, data[at : at + size])
                assert seeker.safe >= safe
                safe = seeker.safe
                if seeker.found is not None:
                    assert safe <= seeker.found
                    return seeker.found
                at, turn = at + size, turn + 1
        return None

    assert look(cut=True) == look(cut=False)


def test_a_cut_has_one_place() -> None:
    with pytest.raises(
        TypeError, match="must be a whole number, not None; or give at=, a place such as Frame"
    ):
        Cut()
    with pytest.raises(ValueError, match=r"a cut has one place: after_bytes=1 or at=Frame\('resp', 2\)"):
        Cut(1, at=Frame("resp", 2))
