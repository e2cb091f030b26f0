"""AMQP: a frame is one frame of AMQP 0-9-1 (RabbitMQ) or of AMQP 1.0.

A method is called by its name in the specification (``"basic.publish"``), and so is a performative of AMQP 1.0
(``"transfer"``); beside them there are ``"content header"``, ``"content body"``, ``"heartbeat"``, and the
``"protocol header"`` that a connection begins with.
"""

from __future__ import annotations

from pytest_netfault.framers.base import Framer

__all__ = ["framers"]

_METHODS: dict[int, tuple[str, dict[int, str]]] = {
    10: (
        "connection",
        {
            10: "start", 11: "start-ok", 20: "secure", 21: "secure-ok", 30: "tune", 31: "tune-ok", 40: "open",
            41: "open-ok", 50: "close", 51: "close-ok", 60: "blocked", 61: "unblocked", 70: "update-secret",
            71: "update-secret-ok",
        },
    ),
    20: ("channel", {10: "open", 11: "open-ok", 20: "flow", 21: "flow-ok", 40: "close", 41: "close-ok"}),
    40: (
        "exchange",
        {10: "declare", 11: "declare-ok", 20: "delete", 21: "delete-ok", 30: "bind", 31: "bind-ok",
         40: "unbind", 51: "unbind-ok"},
    ),
    50: (
        "queue",
        {10: "declare", 11: "declare-ok", 20: "bind", 21: "bind-ok", 30: "purge", 31: "purge-ok",
         40: "delete", 41: "delete-ok", 50: "unbind", 51: "unbind-ok"},
    ),
    60: (
        "basic",
        {10: "qos", 11: "qos-ok", 20: "consume", 21: "consume-ok", 30: "cancel", 31: "cancel-ok", 40: "publish",
         50: "return", 60: "deliver", 70: "get", 71: "get-ok", 72: "get-empty", 80: "ack", 90: "reject",
         100: "recover-async", 110: "recover", 111: "recover-ok", 120: "nack"},
    ),
    85: ("confirm", {10: "select", 11: "select-ok"}),
    90: (
        "tx",
        {10: "select", 11: "select-ok", 20: "commit", 21: "commit-ok", 30: "rollback", 31: "rollback-ok"},
    ),
}  # fmt: skip
_PERFORMATIVES = {
    0x10: "open", 0x11: "begin", 0x12: "attach", 0x13: "flow", 0x14: "transfer", 0x15: "disposition",
    0x16: "detach", 0x17: "end", 0x18: "close", 0x40: "sasl-mechanisms", 0x41: "sasl-init",
    0x42: "sasl-challenge", 0x43: "sasl-response", 0x44: "sasl-outcome",
}  # fmt: skip
_FRAME_END = b"\xce"
_LONGEST = 2**30


class _Half(Framer):
    """One direction: both are alike, and each begins with a protocol header or with a frame."""

    def __init__(self, version: _Version) -> None:
        self._version = version
        super().__init__()

    def begin(self) -> None:
        self.read(8, self._head)

    def _head(self, head: bytes) -> None:
        if head.startswith(b"AMQP"):
            self._version.one = head[5:6] == b"\x01"
            self.is_a("protocol header", left=0)
            self.finish()
        elif self._version.one:
            self._frame_of_1_0(head)
        else:
            self._frame(head)

    def _frame(self, head: bytes) -> None:
        kind, size = head[0], int.from_bytes(head[3:7], "big")
        self._end = self._start + 8 + size
        if size > _LONGEST or kind not in (1, 2, 3, 8) or (kind == 1 and size < 4):
            self.lose("no frame of AMQP")
        elif kind == 8 and not size:  # what was read is all of it
            self._is_ended("heartbeat", head[7:])
        elif kind == 1:
            self._left = size - 4
            self._first = head[7:]
            self.read(3, self._method)
        elif not size:
            self._is_ended("content body" if kind == 3 else "other", head[7:])
        else:
            self.is_a({2: "content header", 3: "content body", 8: "heartbeat"}[kind])
            self.skip(size - 1, self._payload_ended)

    def _method(self, rest: bytes) -> None:
        numbers = self._first + rest
        name, methods = _METHODS.get(int.from_bytes(numbers[:2], "big"), ("", {}))
        method = methods.get(int.from_bytes(numbers[2:], "big"))
        self.is_a(f"{name}.{method}" if method else "method")
        self.skip(self._left, self._payload_ended)

    def _payload_ended(self, _piece: bytes) -> None:
        self.read(1, self._ended)

    def _ended(self, piece: bytes) -> None:
        if piece != _FRAME_END:
            self.lose("a frame that does not end where it should")
        else:
            self.finish()

    def _is_ended(self, kind: str, last: bytes) -> None:
        self.is_a(kind)
        self._ended(last)

    def _frame_of_1_0(self, head: bytes) -> None:
        size, offset, kind = int.from_bytes(head[:4], "big"), 4 * head[4], head[5]
        if not 8 <= offset <= size <= _LONGEST or kind not in (0, 1):
            self.lose("no frame of AMQP 1.0")
        elif size < offset + 3:
            self.finish_after(size - 8, "heartbeat")
        else:
            self._end = self._start + size
            self._left = size - offset - 3
            self.skip(offset - 8, self._before_performative)

    def _before_performative(self, _piece: bytes) -> None:
        self.read(3, self._performative)

    def _performative(self, piece: bytes) -> None:
        name = _PERFORMATIVES.get(piece[2]) if piece[:2] == b"\x00\x53" else None
        self.finish_after(self._left, name or "performative")


class _Version:
    """What both directions know: which AMQP it is."""

    def __init__(self) -> None:
        self.one = False


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    version = _Version()
    return _Half(version), _Half(version)
