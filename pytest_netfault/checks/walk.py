"""The judge: one walk over the stream of a trace that leaves nothing open, with counters.

Rules of this file: the rules of each guarantee stand in ``guarantees.py``, and this does what they say. Time is
proportional to the length of the trace. Positions are explained in ``truth.py``, what is owed in ``duty.py``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pytest_netfault.checks.duty import Duty, EveryEvent, LatestValue
from pytest_netfault.checks.placing import Placed, truth_of
from pytest_netfault.checks.trace import Bookmarked, Delivered, Failed, Resynced, TraceEvent
from pytest_netfault.checks.truth import Truth, as_event
from pytest_netfault.checks.verdicts import GUARANTEES, MAX_EVIDENCE, Breakage, Guarantee, TraceVerdict

__all__ = ["Walk"]

# Naming the key that is missing from a snapshot walks over all keys; after a few the point is made.
_NAMED_SNAPSHOTS = 10


def _named(event: TraceEvent) -> str:
    return f"revision {event[3]} ({event[0]} {event[1]!r})"


def _change(event: TraceEvent) -> str:
    return f"{event[0]} {event[1]!r}" + ("" if event[2] is None else f" = {event[2]!r}")


class Walk:
    """One walk over one stream. Positions are explained in ``truth.py``."""

    def __init__(self, placed: Placed) -> None:
        trace = self._trace = placed.trace
        self._placed = placed
        self._evidence: list[Breakage] = []
        self._counts: dict[Guarantee, int] = {}
        self._must_deliver = True
        self._lost: list[TraceEvent] = []
        borders = [0, *(one.after_entry for one in trace.replacements), len(trace.log)]
        self._stores = [trace.log[start:end] for start, end in itertools.pairwise(borders)]
        self._store = 0
        self._open_store(truth_of(trace, self._stores[0]), trace.start_revision_exclusive)

    def _open_store(self, truth: Truth, start: int | None) -> None:
        """Begin with a store; ``start`` is None for one that replaced another."""
        self._truth = truth
        self._start = start
        self._start_end = 0 if start is None else truth.end_of(start)
        self._duty: Duty = (EveryEvent if self._trace.promise == "every-event" else LatestValue)(
            truth, self._start_end
        )
        self._gaps: list[int] = []  # positions that were reported missing; lost unless they arrive
        self._epochs = [0] * len(truth.changes)  # in which epoch a change was last handed over, 0 = never
        self._epoch = 1  # counts snapshots
        self._snapshot: int | None = None  # the revision of the last one
        self._newest: int | None = None  # the newest revision handed over since, or that of the snapshot
        self._newest_position = -1  # the furthest first delivery inside it
        self._cursor_revision = -1 if start is None else start
        self._cursor_end = self._start_end  # everything below has been handed over, or was never owed
        self._bookmark: int | None = None
        self._first_item: dict[int, int] = {}  # revision -> the delivery that first had a change of it
        self._nothing_yet = True

    def _broke(
        self,
        guarantee: Guarantee,
        item: int | None,
        about: TraceEvent | int | None,
        words: str,
        key: str | None = None,
    ) -> None:
        """Note a breakage that concerns a change, whose name begins the sentence, or just a revision, or a key."""
        count = self._counts.get(guarantee, 0) + 1
        self._counts[guarantee] = count
        if count > MAX_EVIDENCE:
            return
        if about is None or isinstance(about, int):
            self._evidence.append(Breakage(guarantee, item, about, key, words))
        else:
            self._evidence.append(Breakage(guarantee, item, about[3], about[1], f"{_named(about)} {words}"))

    def judge(self) -> TraceVerdict:
        for index, item in enumerate(self._trace.stream):
            if isinstance(item, Delivered):
                if item.events:
                    self._delivered(index, item)
                    self._nothing_yet = False
            elif isinstance(item, Bookmarked):
                self._bookmarked(index, item.revision)
                self._nothing_yet = False
            elif isinstance(item, Resynced):
                self._resynced(index, item)
                self._nothing_yet = False
            elif isinstance(item, Failed):
                self._must_deliver = False
                self._nothing_yet = False
        open_tail = self._finish()
        broken = tuple(name for name in GUARANTEES if name in self._counts)
        return TraceVerdict(
            self._trace.id,
            broken,
            tuple(self._evidence),
            {name: self._counts[name] for name in broken},
            tuple(self._lost),
            open_tail,
            trace=self._trace,
            log=self._placed.log,
            inconclusive=self._trace.inconclusive,
        )

    # -- one kind of item after the other ---------------------------------------------------------------

    def _delivered(self, index: int, item: Delivered) -> None:
        furthest = -1
        for event in item.events:
            position = self._next_in_order(event)
            if position is None:
                position = self._find(as_event(event))
                if position is None:
                    self._phantom(index, event)
                    continue
                self._handed_over(index, position)
            furthest = max(furthest, position)
        if self._must_deliver:
            self._look_for_gaps(index, furthest)

    def _look_for_gaps(self, index: int, furthest: int) -> None:
        for gap in self._duty.gaps_below(furthest):
            self._gaps.append(gap)
            later = self._truth.revisions[furthest]
            self._broke(
                "reliable",
                index,
                self._truth.event(gap),
                f"had not arrived when revision {later} was delivered in item {index}",
            )

    def _next_in_order(self, event: TraceEvent) -> int | None:
        """The short way for a change that is the very next one, alone in its revision: it can break nothing.

        Nearly all changes are of this kind, and a million of them are to be judged in seconds. None if this one is
        not, and all the questions must be asked.
        """
        truth = self._truth
        position = truth.inside.find(1, self._cursor_end)
        if position < self._start_end or self._epochs[position]:
            return None
        revision = truth.revisions[position]
        kind, key, value = truth.changes[position]
        if event[3] != revision or event[2] != value or event[1] != key or event[0] != kind:
            return None
        if (self._newest is not None and revision <= self._newest) or (
            self._bookmark is not None and revision <= self._bookmark
        ):
            return None
        if truth.shared(position):
            return None
        self._duty.told(position)
        self._epochs[position] = self._epoch
        self._newest = self._cursor_revision = revision
        self._newest_position = position
        self._cursor_end = position + 1
        return position

    def _find(self, event: TraceEvent) -> int | None:
        """Where the log has this change. Of several, the first that has not been handed over in this epoch."""
        positions = self._truth.positions(event)
        for position in positions:
            if not self._is_repeat(position):
                return position
        return positions[-1] if positions else None

    def _is_repeat(self, position: int) -> bool:
        epoch = self._epochs[position]
        if not epoch:
            return False
        return epoch == self._epoch or (
            self._snapshot is not None and self._truth.revisions[position] <= self._snapshot
        )

    def _phantom(self, index: int, event: TraceEvent) -> None:
        known: Sequence[TraceEvent] = ()
        if self._counts.get("phantom", 0) < MAX_EVIDENCE:
            known = self._truth.at_revision(event[3], 4)
        if not event[3] and index in self._placed.unknown:
            said = f"{_change(event)} came in item {index}, and the log never says so"
            self._broke("phantom", index, None, said, key=event[1])
            return
        if known:
            listed = ", ".join(_change(one) for one in known[:3]) + (", ..." if len(known) > 3 else "")
            reason = f"in the log that revision is {listed}"
        else:
            reason = "the log has no change in that revision"
        came = "" if event[2] is None else f" with {event[2]!r}"
        self._broke("phantom", index, event, f"came in item {index}{came}, and {reason}")

    def _handed_over(self, index: int, position: int) -> None:
        """A change that is in the log arrived: all questions about it but that of what is missing."""
        event = self._truth.event(position)
        revision = event[3]
        came = f"came in item {index}"
        if position < self._start_end:
            words = f"{came}, and the subscription began after revision {self._start}"
            self._broke("before_start", index, event, words)
        if self._truth.inside[position]:
            self._duty.told(position)
        else:
            self._broke("filter", index, event, f"{came}, and its key is outside the subscription")
        if self._bookmark is not None and revision <= self._bookmark:
            self._broke("bookmarkable", index, event, f"{came}, after a bookmark at {self._bookmark}")
        ever = self._epochs[position]
        repeat = self._is_repeat(position)
        self._epochs[position] = self._epoch
        if repeat:
            self._broke("unique", index, event, f"came again in item {index}")
        if not ever:
            first = self._first_item.setdefault(revision, index)
            if first != index:
                self._broke(
                    "atomic", index, event, f"{came}, and other changes of its revision in item {first}"
                )
        self._order(index, position, event, repeat=repeat)

    def _order(self, index: int, position: int, event: TraceEvent, *, repeat: bool) -> None:
        revision = event[3]
        newest = self._newest
        came = f"came in item {index}, "
        if self._snapshot is not None and revision <= self._snapshot:
            self._broke("ordered", index, event, f"{came}after a snapshot at revision {self._snapshot}")
        elif newest is not None and revision < newest:
            self._broke("ordered", index, event, f"{came}after revision {newest}")
        elif revision == newest and position < self._newest_position and not repeat:
            self._broke("ordered", index, event, f"{came}behind a later change of its own revision")
        if newest is None or revision >= newest:
            self._newest = revision
            self._newest_position = max(self._newest_position, position)
            if revision >= self._cursor_revision:
                self._cursor_revision = revision
                self._cursor_end = max(self._cursor_end, position + 1)

    def _bookmarked(self, index: int, revision: int) -> None:
        says = f"the bookmark of item {index} says {revision}"
        if self._bookmark is not None and revision < self._bookmark:
            words = f"{says}, and an earlier one had said {self._bookmark}"
            self._broke("bookmarkable", index, revision, words)
        elif self._newest is not None and revision < self._newest:
            words = f"{says}, and revision {self._newest} had been handed over"
            self._broke("bookmarkable", index, revision, words)
        owed = self._duty.first_owed_below(self._truth.end_of(revision))
        if owed is not None:
            self._gaps.append(owed)
            words = (
                f"had not arrived when item {index}, a bookmark, said that all up to {revision} was delivered"
            )
            self._broke("bookmarkable", index, self._truth.event(owed), words)
        self._bookmark = revision if self._bookmark is None else max(self._bookmark, revision)

    def _resynced(self, index: int, item: Resynced) -> None:
        self._adopt_replacement(index)
        revision = item.revision
        snapshot = f"the snapshot of item {index}, at revision {revision},"
        search = self._counts.get("resync", 0) < _NAMED_SNAPSHOTS
        difference = self._truth.snapshot_differs(revision, item.kvs, search=search)
        if index in self._placed.misfits:
            words = (
                f"the snapshot of item {index}, which shows no revision, fits nowhere: from revision {revision} on, "
                f"where the subscriber was, the store was never in that state; at {revision} {difference}"
            )
            self._broke("resync", index, revision, words)
        elif difference is not None:
            self._broke("resync", index, revision, f"{snapshot} is not the state at it: {difference}")
        if revision < self._cursor_revision:
            words = f"{snapshot} came when the subscriber was at {self._cursor_revision}"
            self._broke("ordered", index, revision, words)
        end = self._truth.end_of(revision)
        self._duty.snapshot(self._cursor_end, end, discharges=self._excused(index))
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
            for one in self._trace.compactions
        )

    def _adopt_replacement(self, index: int) -> None:
        """Go over to the store that had replaced the judged one by now, if one had."""
        store = self._store
        while store < len(self._trace.replacements) and self._trace.replacements[store].after_item <= index:
            store += 1
        if store != self._store:
            self._collect_gaps()
            self._store = store
            self._open_store(Truth(self._stores[store], self._trace.filter, {}, whole=True), None)

    # -- the end ----------------------------------------------------------------------------------------

    def _collect_gaps(self) -> int:
        """Count as lost what was reported missing and is still owed; return how many."""
        lost = sorted(set(self._gaps).intersection(self._duty.owed()))
        self._lost += [self._truth.event(position) for position in lost]
        return len(lost)

    def _finish(self) -> int:
        """Judge what is missing at the end; return how much of it must not be called a loss."""
        owed = [self._truth.event(position) for position in self._duty.owed()]
        for store in range(self._store + 1, len(self._stores)):
            # The store was replaced and the subscriber never got to see the new one.
            unseen = Truth(self._stores[store], self._trace.filter, {}, whole=True)
            owed = [
                unseen.event(position) for position in range(len(unseen.changes)) if unseen.inside[position]
            ]
        if self._trace.quiet_at_end and self._must_deliver:
            self._lost += owed
            for event in owed:
                self._broke("complete", None, event, "had not arrived when all was quiet")
            return 0
        known = self._collect_gaps()
        return max(0, len(owed) - known) if self._must_deliver else 0
