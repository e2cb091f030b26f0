"""Which protocol a connection speaks, by its first bytes."""

from __future__ import annotations

import re
from typing import Literal

from pytest_netfault.framers.http1 import REQUEST_LINE
from pytest_netfault.framers.http2 import PREFACE
from pytest_netfault.framers.postgres import STARTS
from pytest_netfault.framers.registry import registered

__all__ = ["BYTES_TO_DETECT", "detect"]

# A request line of HTTP/1 is the longest that must be seen before it can be told what it is.
BYTES_TO_DETECT = 8 * 1024
_RESP = re.compile(rb"\*[1-9][0-9]{0,6}\r\n\$")
_MQTT = re.compile(rb"\x10[\x80-\xff]{0,3}[\x00-\x7f]\x00(\x04MQTT|\x06MQIsdp)", re.DOTALL)
_NATS = re.compile(rb"INFO\s+\{")
_POSTGRES_VERSION_3 = b"\x00\x03"
_ZOOKEEPER_LENGTHS = range(28, 1_024)  # of a ConnectRequest: its password is 16 bytes, or none


def detect(up: bytes, down: bytes) -> str | Literal[False] | None:
    """The protocol of a connection that began with these bytes.

    Returns:
        One of ``PROTOCOLS``; False if it is none of them; None if more must be seen.

    >>> detect(b"*1\\r\\n$4\\r\\nPING\\r\\n", b"")
    'resp'
    >>> detect(b"EHLO there\\r\\n", b"220 mail\\r\\n")
    False
    """
    undecided = False
    for name, own in registered.items():
        found = own.recognizes(up, down)
        if found:
            return name
        undecided = undecided or found is None
    if _NATS.match(down):
        return "nats"
    if not up:
        return None
    for protocol, holds in (
        ("amqp", up.startswith(b"AMQP")),
        ("http2", up.startswith(PREFACE)),
        ("resp", _RESP.match(up) is not None),
        ("mqtt", _MQTT.match(up) is not None),
        ("http1", REQUEST_LINE.match(up) is not None),
        ("postgres", _is_postgres(up)),
        ("zookeeper", _is_zookeeper(up)),
    ):
        if holds:
            return protocol
    return None if undecided or _may_become(up) else False


def _is_postgres(up: bytes) -> bool:
    if len(up) < 8:
        return False
    size, code = int.from_bytes(up[:4], "big"), int.from_bytes(up[4:8], "big")
    return 8 <= size <= 10_000 and (up[4:6] == _POSTGRES_VERSION_3 or code in STARTS)


def _is_zookeeper(up: bytes) -> bool:
    return len(up) >= 8 and int.from_bytes(up[:4], "big") in _ZOOKEEPER_LENGTHS and up[4:8] == b"\0\0\0\0"


def _may_become(up: bytes) -> bool:
    """Whether these are the first bytes of something that would be known if there were more of them."""
    if len(up) < 10 or PREFACE.startswith(up):
        return True
    return up[:1].isalpha() and b"\n" not in up[:BYTES_TO_DETECT] and len(up) < BYTES_TO_DETECT
