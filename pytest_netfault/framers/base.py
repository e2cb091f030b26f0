"""What every framer is made of: a parser of one direction that is fed bytes and says where its frames begin and end.

* **Pure and incremental.** No sockets, no clock. However the stream is split, the frames are the same.
* **Garbage never raises.** What cannot be this protocol ends the framing: ``lost`` says why, and no frame follows.
* **Memory does not grow.** A payload is passed by and not kept; of a line only the beginning is kept. What a framer
  remembers of a connection (types that it has counted, requests that wait for an answer) has an upper limit.

A framer is a subclass with a method for each state. A method looks at the piece that it asked for, and asks for the
next: ``read`` (so many bytes), ``line`` (up to a line feed) or ``skip`` (so many bytes that nobody looks at).
``finish`` ends the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["LINE_KEPT", "MOST_TYPES", "OTHER", "Framer", "Message", "Open", "word"]

# Of a line only so much is looked at; the longest that anything here needs is an HTTP request line with its version.
LINE_KEPT = 8 * 1024
# Types that are counted one by one. More than any protocol has: the rest are names made up by whoever sends garbage.
MOST_TYPES = 256
OTHER = "other"
_LONGEST_TYPE = 64


@dataclass(frozen=True)
class Message:
    """One frame on a wire.

    Attributes:
        type: what it is, such as ``"Query"`` or ``"Watch response"``.
        number: which one of its type, from 1.
        index: which frame of this direction of the connection, from 1; None for a message inside other frames, such as
            one of gRPC, which may begin in one HTTP/2 frame and end in another.
        start: the position in the stream of its first byte.
        end: the position behind its last byte.
    """

    type: str
    number: int
    index: int | None
    start: int
    end: int


@dataclass(frozen=True)
class Open:
    """A frame that has begun and not ended.

    Attributes:
        type: what it is; None while too few bytes of it have come to say.
        number: which one of its type, from 1; None while the type is not known.
        index: as in :class:`Message`.
        start: the position of its first byte.
        end: the position behind its last byte, once that is known.
    """

    type: str | None
    number: int | None
    index: int | None
    start: int
    end: int | None


def word(data: bytes) -> str | None:
    """A name that was read from a wire, for a type: printable ASCII without blanks, not too long; None otherwise."""
    if not 0 < len(data) <= _LONGEST_TYPE or any(not 33 <= byte <= 126 for byte in data):
        return None
    return data.decode("ascii")


class Framer:
    """One direction of one connection. Positions count the bytes that were fed.

    Attributes:
        seen: how many bytes were fed.
        lost: why there are no frames any more from here on; None while there are.
        lost_at: where that was.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.lost: str | None = None
        self.lost_at = 0
        self._index = 0
        self._counts: dict[str, int] = {}
        self._start = 0
        self._type: str | None = None
        self._end: int | None = None
        self._done: list[Message] = []
        self._want: int | None = 0  # bytes; None: a line
        self._skipping = False
        self._piece = bytearray()
        self._gathered = 0  # bytes of the piece that came; of a line more than are kept
        self._tail = b""  # the last two bytes of a line
        self._then: Callable[[bytes], None] = self._nothing
        self.begin()

    # -- for whoever feeds it --------------------------------------------------------------------------------

    def feed(self, data: bytes | memoryview) -> list[Message]:
        """Take in the next bytes of the stream; return the frames that end in them, in the order of their ends."""
        data = bytes(data)
        before = self.seen
        at, size = 0, len(data)
        if data and self.lost is None and self.seen == self._start and (reason := self.over()) is not None:
            self.lose(reason)
        while self.lost is None:
            if self._want is None:
                at += self._take_line(data, at)
                complete = self._tail.endswith(b"\n")
            else:
                step = min(self._want - self._gathered, size - at)
                if not self._skipping:
                    self._piece += data[at : at + step]
                self._gathered += step
                at += step
                complete = self._gathered == self._want
            self.seen = before + at
            if not complete:
                break
            self._then(self._take_piece())
        self.seen = before + size
        done, self._done = self._done, []
        return done

    def open(self) -> tuple[Open, ...]:
        """The frames that have begun and not ended: what lies around others first; none between two frames."""
        if self.lost is not None or self.seen == self._start:
            return ()
        number = None if self._type is None else self.count(self._type) + 1
        return (Open(self._type, number, self._index + 1, self._start, self._end),)

    @property
    def frames(self) -> int:
        """How many frames have ended."""
        return self._index

    def count(self, kind: str) -> int:
        """How many frames, or messages inside frames, of a type have ended."""
        return self._counts.get(kind, 0)

    def types(self) -> tuple[str, ...]:
        """The types of the frames, and of the messages inside frames, that have ended."""
        return tuple(self._counts)

    # -- for the states of a protocol ------------------------------------------------------------------------

    def begin(self) -> None:
        """What a frame begins with: a subclass asks for its first piece here."""
        raise NotImplementedError

    def over(self) -> str | None:
        """Why what comes next is not this protocol any more, if the other direction has said so."""
        return None

    def read(self, size: int, then: Callable[[bytes], None]) -> None:
        """Have the next ``size`` bytes; a subclass asks for few, and for no more than it has checked."""
        self._want, self._skipping, self._then = size, False, then

    def skip(self, size: int, then: Callable[[bytes], None]) -> None:
        """Let ``size`` bytes pass."""
        self._want, self._skipping, self._then = size, True, then

    def line(self, then: Callable[[bytes], None]) -> None:
        """Have the bytes up to a line feed, which is the last of them; the middle of a long line is left out."""
        self._want, self._skipping, self._then = None, False, then

    def is_a(self, kind: str, *, left: int | None = None) -> None:
        """The frame is of this type; ``left`` bytes of it are still to come, where that is known."""
        self._type = self._known(kind)
        if left is not None:
            self._end = self.seen + left

    def finish(self, _piece: bytes = b"") -> None:
        """The frame ends here, and the next one begins."""
        kind = self._type or self._known(OTHER)
        self._index += 1
        self._counts[kind] = number = self.count(kind) + 1
        self._done.append(Message(kind, number, self._index, self._start, self.seen))
        self._start, self._type, self._end = self.seen, None, None
        self.begin()

    def finish_after(self, size: int, kind: str) -> None:
        """The frame is of this type, and ends after ``size`` bytes more."""
        self.is_a(kind, left=size)
        self.skip(size, self.finish)

    def lose(self, reason: str) -> None:
        """What comes is not, or is no longer, this protocol."""
        self.lost, self.lost_at = reason, self._start
        self._piece.clear()

    def _known(self, kind: str) -> str:
        kind = kind[:_LONGEST_TYPE]
        return kind if kind in self._counts or len(self._counts) < MOST_TYPES else OTHER

    def _take_line(self, data: bytes, at: int) -> int:
        """Gather a part of a line; return how many bytes that is."""
        end = data.find(b"\n", at) + 1 or len(data)
        part = data[at:end]
        self._piece += part[: LINE_KEPT - len(self._piece)]
        self._gathered += len(part)
        self._tail = (self._tail + part[-2:])[-2:]
        return len(part)

    def _take_piece(self) -> bytes:
        """What was gathered."""
        if self._want is None and self._gathered > LINE_KEPT:
            self._piece[-2:] = self._tail
        piece = bytes(self._piece)
        self._piece.clear()
        self._gathered, self._tail = 0, b""
        return piece

    def _nothing(self, _piece: bytes) -> None:
        """No state yet."""
