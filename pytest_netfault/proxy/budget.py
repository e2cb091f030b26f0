"""How much the faults of a link may hold back together, and whose turn it is to hold more.

Each direction of each connection that holds something has a share of one bound::

    |------------- common: whoever needs it, in fair shares -------------|- reserve -|
                                                                          a little for each

* **Fair.** Of the common part a direction may have as much as ``SHARE`` times what is left of it. So one alone gets
  nearly all, several come to equal parts, and something is always left for one that comes later.
* **Nobody starves.** A little for each is set aside, whatever the others hold.
* **Back-pressure.** Who has no room is not read from, until some of what is held has been passed on.

Pure: no sockets and no clock; that there may be room again is reported through a callback.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["LEAST_MAX_HELD", "MAX_HELD", "Budget", "Holder"]

# What a link may hold by default. A stream of 2.5 GB/s has it under way in 0.1 s.
MAX_HELD = 256 * 1024 * 1024
# Less could not carry a stream at any speed.
LEAST_MAX_HELD = 64 * 1024
# Of what is left of the common part, how many times as much one direction may have.
SHARE = 16
# What is set aside for each direction, at most; a thousand of them have a sixteenth of the default.
_FLOOR = 16 * 1024
# Reading less than this at a time costs more than it brings.
_LEAST_READ = 16 * 1024


class Holder(Protocol):
    """Who holds bytes: one direction of one connection."""

    def has_room(self) -> None:
        """It may read again."""


class Budget:
    """The bound of a link.

    Args:
        limit: bytes.
        on_room: called when somebody waits and something was passed on.

    One direction alone, read in pieces as a socket is, gets nearly all; another one still finds room:

    >>> budget = Budget(1024 * 1024, lambda: None)
    >>> held = 0
    >>> while piece := min(16_384, budget.room(held)):
    ...     budget.change(held, held + piece)
    ...     held += piece
    >>> held > 900_000, 10_000 < budget.room(0) < 100_000
    (True, True)
    """

    __slots__ = (
        "_common",
        "_common_used",
        "_floor",
        "_least",
        "_on_room",
        "easy",
        "limit",
        "used",
        "waiting",
    )

    def __init__(self, limit: int, on_room: Callable[[], None]) -> None:
        self.limit = limit
        self.used = 0
        #: Up to here nobody need ask.
        self.easy = limit // 4
        self.waiting: dict[Holder, None] = {}  # the longest first
        self._on_room = on_room
        self._common = limit - limit // 16
        self._common_used = 0
        self._floor = min(_FLOOR, limit // 1024)
        self._least = min(_LEAST_READ, limit // 64)

    def change(self, before: int, now: int) -> None:
        """A direction held ``before`` bytes and holds ``now``."""
        self.used += now - before
        floor = self._floor
        self._common_used += max(0, now - floor) - max(0, before - floor)
        if now < before and self.waiting:
            self._on_room()

    def room(self, held: int) -> int:
        """How many bytes more a direction may hold that holds so many."""
        reserved = max(0, self._floor - held)
        left = max(0, self._common - self._common_used)
        more = min(left, SHARE * left - max(0, held - self._floor))
        if more < self._least:
            more = 0
        return max(0, min(self.limit - self.used, reserved + more))

    def wait(self, holder: Holder) -> None:
        """Call its ``has_room`` once there may be room again."""
        self.waiting[holder] = None

    def forget(self, holder: Holder) -> None:
        """It is gone."""
        self.waiting.pop(holder, None)

    def serve(self) -> None:
        """Let all who wait look again, the longest first; who finds no room waits again, behind the others."""
        waiting, self.waiting = self.waiting, {}
        for holder in waiting:
            holder.has_room()
