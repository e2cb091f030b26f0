"""What holds for every framer, whatever it is fed."""

from __future__ import annotations

import os
import pickle
import random
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import RECORDINGS, Recorded, framed, recorded

from pytest_netfault.framers import PROTOCOLS, Conversation, Message, detect

Way = Literal["up", "down"]
ONE_OF_EACH = [recorded(name)[0] for name in RECORDINGS]
SHORT = [one for one in ONE_OF_EACH if max(len(one.stream("up")), len(one.stream("down"))) < 1_500]
# NETFAULT_FUZZ=100000 python -m pytest tests/framers -k "garbage or damaged" tries more.
EXAMPLES = int(os.environ.get("NETFAULT_FUZZ", "150"))
# What is kept of a connection: some requests that wait for an answer, some types that were counted. Never its bytes.
MOST_KEPT = 512 * 1024


def size_of(conversation: Conversation) -> int:
    return len(pickle.dumps(conversation))


def frames_of(one: Recorded, cut: Callable[[bytes], list[bytes]]) -> dict[Way, list[Message]]:
    conversation = Conversation(one.protocol)
    frames: dict[Way, list[Message]] = {"up": [], "down": []}
    for way, data in one.pieces:
        for part in cut(data):
            frames[way] += conversation.feed(way, part)
    return frames


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=RECORDINGS)
def test_byte_by_byte_the_frames_are_the_same(one: Recorded) -> None:
    whole = framed(one)[1]
    most = 10_000  # of a piece; the longest are one string
    cut = lambda data: [*(data[at : at + 1] for at in range(len(data[:most]))), data[most:]]  # noqa: E731
    assert frames_of(one, cut) == whole


@pytest.mark.parametrize("one", SHORT, ids=lambda one: one.protocol)
def test_a_split_at_any_byte_gives_the_same_frames(one: Recorded) -> None:
    whole = framed(one)[1]
    for at in range(1, max(len(data) for _, data in one.pieces)):
        assert frames_of(one, lambda data, at=at: [data[:at], data[at:]]) == whole  # type: ignore[misc]


