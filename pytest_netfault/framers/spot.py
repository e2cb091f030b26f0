"""A position in a stream, in words that somebody knows who knows the protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pytest_netfault.framers.base import Framer, Message, Open

__all__ = ["Spot", "ordinal", "spot_in"]

Side = Literal["inside", "before", "behind"]


@dataclass(frozen=True)
class Spot:
    """A position between two bytes of one direction of a connection.

    Attributes:
        protocol: what the connection speaks.
        direction: ``"up"`` or ``"down"``.
        side: where it is: ``"inside"`` a frame, ``"before"`` its first byte, or ``"behind"`` its last one.
        type: what the frame is; None if too few bytes of it have come to say.
        number: which one of its type, from 1; without a type, which frame of the direction.
        offset: how many bytes of it have passed.
        size: how many it has, if that is known.
    """

    protocol: str
    direction: Literal["up", "down"]
    side: Side
    type: str | None
    number: int
    offset: int = 0
    size: int | None = None

    def __str__(self) -> str:
        """For a sentence.

        >>> print(Spot("http2", "down", "inside", "Watch response", 2, 12, 61))
        inside the 2nd Watch response, 12 of 61 bytes in
        >>> print(Spot("resp", "up", "behind", "PING", 1, 14, 14))
        behind the 1st PING
        """
        words = f"{self.side} the {ordinal(self.number)} {self.type or 'frame'}"
        if self.side != "inside":
            return words
        size = "" if self.size is None else f" of {self.size:,}"
        return f"{words}, {self.offset:,}{size} byte{'' if size == '' and self.offset == 1 else 's'} in"

    def to_json(self) -> dict[str, Any]:
        """The same as a JSON object of the same names."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: object) -> Spot:
        """The spot that :meth:`to_json` wrote.

        Raises:
            TypeError: it is not one.
        """
        if not isinstance(data, dict):
            raise TypeError(f"a spot must be a JSON object, not {data!r:.80}")
        return cls(**data)


def ordinal(number: int) -> str:
    """A number as one counts with it.

    >>> ordinal(1), ordinal(12), ordinal(22)
    ('1st', '12th', '22nd')
    """
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number:,}{ending}"


def spot_in(
    protocol: str,
    direction: Literal["up", "down"],
    framer: Framer,
    last: Message | None,
    ended: Iterable[Message],
    after: Framer,
) -> Spot | None:
    """Where a framer stands.

    Args:
        protocol: what it frames.
        direction: of what.
        framer: which it is.
        last: the last frame that has ended.
        ended: the frames that end in what would come next.
        after: the framer, after what would come next.
    """
    frames: list[Message | Open] = [*after.open(), *ended]
    coming = {(one.start, one.index is None): one for one in frames}
    if opened := framer.open():
        inner = opened[-1]
        known = coming.get((inner.start, inner.index is None), inner)
        return _spot(protocol, direction, "inside", known, framer.seen - inner.start)
    if (following := coming.get((framer.seen, False))) is not None:
        return _spot(protocol, direction, "before", following, 0)
    if last is not None:
        return _spot(protocol, direction, "behind", last, last.end - last.start)
    return Spot(protocol, direction, "before", None, framer.frames + 1)


def _spot(
    protocol: str, direction: Literal["up", "down"], side: Side, frame: Message | Open, offset: int
) -> Spot:
    number = frame.number if frame.type is not None else frame.index
    size = None if frame.end is None else frame.end - frame.start
    return Spot(protocol, direction, side, frame.type, number or 1, offset, size)
