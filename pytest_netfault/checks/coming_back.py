"""The judge of ``comes-back``: what is written after a recovery arrives.

Pub/sub loses what is published while nobody listens, and nobody is to blame. What it promises is the time after: once
the subscriber is back, everything arrives. So an update must arrive if it was committed after the last disturbance of
the trace *and* after the subscriber had shown that it is back. The rules:

complete  Quiet at the end, and an update is missing that must have arrived:

          * Nothing was ever disturbed: everything after the start.
          * Something was: the subscriber is *back* with the first change delivered to it that was certainly committed
            after the last disturbance. Everything behind that change must arrive.
          * It never showed that it is back, perhaps because it reconnects all the time: what the log has after both
            the last disturbance by the network and the newest change that was delivered. Its own reconnections
            excuse nothing for ever.
          * Nobody knows what was disturbed: what the log has after the newest change that was delivered.
resync    A snapshot with a revision is not the state there. One without holds a key outside the subscription, or a key
          with a value that it never had.
filter    A change of a key outside the subscription was delivered.
phantom   The log has no such change.

A snapshot discharges what it may have come after: what lies at or below its revision, or, of each key, what was
committed before the state that it shows. Order, repeats, transactions and bookmarks are not judged: a broker that
delivers at least once redelivers, also later ones first. What shows no revision counts for the latest change that it
may be, and equal changes for as many as were delivered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.store_walk import phantom_words
from pytest_netfault.checks.trace import (
    Delivered,
    LogEvent,
    Resynced,
    TraceEvent,
    UnplacedDelivery,
)
from pytest_netfault.checks.trace_verdict import MAX_EVIDENCE
from pytest_netfault.checks.writes import surely_before

__all__ = ["ComesBackWalk"]


class _Came(NamedTuple):
    """A change that was delivered, and the positions in the log that it may be."""

    item: int
    positions: tuple[int, ...]


class ComesBackWalk:
    """What was delivered beside the log of one store, without regard to order; arguments are those of ``StoreWalk``."""

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None:
        self.must_deliver = must_deliver
        self._placed = placed
        self._log = log
        self._findings = findings
        self._start_end = 0 if start is None else log.end_of(start)
        # A store that replaced another was never looked at by whoever noted the disturbances.
        self._disturbances = None if start is None else placed.trace.disturbances
        self._came: list[_Came] = []
        self._snapshots: list[tuple[Resynced, bool]] = []  # and whether it showed its revision
        self._absence: str | None = None

    # -- what is asked at the end -------------------------------------------------------------------------

    def outstanding(self) -> list[TraceEvent]:
        """What must have arrived and has not."""
        came = [self._possible(one) for one in self._came]
        newest = max((max(one.positions) for one in came), default=self._start_end - 1)
        required = [one for one in self._required(came, newest) if not self._discharged(one)]
        return [self._log.event(position) for position in self._not_among(came, required)]

    def lost(self) -> list[TraceEvent]:
        """Nothing is known to be lost before the end."""
        return []

    def absence(self, event: TraceEvent) -> str:
        """What became of a change that is missing at the end, in words."""
        if self._absence is None:  # the same for all
            self._absence = self._why_absent()
        return self._absence

    def _why_absent(self) -> str:
        words = "had not arrived when all was quiet"
        if not self._disturbances:
            return words
        back = self._back([self._possible(one) for one in self._came])
        if back is None:
            return f"{words}, and so had nothing else that was committed after the last outage"
        name = self._placed.recorded.name_of(self._log.revisions[back])
        return f"{words}, although the subscriber was back: {name}, also committed after the last outage, had"

    # -- one kind of item after the other -----------------------------------------------------------------

    def failed(self) -> None:
        """The subscriber was informed that it is no longer served."""
        self.must_deliver = False

    def delivered(self, index: int, item: Delivered) -> None:
        """Changes were delivered together."""
        recorded = self._placed.recorded.stream[index]
        assert isinstance(recorded, (Delivered, UnplacedDelivery))
        for event, shown in zip(recorded.events, item.events, strict=True):
            positions = self._positions(event)
            if not positions:
                enough = self._findings.counts.get("phantom", 0) >= MAX_EVIDENCE
                words, about = ("", shown) if enough else phantom_words(self._placed, self._log, index, shown)
                self._findings.add("phantom", index, about, words, key=event.key)
            elif not self._log.covers(event.key):
                words = f"came in item {index}, and its key is outside the subscription"
                self._findings.add("filter", index, shown, words)
            else:
                self._came.append(_Came(index, positions))

    def bookmarked(self, index: int, revision: int) -> None:
        """Bookmarks are not judged."""

    def resynced(self, index: int, item: Resynced) -> None:
        """A snapshot came."""
        exact = self._shows_revisions and isinstance(self._placed.recorded.stream[index], Resynced)
        self._snapshots.append((item, exact))
        snapshot = f"the snapshot of item {index}"
        if exact:
            search = self._findings.counts.get("resync", 0) < MAX_EVIDENCE
            difference = self._log.snapshot_differs(item.revision, item.kvs, search=search)
            if difference is not None:
                words = f"{snapshot}, at revision {item.revision}, is not the state at it: {difference}"
                self._findings.add("resync", index, item.revision, words)
            return
        for key, value in item.kvs.items():
            if not self._log.covers(key):
                words = f"{snapshot} holds {key!r}, which is outside the subscription"
                self._findings.add("resync", index, None, words, key=key)
            elif not self._with_state(key, value):
                words = f"{snapshot} says that {key!r} is {value!r}, and it never was"
                self._findings.add("resync", index, None, words, key=key)

    # -- what must arrive ---------------------------------------------------------------------------------

    @property
    def _shows_revisions(self) -> bool:
        return self._placed.hiding is None  # those that a client shows of an inferred log mean nothing

    def _positions(self, event: TraceEvent | LogEvent) -> tuple[int, ...]:
        if isinstance(event, TraceEvent) and self._shows_revisions:
            return tuple(self._log.positions(as_event(event)))
        return tuple(self._log.positions_of_change(LogEvent(event.type, event.key, event.value)))

    def _with_state(self, key: str, value: str | None) -> list[int]:
        """Where a key had this value; -1 before the log begins."""
        change = LogEvent("delete", key) if value is None else LogEvent("put", key, value)
        at_first = not self._log.whole or self._log.value_at(key, -1) == value
        return [*([-1] if at_first else []), *self._log.positions_of_change(change)]

    def _possible(self, one: _Came) -> _Came:
        """Without the positions that were committed after it was delivered."""
        ends = [
            self._log.end_of(disturbance.revision)
            for disturbance in self._disturbances or ()
            if one.item < disturbance.after_item
        ]
        possible = tuple(position for position in one.positions if position < min(ends, default=position + 1))
        return one._replace(positions=possible) if possible else one

    def _back(self, came: Iterable[_Came]) -> int | None:
        """The change with which the subscriber has shown that it is back: its latest possible position."""
        assert self._disturbances
        last = max(self._disturbances, key=lambda one: (one.revision, one.after_item))
        end = self._log.end_of(last.revision)
        after = (one for one in came if one.item >= last.after_item and min(one.positions) >= end)
        return next((max(one.positions) for one in after), None)

    def _required(self, came: list[_Came], newest: int) -> list[int]:
        log, back = self._log, None
        if self._disturbances is None:
            begin = newest + 1
        elif not self._disturbances:
            begin = self._start_end
        elif (back := self._back(came)) is not None:
            begin = back + 1
        else:
            by_network = [one.revision for one in self._disturbances if one.by == "network"]
            begin = max(newest + 1, *map(log.end_of, by_network), 0)
        until = self._placed.trace.owed_until
        end = len(log.changes) if until is None else log.end_of(until)
        return [
            position
            for position in range(max(begin, self._start_end), end)
            if log.inside[position]
            and (log.revisions[position], log.changes[position].key) not in self._placed.excused
            and (back is None or self._surely_behind(back, position))
        ]

    def _surely_behind(self, back: int, position: int) -> bool:
        """Whether a change was committed after the one that shows that the subscriber is back."""
        writes = self._placed.recorded.writes
        if self._shows_revisions or writes is None:
            return True
        first, second = (self._log.revisions[one] - 2 for one in (back, position))
        return first == second or surely_before(writes[first], writes[second])

    def _discharged(self, position: int) -> bool:
        """Whether a snapshot may have come after this change."""
        revision, key = self._log.revisions[position], self._log.changes[position].key
        for snapshot, exact in self._snapshots:
            if self._placed.hiding is not None:
                if self._placed.hiding.hides(snapshot.kvs, revision, key):
                    return True
            elif exact:
                if revision <= snapshot.revision:
                    return True
            elif any(one >= position for one in self._with_state(key, snapshot.kvs.get(key))):
                return True
        return False

    def _not_among(self, came: Iterable[_Came], required: list[int]) -> list[int]:
        """Those of the required that did not come; of equal changes the first ones, if fewer came than are required."""
        wanted = set(required)
        times: Counter[LogEvent] = Counter()
        exact: set[int] = set()
        for one in came:
            if len(one.positions) == 1:
                exact.update(one.positions)
            elif wanted.intersection(one.positions):
                times[self._log.changes[one.positions[0]]] += 1
        missing = []
        for position in reversed(required):
            change = self._log.changes[position]
            if position not in exact:
                if times[change]:
                    times[change] -= 1
                else:
                    missing.append(position)
        return missing[::-1]
