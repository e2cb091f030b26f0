"""Which places of a test are played: a budget, spent on what differs most.

Exchanges of one type in one direction are alike to a client, but the first of them meets a client that has just begun,
and the last one that is about to end. So the first of each type comes first, with every fault; then the last of each;
then what lies between, in an order that the seed decides. Each place is played once. The same profile, budget and seed
give the same plan.
"""

from __future__ import annotations

import random

from pytest_netfault.storm.places import FaultKind, Place, Way
from pytest_netfault.storm.profile import Exchange, Profile

__all__ = ["plan"]

# What strikes an exchange, the most telling first: an error at once, silence for good, a delay, an end in order, and a
# reply of which only a part arrives.
_VARIANTS: tuple[tuple[FaultKind, bool], ...] = (
    ("rst", False),
    ("forget", False),
    ("silence", False),
    ("fin", False),
    ("fin", True),
)


def plan(profile: Profile, places: int, seed: int | str) -> list[Place]:
    """The places that are played, in the order in which the test comes to them.

    Args:
        profile: of the test.
        places: how many at most.
        seed: decides between places that are worth the same.

    >>> ping, pong = Exchange(1, "up", "PING", 14), Exchange(1, "down", "PONG", 7)
    >>> [str(place) for place in plan(Profile(0.1, ("resp",), (ping, pong)), 4, seed=1)]
    ['up 1 rst', 'up 1 forget', 'down 1 rst', 'down 1 forget']
    """
    numbered = _numbered(profile.exchanges)
    order = list(range(len(numbered)))
    random.Random(seed).shuffle(order)
    level = _levels(numbered)
    # Places between the first and the last of a type are one level each, so that a small budget varies them too.
    turn = {at: rank for rank, at in enumerate(order)}
    wanted = []
    for at, (exchange, number) in enumerate(numbered):
        for variant, (fault, inside) in enumerate(_VARIANTS):
            if inside and exchange.size < 2:
                continue
            place = Place(exchange.connection, exchange.way, number, fault, inside)
            early = level[at] < 2
            worth = (level[at], variant, at) if early else (level[at], (variant + turn[at]) % 5, turn[at])
            wanted.append((worth, at, variant, place))
    chosen = sorted(wanted, key=lambda one: one[0])[: max(0, places)]
    return [place for _worth, _at, _variant, place in sorted(chosen, key=lambda one: one[1:3])]


def _numbered(exchanges: tuple[Exchange, ...]) -> list[tuple[Exchange, int]]:
    """Each exchange with its number in its direction of its connection."""
    counts: dict[tuple[int, Way], int] = {}
    found = []
    for one in exchanges:
        key = (one.connection, one.way)
        counts[key] = counts.get(key, 0) + 1
        found.append((one, counts[key]))
    return found


def _levels(numbered: list[tuple[Exchange, int]]) -> list[int]:
    """0 for the first exchange of each type and direction, 1 for the last, 2 for others."""
    kinds = _kinds([one for one, _number in numbered])
    first: dict[tuple[str, ...], int] = {}
    last: dict[tuple[str, ...], int] = {}
    for at, kind in enumerate(kinds):
        first.setdefault(kind, at)
        last[kind] = at
    return [0 if first[kind] == at else 1 if last[kind] == at else 2 for at, kind in enumerate(kinds)]


def _kinds(exchanges: list[Exchange]) -> list[tuple[str, ...]]:
    """What each exchange is to a client: a reply is another one after another request, whatever it is called."""
    asked: dict[int, str] = {}
    found: list[tuple[str, ...]] = []
    for one in exchanges:
        if one.way == "up":
            asked[one.connection] = one.type
            found.append((one.way, one.type))
        else:
            found.append((one.way, one.type, asked.get(one.connection, "")))
    return found
