"""The judge of ``latest-per-key`` for a store that keeps no log.

What the subscriber has of a key is what was said of it last, by value; ``per_key.py`` has the rules. The order in which
concurrent writes took effect is unknown, so that a key which was never shown has the benefit of the doubt twice: it may
be gone, and it may be what it was where the subscription began.
"""

from __future__ import annotations

from collections.abc import Mapping

from pytest_netfault.checks.committed_log import CommittedLog, as_event
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.paths import earliest_start
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.trace import Delivered, Resynced, TraceEvent
from pytest_netfault.checks.unordered import UnorderedStoreWalk
from pytest_netfault.checks.writes import Acknowledgement, surely_before

__all__ = ["UnorderedPerKeyWalk"]


class UnorderedPerKeyWalk(UnorderedStoreWalk):
    """A subscriber's stream beside an inferred log, key by key."""

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None:
        super().__init__(placed, log, findings, start, must_deliver=must_deliver)
        self._said: dict[str, str | None] = {}  # what changes said of a key since the last snapshot
        self._state: Mapping[str, str] | None = None  # what that snapshot held
        self._writes = placed.recorded.writes or ()

    def delivered(self, index: int, item: Delivered) -> None:
        """Changes were delivered together."""
        super().delivered(index, item)
        for event in map(as_event, item.events):
            if self._log.positions(event) or self._is_not_yet_there(event):
                self._said[event.key] = event.value

    def resynced(self, index: int, item: Resynced) -> None:
        """A snapshot says something of every key."""
        self._said.clear()
        self._state = item.kvs

    def outstanding(self) -> list[TraceEvent]:
        """The last changes of the keys whose state the subscriber has not."""
        log = self._log
        last = (log.last_change(key, len(log.changes)) for key in log.known_keys())
        return [log.event(one) for one in sorted(last) if one >= self._start_end and self._is_missing(one)]

    def _phantom(self, index: int, event: TraceEvent) -> None:
        if not self._is_not_yet_there(event):
            super()._phantom(index, event)

    def _is_not_yet_there(self, event: TraceEvent) -> bool:
        """Whether a delete may speak of a key as it was before everything."""
        log, key = self._log, event.key
        return event.type == "delete" and log.covers(key) and log.whole and log.value_at(key, -1) is None

    def _is_missing(self, position: int) -> bool:
        key, revision = self._log.changes[position].key, self._log.revisions[position]
        value = self._log.value_at(key, position)
        if key in self._said:
            return self._said[key] != value
        if (revision, key) in self._placed.excused:
            return False
        if self._state is not None:
            assert self._placed.hiding is not None
            return not self._placed.hiding.hides(self._state, revision, key)
        return value is not None and not self._may_be_gone(key, value) and not self._may_be_old(key, value)

    def _may_be_gone(self, key: str, value: str) -> bool:
        """Whether the store may have no such key any more, although a put of this value is its last certain change."""
        held = self._placed.recorded.held or {}
        if key in held and held[key] is None:
            return True
        makers = self._makers(key, value)
        return any(
            (key, None) in write.changes
            and (write.outcome == "info" or (write.outcome == "ok" and key not in held))
            and not all(surely_before(write, maker) for maker in makers)
            for write in self._writes
        )

    def _may_be_old(self, key: str, value: str) -> bool:
        """Whether the key may have had this value where the subscription began.

        It had not if another change to the key had certainly been made by then: one that was acknowledged before a
        write began that was itself issued before the subscription. (When the subscription began is not recorded.)
        """
        trace = self._placed.recorded
        before = self._writes[: max(earliest_start(trace) - 1, 0)]
        known = [
            write
            for write in before
            if any(name == key for name, _ in write.changes)
            and any(surely_before(write, later) for later in before)
        ]
        if self._log.value_at(key, -1) == value and not known:
            return True
        at_the_start = self._writes[: max(trace.start_revision_exclusive - 1, 0)]
        return any(
            not any(surely_before(maker, write) for write in known)
            for maker in self._makers(key, value)
            if any(maker is write for write in at_the_start)
        )

    def _makers(self, key: str, value: str) -> list[Acknowledgement]:
        return [one for one in self._writes if (key, value) in one.changes and one.outcome != "fail"]
