"""Faults that damage a stream: bytes are changed, segments are lost, a connection is cut at an exact byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from pytest_netfault.faults import arguments
from pytest_netfault.faults.arguments import DIRECTIONS, Direction
from pytest_netfault.faults.base import Chance, Fault, Traits
from pytest_netfault.faults.frame import Frame, Where

__all__ = ["CUTS_WITHIN", "Corrupt", "Cut", "CutHow", "Lose"]

CutHow = Literal["fin", "rst", "blackhole"]
# What one client sends while it connects, subscribes and gets a few events is some hundred bytes to a few thousand.
# The first of them are tried most: a cut there falls into the greeting of a reconnect, or what was waiting behind it.
CUTS_WITHIN = (100, 300, 100, 3_000)
# The same in frames: the first of a few events of a subscription come within so many.
_FRAMES_WITHIN = 16
_IN_A_FRAME: tuple[Where, ...] = ("start", "middle", "end", -1)


@dataclass(frozen=True, repr=False)
class Corrupt(Fault):
    """Bytes are changed in flight: each with this probability, by its position in the stream."""

    probability: float
    direction: Direction = "both"

    traits = Traits(
        effect="bytes are changed on the way",
        drawn=False,  # no plaintext client survives it: whatever it then delivers is not its fault
        synonyms="corruption flip noise mangle bitflip",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.probability("probability", self.probability)
        arguments.direction(self.direction)

    @classmethod
    def draw(cls, chance: Chance) -> Corrupt:
        """See :meth:`.Fault.draw`."""
        return cls(chance.one((0.001, 0.01, 0.1)), direction=chance.one(DIRECTIONS))


@dataclass(frozen=True, repr=False)
class Lose(Fault):
    """Real packet loss: the kernel drops segments with this probability, and TCP retransmits (Linux only)."""

    probability: float
    direction: Direction = "both"

    traits = Traits(
        effect="packets are lost",
        kernel=True,
        synonyms="packet_loss loss drop drop_packets lose_packets",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        arguments.probability("probability", self.probability)
        arguments.direction(self.direction)

    def packet_loss(self) -> float:
        """See :meth:`.Fault.packet_loss`."""
        return self.probability

    @classmethod
    def draw(cls, chance: Chance) -> Lose:
        """See :meth:`.Fault.draw`."""
        return cls(chance.one((0.1, 0.3)), direction=chance.one(DIRECTIONS))


@dataclass(frozen=True, repr=False)
class Cut(Fault):
    """When exactly ``after_bytes`` bytes of a direction of a connection were delivered, it is cut there.

    Args:
        after_bytes: counted from the start of each connection; bytes that a fault added or swallowed do not
            count. 0 cuts at once, and so does a position that was passed already.
        at: instead, a place in a frame of the protocol that is spoken. A connection that speaks another protocol is
            not cut. Until it is known which frame passes, and how long it is, its first bytes are held, at most 32 KiB.
        direction: whose bytes count; with ``"both"`` whichever direction gets there first.
        connection: the number of the one connection to cut; None cuts each of them.
        how: ``"fin"`` ends the connection in order, ``"rst"`` with RST once the bytes before the cut are
            acknowledged, ``"blackhole"`` lets nothing pass any more and closes nothing.
    """

    after_bytes: int | None = field(default=None, metadata={"positional": True})
    direction: Direction = "both"
    connection: int | None = None
    how: CutHow = "fin"
    at: Frame | None = None

    traits = Traits(
        effect="a connection is cut at an exact byte",
        weight=5,
        mild=True,
        synonyms="limit_data truncate limit_bytes cut_after cutoff",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        at: object = self.at
        if at is not None and not isinstance(at, Frame):
            object.__setattr__(self, "at", Frame.from_json(at))
        if self.at is not None and self.after_bytes is not None:
            raise ValueError(f"a cut has one place: after_bytes={self.after_bytes!r} or at={self.at!r}")
        if at is None and self.after_bytes is None:
            raise TypeError(
                "after_bytes must be a whole number, not None; or give at=, a place such as Frame('resp', 2)"
            )
        if self.at is None:
            arguments.count("after_bytes", self.after_bytes, least=0)
        arguments.direction(self.direction)
        if self.connection is not None:
            arguments.count("connection", self.connection, least=1)
            if self.connections is not None:
                raise ValueError(
                    f"connection={self.connection} and connections={self.connections!r} both say which connections "
                    "are cut; give one of them"
                )
        arguments.choice("how", self.how, ("fin", "rst", "blackhole"))

    def stops_traffic(self, *, met: bool) -> bool:
        """See :meth:`.Fault.stops_traffic`."""
        return self.how == "blackhole" and met

    def ends_connections(self) -> bool:
        """See :meth:`.Fault.ends_connections`."""
        return True

    def kills_flow(self) -> bool:
        """See :meth:`.Fault.kills_flow`. Without a number it mutes new connections too: no client comes back then."""
        return self.how == "blackhole" and (self.connection is not None or isinstance(self.connections, int))

    def takes_effect_at(self) -> tuple[int, Direction] | None:
        """See :meth:`.Fault.takes_effect_at`."""
        return None if self.after_bytes is None else (self.after_bytes, self.direction)

    def counts_frames_of(self) -> str | None:
        """See :meth:`.Fault.counts_frames_of`."""
        return None if self.at is None else self.at.protocol

    @classmethod
    def draw(cls, chance: Chance) -> Cut:
        """See :meth:`.Fault.draw`."""
        if chance.protocol is not None and chance.once_in(2):
            return cls(
                at=Frame(
                    chance.protocol, 1 + chance.randrange(_FRAMES_WITHIN), where=chance.one(_IN_A_FRAME)
                ),
                direction=chance.one(("down", "up", "down")),
                how=chance.one(("fin", "rst", "fin", "rst", "blackhole")),
            )
        furthest = chance.one(CUTS_WITHIN)
        return cls(
            chance.randrange(furthest),
            direction=chance.one((*DIRECTIONS, "down")),  # updates come down
            how=chance.one(("fin", "rst", "fin", "rst", "blackhole")),
        )

    def complexity(self) -> int:
        """See :meth:`.Fault.complexity`."""
        place = self.after_bytes.bit_length() if self.after_bytes is not None else 0
        return super().complexity() + place + (self.at.complexity() if self.at is not None else 0)

    def simpler(self) -> Iterator[Fault]:
        """See :meth:`.Fault.simpler`."""
        if self.at is not None:
            for place in self.at.simpler():
                yield replace(self, at=place)
        if self.after_bytes is not None:
            for position in (0, self.after_bytes // 2, self.after_bytes * 3 // 4, self.after_bytes - 1):
                if position >= 0:
                    yield replace(self, after_bytes=position)
        yield replace(self, direction="both", connection=None)
        yield replace(self, connection=None)
        yield replace(self, how="fin")

    def sooner(self) -> Iterator[Fault]:
        """See :meth:`.Fault.sooner`."""
        if self.after_bytes is not None:
            for part in (2, 4, 8):
                yield replace(self, after_bytes=self.after_bytes // part)
