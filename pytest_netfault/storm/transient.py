"""The fault of a storm: it waits for one place of one connection, strikes there, and is over.

A stage in each direction of each connection counts what passes; where the place is met it ends the connection, holds
everything for a second, or makes the connection mute. With a :class:`.Traffic` that has no place, everything passes and
is only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_netfault.faults import Fault, Traits
from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.stage import Item, Place, Stage, counted, stage_for
from pytest_netfault.storm.places import Way
from pytest_netfault.storm.traffic import ConnectionTraffic, Traffic

__all__ = ["SILENCE_SECONDS", "Transient", "transient"]

# Longer than what TCP and schedulers cause by themselves, and shorter than the time limits of clients.
SILENCE_SECONDS = 1.0


@dataclass(frozen=True, repr=False, eq=False)
class Transient(Fault):
    """One fault at one place, or none: then it observes. Made by :func:`transient`.

    Args:
        place: where, as it is written; empty where it observes.
    """

    place: str = ""

    traits = Traits(effect="one transient fault at one place of the traffic of a test", drawn=False)

    def __repr__(self) -> str:
        return f"storm: {self.place}" if self.place else "storm, which counts"

    def check(self) -> None:
        """See :meth:`.Fault.check`: the storm makes no wrong one."""

    def leaves_trace(self) -> bool:
        """See :meth:`.Fault.leaves_trace`: whether it has met its place, the storm itself asks."""
        return False


def transient(traffic: Traffic, link: str) -> Transient:
    """The fault for one link.

    Args:
        traffic: counts what all links carry, and knows the place.
        link: what tells the links apart.
    """
    fault = Transient("" if traffic.place is None else str(traffic.place))
    # No field: it is no part of what the fault is, and has no form in JSON.
    object.__setattr__(fault, "_traffic", (traffic, link))
    return fault


@stage_for.register(Transient)
def _transient(fault: Transient, place: Place) -> Stage | None:
    found: tuple[Traffic, str] | None = getattr(fault, "_traffic", None)
    if found is None:
        return None
    traffic, link = found
    fresh = place.position == 0 and (place.wire is None or not place.wire.begun)
    connection = traffic.of(link, place.connection, place.wire, fresh=fresh)
    if traffic.place is None:
        return CountingStage(connection, place.direction)
    if traffic.place.fault in ("fin", "rst"):
        return CutStageAt(connection, place.direction, traffic)
    return HoldStageAt(connection, place.direction, traffic)


class CountingStage(Stage):
    """Lets everything pass, and counts it."""

    def __init__(self, connection: ConnectionTraffic, way: Way) -> None:
        super().__init__()
        self._connection = connection
        self._way = way

    def push(self, now: float, item: Item) -> None:
        if counted(item) and isinstance(item, (bytes, memoryview)):
            self._connection.feed(self._way, item)
        super().push(now, item)
        self.met = False


class CutStageAt(CutStage):
    """Ends the connection at the place."""

    def __init__(self, connection: ConnectionTraffic, way: Way, traffic: Traffic) -> None:
        assert traffic.place is not None
        super().__init__(2**63, "rst" if traffic.place.fault == "rst" else "fin", position=0)
        self._connection = connection
        self._way = way

    def push(self, now: float, item: Item) -> None:
        if self.reached or not counted(item) or not isinstance(item, (bytes, memoryview)):
            super().push(now, item)
            return
        offset = self._connection.feed(self._way, item)
        if offset is None:
            self._let_through(now, item)
            return
        view = memoryview(item)
        if offset:
            self._let_through(now, view[:offset])
        self._keep(view[offset:])
        self._reach()


class HoldStageAt(Stage):
    """Holds everything from the place on: on every connection for a second, or on this one for good."""

    def __init__(self, connection: ConnectionTraffic, way: Way, traffic: Traffic) -> None:
        super().__init__()
        self._connection = connection
        self._way = way
        self._traffic = traffic
        self._free = 0  # pieces at the head of the queue that came before the place

    def push(self, now: float, item: Item) -> None:
        met = self.met
        if counted(item) and isinstance(item, (bytes, memoryview)):
            offset = self._connection.feed(self._way, item)
            if offset is not None:
                view = memoryview(item)
                if offset:
                    super().push(now, view[:offset])
                self._free = len(self.queue)
                item = view[offset:]
                assert self._traffic.place is not None
                if self._traffic.place.fault == "silence":
                    self._traffic.silent_until = now + SILENCE_SECONDS
                else:
                    self._connection.forgotten = True
                met = True
        super().push(now, item)
        self.met = met

    def _holds(self, now: float) -> bool:
        return self._connection.forgotten or now < self._traffic.silent_until

    def pull(self, now: float) -> Item | None:
        if self._free:
            self._free -= 1
            return super().pull(now)
        return None if self._holds(now) else super().pull(now)

    def wake(self) -> float | None:
        until = self._traffic.silent_until
        return until if until and not self._connection.forgotten else None

    def full(self, now: float) -> bool:
        return self._holds(now)
