"""What a subscriber is still owed: the half of a promise that is about what did *not* arrive.

The two promises differ here and nowhere else. ``every-event`` owes each change of the subscription after the
start. ``latest-value`` owes, for each key, that the last thing said about it is the last thing that happened to it.

Rules of this file: positions (see ``truth.py``) in, positions out. Amortised linear: each position is walked
over once, unless snapshots go back to an older state again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pytest_netfault.checks.truth import Truth

__all__ = ["Duty", "EveryEvent", "LatestValue"]


class Duty(Protocol):
    """What is still owed, and what discharges it."""

    def told(self, position: int) -> None:
        """The change at this position was handed over."""

    def gaps_below(self, position: int) -> Sequence[int]:
        """What is owed below a change that has been delivered, each reported only once."""

    def first_owed_below(self, position: int) -> int | None:
        """Something owed below this position: the proof that a bookmark there is not true."""

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        """A snapshot of everything below ``end`` came; it skipped what lies from ``start`` on."""

    def owed(self) -> list[int]:
        """Everything that is owed and has not arrived."""


class EveryEvent:
    """Each change of the subscription after the start is owed, once."""

    def __init__(self, truth: Truth, start: int) -> None:
        # 0 where something is owed. Finding the next 0 is a memchr, which is what makes a delivery cheap.
        self._settled = bytearray(b"\1") * len(truth.changes)
        owed = truth.inside[start:]
        self._settled[start:] = owed.translate(bytes([1, 0]) + bytes(254))
        self._frontier = start
        self._reported = start

    def told(self, position: int) -> None:
        self._settled[position] = 1

    def gaps_below(self, position: int) -> Sequence[int]:
        if self.first_owed_below(position) is None or position <= self._reported:
            return ()
        gaps = []
        gap = self._settled.find(0, max(self._frontier, self._reported), position)
        while gap >= 0:
            gaps.append(gap)
            gap = self._settled.find(0, gap + 1, position)
        self._reported = position
        return gaps

    def first_owed_below(self, position: int) -> int | None:
        if position <= self._frontier:
            return None
        gap = self._settled.find(0, self._frontier, position)
        self._frontier = position if gap < 0 else gap
        return None if gap < 0 else gap

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        if discharges and end > start:
            self._settled[start:end] = b"\1" * (end - start)

    def owed(self) -> list[int]:
        positions = []
        gap = self._settled.find(0, self._frontier)
        while gap >= 0:
            positions.append(gap)
            gap = self._settled.find(0, gap + 1)
        return positions


class LatestValue:
    """For each key the last change is owed, and must be the last thing that was said about the key."""

    def __init__(self, truth: Truth, start: int) -> None:
        self._truth = truth
        self._changes = truth.changes
        self._inside = truth.inside
        self._told: dict[str, int] = {}
        self._covered = start  # everything below is known: from the start, or from a snapshot
        self._walked = start  # the latest change of each key in _covered.._walked is in _wanted
        self._wanted: dict[str, int] = {}
        self._behind: dict[
            str, None
        ] = {}  # keys whose wanted change was not told; a set that keeps its order

    def told(self, position: int) -> None:
        key = self._changes[position][1]
        self._told[key] = position
        if position < self._covered:
            # Older than what a snapshot, or the start, had already given: the key is stale again.
            self._wanted.setdefault(key, self._truth.last_change(key, self._covered))
        if position >= self._wanted.get(key, -1):
            self._behind.pop(key, None)
        else:
            self._behind[key] = None

    def gaps_below(self, position: int) -> Sequence[int]:
        return ()  # values may be skipped: a later one never proves that an earlier one was owed

    def first_owed_below(self, position: int) -> int | None:
        for walked in range(self._walked, position):
            if self._inside[walked]:
                key = self._changes[walked][1]
                self._wanted[key] = walked
                if self._told.get(key, -1) < walked:
                    self._behind[key] = None
                else:
                    self._behind.pop(key, None)
        self._walked = max(self._walked, position)
        return next((self._wanted[key] for key in self._behind), None)

    def snapshot(self, start: int, end: int, *, discharges: bool) -> None:
        # Skipping is allowed, so that a snapshot needs no excuse here; it replaces all that was said before.
        self._told.clear()
        self._wanted.clear()
        self._behind.clear()
        self._covered = self._walked = end

    def owed(self) -> list[int]:
        self.first_owed_below(len(self._changes))
        return sorted(self._wanted[key] for key in self._behind)
