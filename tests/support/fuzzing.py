"""Requests that nobody would send, to a server that must answer each of them and stay as it was."""

from __future__ import annotations

import json
import random
import socket
from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

__all__ = ["answers", "requests"]

_NAMES = [
    "a",
    "b",
    "c",
    "",
    "a b",
    "%",
    "%2F",
    "..",
    "\x00",
    "é\u202e",
    "x" * 300,
    "<b>",
    "a/b",
    "%ff",
    "\ud800",
]
_TYPES = [
    "latency",
    "bandwidth",
    "slow_close",
    "timeout",
    "reset_peer",
    "limit_data",
    "slicer",
    "noop",
    "packet_loss",
]
_ATTRIBUTES = [
    "latency",
    "jitter",
    "rate",
    "delay",
    "timeout",
    "bytes",
    "average_size",
    "size_variation",
    "loss_rate",
]
_KEYS = [
    "name",
    "listen",
    "upstream",
    "enabled",
    "toxics",
    "netfault",
    "type",
    "stream",
    "toxicity",
    "attributes",
]
_METHODS = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS", "FROB"]
_WHERE = [
    "127.0.0.1:0",
    "localhost:0",
    "bogus",
    ":",
    "127.0.0.1:99999",
    "[::1]:0",
    "unix:/nowhere/x",
    "127.0.0.1:1",
]
_FAULTS = [
    "sever",
    "reset",
    "refuse",
    "blackhole",
    "delay",
    "throttle",
    "slice",
    "cut",
    "forget",
    "stall_accept",
]
_TEXTS = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b"{",
    b'"',
    b"nonsense",
    b"\xff\xfe",
    b"[" * 5000,
    b"1e999",
    b'{"name":"a"} x',
]
# What the answers may be. 5xx is for addresses that cannot be listened on, and for nothing else.
_STATUSES = {200, 201, 202, 204, 400, 404, 405, 409, 429, 500}


def requests(draw: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Method, path and body, for ever."""
    while True:
        name, toxic = _quoted(_name(draw)), _quoted(_name(draw))
        own = f"/netfault/proxies/{name}"
        path = draw.choice(
            [
                "/proxies", "/proxies", f"/proxies/{name}", f"/proxies/{name}", f"/proxies/{name}/toxics",
                f"/proxies/{name}/toxics", f"/proxies/{name}/toxics/{toxic}", "/populate", "/reset", "/version",
                "/metrics", "/nope", own, f"{own}/connections", f"{own}/events?limit={draw.randint(-3, 9)}",
                f"{own}/faults", f"{own}/faults/{draw.randint(0, 9)}", f"{own}/schedules",
                f"/netfault/schedules/{draw.randint(0, 50)}", "/netfault/openapi.json",
            ]
        )  # fmt: skip
        method = draw.choice(_METHODS[:4]) if draw.random() < 0.95 else draw.choice(_METHODS)
        yield method, path, _body(draw, path) if method not in ("GET", "HEAD") else b""


def _name(draw: random.Random) -> str:
    return draw.choice(_NAMES[:3] if draw.random() < 0.7 else _NAMES)


def _quoted(name: str) -> str:
    raw = name.encode("utf-8", "replace")
    plain = b"abcdefghijklmnopqrstuvwxyz.%<>"
    return "".join(chr(one) if one in plain else f"%{one:02X}" for one in raw)


def _body(draw: random.Random, path: str) -> bytes:
    kind = draw.random()
    if kind < 0.1:
        return draw.choice(_TEXTS)
    if kind < 0.15:
        return draw.randbytes(draw.randint(0, 200))
    made = _likely(draw, path) if kind < 0.8 else _value(draw, 3)
    if draw.random() < 0.1:
        made = [made, made]
    text = json.dumps(made).encode()
    if draw.random() < 0.05:
        text = text[: draw.randint(0, len(text))]
    return text


def _likely(draw: random.Random, path: str) -> object:
    """A body for this path, and sometimes for another one."""
    wanted = [
        path.startswith("/p") and path.count("/") < 3,
        "/toxics" in path,
        "/faults" in path,
        "/schedules" in path,
    ]
    choice = wanted.index(True) if any(wanted) and draw.random() < 0.8 else draw.randrange(4)
    if choice == 0:
        one = {"name": _name(draw), "upstream": draw.choice(_WHERE), "listen": draw.choice(_WHERE)}
        return {**one, "enabled": draw.choice([True, False, None]), "netfault": draw.choice([0, 1])}
    if choice == 1:
        number = draw.choice([0, 1, 5, -1, 1.5, 2**40, 2**63, "x"])
        attributes = dict.fromkeys(draw.sample(_ATTRIBUTES, 3), number)
        return {
            "type": draw.choice(_TYPES),
            "stream": draw.choice(["upstream", "downstream", "both", "", "UPSTREAM"]),
            "toxicity": draw.choice([0, 0.5, 1, -1, 1e30, 1e300]),
            "attributes": attributes,
        }
    if choice == 2:
        return {
            "fault": draw.choice(_FAULTS),
            **draw.choice([{}, {"seconds": 1}, {"after_bytes": 5}, {"size": 3}]),
        }
    steps = ["connected", "passed", "heal", "break", "write"]
    return {"steps": [{"step": draw.choice(steps)} for _ in range(draw.randint(0, 3))], "timeout": 0.01}


def _value(draw: random.Random, depth: int) -> object:
    choice = draw.randrange(7 if depth else 5)
    if choice < 5:
        return [None, True, draw.randint(-(2**64), 2**64), draw.random() * 1e9, draw.choice(_NAMES)][choice]
    if choice == 5:
        return [_value(draw, depth - 1) for _ in range(draw.randint(0, 3))]
    return {draw.choice(_KEYS): _value(draw, depth - 1) for _ in range(draw.randint(0, 4))}


def answers(port: int, seed: int, count: int) -> Counter[int]:
    """Send so many requests; how often each status came.

    Raises:
        AssertionError: an answer was not one that is promised, or there was none.
    """
    seen: Counter[int] = Counter()
    asked = requests(random.Random(seed))
    while sum(seen.values()) < count:
        # A server may close a connection after a request that is no HTTP; then there is another one.
        with socket.create_connection(("127.0.0.1", port), timeout=120) as sock, sock.makefile("rb") as lines:
            while sum(seen.values()) < count:
                method, path, body = next(asked)
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(head.encode("latin-1") + body)
                status, closes = _answer(lines, method)
                assert status in _STATUSES, (status, method, path, body[:200])
                seen[status] += 1
                if closes:
                    break
    return seen


def _answer(lines: BinaryIO, method: str) -> tuple[int, bool]:
    """The status, and whether the connection is closed behind it."""
    first = lines.readline()
    assert first.startswith(b"HTTP/1.1 "), first
    status, length, closes = int(first.split()[1]), 0, False
    while line := lines.readline().strip():
        name, _, value = line.lower().partition(b":")
        if name == b"content-length" and method != "HEAD":
            length = int(value)
        closes = closes or (name == b"connection" and value.strip() == b"close")
    assert len(lines.read(length)) == length
    return status, closes
