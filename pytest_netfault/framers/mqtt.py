"""MQTT, versions 3.1 to 5: a frame is one control packet, called by its name in the specification."""

from __future__ import annotations

from pytest_netfault.framers.base import Framer

__all__ = ["framers"]

_NAMES = (
    "", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK",
    "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH",
)  # fmt: skip
_FLAGS = {"PUBREL": 2, "SUBSCRIBE": 2, "UNSUBSCRIBE": 2}
_LONGEST_LENGTH = 4  # bytes


class _Packets(Framer):
    def begin(self) -> None:
        self.read(1, self._first)

    def _first(self, byte: bytes) -> None:
        name = _NAMES[byte[0] >> 4]
        if not name or (name != "PUBLISH" and byte[0] & 15 != _FLAGS.get(name, 0)):
            self.lose("a byte that begins no packet")
            return
        self.is_a(name)
        self._length = 0
        self._digits = 0
        self.read(1, self._digit)

    def _digit(self, byte: bytes) -> None:
        self._length |= (byte[0] & 127) << (7 * self._digits)
        self._digits += 1
        if byte[0] < 128:
            self.finish_after(self._length, self._type or "")
        elif self._digits == _LONGEST_LENGTH:
            self.lose("a length of more than four bytes")
        else:
            self.read(1, self._digit)


def framers() -> tuple[Framer, Framer]:
    """For the two directions of a connection: up, down."""
    return _Packets(), _Packets()
