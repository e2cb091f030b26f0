"""Places the stream of a subscriber that promises the latest value of each key, and need not show revisions.

Each key is placed alone: between keys there is no order, and a snapshot may have read them one after another. What was
said last of a key says most if it is placed last, so that the stream is walked from its end, and each state of a key is
taken for the latest change to it that what comes after allows. If there is a placement in which no key goes back, this
finds one.

A place is a position in the log (``committed_log.py``); -1 is the state of the key before the log begins, and None says
that the key never had that state.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.paths import earliest_start
from pytest_netfault.checks.trace import (
    Delivered,
    LogEvent,
    Resynced,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)

__all__ = ["KeyPlaces", "find_key_places"]

_NOWHERE = 0  # the revision of a change that the log does not have


@dataclass(frozen=True)
class KeyPlaces:
    """Where everything stands that shows no revision.

    Attributes:
        stream: the stream with a revision for everything, for reports.
        changes: for each delivery in which something shows none, by its item: the places of its changes.
        snapshots: for each snapshot that shows none, by its item: the place of each key's state.
    """

    stream: tuple[StreamItem, ...]
    changes: Mapping[int, tuple[int | None, ...]]
    snapshots: Mapping[int, Mapping[str, int | None]]


def find_key_places(trace: Trace, committed: CommittedLog) -> KeyPlaces:
    """Place each state of each key as late as what comes after it allows."""
    back = _Backwards(committed)
    for index in range(len(trace.stream) - 1, -1, -1):
        back.step(index, trace.stream[index])
    return KeyPlaces(tuple(_shown(trace, committed, back)), back.changes, back.snapshots)


class _Backwards:
    def __init__(self, committed: CommittedLog) -> None:
        self._committed = committed
        self._latest: dict[str, int] = {}  # where a key may stand at the most
        self._end = len(committed.changes)  # the same for all keys: before this position
        self.changes: dict[int, tuple[int | None, ...]] = {}
        self.snapshots: dict[int, dict[str, int | None]] = {}

    def step(self, index: int, item: StreamItem) -> None:
        if isinstance(item, (Delivered, UnplacedDelivery)):
            placed = [self._change(event) for event in reversed(item.events)]
            if isinstance(item, UnplacedDelivery):
                self.changes[index] = tuple(reversed(placed))
        elif isinstance(item, Resynced):
            self._end = min(self._end, self._committed.end_of(item.revision))
        elif isinstance(item, UnplacedSnapshot):
            keys = dict.fromkeys([*item.kvs, *self._committed.known_keys()])
            self.snapshots[index] = {
                key: self._latest_of(key, self._with_state(key, item.kvs.get(key))) for key in keys
            }

    def _change(self, event: TraceEvent | LogEvent) -> int | None:
        if isinstance(event, TraceEvent):
            return self._latest_of(event.key, self._committed.positions(as_event(event)))
        return self._latest_of(
            event.key, self._with_state(event.key, event.value if event.type == "put" else None)
        )

    def _with_state(self, key: str, value: str | None) -> Sequence[int]:
        """The places at which a key has this value."""
        committed = self._committed
        change = LogEvent("delete", key) if value is None else LogEvent("put", key, value)
        positions = committed.positions_of_change(change)
        at_first = not committed.whole or committed.value_at(key, -1) == value
        return [-1, *positions] if at_first else positions

    def _latest_of(self, key: str, places: Sequence[int]) -> int | None:
        if not places:
            return None
        latest = min(self._latest.get(key, self._end), self._end - 1)
        chosen = places[max(bisect_right(places, latest) - 1, 0)]
        self._latest[key] = min(latest, chosen)
        return chosen


def _shown(trace: Trace, committed: CommittedLog, back: _Backwards) -> Iterable[StreamItem]:
    start = earliest_start(trace)
    for index, item in enumerate(trace.stream):
        if isinstance(item, UnplacedDelivery):
            yield Delivered(
                tuple(
                    event
                    if isinstance(event, TraceEvent)
                    else TraceEvent(*event, _revision(committed, place, start))
                    for event, place in zip(item.events, back.changes[index], strict=True)
                )
            )
        elif isinstance(item, UnplacedSnapshot):
            yield Resynced(max(start, _whole_until(committed, back.snapshots[index], start)), item.kvs)
        else:
            yield item


def _revision(committed: CommittedLog, place: int | None, start: int) -> int:
    if place is None:
        return _NOWHERE
    return start if place < 0 else committed.revisions[place]


def _whole_until(committed: CommittedLog, places: Mapping[str, int | None], start: int) -> int:
    """The revision up to which nothing of any key is missing from a snapshot."""
    until = committed.revisions[-1] if committed.revisions else start
    for key, place in places.items():
        later = None if place is None else committed.next_change(key, place)
        if later is not None:
            until = min(until, committed.revisions[later] - 1)
    return until
