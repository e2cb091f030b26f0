"""Small words for building traces, so that a case fits on a line or two.

>>> trace = case("2:a=1 3:b=2,c=3 4:-a", ["2a", "3b 3c", "4a"])

The log is revisions with their changes, ``-a`` deletes a. A string in the stream is one delivery; each word names
a change of the log by its revision and key, ``2a=9`` tells a value that the log does not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_netfault.checks.trace import (
    Compaction,
    Delivered,
    Filter,
    LogEvent,
    Resynced,
    Revision,
    StreamItem,
    Trace,
    TraceEvent,
)


def _log(text: str) -> tuple[Revision, ...]:
    entries = []
    for word in text.split():
        number, _, changes = word.partition(":")
        events = []
        for change in changes.split(","):
            if change.startswith("-"):
                events.append(LogEvent("delete", change[1:]))
            else:
                key, _, value = change.partition("=")
                events.append(LogEvent("put", key, value))
        entries.append(Revision(int(number), tuple(events)))
    return tuple(entries)


def _delivery(text: str, log: tuple[Revision, ...]) -> Delivered:
    events = []
    for word in text.split():
        name, _, told = word.partition("=")
        digits = len(name) - len(name.lstrip("0123456789"))
        revision, key = int(name[:digits]), name[digits:]
        event = next(
            (e for entry in log if entry.revision == revision for e in entry.events if e.key == key),
            LogEvent("put", key, "?"),
        )
        value = told or event.value
        events.append(TraceEvent(event.type, key, value, revision))
    return Delivered(tuple(events))


@pytest.fixture(scope="session")
def case() -> Callable[..., Trace]:
    """Make a trace: ``case(log, stream, start=1, prefix="", promise=..., compactions=[(revision, after)])``."""

    def make(
        log: str,
        stream: list[str | StreamItem],
        *,
        start: int = 1,
        prefix: str = "",
        promise: Any = "every-event",
        compactions: tuple[tuple[int, int], ...] = (),
        quiet: bool = True,
        **more: Any,
    ) -> Trace:
        entries = _log(log)
        return Trace(
            promise,
            Filter(prefix),
            start,
            entries,
            tuple(_delivery(item, entries) if isinstance(item, str) else item for item in stream),
            quiet,
            tuple(Compaction(*one) for one in compactions),
            **more,
        )

    return make


@pytest.fixture(scope="session")
def resync() -> Callable[..., Resynced]:
    """Make a snapshot: ``resync(5, a="1")``."""
    return lambda revision, **kvs: Resynced(revision, kvs)
