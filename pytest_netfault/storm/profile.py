"""What the plays of a test as it is have shown: how long it takes, and what its connections exchange."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pytest_netfault.common.wording import counted
from pytest_netfault.storm.places import Place, Way

__all__ = ["TURN", "Exchange", "Profile", "alike", "why_not_alike"]

# The type of an exchange where the protocol is not known.
TURN = "turn"
# Protocols in which many streams share a connection, and by how many frames of a type two plays may differ then.
_SHARED = frozenset({"http2"})
_MORE_OR_LESS = 2
# Types that differ between two plays, in a sentence.
_NAMED = 3


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

    Connections that work side by side may do so in any order, so each direction of each is compared by itself. Where
    many streams share a connection (HTTP/2), their frames come in any order, and one more or less says nothing.

    >>> get, put = Exchange(1, "up", "GET", 20), Exchange(1, "up", "SET", 20)
    >>> alike(Profile(1.0, ("resp",), (get,)), Profile(2.0, ("resp",), (get,)))
    True
    >>> alike(Profile(1.0, ("resp",), (get,)), Profile(1.0, ("resp",), (put,)))
    False
    """
    if Counter(one.protocols) != Counter(other.protocols) or _in_order(one) != _in_order(other):
        return False
    first, second = _shared(one), _shared(other)
    return all(abs(first[kind] - second[kind]) <= _MORE_OR_LESS for kind in first | second)


def _in_order(profile: Profile) -> dict[tuple[int, Way], list[str]]:
    """The types of each direction of each connection on which everything has its turn."""
    found: dict[tuple[int, Way], list[str]] = {}
    for one in profile.exchanges:
        if profile.protocol(one.connection) not in _SHARED:
            found.setdefault((one.connection, one.way), []).append(one.type)
    return found


def _shared(profile: Profile) -> Counter[tuple[Way, str]]:
    """What connections carry that many streams share."""
    return Counter(
        (one.way, one.type) for one in profile.exchanges if profile.protocol(one.connection) in _SHARED
    )


def why_not_alike(one: Profile, other: Profile) -> str:
    """How the exchanges of two plays differ, for a sentence.

    >>> get = Exchange(1, "up", "GET", 20)
    >>> why_not_alike(Profile(1.0, ("resp",), (get,)), Profile(1.0, ("resp",), (get, get)))
    '1 exchange in one play, 2 exchanges in another (GET up: 1, 2)'
    """
    counts = [counted(len(profile.exchanges), "exchange") for profile in (one, other)]
    first, second = (Counter((one.type, one.way) for one in profile.exchanges) for profile in (one, other))
    differing = [
        f"{kind} {way}: {first[kind, way]}, {second[kind, way]}"
        for kind, way in sorted(first | second)
        if first[kind, way] != second[kind, way]
    ]
    if not differing:
        return f"{counts[0]} in each play, but not in the same order"
    return f"{counts[0]} in one play, {counts[1]} in another ({'; '.join(differing[:_NAMED])})"
