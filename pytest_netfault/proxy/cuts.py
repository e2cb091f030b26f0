"""Cuts: bytes pass up to a position of the stream, and behind them the cut.

The position is a number, or a place in a frame of the protocol. That is known only while the frames pass: what may lie
behind it is held until then, a few bytes as a rule and never more than ``MOST_HELD``.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

from pytest_netfault.events import Cause
from pytest_netfault.faults import Cut, CutHow, Frame
from pytest_netfault.framers.seek import Seeker
from pytest_netfault.proxy.stage import (
    CutHere,
    Ending,
    Item,
    Place,
    Stage,
    counted,
    size_of,
    stage_for,
)
from pytest_netfault.proxy.wire import Wire

__all__ = ["CutStage", "FrameCutStage"]


class CutStage(Stage):
    """Lets bytes pass up to a position of the stream, and behind them the cut."""

    def __init__(self, after_bytes: int, how: CutHow, *, position: int) -> None:
        super().__init__()
        self.after_bytes = after_bytes
        self.how = how
        self.healed = False
        self.cause = Cause()  # what events say of the fault whose stage this is
        self.hit = False  # something was cut
        self.reached = False
        self._left = max(0, after_bytes - position)
        self._rest: list[Item] = []
        if not self._left:
            self._reach()

    def _reach(self) -> None:
        self.reached = True
        super().push(0.0, CutHere(self))

    def _let_through(self, now: float, item: Item) -> None:
        super().push(now, item)
        self.met = False  # a cut has met what it cuts, not what passes before

    def push(self, now: float, item: Item) -> None:
        if self.reached:
            self._keep(item)
            return
        size = counted(item)
        if not size or size < self._left or not isinstance(item, (bytes, memoryview)):
            self._left -= size
            self._let_through(now, item)
            return
        view = memoryview(item)
        self._let_through(now, view[: self._left])
        if self._left < size:
            self._keep(view[self._left :])
        self._reach()

    def _keep(self, item: Item) -> None:
        self._rest.append(item)
        self.held += size_of(item)

    def full(self, now: float) -> bool:
        return self.reached

    def drain(self) -> list[Item]:
        self.healed = True
        items = super().drain() + self._rest
        self._rest = []
        return items

    def rest(self) -> bytes:
        """What lies behind the cut, as far as it has come."""
        return b"".join(bytes(item) for item in self._rest if isinstance(item, (bytes, memoryview)))


class FrameCutStage(CutStage):
    """The same, up to a place in a frame."""

    def __init__(self, at: Frame, how: CutHow, wire: Wire, way: Literal["up", "down"]) -> None:
        super().__init__(2**63, how, position=0)
        self._way = way
        self._wire = wire
        self._seeker = Seeker(wire.conversation(at.protocol), way, at.index, at.type, at.where)
        self._passed = self._seeker.safe  # the position behind what was let through
        self._waiting: deque[Item] = deque()  # what may lie behind the place
        if self._seeker.found is not None and self._seeker.found <= self._passed:
            self._reach()

    def heard(self, way: Literal["up", "down"], data: bytes | memoryview) -> None:
        """Bytes of the connection were delivered; those of the other direction say what frames here are called."""
        if way != self._way and not self.reached:
            self._seeker.feed(way, data)

    def push(self, now: float, item: Item) -> None:
        if self.reached:
            self._keep(item)
            return
        size = counted(item)
        if size and isinstance(item, (bytes, memoryview)):
            self._seeker.feed(self._way, item)
        self._waiting.append(item)
        self.held += size_of(item)
        found = self._seeker.found
        # No frame goes on behind an ending, so nothing is held for it.
        ends = found is None and isinstance(item, Ending)
        self._pass_up_to(now, None if ends else self._seeker.safe)
        if found is not None and self._passed == found:
            self._reach()
            self._rest += self._waiting
            self._waiting.clear()

    def _pass_up_to(self, now: float, position: int | None) -> None:
        """Let through what lies before a position; all of it without one."""
        while self._waiting:
            item = self._waiting[0]
            size = counted(item)
            room = size if position is None else position - self._passed
            if size and not room:
                return
            self._waiting.popleft()
            if size > room and isinstance(item, (bytes, memoryview)):
                view = memoryview(item)
                self._waiting.appendleft(view[room:])
                item, size = view[:room], room
            self._passed += size
            self.held -= size_of(item)
            self._let_through(now, item)

    def drain(self) -> list[Item]:
        self._wire.unlisten(self.heard)
        waiting = list(self._waiting)
        self._waiting.clear()
        return [*super().drain(), *waiting]


@stage_for.register(Cut)
def _cut(fault: Cut, place: Place) -> Stage | None:
    if fault.connection not in (None, place.connection):
        return None
    if place.wire is not None:
        place.wire.watch()
    if fault.at is None:
        assert fault.after_bytes is not None
        return CutStage(fault.after_bytes, fault.how, position=place.position)
    assert place.wire is not None
    stage = FrameCutStage(fault.at, fault.how, place.wire, place.direction)
    place.wire.listen(stage.heard)
    return stage
