"""Where a transient fault strikes: a direction, the number of an exchange in it, and the fault, as ``up 3 rst``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.framers.spot import ordinal

__all__ = ["FAULTS", "FaultKind", "Place", "Way"]

Way = Literal["up", "down"]
FaultKind = Literal["fin", "rst", "silence", "forget"]
FAULTS: tuple[FaultKind, ...] = ("fin", "rst", "silence", "forget")

_DOES: dict[FaultKind, str] = {
    "fin": "the connection is closed",
    "rst": "the connection is reset",
    "silence": "nothing passes for a second",
    "forget": "the connection is mute for good",
}
_WRITTEN = re.compile(r"(?:#(\d{1,6}) )?(up|down) (\d{1,9})( inside)? (fin|rst|silence|forget)")


@dataclass(frozen=True)
class Place:
    """One place of one test.

    Exchanges are counted in each direction of each connection, from the beginning of the test's call phase: frames
    where the protocol is known, turns elsewhere (all that goes one way until something comes the other way).

    Attributes:
        connection: which one, in the order in which they first carry something during the test.
        way: ``"up"`` (client to server) or ``"down"``.
        number: which exchange of that direction, from 1.
        fault: what strikes there.
        inside: in the middle of the exchange; otherwise before its first byte.

    >>> str(Place(1, "up", 3, "rst")), str(Place(2, "down", 1, "fin", inside=True))
    ('up 3 rst', '#2 down 1 inside fin')
    >>> Place.parse("#2 down 1 inside fin")
    Place(connection=2, way='down', number=1, fault='fin', inside=True)
    >>> Place.parse("up 0 rst") is None, Place.parse("left 1 rst") is None
    (True, True)
    """

    connection: int
    way: Way
    number: int
    fault: FaultKind
    inside: bool = False

    def __str__(self) -> str:
        which = f"#{self.connection} " if self.connection != 1 else ""
        return f"{which}{self.way} {self.number}{' inside' if self.inside else ''} {self.fault}"

    @classmethod
    def parse(cls, text: str) -> Place | None:
        """The place that is written so; None if none is."""
        found = _WRITTEN.fullmatch(text)
        if found is None:
            return None
        connection, way, number, inside, fault = found.groups()
        place = cls(int(connection or 1), way, int(number), fault, bool(inside))  # type: ignore[arg-type]
        return place if place.connection and place.number and str(place) == text else None

    @property
    def size(self) -> tuple[int, int, bool, int, bool]:
        """The smaller, the easier to understand."""
        return (self.connection, self.number, self.inside, FAULTS.index(self.fault), self.way == "down")

    def in_words(self, what: str = "") -> str:
        """For a sentence.

        Args:
            what: the type of the exchange, if it is known.

        >>> Place(1, "down", 2, "rst").in_words("reply")
        'the connection is reset before the 2nd exchange down (reply)'
        """
        where = "inside" if self.inside else "before"
        which = f" of connection {self.connection}" if self.connection != 1 else ""
        named = f" ({what})" if what else ""
        return f"{_DOES[self.fault]} {where} the {ordinal(self.number)} exchange {self.way}{which}{named}"
