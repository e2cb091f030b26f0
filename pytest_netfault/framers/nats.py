"""NATS: a frame is one operation with its payload, called by its name (``"PUB"``, ``"MSG"``, ``"+OK"``)."""

from __future__ import annotations

from pytest_netfault.framers.base import Framer

__all__ = ["framers"]

_WITHOUT_PAYLOAD = frozenset({b"INFO", b"CONNECT", b"SUB", b"UNSUB", b"PING", b"PONG", b"+OK", b"-ERR"})
# How many words stand before the size, at least and at most.
_WITH_PAYLOAD = {b"PUB": (1, 2), b"HPUB": (2, 3), b"MSG": (2, 3), b"HMSG": (3, 4)}
_LONGEST_DIGITS = 10


class _Operations(Framer):
    def begin(self) -> None:
        self.line(self._operation)

    def _operation(self, line: bytes) -> None:
        words = line.split()
        name = words[0].upper() if words else b""
        if not line.endswith(b"\r\n") or not (name in _WITHOUT_PAYLOAD or name in _WITH_PAYLOAD):
            self.lose("a line that is no operation")
            return
        if name in _WITHOUT_PAYLOAD:
            self.is_a(name.decode(), left=0)
            self.finish()
            return
        least, most = _WITH_PAYLOAD[name]
        size = words[-1]
        if not least <= len(words) - 2 <= most or not size.isdigit() or len(size) > _LONGEST_DIGITS:
            self.lose("an operation without a size")
            return
        self.is_a(name.decode(), left=int(size) + 2)
        self.skip(int(size), self._payload_ended)

    def _payload_ended(self, _piece: bytes) -> None:
        self.read(2, self._ended)

    def _ended(self, piece: bytes) -> None:
        if piece != b"\r\n":
            self.lose("a payload that is longer than its size")
        else:
            self.finish()


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    return _Operations(), _Operations()
