"""From what was recorded to what is judged: a revision for everything, one start, and the log that must be delivered.

A trace may leave open what the judge of guarantees must know. Here that is decided, in favour of the subscriber
wherever more than one answer is possible:

* what shows no revision is placed in the log (``paths.py``, or ``latest.py`` for a subscriber that may skip);
* a subscription that began somewhere between two revisions began where the subscriber says;
* what was committed above ``owed_until`` must arrive only if the subscriber got that far: a write whose reply was cut
  may be committed at any moment, also at the last;
* a store that keeps no log is judged by an inferred one (``inferred_log.py``); the revisions that its client shows
  mean nothing there.

A trace that leaves nothing open is returned as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pytest_netfault.checks.committed_log import CommittedLog
from pytest_netfault.checks.inferred_log import Hiding, change_of, infer_log
from pytest_netfault.checks.latest import distinguishable, find_latest_places
from pytest_netfault.checks.paths import Places, earliest_start, find_places
from pytest_netfault.checks.per_key_places import find_key_places
from pytest_netfault.checks.promises import DECLARED
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
from pytest_netfault.checks.writes import surely_before

__all__ = ["Placed", "committed_log_of", "place"]


@dataclass(frozen=True)
class Placed:
    """A trace that leaves nothing open.

    Attributes:
        trace: what is judged.
        recorded: the trace as it was recorded.
        log: the whole log, also what need not arrive.
        misfits: the items of the stream that are snapshots whose state the log did not have.
        unknown: the items that are deliveries of which some change shows no revision.
        hiding: for an inferred log: which writes a snapshot may have hidden.
        excused: for an inferred log: changes, by revision and key, that need not arrive, because they may have been
            made before the subscription or a snapshot may have hidden them.
        earliest_start: for ``latest-per-key``: the earliest revision at which the subscription may have begun.
        key_places: for ``latest-per-key``: the places of changes that show no revision, see ``per_key_places.py``.
        key_snapshots: the same for the states of keys in snapshots.
    """

    trace: Trace
    recorded: Trace
    log: tuple[Revision, ...]
    misfits: frozenset[int] = frozenset()
    unknown: frozenset[int] = frozenset()
    hiding: Hiding | None = None
    excused: frozenset[tuple[int, str]] = frozenset()
    earliest_start: int | None = None
    key_places: Mapping[int, tuple[int | None, ...]] = field(default_factory=dict)
    key_snapshots: Mapping[int, Mapping[str, int | None]] = field(default_factory=dict)


def committed_log_of(trace: Trace, log: Sequence[Revision]) -> CommittedLog:
    """The log of the (first) store, laid out for judging."""
    begins_early = bool(log) and log[0].revision <= trace.start_revision_exclusive
    # An etcd that never held anything is at revision 1, so that a start there hides no older keys.
    whole = begins_early or trace.start_revision_exclusive <= 1
    return CommittedLog(log, trace.filter, trace.initial, whole=whole)


def place(trace: Trace) -> Placed:
    """Decide what a trace leaves open."""
    if trace.log_from == "acknowledgements":
        return _inferred(trace)
    if trace.promise == "latest-per-key":
        return _key_by_key(trace)
    if trace.promise == "comes-back":
        return _in_any_order(trace)
    if not (trace.unplaced or trace.start_not_before is not None or trace.owed_until is not None):
        return Placed(trace, trace, trace.log)
    committed = committed_log_of(trace, trace.log)
    states = States(committed, trace.initial)
    skipping = DECLARED[trace.promise].states
    places = (find_latest_places if skipping else find_places)(trace, committed, states)
    stream = tuple(_placed(item, index, places) for index, item in enumerate(trace.stream))
    reached = _reached(trace, stream)
    log = trace.log if reached is None else tuple(one for one in trace.log if one.revision <= reached)
    if skipping and log:
        log = distinguishable(log, trace.stream, stream, log[-1].revision)
    closed = replace(
        trace,
        start_revision_exclusive=places.start,
        start_not_before=None,
        owed_until=None,
        log=log,
        stream=stream,
    )
    unknown = (index for index, one in enumerate(trace.stream) if isinstance(one, UnplacedDelivery))
    return Placed(closed, trace, trace.log, places.misfits, frozenset(unknown))


def _placed(item: StreamItem, index: int, places: Places) -> StreamItem:
    if isinstance(item, UnplacedDelivery):
        return Delivered(
            tuple(
                TraceEvent(event.type, event.key, event.value, revision)
                for event, revision in zip(item.events, places.revisions[index], strict=True)
            )
        )
    if isinstance(item, UnplacedSnapshot):
        return Resynced(places.revisions[index][0], item.kvs)
    return item


def _reached(trace: Trace, stream: Iterable[StreamItem]) -> int | None:
    if trace.owed_until is None:
        return None
    reached = max(trace.owed_until, trace.start_revision_exclusive)  # what was there at the start is known
    for item in stream:
        if isinstance(item, Delivered):
            reached = max([reached, *(event.revision for event in item.events)])
        elif isinstance(item, (Bookmarked, Resynced)):
            reached = max(reached, item.revision)
    return reached


def _key_by_key(trace: Trace) -> Placed:
    """Every key alone. The log stays whole: how far a subscriber got with one key says nothing of another."""
    start = earliest_start(trace)
    if not trace.unplaced:
        return Placed(trace, trace, trace.log, earliest_start=start)
    places = find_key_places(trace, committed_log_of(trace, trace.log))
    return Placed(
        replace(trace, stream=places.stream),
        trace,
        trace.log,
        unknown=frozenset(places.changes),
        earliest_start=start,
        key_places=places.changes,
        key_snapshots=places.snapshots,
    )


def _in_any_order(trace: Trace) -> Placed:
    """Revisions for reports only: the judge looks at what was recorded."""
    if not trace.unplaced:
        return Placed(trace, trace, trace.log)
    start = earliest_start(trace)
    states = States(committed_log_of(trace, trace.log), trace.initial)
    places = _Counting(trace.log, start, set(), states, skipping=False)
    stream = tuple(
        places.item(item) if isinstance(item, (UnplacedDelivery, UnplacedSnapshot)) else item
        for item in trace.stream
    )
    unknown = (index for index, one in enumerate(trace.stream) if isinstance(one, UnplacedDelivery))
    return Placed(replace(trace, stream=stream), trace, trace.log, unknown=frozenset(unknown))


# -- a store without a log ------------------------------------------------------------------------------------


def _inferred(trace: Trace) -> Placed:
    """Place a stream in the log that is inferred from it; only what arrived at all will be judged."""
    writes = trace.writes or ()
    skipping = DECLARED[trace.promise].states
    log = infer_log(writes, trace.stream, trace.held, trace.promise)
    first = next((item for item in trace.stream if _delivers_something(item)), None)
    start = trace.start_revision_exclusive if first is None else earliest_start(trace)
    hiding = Hiding(writes)
    excused = _before_the_first(trace, first, start, log)
    if trace.promise == "every-event":
        excused |= _hidden(trace, hiding, log)
    states = States(committed_log_of(trace, log), trace.initial)
    places = _Counting(log, start, excused, states, skipping=skipping)
    stream = tuple(map(places.item, trace.stream))
    reached = _reached(trace, stream)
    closed = replace(
        trace,
        start_revision_exclusive=start,
        start_not_before=None,
        owed_until=None,
        log_from="server",
        log=log if reached is None else tuple(one for one in log if one.revision <= reached),
        stream=stream,
    )
    return Placed(
        closed,
        trace,
        log,
        unknown=frozenset(range(len(stream))),
        hiding=hiding,
        excused=frozenset(excused),
    )


def _before_the_first(
    trace: Trace, first: StreamItem | None, start: int, log: Sequence[Revision]
) -> set[tuple[int, str]]:
    """Writes issued while subscribe() was under way that did not certainly come after what was delivered first."""
    if not isinstance(first, (Delivered, UnplacedDelivery)):
        return set()
    writes = trace.writes or ()
    change = change_of(first.events[0])
    makers = [write for write in writes if change in write.changes and write.outcome != "fail"]
    return {
        (entry.revision, event.key)
        for entry in log
        if start < entry.revision <= trace.start_revision_exclusive
        and not all(surely_before(maker, writes[entry.revision - 2]) for maker in makers)
        for event in entry.events
    }


def _hidden(trace: Trace, hiding: Hiding, log: Sequence[Revision]) -> set[tuple[int, str]]:
    """What snapshots may have hidden that may skip: the one that comes first, and those after a compaction."""
    snapshots = []
    nothing_yet = True
    for index, item in enumerate(trace.stream):
        compacted = any(one.after_item <= index for one in trace.compactions)
        if isinstance(item, (Resynced, UnplacedSnapshot)) and (nothing_yet or compacted):
            snapshots.append(item.kvs)
        nothing_yet = nothing_yet and not _delivers_something(item)
    return {
        (entry.revision, event.key)
        for kvs in snapshots
        for entry in log
        for event in entry.events
        if hiding.hides(kvs, entry.revision, event.key)
    }


def _delivers_something(item: StreamItem) -> bool:
    if isinstance(item, (Delivered, UnplacedDelivery)):
        return bool(item.events)
    return isinstance(item, (Resynced, UnplacedSnapshot))


class _Counting:
    """Assigns revisions in a log of unknown order: only how often a change was delivered counts.

    A further delivery is first taken for a change that must arrive. A client that may skip means the last one.
    """

    def __init__(
        self,
        log: Sequence[Revision],
        start: int,
        excused: set[tuple[int, str]],
        states: States,
        *,
        skipping: bool,
    ) -> None:
        self._states = states
        self._skipping = skipping
        self._known: dict[LogEvent, list[int]] = {}
        for entry in log:
            for event in entry.events:
                self._known.setdefault(event, []).append(entry.revision)
        for event, revisions in self._known.items():
            revisions.sort(key=lambda one, key=event.key: one <= start or (one, key) in excused)  # type: ignore[misc]
        self._taken: dict[LogEvent, int] = {}
        self._newest = start

    def item(self, item: StreamItem) -> StreamItem:
        if isinstance(item, (Delivered, UnplacedDelivery)):
            return Delivered(tuple(map(self._event, item.events)))
        if isinstance(item, (Resynced, UnplacedSnapshot)):
            self._newest = max([self._newest, *self._states.fits(item.kvs, self._newest)])
            return Resynced(self._newest, item.kvs)
        return Bookmarked(self._newest) if isinstance(item, Bookmarked) else item

    def _event(self, event: TraceEvent | LogEvent) -> TraceEvent:
        key, value = change_of(event)
        said = LogEvent(event.type, key, value)
        revisions = self._known.get(said, ())
        if not revisions:
            return TraceEvent(*said, 0)
        taken = self._taken[said] = self._taken.get(said, 0) + 1
        revision = max(revisions) if self._skipping else revisions[min(taken, len(revisions)) - 1]
        self._newest = max(self._newest, revision)
        return TraceEvent(*said, revision)
