"""The judge against a second statement of the same rules: whole-stream questions, quadratic and without state.

The judge walks once and keeps counters; here each guarantee is a question about all that came before. Where
the two disagree on any small trace, one of them does not mean what the documentation says.

What shows no revision is restated as a search through all places: if nothing is wrong in one of them, then the
subscriber is right.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import (
    Bookmarked,
    Compaction,
    Delivered,
    Disconnected,
    Failed,
    Filter,
    LogEvent,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)

KEYS = ("r.a", "r.b", "x")


class Came(NamedTuple):
    """One change that came and is in the log."""

    step: int
    item: int
    position: int


class Restated:
    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self.log = [TraceEvent(*event, entry.revision) for entry in trace.log for event in entry.events]
        self.inside = [trace.filter.matches(event.key) for event in self.log]
        self.came: list[Came] = []
        self.phantoms = 0
        self.resyncs: list[tuple[int, int, Resynced]] = []  # step, item, snapshot
        self.bookmarks: list[tuple[int, int]] = []  # step, revision
        self.ends: list[tuple[int, int]] = []  # step, item: where a delivery was over
        self.failed: int | None = None
        self.first_step: int | None = None
        step = 0
        for index, item in enumerate(trace.stream):
            if isinstance(item, Disconnected):
                continue
            if isinstance(item, Delivered):
                for event in item.events:
                    step += 1
                    self.first_step = self.first_step or step
                    if event in self.log:
                        self.came.append(Came(step, index, self.log.index(event)))
                    else:
                        self.phantoms += 1
                self.ends.append((step, index))
                continue
            step += 1
            self.first_step = self.first_step or step
            if isinstance(item, Bookmarked):
                self.bookmarks.append((step, item.revision))
            elif isinstance(item, Resynced):
                self.resyncs.append((step, index, item))
            elif self.failed is None:
                self.failed = step
        self.last_step = step + 1

    def revision(self, position: int) -> int:
        return self.log[position].revision

    def last_resync(self, step: int) -> tuple[int, int | None]:
        """Step and revision of the last snapshot before this step."""
        return max(((s, item.revision) for s, _, item in self.resyncs if s < step), default=(0, None))

    def since_resync(self, step: int) -> list[Came]:
        begin, _ = self.last_resync(step)
        return [one for one in self.came if begin < one.step < step]

    def cursor(self, step: int) -> int:
        _, base = self.last_resync(step)
        floor = self.trace.start_revision_exclusive if base is None else base
        return max([floor, *(self.revision(one.position) for one in self.since_resync(step))])

    def skipped(self, step: int, snapshot: Resynced) -> set[int]:
        _, base = self.last_resync(step)
        floor = self.trace.start_revision_exclusive if base is None else base
        reached = max([-1, *(one.position for one in self.since_resync(step))])
        return {
            position
            for position in range(len(self.log))
            if floor < self.revision(position) <= snapshot.revision and position > reached
        }

    def discharged(self, before: int) -> set[int]:
        positions: set[int] = set()
        for step, item, snapshot in self.resyncs:
            if step < before and (
                step == self.first_step
                or any(
                    c.revision >= self.cursor(step) and c.after_item <= item for c in self.trace.compactions
                )
            ):
                positions |= self.skipped(step, snapshot)
        return positions

    def owed(self, before: int, below: int) -> list[int]:
        """Positions below ``below`` that are owed and have not come before this step."""
        if self.trace.promise == "latest-value":
            return self.stale(before, below)
        arrived = {one.position for one in self.came if one.step < before} | self.discharged(before)
        return [
            position
            for position in range(below)
            if self.inside[position]
            and self.revision(position) > self.trace.start_revision_exclusive
            and position not in arrived
        ]

    def end_of(self, revision: int) -> int:
        return sum(event.revision <= revision for event in self.log)

    def stale(self, before: int, below: int) -> list[int]:
        _, base = self.last_resync(before)
        covered = self.end_of(self.trace.start_revision_exclusive if base is None else base)
        positions = []
        for key in filter(self.trace.filter.matches, KEYS):
            told = [o.position for o in self.since_resync(before) if self.log[o.position].key == key]
            changes = [p for p in range(max(below, covered)) if self.log[p].key == key]
            if not told:
                changes = [p for p in changes if p >= covered]
            if changes and (not told or told[-1] < changes[-1]):
                positions.append(changes[-1])
        return positions

    # -- the guarantees ---------------------------------------------------------------------------------

    def reliable(self) -> bool:
        if self.trace.promise == "latest-value":
            return False
        for step, index in self.ends:
            mine = [one.position for one in self.came if one.item == index]
            over = self.failed is not None and self.failed <= step
            if mine and not over and self.owed(step + 1, max(mine)):
                return True
        return False

    def complete(self) -> bool:
        due = self.trace.quiet_at_end and self.failed is None
        return due and bool(self.owed(self.last_step, len(self.log)))

    def repeat(self, one: Came) -> bool:
        begin, base = self.last_resync(one.step)
        before = [o for o in self.came if o.step < one.step and o.position == one.position]
        if base is not None and self.revision(one.position) <= base:
            return bool(before)
        return any(o.step > begin for o in before)

    def unique(self) -> bool:
        return any(self.repeat(one) for one in self.came)

    def ordered(self) -> bool:
        for one in self.came:
            _, base = self.last_resync(one.step)
            revision = self.revision(one.position)
            if base is not None and revision <= base:
                return True
            for other in self.since_resync(one.step):
                theirs = self.revision(other.position)
                if theirs > revision:
                    return True
                if theirs == revision and other.position > one.position and not self.repeat(one):
                    return True
        return any(
            item.revision < self.cursor(step) and not self.same_as_at_the_start(step, item)
            for step, _, item in self.resyncs
        )

    def same_as_at_the_start(self, step: int, snapshot: Resynced) -> bool:
        between = range(snapshot.revision + 1, self.trace.start_revision_exclusive + 1)
        changed = [self.revision(p) for p in range(len(self.log)) if self.inside[p]]
        return step == self.first_step and not set(between) & set(changed)

    def atomic(self) -> bool:
        first: dict[int, int] = {}
        for one in self.came:
            first.setdefault(one.position, one.item)
        return any(
            self.revision(p) == self.revision(q) and first[p] != first[q] for p in first for q in first
        )

    def bookmarkable(self) -> bool:
        def in_force(step: int) -> list[int]:
            revisions = []
            for s, revision in self.bookmarks:
                if s < step:
                    later = [item.revision for r, _, item in self.resyncs if s < r < step]
                    revisions.append(min([revision, *later]))
            return revisions

        for step, revision in self.bookmarks:
            _, base = self.last_resync(step)
            seen = [self.revision(one.position) for one in self.since_resync(step)]
            if any(earlier > revision for earlier in in_force(step)):
                return True
            if any(earlier > revision for earlier in [*seen, *([] if base is None else [base])]):
                return True
            if self.owed(step, self.end_of(revision)):
                return True
        return any(
            self.revision(one.position) <= bookmark for one in self.came for bookmark in in_force(one.step)
        )

    def resync(self) -> bool:
        for _, _, snapshot in self.resyncs:
            state: dict[str, str] = dict(self.trace.initial or {})
            for position in range(self.end_of(snapshot.revision)):
                event = self.log[position]
                if event.type == "delete":
                    state.pop(event.key, None)
                elif event.value is not None:
                    state[event.key] = event.value
            wanted = {k: v for k, v in state.items() if self.trace.filter.matches(k)}
            if wanted != dict(snapshot.kvs):
                return True
        return False

    def filter(self) -> bool:
        return any(not self.inside[one.position] for one in self.came)

    def phantom(self) -> bool:
        return self.phantoms > 0

    def before_start(self) -> bool:
        return any(self.revision(o.position) <= self.trace.start_revision_exclusive for o in self.came)

    def broken(self) -> set[str]:
        names = [
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
        return {name for name in names if getattr(self, name)()}


def damage(
    draw: st.DrawFn,
    stream: list[Any],
    flat: list[TraceEvent],
    revisions: st.SearchStrategy[int],
    snapshot: Callable[[int], Resynced],
) -> None:
    """Drop, swap or insert something somewhere."""
    where = draw(st.integers(0, len(stream)))
    what = draw(st.sampled_from(["drop", "events", "bookmark", "resync", "disconnect", "error", "swap"]))
    if what == "drop":
        del stream[where : where + 1]
    elif what == "swap":
        stream[where : where + 2] = reversed(stream[where : where + 2])
    elif what == "events":
        pool = st.sampled_from(flat) if flat else st.nothing()
        other = st.builds(
            TraceEvent, st.just("put"), st.sampled_from(KEYS), st.sampled_from("123"), revisions
        )
        stream.insert(where, Delivered(tuple(draw(st.lists(pool | other, max_size=3)))))
    elif what == "bookmark":
        stream.insert(where, Bookmarked(draw(revisions)))
    elif what == "resync":
        stream.insert(where, snapshot(draw(revisions)))
    elif what == "disconnect":
        stream.insert(where, Disconnected())
    elif draw(st.booleans()):
        stream.insert(where, Failed("gone"))


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Traces of up to six revisions, biased to streams that are nearly right."""
    log: list[Revision] = []
    revision = draw(st.integers(1, 2))
    for _ in range(draw(st.integers(0, 5))):
        keys = draw(st.lists(st.sampled_from(KEYS), min_size=1, max_size=2, unique=True))
        events = tuple(
            LogEvent("put", key, draw(st.sampled_from("12")))
            if draw(st.booleans())
            else LogEvent("delete", key)
            for key in keys
        )
        log.append(Revision(revision, events))
        revision += draw(st.integers(1, 2))
    flat = [TraceEvent(*event, entry.revision) for entry in log for event in entry.events]
    subscription = draw(st.sampled_from([Filter(), Filter("r."), Filter("r.a", prefix=False)]))
    revisions = st.integers(0, revision)
    start = draw(st.integers(0, 3))
    initial: dict[str, str] | None = draw(st.sampled_from([{}, {"r.a": "1"}]))

    def snapshot(at: int) -> Resynced:
        state = dict(initial or {})
        for event in flat:
            if event.revision <= at:
                state.pop(event.key, None)
                if event.value is not None:
                    state[event.key] = event.value
        kvs = {k: v for k, v in state.items() if subscription.matches(k)}
        if draw(st.integers(0, 5)) == 0:
            kvs[draw(st.sampled_from(KEYS))] = "1"
        return Resynced(at, kvs)

    stream: list[Any] = []
    if draw(st.booleans()):
        # The right stream, which the rest of the draw damages.
        for entry in log:
            if entry.revision > start:
                right = tuple(
                    TraceEvent(*event, entry.revision)
                    for event in entry.events
                    if subscription.matches(event.key)
                )
                stream.append(Delivered(right))
    for _ in range(draw(st.integers(0, 4))):
        damage(draw, stream, flat, revisions, snapshot)
    compactions = draw(st.lists(st.builds(Compaction, revisions, st.integers(0, 4)), max_size=2))
    return Trace(
        draw(st.sampled_from(["every-event", "latest-value"])),
        subscription,
        start,
        tuple(log),
        tuple(stream),
        draw(st.booleans()),
        tuple(compactions),
        initial=initial,
    )


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(traces())
def test_the_judge_says_what_the_restatement_says(trace: Trace) -> None:
    assert set(judge_trace(trace).broken) == Restated(trace).broken()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces())
