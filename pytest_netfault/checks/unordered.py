"""The judge of a subscription to a store that keeps no log.

Its log was inferred from acknowledgements (``inferred_log.py`` says what such a log proves). What is missing is known
only when things are at rest, so that nothing is ``reliable``, and a gap is nothing but something that has not come yet.

Rules of this file: what is not owed is decided before (``placing.py``). To a client that may skip, what a snapshot says
about a key counts for the changes of that key which it may have hidden; where it stands is not asked.
"""

from __future__ import annotations

from pytest_netfault.checks.inferred_log import PROVABLE
from pytest_netfault.checks.placing import Placed
from pytest_netfault.checks.trace import Resynced, TraceEvent
from pytest_netfault.checks.verdicts import Guarantee
from pytest_netfault.checks.walk import Walk

__all__ = ["UnorderedWalk"]


class UnorderedWalk(Walk):
    """One walk over one stream, without regard to its order."""

    def __init__(self, placed: Placed) -> None:
        super().__init__(placed)
        for position, revision in enumerate(self._truth.revisions):
            if (revision, self._truth.changes[position].key) in placed.not_owed:
                self._duty.told(position)

    def _broke(
        self,
        guarantee: Guarantee,
        item: int | None,
        about: TraceEvent | int | None,
        words: str,
        key: str | None = None,
    ) -> None:
        if guarantee in PROVABLE:
            super()._broke(guarantee, item, about, words, key)

    def _look_for_gaps(self, index: int, furthest: int) -> None:
        pass

    def _bookmarked(self, index: int, revision: int) -> None:
        pass

    def _resynced(self, index: int, item: Resynced) -> None:
        if self._trace.promise == "every-event":
            return  # what it may skip is not owed
        hiding, truth = self._placed.hiding, self._truth
        assert hiding is not None
        for position, (_, key, _) in enumerate(truth.changes):
            if truth.inside[position] and hiding.hides(item.kvs, truth.revisions[position], key):
                self._duty.told(position)
