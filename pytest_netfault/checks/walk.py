"""The judge of a subscription: one walk over the stream of a trace, beside one store after the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pytest_netfault.checks.committed_log import CommittedLog
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.inferred_log import PROVABLE
from pytest_netfault.checks.placing import Placed, committed_log_of
from pytest_netfault.checks.store_walk import StoreWalk
from pytest_netfault.checks.trace import Bookmarked, Delivered, Failed, Resynced, Revision, TraceEvent
from pytest_netfault.checks.trace_verdict import GUARANTEES, TraceVerdict
from pytest_netfault.checks.unordered import UnorderedStoreWalk

__all__ = ["judge_placed"]


def judge_placed(placed: Placed) -> TraceVerdict:
    """The verdict on the subscription of a trace that leaves nothing open."""
    return _Walk(placed).judge()


class _Walk:
    def __init__(self, placed: Placed) -> None:
        trace = self._trace = placed.trace
        self._placed = placed
        inferred = placed.hiding is not None
        self._findings = Findings(placed.recorded.name_of, PROVABLE if inferred else GUARANTEES)
        self._lost: list[TraceEvent] = []
        borders = [0, *(one.after_entry for one in trace.replacements), len(trace.log)]
        self._logs = [trace.log[start:end] for start, end in itertools.pairwise(borders)]
        self._number = 0
        self._store = (UnorderedStoreWalk if inferred else StoreWalk)(
            placed,
            committed_log_of(trace, self._logs[0]),
            self._findings,
            trace.start_revision_exclusive,
            must_deliver=True,
        )

    def judge(self) -> TraceVerdict:
        for index, item in enumerate(self._trace.stream):
            if isinstance(item, Delivered):
                self._store.delivered(index, item)
            elif isinstance(item, Bookmarked):
                self._store.bookmarked(index, item.revision)
            elif isinstance(item, Resynced):
                self._adopt_replacement(index)
                self._store.resynced(index, item)
            elif isinstance(item, Failed):
                self._store.failed()
        open_tail = self._finish()
        counts = self._findings.counts
        broken = tuple(name for name in GUARANTEES if name in counts)
        return TraceVerdict(
            self._trace.id,
            broken,
            tuple(self._findings.evidence),
            {name: counts[name] for name in broken},
            tuple(self._lost),
            open_tail,
            trace=self._trace,
            log=self._placed.log,
            inconclusive=self._trace.inconclusive,
        )

    def _adopt_replacement(self, index: int) -> None:
        """Go over to the store that had replaced the judged one by now, if one had."""
        number = self._number
        replacements = self._trace.replacements
        while number < len(replacements) and replacements[number].after_item <= index:
            number += 1
        if number != self._number:
            self._number = number
            self._lost += self._store.lost()
            log = self._whole(self._logs[number])
            must_deliver = self._store.must_deliver
            self._store = StoreWalk(self._placed, log, self._findings, None, must_deliver=must_deliver)

    def _whole(self, log: Sequence[Revision]) -> CommittedLog:
        return CommittedLog(log, self._trace.filter, {}, whole=True)

    def _finish(self) -> int:
        """Judge what is missing at the end; return how much of it must not be called a loss."""
        missing = self._store.outstanding()
        if self._number + 1 < len(self._logs):
            # The store was replaced and the subscriber never got to see the new one.
            unseen = self._whole(self._logs[-1])
            missing = [
                unseen.event(position) for position in range(len(unseen.changes)) if unseen.inside[position]
            ]
        if self._trace.quiet_at_end and self._store.must_deliver:
            self._lost += missing
            for event in missing:
                self._findings.add("complete", None, event, "had not arrived when all was quiet")
            return 0
        known = self._store.lost()
        self._lost += known
        return max(0, len(missing) - len(known)) if self._store.must_deliver else 0
