"""RESP, the protocol of Redis and Valkey, versions 2 and 3: a frame is one command or one reply.

A command is called by its name (``"SET"``). A reply is called by its kind (``"simple string"``, ``"array"``), and one
that the server pushes to a subscriber by its own name (``"message"``, ``"subscribe"``, ``"invalidate"``).
"""

from __future__ import annotations

from pytest_netfault.framers.base import Framer, word

__all__ = ["framers"]

_SIMPLE = {
    b"+": "simple string",
    b"-": "error",
    b":": "integer",
    b"_": "null",
    b"#": "boolean",
    b",": "double",
    b"(": "big number",
}
_BULK = {b"$": "bulk string", b"!": "bulk error", b"=": "verbatim string"}
_AGGREGATE = {b"*": "array", b"%": "map", b"~": "set", b">": "push"}
# Before RESP3 a push is an array that begins with one of these.
_PUSHED = frozenset(
    f"{kind}{name}" for name in ("message", "subscribe", "unsubscribe") for kind in ("", "p", "s")
) | {"invalidate"}
_LONGEST_NAME = 64
# Redis itself nests no deeper than a few, and its clients refuse more than ten or so.
_DEEPEST = 64
_LARGEST = 2**40


class _Values(Framer):
    """Nested values; what remains to be read of each aggregate is one number of a stack."""

    def __init__(self) -> None:
        self._left: list[int] = []  # of each open aggregate, how many values are still to come
        self._outer = ""  # the kind of the frame's outermost value
        self._naming = False  # the first element of that may say what the frame is
        super().__init__()

    def value(self, head: bytes) -> None:
        """The line that a value begins with."""
        kind, rest = head[:1], head[1:-2]
        if not head.endswith(b"\r\n"):
            self.lose("a line without \\r\\n")
        elif kind in _SIMPLE:
            self._is_kind(_SIMPLE[kind], rest)
            self._value_ended()
        elif (size := _number(rest)) is None:
            self.lose("a size that is no number" if kind in _BULK or kind in _AGGREGATE else "no RESP")
        elif kind in _BULK:
            self._bulk(_BULK[kind], size)
        elif kind in _AGGREGATE:
            self._is_kind(_AGGREGATE[kind] if size >= 0 else "null", nameable=size > 0 and kind in b"*>")
            self._aggregate(2 * size if kind == b"%" else size)
        elif kind == b"|":  # a map that stands before the value that it says something about
            self._is_kind("attributes")
            self._aggregate(2 * size + 1)
        else:
            self.lose("no RESP")

    def called(self, name: str) -> str:
        """What a frame is that is an array, or a push, and begins with this."""
        raise NotImplementedError

    def _is_kind(self, kind: str, text: bytes = b"", *, nameable: bool = False) -> None:
        if not self._left:
            self._outer, self._naming = kind, nameable
            if not nameable:
                self.is_a(kind)
        elif self._naming:
            self._first(word(text))

    def _first(self, name: str | None) -> None:
        self._naming = False
        self.is_a(self._outer if name is None else self.called(name))

    def _bulk(self, kind: str, size: int) -> None:
        if self._left and self._naming and 0 <= size <= _LONGEST_NAME:
            self.read(size + 2, self._name)
            return
        self._is_kind(kind if size >= 0 else "null")
        if size < 0:
            self._value_ended()
            return
        if not self._left:
            self._end = self.seen + size + 2
        self.skip(size, self._bulk_ends)

    def _bulk_ends(self, _piece: bytes) -> None:
        self.read(2, self._after_bulk)

    def _after_bulk(self, piece: bytes) -> None:
        if piece != b"\r\n":
            self.lose("a string that is not followed by \\r\\n")
        else:
            self._value_ended()

    def _name(self, piece: bytes) -> None:
        self._first(word(piece[:-2]))
        self._after_bulk(piece[-2:])

    def _aggregate(self, size: int) -> None:
        if size > 0 and len(self._left) >= _DEEPEST:
            self.lose(f"nested deeper than {_DEEPEST}")
        elif size > 0:
            self._left.append(size)
            self.line(self.value)
        else:
            self._value_ended()

    def _value_ended(self) -> None:
        """A value is complete: go on with the aggregate that it stands in, or end the frame."""
        while self._left:
            self._left[-1] -= 1
            if self._left[-1] > 0:
                self.line(self.value)
                return
            self._left.pop()
        self.finish()


def _number(digits: bytes) -> int | None:
    """A size: -1 stands for null."""
    if digits == b"-1":
        return -1
    if not digits.isdigit() or len(digits) > 13:
        return None
    return size if (size := int(digits)) <= _LARGEST else None


class Commands(_Values):
    """What a client sends: arrays of strings, or words in a line."""

    def begin(self) -> None:
        self.line(self._begun)

    def called(self, name: str) -> str:
        return name.upper()

    def _begun(self, head: bytes) -> None:
        if head.startswith(b"*"):
            self.value(head)
            return
        words = head.split()
        name = word(words[0]) if words else "empty line"
        if name is None or not name[0].isalpha():
            self.lose("neither a command nor a line of words")
            return
        self.is_a(name.upper() if words else name)
        self.finish()


class Replies(_Values):
    """What a server sends."""

    def begin(self) -> None:
        self.line(self.value)

    def called(self, name: str) -> str:
        pushed = self._outer == "push" or name.lower() in _PUSHED
        return name.lower() if pushed else self._outer


def framers() -> tuple[Commands, Replies]:
    """For the two directions of a connection: up, down."""
    return Commands(), Replies()
