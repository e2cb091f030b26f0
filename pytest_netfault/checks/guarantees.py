"""Which guarantees of a subscription a trace breaks.

    verdict = judge_trace(trace)
    verdict.verdict     # "kept", "broken" or "inconclusive"
    verdict.broken      # ("reliable", "complete")
    verdict.evidence    # for each: which item of the stream, which revision, which key, one sentence
    verdict.lost        # the changes that never arrived

The names of most guarantees, and the idea that each is judged on its own, come from etcd's promise for watches
(etcd.io, "KV API guarantees"). Each delivered change is looked up in the log by revision, key, type and
value. From there on a guarantee asks only its own question, so that one mistake may break several of them.

The rules, and the reasons where a choice was made
--------------------------------------------------
phantom       The log has no such change. It counts for nothing else: the true change stays owed, and the
              phantom moves nothing. That holds also below the start: what the log does not have cannot be told
              from an invention.
filter        The change is real and outside the subscription. It was handed over all the same, so that it can
              also go back, or come twice. A stranger in a snapshot is ``resync``, for a snapshot is judged as a whole.
before_start  The change is real and at or below the start. A snapshot is not: older state may come first, as one.
unique        The same change was handed over again. A snapshot starts over: what lies above it may come again,
              once. A revision that repeats a change has as many of it as the log says.
ordered       Its revision is below one that was handed over before (also if it is a repeat: who replays an old
              value has gone back), or is at or below the last snapshot; or it is handed over for the first
              time behind a later change of its own revision. A repeat inside the newest revision is ``unique``
              only: the subscriber did not leave the revision. A snapshot goes back if its revision is below
              that of a change or a snapshot before it, or below the start.
atomic        Changes of one revision first arrived in different deliveries. Repeats do not count.
reliable      After a delivery something owed is missing below a change that was in it. Looked at when the
              delivery is over, because order inside it is the business of ``ordered``. Arriving late heals nothing.
complete      Quiet at the end, and something owed is missing: be it the tail, or a gap that never closed. A gap
              is therefore both ``reliable`` and ``complete``, and one that closed too late ``reliable`` alone.
bookmarkable  A bookmark below an earlier bookmark, below a change handed over or a snapshot; a bookmark with
              something owed at or below it; a change at or below an earlier bookmark, also if it is a repeat.
resync        A snapshot is not the state of the log at its revision, limited to the subscription. If the log
              begins after the store had had a life of its own (its first revision lies above a start that is
              itself above 1, the revision of an empty etcd) and the trace does not say what was there
              (``initial``), then of a key that the log has not mentioned yet anything may be said.

What a snapshot skips is everything owed between the *cursor* (the newest change or snapshot handed over, or the
start) and its revision. It is excused if nothing but disconnects (and deliveries of nothing) came before; if a
compaction at or above the cursor had happened by then (``after_item`` items or fewer had been handed over);
or if the store had been replaced. A gap from before the cursor is never excused later. A bookmark does not move
the cursor: a client that resumes from its last change is not to be blamed for it.

A replaced store shows in the trace as a ``Replacement``: the subscriber is held to the old store until its
first snapshot after it, and from then on to the new one, with everything forgotten.

Failed ends the duty to deliver (``reliable``, ``complete``) and nothing else: what is handed over afterwards
must still be true.

latest-value differs in what is owed only (``duty.py``): nothing is ``reliable``; ``complete`` means that the last
thing said about each key, by a change or a snapshot, is the last thing that happened to it; and a bookmark
is true if that holds at its revision. A snapshot needs no excuse.

Inconclusive is a trace that breaks nothing, was stopped before things were quiet, and still owes something.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_netfault.checks.duty import Duty, EveryEvent, LatestValue
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Failed,
    Resynced,
    Trace,
    TraceEvent,
)
from pytest_netfault.checks.truth import Truth, as_event

__all__ = ["GUARANTEES", "Breakage", "Guarantee", "TraceVerdict", "Verdict", "judge_trace"]

Guarantee = Literal[
    "reliable",
    "complete",
    "unique",
    "ordered",
    "atomic",
    "bookmarkable",
    "resync",
    "filter",
    "phantom",
    "before_start",
]
GUARANTEES: tuple[Guarantee, ...] = get_args(Guarantee)

Verdict = Literal["kept", "broken", "inconclusive"]

# Evidence is for people. Beyond this many of one kind only the count goes on, so that a subscriber that replays a
# million changes does not turn into a million sentences.
MAX_EVIDENCE = 1_000
# Naming the key that is missing from a snapshot walks over all keys; after a few the point is made.
_NAMED_SNAPSHOTS = 10


@dataclass(frozen=True)
class Breakage:
    """One place where a guarantee was broken.

    Attributes:
        guarantee: which one.
        item: the index in the stream where it showed; None where it showed at the end.
        revision: the revision concerned, if it is about one.
        key: the key concerned, if it is about one.
        sentence: what happened.
    """

    guarantee: Guarantee
    item: int | None
    revision: int | None
    key: str | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.sentence}"


@dataclass(frozen=True)
class TraceVerdict:
    """What became of the guarantees.

    Attributes:
        id: that of the trace.
        broken: the broken guarantees, in the order of ``GUARANTEES``; empty when all hold.
        evidence: one for each breakage, in the order of the stream, at most ``MAX_EVIDENCE`` of a kind.
        counts: how often each broken guarantee was broken.
        lost: what was owed and never arrived.
        open_tail: how much had not arrived when the run was stopped before things were quiet.
    """

    id: str | None
    broken: tuple[Guarantee, ...]
    evidence: tuple[Breakage, ...]
    counts: Mapping[Guarantee, int]
    lost: tuple[TraceEvent, ...]
    open_tail: int

    @property
    def verdict(self) -> Verdict:
        """``"broken"`` if anything is; else ``"inconclusive"`` with an open tail; else ``"kept"``."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.open_tail else "kept"


