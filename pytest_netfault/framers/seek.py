"""Finds a named place in a stream, while the stream passes.

Whoever cuts there must not let bytes through that lie behind the place. What is not known yet (which frame this is, how
long it is) is known a few bytes later, so bytes are held until then: ``safe`` says up to where they may pass. No more
than ``MOST_HELD`` bytes are ever held.
"""

from __future__ import annotations

from pytest_netfault.framers.base import Framer, Message, Open
from pytest_netfault.framers.conversation import Conversation, Way

__all__ = ["MOST_HELD", "Seeker"]

# A sender may wait for an answer to what is held, or for room in a window; those of HTTP/2 are 64 KiB.
MOST_HELD = 32 * 1024
_FAR_ENOUGH = MOST_HELD // 2


class Seeker:
    """One place of one direction of a connection.

    Args:
        conversation: which has seen all that passed so far, and is the seeker's own from now on.
        way: the direction.
        index: which frame, from 1; with a type which one of that.
        kind: the type, whatever its case; None for a frame of any type.
        where: ``"start"``, ``"middle"``, ``"end"``, or bytes behind the start (before the end, if negative).

    Attributes:
        found: the position of the place, once it is known; behind the bytes seen so far, or before them by as many
            as may be held. A place that was passed before is where the stream stood in the beginning.
        safe: bytes of the stream before this position may pass.

    >>> conversation = Conversation("resp")
    >>> seeker = Seeker(conversation, "up", 2, None, "middle")
    >>> ping = b"*1\\r\\n$4\\r\\nPING\\r\\n"
    >>> seeker.feed("up", ping + ping)
    >>> seeker.found
    21
    """

    def __init__(
        self, conversation: Conversation, way: Way, index: int, kind: str | None, where: str | int
    ) -> None:
        self._conversation = conversation
        self._way = way
        self._index = index
        self._kind = None if kind is None else kind.casefold()
        self._where = where
        self.found: int | None = None
        self.safe = self._framer.seen
        if self._passed():
            self.found = self.safe
        else:
            self._look([])

    @property
    def _framer(self) -> Framer:
        return self._conversation.framer(self._way)

    def feed(self, way: Way, data: bytes | memoryview) -> None:
        """The next bytes of a direction. Those of the other one are fed when they are delivered."""
        ended = self._conversation.feed(way, data)
        if way == self._way and self.found is None:
            self._look(ended)

    def _look(self, ended: list[Message]) -> None:
        for frame in ended:
            if self._is_it(frame):
                self._settle(self._place_in(frame.start, frame.end))
                return
        framer = self._framer
        if self._kind is None and self._where == "start" and framer.frames == self._index - 1:
            begun = [one.start for one in framer.open() if one.index is not None]
            self._settle(begun[0] if begun else framer.seen)  # known without a byte of it
            return
        safe = framer.seen
        for begun_one in framer.open():
            known = self._is_it(begun_one)
            if known:
                place = self._place_in(begun_one.start, begun_one.end)
                if place is not None:
                    self._settle(place)
                    return
            if known is not False:
                safe = min(safe, self._held_from(begun_one))
        self.safe = max(self.safe, safe)

    def _settle(self, place: int | None) -> None:
        assert place is not None
        self.found = max(place, self.safe)
        self.safe = max(self.safe, min(self.found, self._framer.seen))

    def _is_it(self, frame: Message | Open) -> bool | None:
        """Whether it is the frame; None if that is not known yet."""
        if self._kind is None:
            return frame.index == self._index
        if frame.type is None or frame.number is None:
            return None if self._ended() == self._index - 1 else False
        return frame.number == self._index and frame.type.casefold() == self._kind

    def _place_in(self, start: int, end: int | None) -> int | None:
        """The position in a frame; None if it depends on an end that is not known yet."""
        where, seen = self._where, self._framer.seen
        if where == "start":
            return start
        if where == "middle":
            if end is None:
                return start + _FAR_ENOUGH if seen - start > MOST_HELD else None
            size = end - start
            return start + (size // 2 if size <= MOST_HELD else _FAR_ENOUGH)
        if where == "end":
            return end
        assert isinstance(where, int)
        if where < 0:
            return None if end is None else max(start, end + where)
        if end is None:
            return start + where if seen - start >= where else None
        return min(start + where, end)

    def _held_from(self, frame: Open) -> int:
        """From which byte on a frame must be held that may be the one."""
        where, seen = self._where, self._framer.seen
        if where == "end":
            return seen
        held = max(frame.start, seen + where) if isinstance(where, int) and where < 0 else frame.start
        return held if seen - held <= MOST_HELD else seen

    def _passed(self) -> bool:
        """Whether the frame had passed before anybody looked for it."""
        framer = self._framer
        if self._kind is None:
            return framer.frames >= self._index
        return self._ended() >= self._index and not any(self._is_it(frame) for frame in framer.open())

    def _ended(self) -> int:
        """How many frames of the type have ended."""
        framer = self._framer
        return sum(framer.count(kind) for kind in framer.types() if kind.casefold() == self._kind)
