"""What the plays of a test as it is have shown: how long it takes, and what its connections exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_netfault.common.wording import counted
from pytest_netfault.storm.places import Place, Way

__all__ = ["TURN", "Exchange", "Profile", "alike", "why_not_alike"]

# The type of an exchange where the protocol is not known.
TURN = "turn"


@dataclass(frozen=True)
class Exchange:
    """One frame, or one turn, of one direction of a connection.

    Attributes:
        connection: which one, in the order in which they first carried something during the test.
        way: its direction.
        type: what the frame is called; ``"turn"`` where the protocol is not known.
        size: in bytes.
    """

    connection: int
    way: Way
    type: str
    size: int


@dataclass(frozen=True)
class Profile:
    """A test as it is.

    Attributes:
        seconds: how long its longest play took.
        protocols: what each connection speaks, the first one first; None where that is not known.
        exchanges: what they exchanged, in order.
    """

    seconds: float
    protocols: tuple[str | None, ...] = ()
    exchanges: tuple[Exchange, ...] = ()

    def at(self, place: Place) -> Exchange | None:
        """The exchange that a place is in; None if the test never came so far."""
        number = 0
        for one in self.exchanges:
            if (one.connection, one.way) == (place.connection, place.way):
                number += 1
                if number == place.number:
                    return one
        return None

    def protocol(self, connection: int) -> str | None:
        """What a connection speaks; None if that is not known."""
        return self.protocols[connection - 1] if connection <= len(self.protocols) else None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the way from one process to another."""
        return {
            "seconds": self.seconds,
            "protocols": list(self.protocols),
            "exchanges": [[one.connection, one.way, one.type, one.size] for one in self.exchanges],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Profile:
        """The profile that :meth:`to_json` wrote."""
        return cls(
            data["seconds"], tuple(data["protocols"]), tuple(Exchange(*one) for one in data["exchanges"])
        )


def alike(one: Profile, other: Profile) -> bool:
    """Whether two plays exchanged the same: sizes may differ, as generated names and times do.

    Connections that work side by side may do so in any order, so each direction of each is compared by itself.

    >>> get, put = Exchange(1, "up", "GET", 20), Exchange(1, "up", "SET", 20)
    >>> alike(Profile(1.0, ("resp",), (get,)), Profile(2.0, ("resp",), (get,)))
    True
    >>> alike(Profile(1.0, ("resp",), (get,)), Profile(1.0, ("resp",), (put,)))
    False
    """
    return one.protocols == other.protocols and _types(one.exchanges) == _types(other.exchanges)


def why_not_alike(one: Profile, other: Profile) -> str:
    """How the exchanges of two plays differ, for a sentence.

    >>> get = Exchange(1, "up", "GET", 20)
    >>> why_not_alike(Profile(1.0, ("resp",), (get,)), Profile(1.0, ("resp",), (get, get)))
    '1 exchange in one play, 2 exchanges in another'
    """
    counts = [counted(len(profile.exchanges), "exchange") for profile in (one, other)]
    if counts[0] != counts[1]:
        return f"{counts[0]} in one play, {counts[1]} in another"
    return f"{counts[0]} in each play, but not the same ones"


def _types(exchanges: Sequence[Exchange]) -> dict[tuple[int, Way], list[str]]:
    found: dict[tuple[int, Way], list[str]] = {}
    for one in exchanges:
        found.setdefault((one.connection, one.way), []).append(one.type)
    return found
