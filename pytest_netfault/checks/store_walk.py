"""What one store's log says of the items of a stream: the judge, item by item, with counters.

The rules of each guarantee are in ``guarantees.py``, and this applies them. Time is proportional to the length of the
stream. Positions are explained in ``committed_log.py``, what is outstanding in ``obligations.py``.
"""

from __future__ import annotations

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.obligations import EveryEvent, LatestValue, Obligations
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.promises import DECLARED
from pytest_netfault.checks.trace import Delivered, Resynced, TraceEvent
from pytest_netfault.checks.trace_verdict import MAX_EVIDENCE

__all__ = ["StoreWalk", "phantom_words"]

# Naming the key that is missing from a snapshot walks over all keys; after a few the point is made.
_NAMED_SNAPSHOTS = 10


def _change(event: TraceEvent) -> str:
    return f"{event[0]} {event[1]!r}" + ("" if event[2] is None else f" = {event[2]!r}")


def phantom_words(
    placed: Placed, log: CommittedLog, index: int, event: TraceEvent
) -> tuple[str, TraceEvent | None]:
    """What is said of a change that the log does not have, and the change if it showed which revision it meant."""
    if not event[3] and index in placed.unknown:
        return f"{_change(event)} came in item {index}, and the log never says so", None
    known = log.at_revision(event[3], 4)
    if known:
        listed = ", ".join(_change(one) for one in known[:3]) + (", ..." if len(known) > 3 else "")
        reason = f"in the log that revision is {listed}"
    else:
        reason = "the log has no change in that revision"
    came = "" if event[2] is None else f" with {event[2]!r}"
    return f"came in item {index}{came}, and {reason}", event


