"""Places the stream of a subscriber that may skip values and shows no revisions.

It must never go back, and the last state of each key must be the last committed one. The later something is placed the
more it says, so that the stream is walked from its end, and everything is placed as late as what comes after it allows.
If there is a placement in which nothing goes back, this finds one, and of all of them the latest.

What fits only after its successor is placed there: then the stream has gone back in every placement.

Linear, apart from looking up changes and states.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.paths import Places, clamped, earliest_start, same_since
from pytest_netfault.checks.states import States
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    LogEvent,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)

__all__ = ["distinguishable", "find_latest_places"]


def find_latest_places(trace: Trace, committed: CommittedLog, states: States) -> Places:
    """Place everything that shows no revision as late as what comes after it allows."""
    back = _Backwards(trace, committed, states)
    for index in range(len(trace.stream) - 1, -1, -1):
        back.step(index, trace.stream[index])
    return _checked(trace, committed, states, back.revisions)


class _Backwards:
    def __init__(self, trace: Trace, committed: CommittedLog, states: States) -> None:
        self._committed = committed
        self._states = states
        self._floor = earliest_start(trace)
        self._position = len(committed.changes)  # what comes before stands below this position
        self._revision: int | None = None  # and a snapshot at or below this revision
        self.revisions: dict[int, tuple[int, ...]] = {}

    def step(self, index: int, item: StreamItem) -> None:
        if isinstance(item, (Delivered, UnplacedDelivery)):
            placed = [self._event(event) for event in reversed(item.events)]
            self.revisions[index] = tuple(reversed(placed))
        elif isinstance(item, (Bookmarked, Resynced)):
            self._bound(self._committed.end_of(item.revision), item.revision)
        elif isinstance(item, UnplacedSnapshot):
            places = self._states.fits(item.kvs, self._floor)
            if places:
                allowed = [one for one in places if self._revision is None or one <= self._revision]
                chosen = allowed[-1] if allowed else places[0]
                if not allowed and chosen == self._floor:
                    chosen = same_since(self._committed, chosen)  # it may be older than the start
                self.revisions[index] = (chosen,)
                self._bound(self._committed.end_of(chosen), chosen)

    def _bound(self, position: int, revision: int) -> None:
        self._position = min(self._position, position)
        self._revision = revision if self._revision is None else min(self._revision, revision)

    def _event(self, event: TraceEvent | LogEvent) -> int:
        """The revision of a change; 0 if the log never says so."""
        committed = self._committed
        if isinstance(event, TraceEvent):
            positions = committed.positions(as_event(event))
        else:
            positions = committed.positions_of_change(event)
        if positions:
            position = positions[max(bisect_left(positions, self._position) - 1, 0)]
            if position < self._position:
                self._bound(position, committed.revisions[position] - 1)
            if not isinstance(event, TraceEvent):
                return committed.revisions[position]
        return event.revision if isinstance(event, TraceEvent) else 0


def _checked(
    trace: Trace, committed: CommittedLog, states: States, revisions: dict[int, tuple[int, ...]]
) -> Places:
    """Walk forwards: a snapshot that would go back stands at its next place, or fits nowhere."""
    misfits = set()
    start: int | None = None
    newest = same_since(committed, earliest_start(trace))
    for index, item in enumerate(trace.stream):
        if isinstance(item, UnplacedSnapshot):
            revision = revisions.get(index, (newest,))[0]
            if index not in revisions or revision < newest:
                later = states.fits(item.kvs, newest)
                if not later:
                    misfits.add(index)
                revision = later[0] if later else newest
                revisions[index] = (revision,)
            first: tuple[int, ...] = (revision + 1,)
        elif isinstance(item, Resynced):
            first = (item.revision + 1,)
        elif isinstance(item, (Delivered, UnplacedDelivery)):
            first = revisions[index]
        else:
            continue
        if start is None and first:
            start = clamped(trace, first[0] - 1)
        newest = max([newest, *(one - isinstance(item, (Resynced, UnplacedSnapshot)) for one in first)])
    return Places(trace.start_revision_exclusive if start is None else start, revisions, frozenset(misfits))


def distinguishable(
    log: Sequence[Revision], raw: Sequence[StreamItem], stream: Sequence[StreamItem], reached: int
) -> tuple[Revision, ...]:
    """The log without what a client that may skip, and shows no revisions, cannot be shown to have missed.

    If a key was put to 1, to 2 and to 1 again, and the last that such a client delivered of it is 1, then that is
    right: the two cannot be distinguished.

    Args:
        log: the log.
        raw: the stream as it was recorded.
        stream: the same with everything placed.
        reached: up to where the subscriber is held to the log.
    """
    said: dict[str, TraceEvent] = {}  # the last of each key, if it came without a revision
    floor = 0  # what the last snapshot covers
    for recorded, item in zip(raw, stream, strict=True):
        if isinstance(item, Resynced):
            said.clear()
            floor = item.revision
        elif isinstance(item, Delivered) and isinstance(recorded, (Delivered, UnplacedDelivery)):
            for event, matched in zip(recorded.events, item.events, strict=True):
                said.pop(event.key, None)
                if not isinstance(event, TraceEvent) and matched.revision > floor:
                    said[event.key] = matched
    last = {event.key: event for entry in log if entry.revision <= reached for event in entry.events}
    same = {
        key: one.revision
        for key, one in said.items()
        if key in last and (last[key].type, last[key].value) == (one.type, one.value)
    }
    if not same:
        return tuple(log)
    kept = (
        Revision(
            entry.revision, tuple(one for one in entry.events if entry.revision <= same.get(one.key, reached))
        )
        for entry in log
    )
    return tuple(entry for entry in kept if entry.events)
