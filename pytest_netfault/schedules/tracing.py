"""From what was recorded to the trace that is judged.

Rules of this file: pure functions. The log is the truth; a client that shows no revisions is given those of the log.

A client may subscribe while an older write of its own is still under way. The kit knows the store's revision before
the call and after it, and what was committed in between may come or not: the start is put where the client says
that it is, within these bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from pytest_netfault.checks.trace import (
    Bookmarked,
    Compaction,
    Delivered,
    Failed,
    Filter,
    LogEvent,
    Promise,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
)
from pytest_netfault.schedules.subject import Delivery, Event, Resync

__all__ = ["Decode", "build_trace", "decode_utf8", "read_log"]

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


def build_trace(
    *,
    name: str,
    promise: Promise,
    namespace: str,
    log: tuple[Revision, ...],
    handed: Sequence[Delivery],
    started: tuple[int, int],
    until: int,
    compactions: Sequence[Compaction],
    quiet: bool,
) -> Trace:
    """The trace of one run.

    Args:
        name: for reports.
        promise: what the subscriber was promised.
        namespace: such as ``r0000000017``; the subscription is everything below it.
        log: the run's part of the log, read after ``handed`` was taken.
        handed: what the subscriber was handed.
        started: the store's revision before and after ``subscribe``.
        until: the revision up to which the subscriber was waited for. What the log has above it counts only if the
            subscriber got that far: a write whose reply was cut may be committed at any moment, also at the last.
        compactions: what was compacted, and after how many deliveries.
        quiet: whether the run ended because nothing more was to come, or was stopped before.
    """
    prefix = f"{namespace}."
    skipping = promise == "latest-value"
    stream = tuple(_with_revisions(handed, log, prefix, skipping=skipping))
    reached = max([until, *(_revisions(stream))])
    if skipping:
        log = _told_apart(log, handed, stream, reached)
    return Trace(
        id=name,
        promise=promise,
        filter=Filter(prefix, prefix=True),
        start_revision_exclusive=_start(stream, started),
        log=tuple(entry for entry in log if entry.revision <= reached),
        stream=stream,
        quiet_at_end=quiet,
        compactions=tuple(compactions),
        initial={},
    )


def _revisions(stream: Iterable[StreamItem]) -> Iterable[int]:
    for item in stream:
        if isinstance(item, Delivered):
            yield from (event.revision for event in item.events)
        elif isinstance(item, (Bookmarked, Resynced)):
            yield item.revision


def _start(stream: Sequence[StreamItem], started: tuple[int, int]) -> int:
    before, after = started
    for item in stream:
        if isinstance(item, Resynced):
            return max(before, min(after, item.revision))
        if isinstance(item, Delivered) and item.events:
            return max(before, min(after, item.events[0].revision - 1))
    return after


def _told_apart(
    log: Sequence[Revision], handed: Sequence[Delivery], stream: Sequence[StreamItem], reached: int
) -> tuple[Revision, ...]:
    """The log without what a client that may skip, and shows no revisions, cannot be seen to have skipped.

    Was a key put to 1, to 2 and to 1 again, and the last that such a client said of it is 1, then that is right: which
    of the two it meant nobody can tell.
    """
    said: dict[str, TraceEvent] = {}  # the last of each key, if it came without a revision
    floor = 0  # what a snapshot has told is told
    for delivery, item in zip(handed, stream, strict=True):
        if isinstance(item, Resynced):
            said.clear()
            floor = item.revision
        elif isinstance(item, Delivered):
            for event, matched in zip(delivery.events or (), item.events, strict=True):
                said.pop(event.key, None)
                if event.revision is None and matched.revision > floor:
                    said[event.key] = matched
    last = {event.key: event for entry in log if entry.revision <= reached for event in entry.events}
    same = {
        key: one.revision
        for key, one in said.items()
        if key in last and (last[key].type, last[key].value) == (one.type, one.value)
    }
    kept = (
        Revision(
            entry.revision, tuple(one for one in entry.events if entry.revision <= same.get(one.key, reached))
        )
        for entry in log
    )
    return tuple(entry for entry in kept if entry.events)


def _with_revisions(
    handed: Sequence[Delivery], log: Sequence[Revision], prefix: str, *, skipping: bool
) -> Iterable[StreamItem]:
    matching = _Matching(log, prefix, skipping=skipping)
    for delivery in handed:
        if delivery.events is not None:
            yield Delivered(tuple(matching.event(event) for event in delivery.events))
        elif delivery.bookmark is not None:
            yield Bookmarked(delivery.bookmark)
        elif delivery.resync is not None:
            yield Resynced(matching.snapshot(delivery.resync), dict(delivery.resync.kvs))
        else:
            yield Failed(delivery.error or "")


class _Matching:
    """Gives revisions to what came without: a change is the next one in the log that says the same of its key.

    If all that say the same were handed over already, it is the last of them once more. If the log never said so, it
    gets a revision that no log has, and is judged a phantom. A client that may skip is not taken to go back where it
    need not have.
    """

    def __init__(self, log: Sequence[Revision], prefix: str, *, skipping: bool) -> None:
        self._log = log
        self._prefix = prefix
        self._skipping = skipping
        self._known: dict[tuple[str, str | None], list[int]] = {}
        for entry in log:
            for event in entry.events:
                value = None if event.type == "delete" else event.value
                self._known.setdefault((event.key, value), []).append(entry.revision)
        self._taken: dict[tuple[str, str | None], int] = {}
        self._newest = 0

    def event(self, event: Event) -> TraceEvent:
        kind: Any = "delete" if event.value is None else "put"
        if event.revision is not None:
            self._newest = max(self._newest, event.revision)
            return TraceEvent(kind, event.key, event.value, event.revision)
        said = (event.key, event.value)
        revisions = self._known.get(said, ())
        taken = self._taken.get(said, 0)
        while self._skipping and taken < len(revisions) and revisions[taken] < self._newest:
            taken += 1
        self._taken[said] = taken + 1
        if not revisions:
            return TraceEvent(kind, event.key, event.value, 0)
        revision = revisions[min(taken, len(revisions) - 1)]
        self._newest = max(self._newest, revision)
        return TraceEvent(kind, event.key, event.value, revision)

    def snapshot(self, told: Resync) -> int:
        """The newest revision at which the state was this; if there is none, the newest that was handed over."""
        if told.revision is not None:
            self._newest = max(self._newest, told.revision)
            return told.revision
        kvs = told.kvs
        state: dict[str, str] = {}
        found = None if kvs else self._newest
        for entry in self._log:
            for event in entry.events:
                if event.key.startswith(self._prefix):
                    if event.type == "delete" or event.value is None:
                        state.pop(event.key, None)
                    else:
                        state[event.key] = event.value
            if state == kvs and entry.revision >= self._newest:
                found = entry.revision
        self._newest = self._newest if found is None else found
        return self._newest
