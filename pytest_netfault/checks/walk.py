"""The judge of a subscription: one walk over the stream of a trace, beside one store after the other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Protocol

from pytest_netfault.checks.coming_back import ComesBackWalk
from pytest_netfault.checks.committed_log import CommittedLog
from pytest_netfault.checks.findings import Findings
from pytest_netfault.checks.inferred_log import PROVABLE
from pytest_netfault.checks.per_key import LatestPerKeyWalk
from pytest_netfault.checks.placing import Placed, committed_log_of
from pytest_netfault.checks.promises import DECLARED
from pytest_netfault.checks.store_walk import StoreWalk
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Failed,
    Promise,
    Resynced,
    Revision,
    TraceEvent,
)
from pytest_netfault.checks.trace_verdict import GUARANTEES, TraceVerdict
from pytest_netfault.checks.unordered import UnorderedStoreWalk
from pytest_netfault.checks.unordered_per_key import UnorderedPerKeyWalk

__all__ = ["judge_placed"]


def judge_placed(placed: Placed) -> TraceVerdict:
    """The verdict on the subscription of a trace that leaves nothing open."""
    return _Walk(placed).judge()


class Walk(Protocol):
    """What is asked of the judge of one store; ``StoreWalk`` says what each member is."""

    must_deliver: bool

    def __init__(
        self, placed: Placed, log: CommittedLog, findings: Findings, start: int | None, *, must_deliver: bool
    ) -> None: ...
    def delivered(self, index: int, item: Delivered) -> None: ...
    def bookmarked(self, index: int, revision: int) -> None: ...
    def resynced(self, index: int, item: Resynced) -> None: ...
    def failed(self) -> None: ...
    def outstanding(self) -> list[TraceEvent]: ...
    def lost(self) -> list[TraceEvent]: ...
    def absence(self, event: TraceEvent) -> str: ...


def _walk_for(promise: Promise, *, inferred: bool) -> type[Walk]:
    if promise == "comes-back":
        return ComesBackWalk
    if promise == "latest-per-key":
        return UnorderedPerKeyWalk if inferred else LatestPerKeyWalk
    return UnorderedStoreWalk if inferred else StoreWalk


class _Walk:
    def __init__(self, placed: Placed) -> None:
        trace = self._trace = placed.trace
        self._placed = placed
        inferred = placed.hiding is not None
        judged = DECLARED[trace.promise].guarantees
        self._findings = Findings(
            placed.recorded.name_of, [one for one in judged if not inferred or one in PROVABLE]
        )
        self._lost: list[TraceEvent] = []
        borders = [0, *(one.after_entry for one in trace.replacements), len(trace.log)]
        self._logs = [trace.log[start:end] for start, end in itertools.pairwise(borders)]
        self._number = 0
        self._walk = _walk_for(trace.promise, inferred=inferred)
        self._store = self._walk(
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
            self._store = self._walk(self._placed, log, self._findings, None, must_deliver=must_deliver)

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
                self._findings.add("complete", None, event, self._store.absence(event))
            return 0
        known = self._store.lost()
        self._lost += known
        return max(0, len(missing) - len(known)) if self._store.must_deliver else 0
