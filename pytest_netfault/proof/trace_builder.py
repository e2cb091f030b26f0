"""From what was recorded to the trace that is judged.

Nothing is decided here. What a client showed is recorded as it was shown, also where it shows no revisions; what that
means is for ``pytest_netfault.checks`` to say.

A client may subscribe while an older write of its own is still under way. The kit knows the store's revision before
the call and after it, and what was committed in between may come or not: both bounds are recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pytest_netfault.checks.placing import place
from pytest_netfault.checks.trace import (
    Bookmarked,
    Compaction,
    Delivered,
    Disturbance,
    Failed,
    Filter,
    LogEvent,
    LogSource,
    Promise,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)
from pytest_netfault.checks.writes import Acknowledgement, Held
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.store import Delivery, Event

__all__ = ["Decode", "build_trace", "decode_utf8", "read_log", "record_trace", "stream_of"]

Decode = Callable[[bytes, "bytes | None"], "tuple[str, str | None] | None"]


class Entry(Protocol):
    """One entry of a server's log, as the contract of ``server`` has it."""

    @property
    def revision(self) -> int: ...
    @property
    def events(self) -> Sequence[Any]: ...


def decode_utf8(key: bytes, value: bytes | None) -> tuple[str, str | None] | None:
    """The layout of a client that has none: keys and values as they are; None for what is not text.

    >>> decode_utf8(b"r17.a", b"1"), decode_utf8(b"\\xff", None)
    (('r17.a', '1'), None)
    """
    try:
        return key.decode(), None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def read_log(entries: Iterable[Entry], namespace: str, decode: Decode) -> tuple[Revision, ...]:
    """The part of a server's log that belongs to a run: its name space, and the neighbouring one."""
    log = []
    for entry in entries:
        events = []
        for event in entry.events:
            value = None if event.type == "delete" else event.value
            decoded = decode(event.key, value)
            if decoded is not None and decoded[0].startswith(namespace):
                events.append(LogEvent(event.type, decoded[0], None if value is None else decoded[1]))
        if events:
            log.append(Revision(entry.revision, tuple(events)))
    return tuple(log)


def record_trace(
    *,
    name: str,
    promise: Promise,
    namespace: str,
    log: tuple[Revision, ...],
    delivered: Sequence[Delivery],
    started: tuple[int, int],
    until: int,
    compactions: Sequence[Compaction],
    quiet: bool,
    log_from: LogSource = "server",
    writes: Sequence[WriteRecord] | None = None,
    held: Held | None = None,
    began: float = 0.0,
    disturbances: Sequence[Disturbance] | None = None,
) -> Trace:
    """The trace of one run, with everything that its verdict needs.

    Args:
        name: for reports.
        promise: what the subscriber was promised.
        namespace: such as ``r0000000017``; the subscription is everything below it.
        log: the run's part of the log, read after ``delivered`` was taken.
        delivered: what was delivered to the subscriber.
        started: the store's revision before and after ``subscribe``.
        until: the revision up to which the subscriber was waited for. What the log has above it counts only if the
            subscriber got that far: a write whose reply was cut may be committed at any moment, also at the last.
        compactions: what was compacted, and after how many deliveries.
        quiet: whether the run ended because nothing more was to come, or was stopped before.
        log_from: whether the log is the server's, or comes from acknowledgements.
        writes: the outcomes of writes when ``until`` was asked for.
        held: what the store held then, if somebody looked.
        began: when the run began; times of writes are counted from there.
        disturbances: the last ones, where the promise depends on them.
    """
    before, after = started
    return Trace(
        id=name,
        promise=promise,
        filter=Filter(f"{namespace}.", prefix=True),
        start_revision_exclusive=after,
        start_not_before=None if before >= after else before,
        owed_until=until,
        log=log,
        stream=stream_of(delivered),
        quiet_at_end=quiet,
        compactions=tuple(compactions),
        initial={},
        log_from=log_from,
        writes=None if writes is None else tuple(_write(write, began) for write in writes),
        held=held,
        disturbances=None if disturbances is None else tuple(disturbances),
    )


def build_trace(**recorded: Any) -> Trace:
    """The trace of one run as it is judged, with a revision for everything; takes what :func:`record_trace` takes."""
    return place(record_trace(**recorded)).trace


def _write(write: WriteRecord, began: float) -> Acknowledgement:
    begun, ended = (None if time is None else time - began for time in (write.begun, write.ended))
    return Acknowledgement(write.changes, write.outcome, begun, ended)


def stream_of(deliveries: Iterable[Delivery]) -> tuple[StreamItem, ...]:
    """What was delivered to a subscriber, as the items of a trace.

    >>> from pytest_netfault.store import Resync
    >>> stream_of([Delivery(bookmark=7), Delivery(resync=Resync(None, {}))])
    (Bookmarked(revision=7), UnplacedSnapshot(kvs={}))
    """
    return tuple(map(_item, deliveries))


def _item(delivery: Delivery) -> StreamItem:
    if delivery.events is not None:
        changes = tuple(map(_event, delivery.events))
        placed = tuple(event for event in changes if isinstance(event, TraceEvent))
        return Delivered(placed) if len(placed) == len(changes) else UnplacedDelivery(changes)
    if delivery.bookmark is not None:
        return Bookmarked(delivery.bookmark)
    if delivery.resync is not None:
        kvs = dict(delivery.resync.kvs)
        revision = delivery.resync.revision
        return UnplacedSnapshot(kvs) if revision is None else Resynced(revision, kvs)
    return Failed(delivery.error or "")


def _event(event: Event) -> TraceEvent | LogEvent:
    change = LogEvent("delete" if event.value is None else "put", event.key, event.value)
    return change if event.revision is None else TraceEvent(*change, event.revision)
