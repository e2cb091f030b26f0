"""When and for whom a fault holds: until a time is over, for some connections, for some attempts.

Every fault has these limits as arguments, see :class:`.Fault`; :func:`.limits_of` gives them in this form, whatever
the arguments are called.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pytest_netfault.common.wording import counted
from pytest_netfault.faults.arguments import LARGEST_COUNT, number, probability, seconds, shown
from pytest_netfault.faults.arguments import count as check_count

__all__ = [
    "ConnectionNumbers",
    "Limits",
    "canonical_connections",
    "check_lifetime",
    "check_share",
    "connections_from_json",
    "connections_to_json",
]

#: What the argument ``connections`` takes: a number, or several.
ConnectionNumbers = int | Iterable[int] | None

# More of them are surely a mistake; whoever means "all from here on" gives a range.
_MOST_NUMBERS = 1000
_WHAT = "a connection's number from 1 on, or several of them"


@dataclass(frozen=True)
class Limits:
    """The limits of one fault.

    Attributes:
        seconds: it is healed so long after it came into force; None for no such limit.
        connections: the numbers of the connections that it holds for; None for all.
        share: the share of connections that it holds for; None for all.
        attempts: it is healed once it has refused so many attempts to connect; None for no such limit.
    """

    seconds: float | None = None
    connections: int | range | tuple[int, ...] | None = None
    share: float | None = None
    attempts: int | None = None

    @property
    def some(self) -> bool:
        """Whether it does not hold for each connection and each attempt alike, so that the proxy must look at each."""
        return self.connections is not None or self.share is not None or self.attempts is not None

    def __bool__(self) -> bool:
        return self.some or self.seconds is not None

    def holds_for(self, connection: int, seed: int) -> bool:
        """Whether it holds for the connection with this number, on a link with this seed.

        The share is drawn for each connection from the seed and its number alone. So faults with the same share hold
        for the same connections, and those of a smaller share are among those of a larger one.

        >>> [number for number in range(1, 13) if Limits(share=0.3).holds_for(number, seed=7)]
        [5, 9, 10]
        >>> [number for number in range(1, 13) if Limits(share=0.3, connections=range(3, 9)).holds_for(number, 7)]
        [5]
        """
        numbers = self.connections
        if isinstance(numbers, int):
            if connection != numbers:
                return False
        elif numbers is not None and connection not in numbers:
            return False
        if self.share is None:
            return True
        digest = hashlib.blake2b(f"{seed}/share/{connection}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self.share * 2**64

    def words(self) -> str:
        """The limits as people say them; empty if there are none.

        >>> Limits(seconds=2, connections=range(1, 3)).words()
        'for connections 1 to 2, for at most 2 s'
        >>> Limits(share=0.25, attempts=3).words()
        'for 25% of the connections, for at most 3 attempts'
        """
        words = []
        if isinstance(self.connections, int):
            words.append(f"for connection {self.connections}")
        elif isinstance(self.connections, range):
            words.append(f"for connections {self.connections[0]} to {self.connections[-1]}")
        elif self.connections is not None:
            *first, last = map(str, self.connections)
            words.append(f"for connections {', '.join(first)} and {last}")
        if self.share is not None:
            words.append(f"for {self.share:.3%} of the connections".replace(".000%", "%"))
        if self.attempts is not None:
            words.append(f"for at most {counted(self.attempts, 'attempt')}")
        if self.seconds is not None:
            words.append(f"for at most {self.seconds:g} s")
        return ", ".join(words)


def check_lifetime(name: str, value: object) -> None:
    """Raise what is wrong with a time after which a fault is healed."""
    if value is not None:
        seconds(name, value)
        number(name, value, least=0, above=True, most=LARGEST_COUNT)


def check_share(value: object) -> None:
    """Raise what is wrong with a share of connections."""
    if value is not None:
        probability("share", value)


def canonical_connections(value: object) -> int | range | tuple[int, ...] | None:
    """The same numbers in the one form that is kept, so that equal limits are equal: rising, and each only once.

    Raises:
        TypeError, ValueError: they are no numbers of connections.

    >>> canonical_connections([3, 1, 2, 2]), canonical_connections((2, 5)), canonical_connections({4})
    (range(1, 4), (2, 5), 4)
    """
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        check_count("connections", value, least=1)
        return value
    if isinstance(value, (bool, str, bytes, dict)) or not isinstance(value, Iterable):
        raise TypeError(f"connections must be {_WHAT}, not {shown(value)}")
    if isinstance(value, range) and len(value) and abs(value.step) == 1:
        value = value if value.step == 1 else value[::-1]
        first, last = value[0], value[-1]
    else:
        numbers = _numbers(value)
        first, last = numbers[0], numbers[-1]
        if last - first != len(numbers) - 1:
            for one in (first, last):
                check_count("connections", one, least=1)
            return numbers
    for one in (first, last):
        check_count("connections", one, least=1)
    return first if first == last else range(first, last + 1)


def _numbers(value: Iterable[Any]) -> tuple[int, ...]:
    numbers: set[int] = set()
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int):
            raise TypeError(f"connections must be {_WHAT}; {shown(one)} is no such number")
        numbers.add(one)
        if len(numbers) > _MOST_NUMBERS:
            raise ValueError(
                f"connections takes at most {_MOST_NUMBERS} numbers; a range such as range(1, 5001) has no such limit"
            )
    if not numbers:
        raise ValueError(f"connections must be {_WHAT}, not {shown(value)}, which names none")
    return tuple(sorted(numbers))


def connections_to_json(value: object) -> object:
    """Numbers of connections as JSON: a number, a list, or the first and the last of a long range.

    >>> connections_to_json(range(1, 3)), connections_to_json(range(5, 10_000))
    ([1, 2], {'from': 5, 'to': 9999})
    """
    if isinstance(value, range) and len(value) > _MOST_NUMBERS:
        return {"from": value[0], "to": value[-1]}
    return list(value) if isinstance(value, (range, tuple)) else value


def connections_from_json(value: object) -> object:
    """What :func:`connections_to_json` wrote, in a form that :func:`canonical_connections` takes.

    Raises:
        ValueError: an object that does not say from which number to which.
    """
    if not isinstance(value, dict):
        return value
    first, last = value.get("from"), value.get("to")
    if set(value) == {"from", "to"} and type(first) is int and type(last) is int and first <= last:
        return range(first, last + 1)
    raise ValueError(
        f'connections must be a number, a list of them or {{"from": 1, "to": 2}}, not {shown(value)}'
    )