class StoreWalk:
    """A subscriber's stream beside the log of one store.

    Its attributes are one state: the place in the log and what has arrived. They are more than a class should have, and
    they are flat because a delivery is judged in a microsecond.

    Args:
        placed: the trace.
        log: the log of the store.
        findings: what is broken is added to it.
        start: where the subscription began; None for a store that replaced another.
        must_deliver: False if the subscriber was informed, before this store, that it is no longer served.
    """

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None:
        self.must_deliver = must_deliver
        self._placed = placed
        self._log = log
        self._findings = findings
        self._start = start
        self._start_end = 0 if start is None else log.end_of(start)
        promised = LatestValue if DECLARED[placed.trace.promise].states else EveryEvent
        self._obligations: Obligations = promised(log, self._start_end)
        self._gaps: list[int] = []  # positions that were reported missing; lost unless they arrive
        self._epochs = [0] * len(log.changes)  # in which epoch a change was last delivered, 0 = never
        self._epoch = 1  # counts snapshots
        self._snapshot: int | None = None  # the revision of the last one
        self._newest: int | None = None  # the newest revision delivered since, or that of the snapshot
        self._newest_position = -1  # the furthest first delivery inside it
        self._cursor_revision = -1 if start is None else start
        self._cursor_end = self._start_end  # everything below has been delivered, or never had to be
        self._bookmark: int | None = None
        self._first_item: dict[int, int] = {}  # revision -> the delivery that first had a change of it
        self._nothing_yet = True

    def outstanding(self) -> list[TraceEvent]:
        """What has not arrived."""
        return [self._log.event(position) for position in self._obligations.outstanding()]

    def lost(self) -> list[TraceEvent]:
        """What was reported missing and has not arrived since."""
        lost = sorted(set(self._gaps).intersection(self._obligations.outstanding()))
        return [self._log.event(position) for position in lost]

    def absence(self, event: TraceEvent) -> str:
        """What became of a change that is missing at the end, in words."""
        return "had not arrived when all was quiet"

    # -- one kind of item after the other ---------------------------------------------------------------

    def failed(self) -> None:
        """The subscriber was informed that it is no longer served."""
        self.must_deliver = False
        self._nothing_yet = False

    def delivered(self, index: int, item: Delivered) -> None:
        """Changes were delivered together."""
        if item.events:
            self._nothing_yet = False
            self._deliver(index, item)

    def _deliver(self, index: int, item: Delivered) -> None:
        furthest = -1
        for event in item.events:
            position = self._next_in_order(event)
            if position is None:
                position = self._find(as_event(event))
                if position is None:
                    self._phantom(index, event)
                    continue
                self._arrived(index, position)
            furthest = max(furthest, position)
        if self.must_deliver:
            self._look_for_gaps(index, furthest)

    def _look_for_gaps(self, index: int, furthest: int) -> None:
        for gap in self._obligations.gaps_below(furthest):
            self._gaps.append(gap)
            later = self._log.revisions[furthest]
            self._findings.add(
                "reliable",
                index,
                self._log.event(gap),
                f"had not arrived when revision {later} was delivered in item {index}",
            )

    def _next_in_order(self, event: TraceEvent) -> int | None:
        """The short way for a change that is the very next one, alone in its revision: it can break nothing.

        Nearly all changes are of this kind, and a million of them are to be judged in seconds. None if this one is
        not, and all the questions must be asked.
        """
        log = self._log
        position = log.inside.find(1, self._cursor_end)
        if position < self._start_end or self._epochs[position]:
            return None
        revision = log.revisions[position]
        kind, key, value = log.changes[position]
        if event[3] != revision or event[2] != value or event[1] != key or event[0] != kind:
            return None
        if (self._newest is not None and revision <= self._newest) or (
            self._bookmark is not None and revision <= self._bookmark
        ):
            return None
        if log.shared(position):
            return None
        self._obligations.arrived(position)
        self._epochs[position] = self._epoch
        self._newest = self._cursor_revision = revision
        self._newest_position = position
        self._cursor_end = position + 1
        return position

    def _find(self, event: TraceEvent) -> int | None:
        """Where the log has this change. Of several, the first that has not been delivered in this epoch."""
        positions = self._log.positions(event)
        for position in positions:
            if not self._is_repeat(position):
                return position
        return positions[-1] if positions else None

    def _is_repeat(self, position: int) -> bool:
        epoch = self._epochs[position]
        if not epoch:
            return False
        return epoch == self._epoch or (
            self._snapshot is not None and self._log.revisions[position] <= self._snapshot
        )

    def _phantom(self, index: int, event: TraceEvent) -> None:
        if self._findings.counts.get("phantom", 0) >= MAX_EVIDENCE:
            self._findings.add("phantom", index, event, "")  # which counts it, and keeps no words
            return
        words, about = phantom_words(self._placed, self._log, index, event)
        self._findings.add("phantom", index, about, words, key=event[1])

    def _arrived(self, index: int, position: int) -> None:
        """A change that is in the log arrived: all questions about it but that of what is missing."""
        event = self._log.event(position)
        revision = event[3]
        came = f"came in item {index}"
        if position < self._start_end:
            words = f"{came}, and the subscription began after revision {self._start}"
            self._findings.add("before_start", index, event, words)
        if self._log.inside[position]:
            self._obligations.arrived(position)
        else:
            self._findings.add("filter", index, event, f"{came}, and its key is outside the subscription")
        if self._bookmark is not None and revision <= self._bookmark:
            self._findings.add("bookmarkable", index, event, f"{came}, after a bookmark at {self._bookmark}")
        ever = self._epochs[position]
        repeat = self._is_repeat(position)
        self._epochs[position] = self._epoch
        if repeat:
            self._findings.add("unique", index, event, f"came again in item {index}")
        if not ever:
            first = self._first_item.setdefault(revision, index)
            if first != index:
                words = f"{came}, and other changes of its revision in item {first}"
                self._findings.add("atomic", index, event, words, other_item=first)
        self._order(index, position, event, repeat=repeat)

    def _order(self, index: int, position: int, event: TraceEvent, *, repeat: bool) -> None:
        revision = event[3]
        newest = self._newest
        came = f"came in item {index}, "
        if self._snapshot is not None and revision <= self._snapshot:
            self._findings.add(
                "ordered", index, event, f"{came}after a snapshot at revision {self._snapshot}"
            )
        elif newest is not None and revision < newest:
            self._findings.add("ordered", index, event, f"{came}after revision {newest}")
        elif revision == newest and position < self._newest_position and not repeat:
            self._findings.add("ordered", index, event, f"{came}behind a later change of its own revision")
        if newest is None or revision >= newest:
            self._newest = revision
            self._newest_position = max(self._newest_position, position)
            if revision >= self._cursor_revision:
                self._cursor_revision = revision
                self._cursor_end = max(self._cursor_end, position + 1)

    def bookmarked(self, index: int, revision: int) -> None:
        """A bookmark came."""
        self._nothing_yet = False
        says = f"the bookmark of item {index} says {revision}"
        if self._bookmark is not None and revision < self._bookmark:
            words = f"{says}, and an earlier one had said {self._bookmark}"
            self._findings.add("bookmarkable", index, revision, words)
        elif self._newest is not None and revision < self._newest:
            words = f"{says}, and revision {self._newest} had been delivered"
            self._findings.add("bookmarkable", index, revision, words)
        missing = self._obligations.first_outstanding_below(self._log.end_of(revision))
        if missing is not None:
            self._gaps.append(missing)
            words = (
                f"had not arrived when item {index}, a bookmark, said that all up to {revision} was delivered"
            )
            self._findings.add("bookmarkable", index, self._log.event(missing), words)
        self._bookmark = revision if self._bookmark is None else max(self._bookmark, revision)

    def resynced(self, index: int, item: Resynced) -> None:
        """A snapshot came."""
        revision = item.revision
        snapshot = f"the snapshot of item {index}, at revision {revision},"
        search = self._findings.counts.get("resync", 0) < _NAMED_SNAPSHOTS
        difference = self._log.snapshot_differs(revision, item.kvs, search=search)
        if index in self._placed.misfits:
            words = (
                f"the snapshot of item {index}, which shows no revision, fits nowhere: from revision {revision} on, "
                f"where the subscriber was, the store was never in that state; at {revision} {difference}"
            )
            self._findings.add("resync", index, revision, words)
        elif difference is not None:
            self._findings.add("resync", index, revision, f"{snapshot} is not the state at it: {difference}")
        end = self._log.end_of(revision)
        # A client may know revisions by its own keys alone: its first snapshot is then as old as the newest of them.
        same_as_at_the_start = self._nothing_yet and self._log.inside.find(1, end, self._cursor_end) < 0
        if revision < self._cursor_revision and not same_as_at_the_start:
            words = f"{snapshot} came when the subscriber was at {self._cursor_revision}"
            self._findings.add("ordered", index, revision, words)
        self._obligations.snapshot(self._cursor_end, end, discharges=self._excused(index))
        self._nothing_yet = False
        self._snapshot = self._newest = self._cursor_revision = revision
        self._newest_position = end - 1
        self._cursor_end = end
        self._epoch += 1
        if self._bookmark is not None and self._bookmark > revision:
            self._bookmark = revision  # what lies above a snapshot may come again, and so may its bookmarks

    def _excused(self, index: int) -> bool:
        """Whether a snapshot in this place may skip what it skips."""
        return self._nothing_yet or any(
            one.revision >= self._cursor_revision and one.after_item <= index
            for one in self._placed.trace.compactions
        )
