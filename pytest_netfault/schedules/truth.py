"""Where the truth of a run comes from: the server's log, or, for a store that has none, what writers were told.

A store with a log and revisions is held to every guarantee. A store without (a server that has neither ``revision()``
nor ``log()``) is held to what acknowledgements can prove, and what the store holds if its server can ``read(prefix)``:
what was made while there was a subscription must arrive (``complete``), nothing may arrive that nobody wrote or that
was rejected (``phantom``, ``filter``), and in the end the store must not hold what was overwritten or rejected
(``writes.lost``, ``writes.phantom``). What is missing there is known only when things are at rest, and order, repeats
and snapshots are not judged: nobody knows in which order two writes took effect, of which one waited for its answer.

Rules of this file: the truth is asked, never waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pytest_netfault.checks.guarantees import Guarantee, TraceVerdict, judge_trace
from pytest_netfault.checks.trace import Promise, Revision, Trace
from pytest_netfault.schedules.journal import Held, journal, judge_held
from pytest_netfault.schedules.outcomes import WriteBreakage, judge_writes
from pytest_netfault.schedules.recording import WriteRecord
from pytest_netfault.schedules.subject import Delivery, Event, Resync
from pytest_netfault.schedules.tracing import Decode, read_log

__all__ = ["Journal", "ServerLog", "Truth", "has_log"]

_PROVABLE: frozenset[Guarantee] = frozenset(("complete", "phantom", "filter"))


class Truth(Protocol):
    """What the runner asks."""

    def revision(self) -> int:
        """The store's revision; every write that was acknowledged before is at or below it."""

    def log(self, namespace: str, decode: Decode, handed: Sequence[Delivery]) -> tuple[Revision, ...]:
        """What was committed in a name space since the run began."""

    def judges(self, delivery: Delivery) -> bool:
        """Whether a delivery can be judged at all; those that cannot are not in the trace."""

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

    def judges(self, delivery: Delivery) -> bool:
        return True

    def shown(self, handed: Sequence[Delivery]) -> Sequence[Delivery]:
        return handed

    def judge(self, trace: Trace) -> TraceVerdict:
        return judge_trace(trace)

    def judge_writes(
        self, writes: Sequence[WriteRecord], log: Sequence[Revision]
    ) -> tuple[WriteBreakage, ...]:
        return judge_writes(writes, log)


class Journal:
    """The truth from what writers were told, and from the store's state where it can be read.

    Args:
        writes: what became of the writes so far.
        server: its ``read(prefix)`` gives every key below a prefix with its value, if it has one.
        prefix: what the subscription covers.
        promise: what the subscriber was promised.
    """

    def __init__(
        self, writes: Callable[[], Sequence[WriteRecord]], server: Any, prefix: str, promise: Promise
    ) -> None:
        self._writes = writes
        self._promise = promise
        self._read: Callable[[str], object] | None = getattr(server, "read", None)
        self._prefix = prefix
        self._held: Held | None = None

    def revision(self) -> int:
        # Here, before the stream is looked at: a write that takes effect later is nobody's debt yet.
        self._held = self._look()
        return 1 + len(self._writes())

    def log(self, namespace: str, decode: Decode, handed: Sequence[Delivery]) -> tuple[Revision, ...]:
        return journal(self._writes(), handed, self._held, self._promise)

    def judges(self, delivery: Delivery) -> bool:
        return delivery.bookmark is None

    def shown(self, handed: Sequence[Delivery]) -> Sequence[Delivery]:
        return [_without_revisions(one) for one in handed if self.judges(one)]

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
        # The log is made of what writers were told: only the store can contradict them.
        held = self._look()
        return () if held is None else judge_held(writes, held)

    def _look(self) -> Held | None:
        if self._read is None:
            return None
        state = self._read(self._prefix)
        if not isinstance(state, Mapping) or not all(
            isinstance(one, str) for change in state.items() for one in change
        ):
            raise TypeError(
                f"server.read({self._prefix!r}) must return a mapping of keys to values, all of them strings, "
                f"not {state!r:.200}"
            )
        written = {
            key for write in self._writes() for key, _ in write.changes if key.startswith(self._prefix)
        }
        return {key: state.get(key) for key in sorted(written)}


def _without_revisions(delivery: Delivery) -> Delivery:
    if delivery.events is not None:
        return Delivery(events=tuple(Event(event.key, event.value) for event in delivery.events))
    if delivery.resync is not None:
        return Delivery(resync=Resync(None, delivery.resync.kvs))
    return delivery
