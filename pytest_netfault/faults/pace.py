"""Faults that change when bytes arrive, and in which pieces."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pytest_netfault.faults import arguments
from pytest_netfault.faults.arguments import DIRECTIONS, LARGEST_COUNT, Direction
from pytest_netfault.faults.base import Chance, Fault, Traits

__all__ = ["Delay", "Slice", "Throttle"]


@dataclass(frozen=True, repr=False)
class Delay(Fault):
    """Latency without a limit of bandwidth; order is kept, and FIN and RST are late alike.

    Args:
        seconds: how late each byte is. In both directions a round trip gains twice that.
        jitter: each chunk is late by a time drawn evenly from ``seconds`` +- ``jitter``, never below 0.
        direction: which way is late.
        heal_after: it heals itself after that time, as ``seconds`` says of other faults.
    """

    seconds: float
    jitter: float = 0
    direction: Direction = "both"
    heal_after: float | None = field(default=None, kw_only=True)

    traits = Traits(effect="bytes arrive late", mild=True, synonyms="latency lag add_latency slow slow_down")

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.seconds("seconds", self.seconds)
        arguments.seconds("jitter", self.jitter)
        arguments.direction(self.direction)

    @classmethod
    def draw(cls, chance: Chance) -> Delay:
        """See :meth:`.Fault.draw`."""
        return cls(chance.one((0.01, 0.03, 0.1)), direction=chance.one(DIRECTIONS))

    def simpler(self) -> Iterator[Fault]:
        """See :meth:`.Fault.simpler`."""
        yield replace(self, jitter=0, direction="both")


@dataclass(frozen=True, repr=False)
class Throttle(Fault):
    """At most this rate, for each connection and direction; no allowance is saved while idle."""

    bytes_per_second: float
    direction: Direction = "both"

    traits = Traits(
        effect="bytes arrive slowly",
        mild=True,
        synonyms="bandwidth rate rate_limit limit_rate limit_bandwidth shape",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.number("bytes_per_second", self.bytes_per_second, least=0, above=True, most=LARGEST_COUNT)
        arguments.direction(self.direction)

    @classmethod
    def draw(cls, chance: Chance) -> Throttle:
        """See :meth:`.Fault.draw`."""
        return cls(chance.one((20_000, 5_000, 1_000)), direction=chance.one(DIRECTIONS))


@dataclass(frozen=True, repr=False)
class Slice(Fault):
    """Segments of at most ``size`` bytes, ``gap`` seconds apart."""

    size: int
    gap: float = 0
    direction: Direction = "both"

    traits = Traits(
        effect="bytes arrive in small pieces",
        mild=True,
        synonyms="slicer fragment fragmentation chunk segment split mss",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.count("size", self.size, least=1)
        arguments.seconds("gap", self.gap)
        arguments.direction(self.direction)

    @classmethod
    def draw(cls, chance: Chance) -> Slice:
        """See :meth:`.Fault.draw`."""
        return cls(chance.one((16, 7, 1)), direction=chance.one(DIRECTIONS))
