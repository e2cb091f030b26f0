"""Places the stream of a subscriber that must get every event and shows no revisions.

What shows none is placed by the log: a change is the next one that says the same, and a snapshot stands wherever its
state was. Several places may be possible, and which one is right may show only much later. So all of them are followed
at once:

::

    start --- snapshot {} ---+--- at revision 4 --- change a=1 is revision 5 --- ...      nothing is missing
                             +--- at revision 6 --- change a=1 is revision 7 --- ...      nothing is missing, either
                             +--- at revision 9 --- change a=1 is not behind it           wrong

The one with the fewest troubles is taken, and of several without any, the one that leaves least outstanding. If there
is a placement in which nothing is wrong, then it is among those that are followed: after a snapshot a stream without
trouble can go on in one way only, and two paths that meet in one place have the same future.

A snapshot that may skip (it comes first, or what it skips was compacted) may be at each place of its state from where
the subscriber is; one that may not is at the first, because what it skips would be missing in any case. The first one
may be older than the start, too, as long as nothing of the subscription changed between.

The number of paths is bounded by ``_MOST``, beyond which those with most troubles are given up.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.states import States
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Failed,
    LogEvent,
    Resynced,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)

__all__ = ["Places", "clamped", "earliest_start", "find_places", "same_since"]

_MOST = 64
# A state that the log never had is wrong whatever comes; what a snapshot skips may yet come, and counts for less.
_MISFIT = 1_000_000
_NOWHERE = 0  # the revision of a change that the log does not have


@dataclass(frozen=True)
class Places:
    """Where everything in a stream stands.

    Attributes:
        start: where the subscription began.
        revisions: for each item of the stream that needs them, the revisions of its changes, or of its snapshot.
        misfits: the snapshots whose state the log did not have at or after what had been delivered.
    """

    start: int
    revisions: dict[int, tuple[int, ...]]
    misfits: frozenset[int]


# What was placed, newest first: item, revisions, whether it fits nowhere, what was placed before. Paths share tails.
_Trail = tuple[int, tuple[int, ...], bool, Any] | None


@dataclass(frozen=True)
class _Path:
    start: int
    newest: int  # the revision that the subscriber has reached
    end: int  # the position after everything that was delivered
    troubles: int = 0
    trail: _Trail = None


def earliest_start(trace: Trace) -> int:
    """The earliest revision at which the subscription may have begun."""
    return trace.start_revision_exclusive if trace.start_not_before is None else trace.start_not_before


def clamped(trace: Trace, revision: int) -> int:
    """A start that the deliveries indicate, within the bounds that are known."""
    return max(earliest_start(trace), min(trace.start_revision_exclusive, revision))


def same_since(committed: CommittedLog, revision: int) -> int:
    """The earliest revision whose state is that of this one, as far as the log goes."""
    position = committed.end_of(revision) - 1
    while position >= 0 and not committed.inside[position]:
        position -= 1
    return committed.revisions[position] if position >= 0 else 0


def find_places(trace: Trace, committed: CommittedLog, states: States) -> Places:
    """Place everything that shows no revision, so that as little as possible is wrong."""
    walk = _Walk(trace, committed, states)
    paths = list(walk.beginnings())
    if not trace.unplaced and len(paths) == 1:
        return Places(paths[0].start, {}, frozenset())  # what shows a revision has one place
    for index, item in enumerate(trace.stream):
        paths = walk.step(paths, index, item)
    stop = len(committed.changes) if trace.owed_until is None else committed.end_of(trace.owed_until)
    best = min(
        paths, key=lambda path: (path.troubles, committed.inside.count(1, path.end, max(path.end, stop)))
    )
    revisions: dict[int, tuple[int, ...]] = {}
    misfits = set()
    trail: Any = best.trail
    while trail is not None:
        index, placed, misfit, trail = trail
        revisions[index] = placed
        if misfit:
            misfits.add(index)
    return Places(best.start, revisions, frozenset(misfits))


class _Walk:
    def __init__(self, trace: Trace, committed: CommittedLog, states: States) -> None:
        self._trace = trace
        self._committed = committed
        self._states = states
        self._nothing_yet = True
        self._failed = False

    def beginnings(self) -> Iterator[_Path]:
        """A path for each start that makes a difference."""
        committed, trace = self._committed, self._trace
        starts = [trace.start_revision_exclusive]
        something = False
        for item in trace.stream:
            if isinstance(item, (Delivered, UnplacedDelivery)) and item.events:
                first = item.events[0]
                starts = (
                    [clamped(trace, first.revision - 1)] if isinstance(first, TraceEvent) else self._starts()
                )
                break
            if isinstance(item, Resynced):
                # One that comes first may skip; whether another may depends on where the subscription began.
                starts = self._starts() if something else [clamped(trace, item.revision)]
                break
            if isinstance(item, UnplacedSnapshot):
                starts = self._starts()
                break
            something = something or isinstance(item, (Bookmarked, Failed))
        for start in starts:
            yield _Path(start, start, committed.end_of(start))

    def _starts(self) -> list[int]:
        """The latest possible start first, then one before each change that might have been the first."""
        earliest, latest = earliest_start(self._trace), self._trace.start_revision_exclusive
        first, end = self._committed.end_of(earliest), self._committed.end_of(latest)
        between = {self._committed.revisions[p] for p in range(first, end) if self._committed.inside[p]}
        return sorted({latest, earliest, *between}, reverse=True)

    def step(self, paths: list[_Path], index: int, item: object) -> list[_Path]:
        if isinstance(item, (Delivered, UnplacedDelivery)):
            if item.events:
                paths = [self._delivered(path, index, item.events) for path in paths]
                self._nothing_yet = False
        elif isinstance(item, Bookmarked):
            paths = [self._bookmarked(path, item.revision) for path in paths]
            self._nothing_yet = False
        elif isinstance(item, (Resynced, UnplacedSnapshot)):
            paths = _merged(after for path in paths for after in self._snapshots(path, index, item))
            self._nothing_yet = False
        elif isinstance(item, Failed):
            self._failed = True
            self._nothing_yet = False
        return paths

    def _delivered(self, path: _Path, index: int, events: Iterable[TraceEvent | LogEvent]) -> _Path:
        committed = self._committed
        newest, end, troubles = path.newest, path.end, path.troubles
        placed = []
        for event in events:
            position = self._position(event, end)
            if isinstance(event, TraceEvent):
                placed.append(event.revision)
            else:
                placed.append(_NOWHERE if position is None else committed.revisions[position])
            if position is None or position < end or committed.revisions[position] < newest:
                troubles += 1
            else:
                troubles += not self._failed and committed.inside.find(1, end, position) >= 0
                newest, end = committed.revisions[position], position + 1
        trail = (index, tuple(placed), False, path.trail)
        return _Path(path.start, newest, end, troubles, trail)  # replace() takes several times as long

    def _position(self, event: TraceEvent | LogEvent, end: int) -> int | None:
        """The next place in the log that says this; if there is none behind, the last one before."""
        if isinstance(event, TraceEvent):
            positions = self._committed.positions(as_event(event))
        else:
            positions = self._committed.positions_of_change(event)
        if not positions:
            return None
        return positions[min(bisect_left(positions, end), len(positions) - 1)]

    def _bookmarked(self, path: _Path, revision: int) -> _Path:
        end = self._committed.end_of(revision)
        delivered_before = path.trail is not None  # a bookmark below the start is true
        wrong = (delivered_before and revision < path.newest) or self._committed.inside.find(
            1, path.end, end
        ) >= 0
        return replace(path, troubles=path.troubles + wrong)

    def _snapshots(self, path: _Path, index: int, item: Resynced | UnplacedSnapshot) -> Iterator[_Path]:
        excused = self._nothing_yet or any(
            one.revision >= path.newest and one.after_item <= index for one in self._trace.compactions
        )
        if isinstance(item, Resynced):
            yield self._after(path, index, item.revision, excused=excused)
            return
        places = self._states.fits(item.kvs, path.newest)
        if not places:
            yield self._after(path, index, path.newest, excused=excused, misfit=True)
        for revision in places if excused else places[:1]:
            after = self._after(path, index, revision, excused=excused)
            if self._nothing_yet:
                after = replace(after, start=clamped(self._trace, revision))
            yield after
        if self._nothing_yet and path.newest in places:
            older = same_since(self._committed, path.newest)
            if older < path.newest:
                yield self._after(path, index, older, excused=excused)

    def _after(self, path: _Path, index: int, revision: int, *, excused: bool, misfit: bool = False) -> _Path:
        end = self._committed.end_of(revision)
        # A first snapshot is as old as the newest change of the subscription, where a client knows no other revision.
        same_as_at_the_start = self._nothing_yet and self._committed.inside.find(1, end, path.end) < 0
        back = revision < path.newest and not same_as_at_the_start
        skips = not excused and not self._failed and self._committed.inside.find(1, path.end, end) >= 0
        troubles = path.troubles + back + skips + _MISFIT * misfit
        trail = (index, (revision,), misfit, path.trail)
        return replace(path, newest=revision, end=end, troubles=troubles, trail=trail)


def _merged(paths: Iterable[_Path]) -> list[_Path]:
    """Of paths that are in one place, the one with the fewest troubles; of too many, those with the fewest."""
    best: dict[tuple[int, int], _Path] = {}
    for path in paths:
        place = (path.newest, path.end)
        if place not in best or path.troubles < best[place].troubles:
            best[place] = path
    kept = list(best.values())
    return kept if len(kept) <= _MOST else sorted(kept, key=lambda path: path.troubles)[:_MOST]
