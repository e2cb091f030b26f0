"""The judge of a subscription to a store that keeps no log.

Its log was inferred from acknowledgements (``inferred_log.py`` says what such a log proves). What is missing is known
only when things are at rest, so that nothing is ``reliable``, and a gap is only something that has not come yet.

``latest-per-key`` is judged key by key (``unordered_per_key.py``).

What need not arrive is decided before (``placing.py``). To a client that may skip, what a snapshot shows of a key
discharges the changes of that key which it may have hidden; the place of the snapshot in the log does not matter.
"""

from __future__ import annotations

from pytest_netfault.checks.committed_log import CommittedLog
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.store_walk import StoreWalk
from pytest_netfault.checks.trace import Resynced

__all__ = ["UnorderedStoreWalk"]


class UnorderedStoreWalk(StoreWalk):
    """A subscriber's stream beside an inferred log, without regard to its order."""

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None:
        super().__init__(placed, log, findings, start, must_deliver=must_deliver)
        for position, revision in enumerate(log.revisions):
            if (revision, log.changes[position].key) in placed.excused:
                self._obligations.arrived(position)

    def _look_for_gaps(self, index: int, furthest: int) -> None:
        pass

    def bookmarked(self, index: int, revision: int) -> None:
        """Nothing is known of the order that a bookmark is about."""

    def resynced(self, index: int, item: Resynced) -> None:
        """What the snapshot shows discharges what it may have hidden."""
        if self._placed.trace.promise == "every-event":
            return  # what it may skip is excused already
        hiding, log = self._placed.hiding, self._log
        assert hiding is not None
        for position, (_, key, _) in enumerate(log.changes):
            if log.inside[position] and hiding.hides(item.kvs, log.revisions[position], key):
                self._obligations.arrived(position)
