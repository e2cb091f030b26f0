"""The oracle: the log of one store, indexed so that a stream can be judged against it in linear time.

Every change of the log has a *position*, 0, 1, 2, ... in the order of commit, also within a revision. The judges count
in positions; a revision is a boundary between two of them.

The log is indexed once and never changed. Each query takes constant or logarithmic time, and that of a snapshot the
time that it takes to read it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence

from pytest_netfault.checks.trace import Filter, LogEvent, Revision, TraceEvent

__all__ = ["CommittedLog", "as_event"]


# A revision of that many changes is searched from end to end. Larger ones go through a dictionary of the whole log,
# which takes longer to make than a trace takes to judge, and keeps one huge transaction from becoming quadratic.
_FEW = 16


def as_event(event: TraceEvent) -> TraceEvent:
    """The event as it is compared: a delete has no value, whether it was written as null or as empty.

    etcd itself sends deletes with an empty value.
    """
    if event[0] == "delete" and event[2] == "":
        return TraceEvent("delete", event[1], None, event[3])
    return event


def _without_value(change: LogEvent) -> LogEvent:
    return LogEvent("delete", change[1]) if change[0] == "delete" else change


class CommittedLog:
    """What one store committed.

    Attributes:
        changes: all changes in order; the index is the position.
        revisions: the revision of each position.
        inside: one byte a position: 1 where the change belongs to the subscription.
        whole: False if keys may have existed before the log begins that were not recorded.
    """

    def __init__(
        self, log: Sequence[Revision], subscription: Filter, initial: Mapping[str, str] | None, *, whole: bool
    ) -> None:
        # Two flat lists of what is there already: making an event for each change would take longer than judging it.
        self.changes = [
            change if change[2] else _without_value(change) for entry in log for change in entry.events
        ]
        self.revisions = [entry.revision for entry in log for _ in entry.events]
        self.whole = whole or initial is not None
        self._filter = subscription
        self._initial = {key: value for key, value in (initial or {}).items() if subscription.matches(key)}
        matches = subscription.matches
        self.inside = bytearray([matches(change[1]) for change in self.changes])
        self._by_event: dict[TraceEvent, list[int]] | None = None
        self._by_change: dict[LogEvent, list[int]] | None = None
        self._by_key: dict[str, list[int]] | None = None
        self._alive: list[int] = []

    def covers(self, key: str) -> bool:
        """Whether a key belongs to the subscription."""
        return self._filter.matches(key)

    def value_at(self, key: str, position: int) -> str | None:
        """What the change at a position made of its key, None if it deleted it; below 0: what the key was initially."""
        if position < 0:
            return self._initial.get(key)
        kind, _, value = self.changes[position]
        return value if kind == "put" else None

    def known_keys(self) -> Collection[str]:
        """The keys of the subscription that the log has changes of."""
        return self._histories().keys()

    def event(self, position: int) -> TraceEvent:
        """The change at a position, with its revision."""
        return TraceEvent(*self.changes[position], self.revisions[position])

    def shared(self, position: int) -> bool:
        """Whether other changes belong to the same revision."""
        revisions = self.revisions
        revision = revisions[position]
        after = position + 1
        return (position > 0 and revisions[position - 1] == revision) or (
            after < len(revisions) and revisions[after] == revision
        )

    def end_of(self, revision: int) -> int:
        """The position just after everything at or below this revision."""
        return bisect_right(self.revisions, revision)

    def positions(self, event: TraceEvent) -> Sequence[int]:
        """Where the log has exactly this change. More than once only if one revision repeats it."""
        start = bisect_left(self.revisions, event[3])
        end = bisect_right(self.revisions, event[3], start)
        if end - start <= _FEW:
            change = event[:3]
            return [position for position in range(start, end) if self.changes[position] == change]
        if self._by_event is None:
            self._by_event = {}
            for position in range(len(self.changes)):
                self._by_event.setdefault(self.event(position), []).append(position)
        return self._by_event.get(event, ())

    def positions_of_change(self, change: LogEvent) -> Sequence[int]:
        """Where the log says this of a key, in any revision."""
        if self._by_change is None:
            self._by_change = {}
            for position, one in enumerate(self.changes):
                self._by_change.setdefault(one, []).append(position)
        return self._by_change.get(change if change[2] else _without_value(change), ())

    def at_revision(self, revision: int, most: int) -> Sequence[TraceEvent]:
        """The first changes of one revision."""
        start, end = self.end_of(revision - 1), self.end_of(revision)
        return [self.event(position) for position in range(start, min(end, start + most))]

    def last_change(self, key: str, end: int) -> int:
        """The position of the last change of a key of the subscription below ``end``, or -1."""
        history = self._histories().get(key, ())
        index = bisect_right(history, end - 1)
        return history[index - 1] if index else -1

    def next_change(self, key: str, position: int) -> int | None:
        """The position of the first change of a key of the subscription behind a position; None if there is none."""
        history = self._histories().get(key, ())
        index = bisect_right(history, position)
        return history[index] if index < len(history) else None

    def snapshot_differs(self, revision: int, kvs: Mapping[str, str], *, search: bool) -> str | None:
        """What is wrong with a snapshot, in words, or None if it is the state at its revision.

        With ``search`` false a key that is missing from the snapshot is not named, which takes as long as the
        log has keys. Keys outside the subscription do not belong into a snapshot of it.
        """
        by_key = self._histories()
        end = self.end_of(revision)
        known = 0
        for key, value in kvs.items():
            if not self._filter.matches(key):
                return f"it holds {key!r}, which is outside the subscription"
            history = by_key.get(key, ())
            index = bisect_right(history, end - 1)
            if index:
                last = self.event(history[index - 1])
                if last[0] == "delete":
                    return f"it holds {key!r}, which was deleted in revision {last[3]}"
                if last[2] != value:
                    return f"it says {key!r} is {value!r}, and revision {last[3]} made it {last[2]!r}"
                known += 1
            elif key in self._initial:
                if self._initial[key] != value:
                    return f"it says {key!r} is {value!r}, and it was {self._initial[key]!r} from the start"
                known += 1
            elif self.whole:
                return f"it holds {key!r}, which did not exist at revision {revision}"
        alive = self._alive[end - 1] if end else len(self._initial)
        if known == alive:
            return None
        if not search:
            return "a key is missing from it"
        return self._name_missing(end, kvs)

    def _name_missing(self, end: int, kvs: Mapping[str, str]) -> str:
        for key, history in self._histories().items():
            index = bisect_right(history, end - 1)
            if key not in kvs and index and self.changes[history[index - 1]][0] == "put":
                return f"{key!r} is missing from it, written in revision {self.revisions[history[index - 1]]}"
        return f"{next(key for key in self._initial if key not in kvs)!r} is missing from it, there from the start"

    def _histories(self) -> dict[str, list[int]]:
        if self._by_key is None:
            self._by_key = {}
            alive = set(self._initial)
            for position, (kind, key, _) in enumerate(self.changes):
                if self.inside[position]:
                    self._by_key.setdefault(key, []).append(position)
                    if kind == "put":
                        alive.add(key)
                    else:
                        alive.discard(key)
                self._alive.append(len(alive))
        return self._by_key
