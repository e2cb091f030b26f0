"""The judge of ``latest-per-key``: of each key the latest state arrives, and between keys there is no order.

What a subscriber *has* of a key is the state that was last delivered of it, by a change or by a snapshot; before that,
the state where the subscription began. A key that was never shown and is gone leaves it with nothing that is wrong:
a subscriber that reads the state first, and is to be held to it, delivers it as a snapshot. The rules:

complete      Quiet at the end, and what the subscriber has of a key is not what the store has. States are compared by
              value: whoever has the right one needs not hear of it again, and whoever never heard of a key need not
              hear that it is gone.
ordered       What came is an older state of its key than the subscriber had by a delivery, or, of a snapshot, than the
              state where the subscription began.
before_start  A change came that had been superseded where the subscription began. The state there may be delivered.
bookmarkable  A bookmark at R, and what the subscriber has of a key is older than its state at R, and different.
resync        A snapshot with a revision is not the state there. One without holds a key outside the subscription, or a
              key in a state that it never had: its keys may have been read one after another.
filter        A change of a key outside the subscription was delivered; it is judged by nothing else.
phantom       The log has no such change; it counts for nothing else. Without a revision, a key that was absent before
              the log begins may be delivered as deleted.

The same state may be delivered any number of times, states may be skipped, and one transaction may come in parts. A
snapshot needs no excuse.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.store_walk import phantom_words
from pytest_netfault.checks.trace import Delivered, Resynced, TraceEvent
from pytest_netfault.checks.trace_verdict import MAX_EVIDENCE

__all__ = ["LatestPerKeyWalk"]


class LatestPerKeyWalk:
    """A subscriber's stream beside the log of one store, key by key; arguments are those of ``StoreWalk``."""

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None:
        self.must_deliver = must_deliver
        self._placed = placed
        self._log = log
        self._findings = findings
        self._start = start
        earliest = start if placed.earliest_start is None else placed.earliest_start
        self._earliest_end = 0 if start is None or earliest is None else log.end_of(earliest)
        self._base_end = 0 if start is None else log.end_of(start)  # what no delivery said is the state there
        self._snapshot: int | None = (
            None  # the revision of the last one that showed it, which is then that base
        )
        self._has: dict[str, int] = {}  # key -> the position of the state that was last delivered
        self._in_snapshot: Mapping[str, str] = {}  # what the last one with a revision held
        self._walked = self._base_end  # up to here, ``_wanted`` has the last change of each key
        self._wanted: dict[str, int] = {}
        self._behind: dict[
            str, int
        ] = {}  # those of the wanted that the subscriber has not, in the order of arrival
        self._gaps: set[int] = set()  # positions that a bookmark has shown to be missing

    # -- what is asked at the end -------------------------------------------------------------------------

    def outstanding(self) -> list[TraceEvent]:
        """The last changes of the keys whose state the subscriber has not."""
        until = self._placed.trace.owed_until
        end = len(self._log.changes) if until is None else self._log.end_of(until)
        return [self._log.event(position) for position in self._missing_below(end)]

    def lost(self) -> list[TraceEvent]:
        """What a bookmark has shown to be missing and has not arrived since."""
        return [one for one in self.outstanding() if self._gaps.intersection(self._log.positions(one))]

    def absence(self, event: TraceEvent) -> str:
        """What became of a change that is missing at the end, in words."""
        value = self._log.value_at(event.key, self._state_of(event.key))
        has = "without the key" if value is None else f"with {value!r}"
        return f"had not arrived when all was quiet: the subscriber was left {has}"

    # -- one kind of item after the other -----------------------------------------------------------------

    def failed(self) -> None:
        """The subscriber was informed that it is no longer served."""
        self.must_deliver = False

    def delivered(self, index: int, item: Delivered) -> None:
        """Changes were delivered together."""
        places = self._placed.key_places.get(index)
        for number, event in enumerate(item.events):
            if places is not None:
                position = places[number]
            else:
                found = self._log.positions(as_event(event))
                position = found[-1] if found else None
            if position is None:
                enough = self._findings.counts.get("phantom", 0) >= MAX_EVIDENCE
                words, about = ("", event) if enough else phantom_words(self._placed, self._log, index, event)
                self._findings.add("phantom", index, about, words, key=event.key)
            elif not self._log.covers(event.key):
                words = f"came in item {index}, and its key is outside the subscription"
                self._findings.add("filter", index, event, words)
            else:
                self._arrived(index, event, position)

    def bookmarked(self, index: int, revision: int) -> None:
        """A bookmark came."""
        missing = self._missing_below(self._log.end_of(revision))
        if missing:
            self._gaps.update(missing)
            words = (
                f"had not arrived when item {index}, a bookmark, said that all up to {revision} was delivered"
            )
            self._findings.add("bookmarkable", index, self._log.event(missing[0]), words)

    def resynced(self, index: int, item: Resynced) -> None:
        """A snapshot came."""
        places = self._placed.key_snapshots.get(index)
        if places is None:
            self._resynced_at(index, item)
            return
        snapshot = f"the snapshot of item {index}"
        for key, position in places.items():
            state = f"says that {key!r} is {item.kvs[key]!r}" if key in item.kvs else f"is without {key!r}"
            if not self._log.covers(key):
                words = f"{snapshot} holds {key!r}, which is outside the subscription"
                self._findings.add("resync", index, None, words, key=key)
            elif position is None:
                words = f"{snapshot} {state}, and it never was"
                self._findings.add("resync", index, None, words, key=key)
            else:
                if position < self._oldest(key):
                    words = f"{snapshot} {state}, and the subscriber had a later state of it"
                    self._findings.add("ordered", index, None, words, key=key)
                self._has[key] = position
                self._look_again(key)

    def _resynced_at(self, index: int, item: Resynced) -> None:
        log, revision = self._log, item.revision
        snapshot = f"the snapshot of item {index}, at revision {revision},"
        search = self._findings.counts.get("resync", 0) < MAX_EVIDENCE
        difference = log.snapshot_differs(revision, item.kvs, search=search)
        if difference is not None:
            words = f"{snapshot} is not the state at it: {difference}"
            self._findings.add("resync", index, revision, words)
        end = log.end_of(revision)
        known = {*self._has, *(log.changes[one].key for one in range(end, self._floor) if log.inside[one])}
        back = next((key for key in known if log.last_change(key, end) < self._oldest(key)), None)
        if back is not None:
            words = f"{snapshot} has an older state of {back!r} than the subscriber had"
            self._findings.add("ordered", index, revision, words)
        self._snapshot, self._base_end = revision, end
        self._in_snapshot = item.kvs
        self._has.clear()
        self._wanted.clear()
        self._behind.clear()
        self._walked = end  # which may be back: then what follows is walked over once more

    # -- a key --------------------------------------------------------------------------------------------

    def _arrived(self, index: int, event: TraceEvent, position: int) -> None:
        key = event.key
        came = f"came in item {index}"
        if position < self._log.last_change(key, self._earliest_end):
            words = (
                f"{came}, and had been superseded when the subscription began, after revision {self._start}"
            )
            self._findings.add("before_start", index, event, words)
        if key in self._has and position < self._has[key]:
            later = self._log.revisions[self._has[key]]
            self._findings.add("ordered", index, event, f"{came}, after revision {later} of the same key")
        elif key not in self._has and self._snapshot is not None and position < self._state_of(key):
            words = f"{came}, after a snapshot at revision {self._snapshot}"
            self._findings.add("ordered", index, event, words)
        self._has[key] = position
        self._look_again(key)

    @property
    def _floor(self) -> int:
        """Nothing below this position may be gone back to, whatever was delivered."""
        return self._earliest_end if self._snapshot is None else self._base_end

    def _oldest(self, key: str) -> int:
        """The oldest state of a key that a snapshot may show now."""
        return self._has.get(key, self._log.last_change(key, self._floor))

    def _state_of(self, key: str) -> int:
        """The position of what the subscriber has of a key."""
        return self._has.get(key, self._log.last_change(key, self._base_end))

    def _is_behind(self, key: str, wanted: int) -> bool:
        has, value = self._state_of(key), self._log.value_at(key, wanted)
        if value is None and key not in self._has and key not in self._in_snapshot:
            return False  # gone, and never shown
        return has < wanted and ((has < 0 and not self._log.whole) or self._log.value_at(key, has) != value)

    def _look_again(self, key: str) -> None:
        wanted = self._wanted.get(key, self._log.last_change(key, self._walked))
        if self._is_behind(key, wanted):
            self._behind[key] = wanted
        else:
            self._behind.pop(key, None)

    def _missing_below(self, end: int) -> list[int]:
        """The last change below a position of each key of which the subscriber has an older state."""
        log = self._log
        if end < self._walked:  # rare: a bookmark below an earlier one
            wanted = {key: log.last_change(key, end) for key in log.known_keys()}
            return sorted(place for key, place in wanted.items() if self._is_behind(key, place))
        for position in range(self._walked, end):
            if log.inside[position]:
                key = log.changes[position].key
                self._wanted[key] = position
                self._look_again(key)
        self._walked = end
        return sorted(self._behind.values())