def judge_trace(trace: Trace) -> TraceVerdict:
    """Judge a trace, in time proportional to its length.

    >>> from pytest_netfault.checks.trace import Filter, LogEvent, Revision
    >>> log = tuple(Revision(n, (LogEvent("put", "k", str(n)),)) for n in (2, 3, 4))
    >>> seen = tuple(Delivered((TraceEvent("put", "k", str(n), n),)) for n in (2, 4))
    >>> verdict = judge_trace(Trace("every-event", Filter(), 1, log, seen, quiet_at_end=True))
    >>> verdict.broken
    ('reliable', 'complete')
    >>> print(verdict.evidence[0])
    reliable: revision 3 (put 'k') had not arrived when revision 4 was delivered in item 1
    """
    return _Judge(trace).judge()


def _named(event: TraceEvent) -> str:
    return f"revision {event[3]} ({event[0]} {event[1]!r})"


def _change(event: TraceEvent) -> str:
    return f"{event[0]} {event[1]!r}" + ("" if event[2] is None else f" = {event[2]!r}")


class _Judge:
    """One walk over one stream. Positions are explained in ``truth.py``."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._evidence: list[Breakage] = []
        self._counts: dict[Guarantee, int] = {}
        self._must_deliver = True
        self._lost: list[TraceEvent] = []
        borders = [0, *(one.after_entry for one in trace.replacements), len(trace.log)]
        self._stores = [trace.log[start:end] for start, end in itertools.pairwise(borders)]
        self._store = 0
        log = trace.log
        begins_early = bool(log) and log[0].revision <= trace.start_revision_exclusive
        self._open_store(
            Truth(
                self._stores[0],
                trace.filter,
                trace.initial,
                # An etcd that never held anything is at revision 1, so that a start there hides no older keys.
                whole=begins_early or trace.start_revision_exclusive <= 1,
            ),
            trace.start_revision_exclusive,
        )

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

    def _broke(self, guarantee: Guarantee, item: int | None, about: TraceEvent | int, words: str) -> None:
        """Note a breakage that concerns a change, whose name begins the sentence, or just a revision."""
        count = self._counts.get(guarantee, 0) + 1
        self._counts[guarantee] = count
        if count > MAX_EVIDENCE:
            return
        if isinstance(about, int):
            self._evidence.append(Breakage(guarantee, item, about, None, words))
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
            self._trace.id, broken, tuple(self._evidence), dict(self._counts), tuple(self._lost), open_tail
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
        known = self._truth.at_revision(event[3], 4) if self._counts.get("phantom", 0) < MAX_EVIDENCE else ()
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
        if difference is not None:
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