@given(st.sampled_from(ONE_OF_EACH), st.integers(16, 70_000), st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_any_split_gives_the_same_frames(one: Recorded, most: int, seed: int) -> None:
    chance = random.Random(seed)

    def cut(data: bytes) -> list[bytes]:
        parts = []
        while data:
            size = chance.randint(1, most)
            parts.append(data[:size])
            data = data[size:]
        return parts

    assert frames_of(one, cut) == framed(one)[1]


@pytest.mark.parametrize("one", ONE_OF_EACH, ids=RECORDINGS)
def test_a_fork_goes_on_by_itself(one: Recorded) -> None:
    """Wherever it is made, it frames what comes as the original does, and disturbs nothing."""
    conversation = Conversation(one.protocol)
    for way, data in one.pieces[:40]:
        half = len(data) // 2
        conversation.feed(way, data[:half])
        fork = conversation.fork()
        ahead = fork.feed(way, data[half:])
        assert conversation.feed(way, data[half:]) == ahead


def check(conversation: Conversation, frames: dict[Way, list[Message]], fed: dict[Way, int]) -> None:
    """Frames follow one another without a gap, and what is open begins where the last one ended."""
    for way in ("up", "down"):
        framer = conversation.framer(way)
        whole = [frame for frame in frames[way] if frame.index is not None]
        end = 0
        for frame in whole:
            assert frame.start == end < frame.end
            end = frame.end
        assert framer.seen == fed[way] >= end
        for frame in framer.open():
            assert frame.index is None or frame.start == end
            assert frame.end is None or frame.end >= framer.seen or frame.index is None
    assert size_of(conversation) < MOST_KEPT


@given(
    st.sampled_from(PROTOCOLS), st.lists(st.tuples(st.sampled_from(["up", "down"]), st.binary(max_size=300)))
)
@settings(deadline=None, max_examples=EXAMPLES)
def test_garbage_never_raises(protocol: str, pieces: list[tuple[Way, bytes]]) -> None:
    feed_all(protocol, pieces)


@given(
    st.sampled_from(ONE_OF_EACH),
    st.lists(
        st.tuples(
            st.integers(0, 2**16),
            st.sampled_from(["flip", "drop", "double", "insert"]),
            st.binary(max_size=12),
        ),
        min_size=1,
        max_size=8,
    ),
    st.sampled_from(PROTOCOLS),
)
@settings(deadline=None, max_examples=EXAMPLES // 3)
def test_damaged_traffic_never_raises(
    one: Recorded, damages: list[tuple[int, str, bytes]], protocol: str
) -> None:
    """What is nearly right gets further into a framer than what is wrong from the start; or another protocol's."""
    pieces = [(way, bytearray(data[:1_000])) for way, data in one.pieces[:30]]
    for at, damage, extra in damages:
        data = pieces[at % len(pieces)][1]
        place = at % (len(data) + 1)
        if damage == "flip" and data:
            data[place % len(data)] ^= (extra[0] if extra else 1) or 1
        elif damage == "drop":
            del data[place : place + len(extra)]
        elif damage == "double":
            data[place:place] = data[place : place + 20]
        else:
            data[place:place] = extra
    for known in {one.protocol, protocol}:
        feed_all(known, [(way, bytes(data)) for way, data in pieces])


def feed_all(protocol: str, pieces: list[tuple[Way, bytes]]) -> None:
    conversation = Conversation(protocol)
    frames: dict[Way, list[Message]] = {"up": [], "down": []}
    fed: dict[Way, int] = {"up": 0, "down": 0}
    for way, data in pieces:
        detect(data, b"")
        detect(b"", data)
        frames[way] += conversation.feed(way, data)
        fed[way] += len(data)
        str(conversation.spot(way, data))
    check(conversation, frames, fed)


def endless(protocol: str) -> dict[Way, Callable[[int], bytes]]:
    """What somebody would send to make a framer of this protocol remember more and more; by the number of the piece."""
    return {
        "resp": {"up": lambda n: b"*2\r\n$9\r\nC%08d\r\n$1\r\na\r\n" % n, "down": lambda _: b"*2\r\n"},
        "postgres": {
            "up": lambda _: b"\0\0\0\x08\x04\xd2\x16\x2f",
            "down": lambda _: b"D\0\x00\x01\0" + b"x" * 252,
        },
        "http1": {
            "up": lambda n: b"GET /%d HTTP/1.1\r\n\r\n" % n,
            "down": lambda n: b"HTTP/1.1 200 OK\r\n" if not n else b"a: " + b"x" * 1_000,
        },
        "http2": {
            "up": lambda n: b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" if not n else request(n),
            "down": lambda n: b"\0\0\x01\0\0" + n.to_bytes(4, "big") + b"\0",
        },
        "amqp": {
            "up": lambda n: b"\x01\0\0\0\0\0\x04" + n.to_bytes(4, "big") + b"\xce",
            "down": lambda _: b"AMQP\0\0\x09\x01",
        },
        "mqtt": {"up": lambda _: b"\x30\xff\xff\xff\x7f" + b"x" * 1_000, "down": lambda _: b"\xd0\0"},
        "nats": {"up": lambda _: b"PUB a 1\r\n\0\r\n", "down": lambda _: b"x" * 1_000},
        "zookeeper": {
            "up": lambda n: b"\0\0\0\x08" + n.to_bytes(4, "big") + b"\0\0\0\x04",
            "down": lambda _: b"\0\0\0\x10" + b"\0" * 16,
        },
    }[protocol]


def request(number: int) -> bytes:
    """A request of gRPC whose method nobody has used before."""
    path = b"/s/Method%07d" % number
    block = b"\x44%c%b\x5f\x10application/grpc" % (len(path), path)
    stream = (2 * number + 1).to_bytes(4, "big")
    data = b"\0\0\x02\0\0" + stream + b"\0\0"  # a message that has begun, and goes no further
    return len(block).to_bytes(3, "big") + b"\x01\x04" + stream + block + data


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_memory_does_not_grow(protocol: str) -> None:
    conversation = Conversation(protocol)
    for way, make in endless(protocol).items():
        sizes = []
        for turn in range(2):
            for number in range(turn * 4_000, (turn + 1) * 4_000):
                conversation.feed(way, make(number))
            sizes.append(size_of(conversation))
        assert sizes[1] < max(sizes[0] * 1.02, MOST_KEPT / 20)
        assert sizes[1] < MOST_KEPT
