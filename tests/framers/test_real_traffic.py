"""The frames of what real clients and servers have sent each other; ``record.py`` says who did what."""

from __future__ import annotations

from typing import Literal

import pytest
from support.recordings import RECORDINGS, framed, recorded

from pytest_netfault.framers import detect

CONNECTIONS = [(name, number) for name in RECORDINGS for number in range(len(recorded(name)))]


@pytest.mark.parametrize(("name", "number"), CONNECTIONS)
def test_every_byte_of_real_traffic_lies_in_a_frame(name: str, number: int) -> None:
    one = recorded(name)[number]
    conversation, frames = framed(one)
    ways: tuple[Literal["up", "down"], ...] = ("up", "down")
    for way in ways:
        assert conversation.framer(way).lost is None
        assert conversation.framer(way).open() == ()
        whole = [frame for frame in frames[way] if frame.index is not None]
        assert [frame.start for frame in whole] == [0, *(frame.end for frame in whole[:-1])]
        assert whole[-1].end == len(one.stream(way))
        assert [frame.index for frame in whole] == list(range(1, len(whole) + 1))
        assert "other" not in {frame.type for frame in frames[way]}


@pytest.mark.parametrize(("name", "number"), CONNECTIONS)
def test_a_real_connection_is_known_by_its_first_bytes(name: str, number: int) -> None:
    one = recorded(name)[number]
    assert detect(one.stream("up"), one.stream("down")) == one.protocol


def types(name: str, way: Literal["up", "down"], number: int = 0) -> list[str]:
    return [frame.type for frame in framed(recorded(name)[number])[1][way]]


def test_redis() -> None:
    up, down = types("resp2", "up"), types("resp2", "down")
    assert up[2:] == [
        *("SET", "HSET", "HGETALL", "GET", "SET", "GET", "MULTI", "INCRBY", "INCRBY", "EXEC", "INCRBY"),
        "SUBSCRIBE",
    ]
    assert down[2:8] == ["simple string", "integer", "array", "null", "simple string", "bulk string"]
    assert down[-4:] == ["error", "subscribe", "message", "message"]
    assert types("resp3", "up")[0] == "HELLO"
    assert types("resp3", "down")[-3:] == ["subscribe", "message", "message"]


def test_postgres() -> None:
    up, down = types("postgres", "up"), types("postgres", "down")
    assert up[:3] == ["SSLRequest", "StartupMessage", "Query"]
    assert up.count("Parse") == up.count("Bind") == up.count("Sync") == 2
    assert up[-1] == "Terminate"
    assert down[:2] == ["encryption refused", "Authentication"]
    assert down.count("ReadyForQuery") == 9
    assert "NotificationResponse" in down
    assert down[-2:] == ["ErrorResponse", "ReadyForQuery"]


def test_http1() -> None:
    assert types("http1", "up") == [
        *("GET request", "GET request", "HEAD request", "GET request", "GET request", "POST request", "body"),
        *("POST request", "chunk", "chunk", "last chunk"),
    ]
    assert types("http1", "down") == [
        *("200 response", "chunk", "last chunk", "200 response", "body", "200 response"),
        *(
            "404 response",
            "chunk",
            "last chunk",
            "204 response",
            "405 response",
            "body",
            "405 response",
            "body",
        ),
    ]


def test_http2_without_grpc() -> None:
    assert set(types("http2", "down")) == {"SETTINGS", "SETTINGS ack", "WINDOW_UPDATE", "HEADERS", "DATA"}
    assert types("http2", "up")[0] == "preface"


@pytest.mark.parametrize("name", ["etcd-python", "etcd-go"])
def test_the_messages_of_grpc_are_called_after_their_methods(name: str) -> None:
    """Python's client and Go's, whose header fields are in Huffman code."""
    up, down = types(name, "up"), types(name, "down")
    assert up.count("Watch request") == 1
    assert down.count("Watch response") == (4 if name == "etcd-python" else 3)


def test_a_message_of_grpc_in_several_frames_of_http2() -> None:
    _, frames = framed(recorded("etcd-python")[0])
    largest = max(frames["up"], key=lambda frame: frame.end - frame.start)
    assert (largest.type, largest.number, largest.index) == ("Put request", 2, None)
    inside = [one for one in frames["up"] if one.type == "DATA" and largest.start <= one.end <= largest.end]
    assert len(inside) > 2
    assert largest.end - largest.start > 50_000


def test_amqp() -> None:
    up, down = types("amqp", "up"), types("amqp", "down")
    assert up[:4] == ["protocol header", "connection.start-ok", "connection.tune-ok", "connection.open"]
    assert up.count("basic.publish") == down.count("basic.deliver") == 3
    assert down[-1] == "connection.close-ok"
    assert types("amqp1", "up")[:4] == ["protocol header", "sasl-init", "protocol header", "open"]
    assert "transfer" in types("amqp1", "down")


@pytest.mark.parametrize("number", [0, 1])
def test_mqtt(number: int) -> None:
    assert types("mqtt", "up", number)[:3] == ["CONNECT", "SUBSCRIBE", "PUBLISH"]
    assert types("mqtt", "down", number).count("PUBLISH") == 3
    assert types("mqtt", "up", number)[-1] == "DISCONNECT"


def test_nats() -> None:
    assert types("nats", "up") == ["CONNECT", "PING", "SUB", "PUB", "HPUB", "PUB", "PING", "UNSUB", "PING"]
    assert types("nats", "down") == ["INFO", "PONG", "MSG", "HMSG", "MSG", "PONG", "PONG"]


def test_zookeeper() -> None:
    assert types("zookeeper", "up") == [
        "connect request",
        *(f"{name} request" for name in ("create", "getData", "setData", "getChildren", "exists", "multi")),
        "closeSession request",
    ]
    down = types("zookeeper", "down")
    assert down[:5] == [
        "connect response",
        "create response",
        "getData response",
        "NodeDataChanged event",
        "setData response",
    ]