def test_a_trace_survives_its_file(trace: Trace) -> None:
    assert Trace.from_json(trace.to_json()) == trace


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(traces())
def test_evidence_and_losses_fit_the_verdict(trace: Trace) -> None:
    verdict = judge_trace(trace)
    assert {one.guarantee for one in verdict.evidence} == set(verdict.broken) == set(verdict.counts)
    if "complete" in verdict.broken:
        assert verdict.lost
    if verdict.lost:
        assert verdict.verdict == "broken"
    for one in verdict.evidence:
        assert one.item is None or 0 <= one.item < len(trace.stream)


# -- what shows no revision -----------------------------------------------------------------------------------


@st.composite
def blind_traces(draw: st.DrawFn) -> Trace:
    """The same, with some of the revisions not shown, the start not sure, and the end of the log not owed."""
    trace = draw(traces())
    stream: list[StreamItem] = []
    for item in trace.stream:
        if isinstance(item, Resynced) and draw(st.booleans()):
            stream.append(UnplacedSnapshot(item.kvs))
        elif isinstance(item, Delivered) and item.events and draw(st.booleans()):
            shown = [draw(st.integers(0, 3)) == 0 for _ in item.events]
            if all(shown):
                shown[0] = False
            events = tuple(
                event if seen else LogEvent(*event[:3])
                for event, seen in zip(item.events, shown, strict=True)
            )
            stream.append(UnplacedDelivery(events))
        else:
            stream.append(item)
    start = trace.start_revision_exclusive
    return replace(
        trace,
        stream=tuple(stream),
        initial=trace.initial or {},
        start_not_before=draw(st.none() | st.integers(0, start)),
        owed_until=draw(st.none() | st.integers(0, 12)),
    )


