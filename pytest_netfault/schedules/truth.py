"""Where the truth of a run comes from: the server's log, or, for a store that has none, what writers were told.

A store with a log and revisions is held to every guarantee. A store without (a server that has neither ``revision()``
nor ``log()``) is held to what acknowledgements can prove: what was acknowledged while there was a subscription must
arrive (``complete``), and nothing may arrive that nobody wrote or that was rejected (``phantom``, ``filter``). What is
missing there is known only when things are at rest, and order, repeats and snapshots are not judged: nobody knows in
which order two writes took effect, of which one waited for its answer.

Rules of this file: the truth is asked, never waited for. A write with an unknown outcome counts as made as soon as it
was handed over, and otherwise as not made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pytest_netfault.checks.guarantees import Guarantee, TraceVerdict, judge_trace
from pytest_netfault.checks.trace import LogEvent, Revision, Trace
from pytest_netfault.schedules.outcomes import WriteBreakage, judge_writes
from pytest_netfault.schedules.recording import WriteRecord
from pytest_netfault.schedules.subject import Delivery, Event, Resync
from pytest_netfault.schedules.tracing import Decode, read_log

__all__ = ["Journal", "ServerLog", "Truth", "has_log", "journal"]

_PROVABLE: frozenset[Guarantee] = frozenset(("complete", "phantom", "filter"))


class Truth(Protocol):
    """What the runner asks."""

    def revision(self) -> int:
        """The store's revision; every write that was acknowledged before is at or below it."""

    def log(self, namespace: str, decode: Decode, handed: Sequence[Delivery]) -> tuple[Revision, ...]:
        """What was committed in a name space since the run began."""

    def shown(self, handed: Sequence[Delivery]) -> Sequence[Delivery]:
        """What was handed over, as far as it can be judged."""

    def judge(self, trace: Trace) -> TraceVerdict:
        """What became of the guarantees."""

    def judge_writes(
        self, writes: Sequence[WriteRecord], log: Sequence[Revision]
    ) -> tuple[WriteBreakage, ...]:
        """What became of the promises to the writers."""


def has_log(server: object) -> bool:
    """Whether a server tells the truth itself."""
    return hasattr(server, "revision") or hasattr(server, "log")


class ServerLog:
    """The truth from the server's own log, over its own address."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._base: int = server.revision()

    def revision(self) -> int:
        revision: int = self._server.revision()
        return revision

    def log(self, namespace: str, decode: Decode, handed: Sequence[Delivery]) -> tuple[Revision, ...]:
        return read_log(self._server.log(self._base), namespace, decode)

    def shown(self, handed: Sequence[Delivery]) -> Sequence[Delivery]:
        return handed

    def judge(self, trace: Trace) -> TraceVerdict:
        return judge_trace(trace)

    def judge_writes(
        self, writes: Sequence[WriteRecord], log: Sequence[Revision]
    ) -> tuple[WriteBreakage, ...]:
        return judge_writes(writes, log)


class Journal:
    """The truth from what writers were told."""

    def __init__(self, writes: Callable[[], Sequence[WriteRecord]]) -> None:
        self._writes = writes

    def revision(self) -> int:
        return 1 + len(self._writes())

    def log(self, namespace: str, decode: Decode, handed: Sequence[Delivery]) -> tuple[Revision, ...]:
        return journal(self._writes(), handed)

    def shown(self, handed: Sequence[Delivery]) -> Sequence[Delivery]:
        return [_without_revisions(one) for one in handed if one.bookmark is None]

    def judge(self, trace: Trace) -> TraceVerdict:
        verdict = judge_trace(trace)
        return replace(
            verdict,
            broken=tuple(one for one in verdict.broken if one in _PROVABLE),
            evidence=tuple(one for one in verdict.evidence if one.guarantee in _PROVABLE),
            counts={one: count for one, count in verdict.counts.items() if one in _PROVABLE},
        )

    def judge_writes(
        self, writes: Sequence[WriteRecord], log: Sequence[Revision]
    ) -> tuple[WriteBreakage, ...]:
        return ()  # the journal is made of what writers were told: it cannot contradict them


def _without_revisions(delivery: Delivery) -> Delivery:
    if delivery.events is not None:
        return Delivery(events=tuple(Event(event.key, event.value) for event in delivery.events))
    if delivery.resync is not None:
        return Delivery(resync=Resync(None, delivery.resync.kvs))
    return delivery


def journal(writes: Sequence[WriteRecord], handed: Sequence[Delivery]) -> tuple[Revision, ...]:
    """The writes that were made, as far as anybody knows, numbered in the order in which they were issued.

    Surely made is what was acknowledged; a delete only if its key was surely there, for of one that finds nothing
    nobody is told. What may have been made counts as soon as it was handed over more often than surely made.
    """
    surely = _surely_made(writes)
    spare = Counter((event.key, event.value) for delivery in handed for event in delivery.events or ())
    spare.subtract(
        change
        for write, made in zip(writes, surely, strict=True)
        for change in write.changes
        if change in made
    )
    log = []
    for revision, (write, made) in enumerate(zip(writes, surely, strict=True), start=2):
        events = []
        for key, value in write.changes:
            counts = (key, value) in made
            if not counts and write.outcome != "fail" and spare[key, value] > 0:
                spare[key, value] -= 1
                counts = True
            if counts:
                events.append(LogEvent("delete" if value is None else "put", key, value))
        if events:
            log.append(Revision(revision, tuple(events)))
    return tuple(log)


def _surely_made(writes: Iterable[WriteRecord]) -> list[set[tuple[str, str | None]]]:
    there: dict[str, bool] = {}  # of a key that is not in it nobody knows
    surely = []
    for write in writes:
        made = set()
        for key, value in write.changes:
            if write.outcome == "ok":
                if value is not None or there.get(key, False):
                    made.add((key, value))
                there[key] = value is not None
            elif write.outcome == "info":
                there.pop(key, None)
        surely.append(made)
    return surely
