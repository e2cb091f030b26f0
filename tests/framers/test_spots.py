"""Where a position lies, in words."""

from __future__ import annotations

import json

import pytest
from support.recordings import recorded

from pytest_netfault.framers import Conversation, Spot, detect, protocol_named


def spots(data: bytes, *, protocol: str = "resp", ahead: bool = True) -> list[str]:
    """Where each position of what a client sends lies."""
    made = []
    for at in range(len(data) + 1):
        conversation = Conversation(protocol)
        conversation.feed("up", data[:at])
        made.append(str(conversation.spot("up", data[at:] if ahead else b"")))
    return made


def test_a_position_between_frames_is_before_the_next_one_where_that_is_known() -> None:
    ping = b"*1\r\n$4\r\nPING\r\n"
    found = spots(ping + ping)
    assert found[0] == "before the 1st PING"
    assert found[1] == "inside the 1st PING, 1 of 14 bytes in"
    assert found[13] == "inside the 1st PING, 13 of 14 bytes in"
    assert found[14] == "before the 2nd PING"
    assert found[28] == "behind the 2nd PING"


def test_without_what_comes_next_a_frame_may_have_no_name_yet() -> None:
    found = spots(b"*1\r\n$4\r\nPING\r\n", ahead=False)
    assert found[0] == "before the 1st frame"
    assert found[1] == "inside the 1st frame, 1 byte in"
    assert found[5] == "inside the 1st frame, 5 bytes in"


def test_a_message_of_grpc_goes_before_the_frame_that_it_lies_in() -> None:
    [one] = recorded("etcd-python")
    conversation = Conversation("http2")
    found = set()
    for way, data in one.pieces:
        for at in range(len(data)):
            if way == "down" and len(data) < 2_000:
                found.add(str(conversation.spot("down", data[at:])))
            conversation.feed(way, data[at : at + 1])
    assert "before the 1st DATA" in found
    assert "inside the 1st DATA, 8 of 32 bytes in" in found or any(
        words.startswith("inside the 1st DATA, 8 of ") for words in found
    )
    assert any(words.startswith("inside the 2nd Watch response, 7 of ") for words in found)
    assert not any("other" in words for words in found)


def test_what_is_no_such_protocol_has_no_spot() -> None:
    conversation = Conversation("postgres")
    conversation.feed("up", b"GET / HTTP/1.1\r\n\r\n")
    assert conversation.spot("up") is None
    assert conversation.up.lost is not None


def test_a_spot_goes_through_json() -> None:
    spot = Spot("http2", "down", "inside", "Watch response", 2, 12, 61)
    assert Spot.from_json(json.loads(json.dumps(spot.to_json()))) == spot


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RESP", "resp"),
        ("PostgreSQL", "postgres"),
        ("HTTP/1", "http1"),
        ("HTTP/2", "http2"),
        ("gRPC", "http2"),
        *[("AMQP", "amqp"), ("MQTT", "mqtt"), ("NATS", "nats"), ("ZooKeeper", "zookeeper"), ("smtp", None)],
    ],
)
def test_protocols_have_the_names_that_people_use(name: str, meant: str | None) -> None:
    assert protocol_named(name) == meant


@pytest.mark.parametrize(
    ("up", "down", "found"),
    [
        (b"", b"", None),
        (b"*", b"", None),
        (b"GET /", b"", None),
        (b"GET / HTTP/1.1\r\n", b"", "http1"),
        (b"GET / HTTP/3.1\r\n", b"", False),
        (b"PRI * HTTP/2.0\r\n", b"", None),
        (b"", b"INFO {", "nats"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"", False),  # TLS
        (b"", b"5.7.44-log mysql", None),
        (b"\0" * 20, b"", False),
    ],
)
def test_what_is_known_by_its_first_bytes(up: bytes, down: bytes, found: str | bool | None) -> None:
    assert detect(up, down) == found