def everywhere(trace: Trace) -> Iterable[Trace]:
    """The trace with everything in each of its places."""
    highest = max((entry.revision for entry in trace.log), default=0)
    shown = [one.revision for item in trace.stream if isinstance(item, Delivered) for one in item.events]
    shown += [item.revision for item in trace.stream if isinstance(item, (Bookmarked, Resynced))]
    after = trace.start_revision_exclusive
    before = after if trace.start_not_before is None else trace.start_not_before
    options: list[list[StreamItem]] = []
    for item in trace.stream:
        if isinstance(item, UnplacedSnapshot):
            options.append([Resynced(at, item.kvs) for at in range(max([highest, after, *shown]) + 1)])
        elif isinstance(item, UnplacedDelivery):
            places = [placed(event, trace) for event in item.events]
            options.append([Delivered(events) for events in itertools.product(*places)])
        else:
            options.append([item])
    assume(math.prod(map(len, options)) * (after - before + 1) <= 3_000)
    for start in range(before, after + 1):
        for stream in itertools.product(*options):
            reached = highest
            if trace.owed_until is not None:
                told = [one.revision for item in stream if isinstance(item, Delivered) for one in item.events]
                told += [item.revision for item in stream if isinstance(item, (Bookmarked, Resynced))]
                reached = max([trace.owed_until, after, *told])  # what was there at the start is known
            yield replace(
                trace,
                stream=stream,
                start_revision_exclusive=start,
                start_not_before=None,
                owed_until=None,
                log=tuple(entry for entry in trace.log if entry.revision <= reached),
            )


