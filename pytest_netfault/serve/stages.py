"""What the toxics do to one direction of a connection, where the stages of our own faults do something else.

All of them follow the rules of :mod:`pytest_netfault.proxy.stage`: pure, with the time as an argument.
"""

from __future__ import annotations

import math
import random
from typing import Literal

from pytest_netfault.proxy.cuts import CutStage
from pytest_netfault.proxy.stage import Added, Ending, Item, Stage, counted, size_of
from pytest_netfault.proxy.stages import QUEUE_LIMIT

__all__ = ["LimitStage", "SlicerStage", "SlowCloseStage", "SwallowStage"]


class SlowCloseStage(Stage):
    """Bytes pass at once; the EOF behind them ``seconds`` after it came. A RST is no EOF and is not delayed."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._due = -math.inf

    def push(self, now: float, item: Item) -> None:
        if item is Ending.FIN:
            self._due = now + self._seconds
        elif item is Ending.RST:
            self._due = -math.inf
        super().push(now, item)

    def pull(self, now: float) -> Item | None:
        if not self.queue or (self.queue[0] is Ending.FIN and now < self._due):
            return None
        return super().pull(now)

    def wake(self) -> float | None:
        return self._due if self.queue else None


class SwallowStage(Stage):
    """Silence: bytes are thrown away as they come, and endings are held. After a time the connection ends.

    Args:
        start: since when it holds.
        seconds: after how long the connection ends; None for never.
        ends_with: in order, or with RST.
    """

    def __init__(self, start: float, seconds: float | None, ends_with: Literal["fin", "rst"]) -> None:
        super().__init__()
        self._start = start
        self._seconds = seconds
        self.ends_with = ends_with

    @property
    def ends_at(self) -> float | None:  # type: ignore[override]
        """When it ends the connection."""
        return None if self._seconds is None else self._start + self._seconds

    def push(self, now: float, item: Item) -> None:
        self.met = True
        if not size_of(item):
            self.queue.append(item)

    def pull(self, now: float) -> Item | None:
        return None

    def take_over(self, before: Stage) -> None:
        if isinstance(before, SwallowStage):
            self._start = before._start


class LimitStage(CutStage):
    """Passes so many bytes, counted from when it takes hold, and ends the connection behind them.

    The limit 0 waits for the first byte. So does one that was lowered below what has passed.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.passed = 0
        super().__init__(1, "fin", position=0)  # one byte at least has to come; see push()

    def push(self, now: float, item: Item) -> None:
        size = counted(item)
        if self.reached or not size or not isinstance(item, (bytes, memoryview)):
            super().push(now, item)
            return
        room = max(0, self._limit - self.passed)
        view = memoryview(item)
        if size < room:
            self.passed += size
            self._let_through(now, item)
            return
        if room:
            self.passed += room
            self._let_through(now, view[:room])
        if room < size:
            self._keep(view[room:])
        self._reach()

    def take_over(self, before: Stage) -> None:
        if isinstance(before, LimitStage):
            self.passed = before.passed


class SlicerStage(Stage):
    """Lets bytes out in pieces of ``average`` plus or minus ``variation`` bytes, ``gap`` seconds after each.

    What comes together is halved, at random a little beside the middle, until the parts are small enough. The places
    are chosen from the key and the position in the stream.
    """

    separate = True

    def __init__(self, average: int, variation: int, gap: float, *, key: str, position: int) -> None:
        super().__init__()
        self._average = average
        self._variation = variation
        self._gap = gap
        self._key = key
        self._position = position  # of what is at the head of the queue
        self._parts: list[tuple[int, int]] = []  # of that, still to be halved; the next one is the last
        self._passed = 0  # bytes of it that went on already
        self._draw = random.Random()
        self._next = -math.inf

    def pull(self, now: float) -> Item | None:
        if not self.queue or now < self._next:
            return None
        item = self.queue[0]
        if isinstance(item, Added) or not isinstance(item, (bytes, memoryview)):
            return super().pull(now)
        self._next = now + self._gap
        if not self._parts:
            self._draw.seed(f"{self._key}/{self._position}")
            self._parts = [(0, len(item))]
        start, end = self._next_part()
        self.held -= end - start
        self._passed = end
        if end == len(item):
            self.queue.popleft()
            self._position += end
            self._passed = 0
        return memoryview(item)[start:end]

    def _next_part(self) -> tuple[int, int]:
        """Halve what is left until its first part is small enough; the rest is halved when its turn comes."""
        while True:
            start, end = self._parts.pop()
            if end - start - self._average <= self._variation:
                return start, end
            middle = start + (end - start) // 2
            if self._variation:
                middle += self._draw.randrange(2 * self._variation) - self._variation
            middle = min(max(middle, start + 1), end - 1)
            self._parts += [(middle, end), (start, middle)]

    def wake(self) -> float | None:
        return self._next if self.queue else None

    def full(self, now: float) -> bool:
        return self.held >= QUEUE_LIMIT

    def drain(self) -> list[Item]:
        items = super().drain()
        if self._passed and isinstance(items[0], (bytes, memoryview)):
            items[0] = memoryview(items[0])[self._passed :]
        return items
