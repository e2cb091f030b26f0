"""What must still be delivered: the half of a promise that is about what did *not* arrive.

The two promises differ here and nowhere else. ``every-event`` obliges to deliver each change of the subscription after
the start; ``latest-value`` that the last delivered state of each key is its last committed one.

Everything here is counted in positions (``committed_log.py``). The cost is amortised linear: each position is walked
over once, unless snapshots go back to an older state again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pytest_netfault.checks.committed_log import CommittedLog

__all__ = ["EveryEvent", "LatestValue", "Obligations"]


class Obligations(Protocol):
    """What is outstanding, and what discharges it."""

    def arrived(self, position: int) -> None:
        """The change at this position was delivered."""

    def gaps_below(self, position: int) -> Sequence[int]:
        """What is outstanding below a change that has been delivered, each reported only once."""

    def first_outstanding_below(self, position: int) -> int | None:
        """Something outstanding below this position: the proof that a bookmark there is not true."""

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        """A snapshot of everything below ``end`` came; it skipped what lies from ``start`` on."""

    def outstanding(self) -> list[int]:
        """Everything that has not arrived, in the order of the log."""


class EveryEvent:
    """Each change of the subscription after the start must arrive."""

    def __init__(self, log: CommittedLog, start: int) -> None:
        # 0 where something is outstanding. Finding the next 0 is a memchr, which is what makes a delivery cheap.
        self._settled = bytearray(b"\1") * len(log.changes)
        inside = log.inside[start:]
        self._settled[start:] = inside.translate(bytes([1, 0]) + bytes(254))
        self._frontier = start
        self._reported = start

    def arrived(self, position: int) -> None:
        self._settled[position] = 1

    def gaps_below(self, position: int) -> Sequence[int]:
        if self.first_outstanding_below(position) is None or position <= self._reported:
            return ()
        gaps = []
        gap = self._settled.find(0, max(self._frontier, self._reported), position)
        while gap >= 0:
            gaps.append(gap)
            gap = self._settled.find(0, gap + 1, position)
        self._reported = position
        return gaps

    def first_outstanding_below(self, position: int) -> int | None:
        if position <= self._frontier:
            return None
        gap = self._settled.find(0, self._frontier, position)
        self._frontier = position if gap < 0 else gap
        return None if gap < 0 else gap

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        if discharges and end > start:
            self._settled[start:end] = b"\1" * (end - start)

    def outstanding(self) -> list[int]:
        positions = []
        gap = self._settled.find(0, self._frontier)
        while gap >= 0:
            positions.append(gap)
            gap = self._settled.find(0, gap + 1)
        return positions


class LatestValue:
    """Of each key the last change must arrive, and nothing older after it."""

    def __init__(self, log: CommittedLog, start: int) -> None:
        self._log = log
        self._changes = log.changes
        self._inside = log.inside
        self._latest: dict[str, int] = {}
        self._covered = start  # everything below is known: from the start, or from a snapshot
        self._walked = start  # the latest change of each key in _covered.._walked is in _wanted
        self._wanted: dict[str, int] = {}
        self._behind: dict[
            str, None
        ] = {}  # keys whose wanted change has not arrived; a set that keeps its order

    def arrived(self, position: int) -> None:
        key = self._changes[position][1]
        self._latest[key] = position
        if position < self._covered:
            # Older than what a snapshot, or the start, has already delivered: the key is stale again.
            self._wanted.setdefault(key, self._log.last_change(key, self._covered))
        if position >= self._wanted.get(key, -1):
            self._behind.pop(key, None)
        else:
            self._behind[key] = None

    def gaps_below(self, position: int) -> Sequence[int]:
        return ()  # values may be skipped: a later one proves nothing about an earlier one

    def first_outstanding_below(self, position: int) -> int | None:
        for walked in range(self._walked, position):
            if self._inside[walked]:
                key = self._changes[walked][1]
                self._wanted[key] = walked
                if self._latest.get(key, -1) < walked:
                    self._behind[key] = None
                else:
                    self._behind.pop(key, None)
        self._walked = max(self._walked, position)
        return next((self._wanted[key] for key in self._behind), None)

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        # Skipping is allowed, so that a snapshot needs no excuse here; it replaces all that was delivered before.
        self._latest.clear()
        self._wanted.clear()
        self._behind.clear()
        self._covered = self._walked = end

    def outstanding(self) -> list[int]:
        self.first_outstanding_below(len(self._changes))
        return sorted(self._wanted[key] for key in self._behind)