def placed(event: TraceEvent | LogEvent, trace: Trace) -> list[TraceEvent]:
    if isinstance(event, TraceEvent):
        return [event]
    found = [TraceEvent(*event, entry.revision) for entry in trace.log if event in entry.events]
    return found or [TraceEvent(*event, 0)]


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(blind_traces())
@example(
    # A bookmark of the time of a first snapshot that shows no revision, and is older than the start.
    Trace(
        promise="every-event",
        filter=Filter("", True),
        start_revision_exclusive=1,
        log=(),
        stream=(UnplacedSnapshot({}), Bookmarked(0)),
        quiet_at_end=False,
        initial={},
    )
)
@example(
    # What comes behind a bookmark may skip what was compacted, if the subscription began early enough.
    Trace(
        promise="every-event",
        filter=Filter("", True),
        start_revision_exclusive=1,
        log=tuple(Revision(at, (LogEvent("delete", "r.a"),)) for at in (1, 2, 3)),
        stream=(Bookmarked(0), Resynced(3, {})),
        quiet_at_end=True,
        compactions=(Compaction(0, 0),),
        initial={},
        start_not_before=0,
    )
)
@example(
    # What was there at the start is known, however little is owed.
    Trace(
        promise="every-event",
        filter=Filter("", True),
        start_revision_exclusive=1,
        log=(Revision(1, (LogEvent("delete", "r.a"),)),),
        stream=(Resynced(0, {}),),
        quiet_at_end=False,
        initial={},
        owed_until=0,
    )
)
def test_who_is_right_in_one_of_all_places_is_right(trace: Trace) -> None:
    verdict = judge_trace(trace)
    right = any(not Restated(one).broken() for one in everywhere(trace))
    if (
        right or trace.promise == "every-event"
    ):  # a value that was put again cannot be told from the earlier one
        assert (not verdict.broken) is right
    if "fits nowhere" not in str(verdict.evidence) and "never says so" not in str(verdict.evidence):
        assert set(verdict.broken) == Restated(verdict.trace).broken()


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(blind_traces())
def test_what_leaves_something_open_survives_its_file(trace: Trace) -> None:
    assert Trace.from_json(trace.to_json()) == trace
