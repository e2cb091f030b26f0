"""Which stage a fault puts into a direction of a connection, and how a fault of your own does the same.

Rules of this file: pure; no sockets. What has no stage (sever, refuse, ...) acts on the listener or on whole
connections, and is done in ``link.py``.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Literal

from pytest_netfault.faults import (
    Blackhole,
    Corrupt,
    Cut,
    Delay,
    Fault,
    Slice,
    Throttle,
    directions_of,
    shown,
)
from pytest_netfault.proxy.stages import (
    CorruptStage,
    CutStage,
    DelayStage,
    HoldStage,
    SliceStage,
    Stage,
    ThrottleStage,
)

__all__ = ["CustomFault", "Ordinals", "Place", "has_stages", "may_wait", "stage_of"]


@dataclass(frozen=True)
class Place:
    """Where a stage stands.

    Attributes:
        connection: the connection's number on its link, from 1.
        direction: ``"up"`` or ``"down"``.
        position: bytes of that direction delivered so far: the position of the first byte that the stage gets.
        root: the seed, and a count of the faults of the same kind that were in force already.
    """

    connection: int
    direction: Literal["up", "down"]
    position: int
    root: str

    @property
    def key(self) -> str:
        """What to make random choices from: the same in every process with the same seed."""
        return f"{self.root}/{self.connection}/{self.direction}"


class CustomFault(Fault):
    """A fault of your own, applied by ``link.apply`` like the built-in ones.

    Make a frozen dataclass of it and say in :meth:`stage` what it does to one direction of one connection. A
    field ``direction`` chooses the direction, as for the built-in faults; without it both are claimed.

    >>> from dataclasses import dataclass
    >>> from pytest_netfault.proxy import CustomFault, Place, Stage
    >>> class Upper(Stage):
    ...     def pull(self, now):
    ...         item = super().pull(now)
    ...         return bytes(item).upper() if isinstance(item, (bytes, memoryview)) else item
    >>> @dataclass(frozen=True, repr=False)
    ... class Shout(CustomFault):
    ...     def stage(self, place: Place) -> Stage:
    ...         return Upper()
    >>> Shout()
    Shout()
    """

    __slots__ = ()

    def check(self) -> None:
        """See :meth:`.Fault.check`.

        Raises:
            TypeError: it does not say in ``stage(place)`` what it does.
            ValueError: its ``direction`` is none.
        """
        name = type(self).__name__
        if type(self).stage is CustomFault.stage:
            raise TypeError(f"{name} must say in stage(place) what it does")
        direction: object = getattr(self, "direction", "both")
        if not isinstance(direction, str) or direction not in ("up", "down", "both"):
            raise ValueError(f"{name}: direction must be 'up', 'down' or 'both', not {shown(direction)}")

    def stage(self, place: Place) -> Stage | None:
        """The stage for one direction of one connection; None leaves it alone. Called on the proxy's thread."""
        raise TypeError(f"{type(self).__name__} must say in stage(place) what it does")


class Ordinals:
    """Gives each fault of a kind the smallest number that none in force has."""

    def __init__(self) -> None:
        self._free: list[int] = []  # a heap
        self._next = 0

    def take(self) -> int:
        """The smallest free number.

        >>> ordinals = Ordinals()
        >>> ordinals.take(), ordinals.take(), ordinals.give_back(0), ordinals.take(), ordinals.take()
        (0, 1, None, 0, 2)
        """
        if self._free:
            return heapq.heappop(self._free)
        self._next += 1
        return self._next - 1

    def give_back(self, number: int) -> None:
        """A fault is over."""
        heapq.heappush(self._free, number)


def has_stages(fault: Fault) -> bool:
    """Whether a fault may put stages into connections."""
    return isinstance(fault, (CustomFault, Blackhole, Delay, Throttle, Slice, Corrupt, Cut))


def may_wait(fault: Fault) -> bool:
    """Whether a connection at rest need not have the stages of a fault before something moves there.

    The code of somebody else's fault must be known to be right when ``apply`` returns, and a silence that ends
    connections ends those at rest, too.
    """
    if isinstance(fault, Blackhole):
        return fault.on_heal == "resume"
    return isinstance(fault, (Delay, Throttle, Slice, Corrupt, Cut))


def stage_of(fault: Fault, place: Place) -> Stage | None:
    """The stage that ``fault`` puts into this place, or None if it does nothing to the bytes there."""
    if place.direction not in directions_of(fault):
        return None
    if isinstance(fault, CustomFault):
        return fault.stage(place)
    if isinstance(fault, Blackhole):
        return HoldStage()
    if isinstance(fault, Delay):
        return DelayStage(fault.seconds, fault.jitter, key=place.key, position=place.position)
    if isinstance(fault, Throttle):
        return ThrottleStage(fault.bytes_per_second)
    if isinstance(fault, Slice):
        return SliceStage(fault.size, fault.gap)
    if isinstance(fault, Corrupt):
        return CorruptStage(fault.probability, key=place.key, position=place.position)
    if isinstance(fault, Cut) and fault.connection in (None, place.connection):
        return CutStage(fault.after_bytes, fault.how, position=place.position)
    return None
