from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Failed,
    LogEvent,
    Resynced,
    Revision,
    TraceEvent,
)
from pytest_netfault.schedules.subject import Delivery, Event, Resync
from pytest_netfault.schedules.tracing import build_trace, decode_utf8, read_log

LOG = (
    Revision(5, (LogEvent("put", "r17.a", "1"),)),
    Revision(6, (LogEvent("put", "r17x.a", "9"),)),
    Revision(7, (LogEvent("put", "r17.a", "1"), LogEvent("put", "r17.b", "2"))),
    Revision(8, (LogEvent("delete", "r17.a"),)),
)


def trace(*handed: Delivery, started: tuple[int, int] = (4, 4), until: int = 8, log: Any = LOG) -> Any:
    return build_trace(
        name="test",
        promise="every-event",
        namespace="r17",
        log=log,
        handed=handed,
        started=started,
        until=until,
        compactions=(),
        quiet=True,
    )


def events(*said: tuple[str, str | None]) -> Delivery:
    return Delivery(events=tuple(Event(key, value) for key, value in said))


def test_the_log_is_read_by_the_layout_of_the_client() -> None:
    def decode(key: bytes, value: bytes | None) -> tuple[str, str | None] | None:
        if not key.startswith(b"/root/"):
            return None
        return key[6:].decode(), None if value is None else value.decode().upper()

    def entry(revision: int, kind: str, key: bytes, value: bytes | None) -> Any:
        return SimpleNamespace(revision=revision, events=[SimpleNamespace(type=kind, key=key, value=value)])

    entries = [
        entry(2, "put", b"/root/r17.a", b"x"),
        entry(3, "put", b"/other/r17.a", b"x"),
        entry(4, "delete", b"/root/r17x.a", b""),
        entry(5, "put", b"/root/r18.a", b"x"),
    ]
    assert read_log(entries, "r17", decode) == (
        Revision(2, (LogEvent("put", "r17.a", "X"),)),
        Revision(4, (LogEvent("delete", "r17x.a"),)),
    )
    assert read_log(entries, "r17", decode_utf8) == ()
    assert decode_utf8(b"\xff", None) is None
    assert decode_utf8(b"a", b"\xff") is None


def test_each_kind_of_delivery_becomes_its_item() -> None:
    made = trace(
        Delivery(resync=Resync(4, {})),
        Delivery(events=(Event("r17.a", "1", revision=5),)),
        Delivery(bookmark=6),
        Delivery(error="gone"),
    )
    assert made.stream == (
        Resynced(4, {}),
        Delivered((TraceEvent("put", "r17.a", "1", 5),)),
        Bookmarked(6),
        Failed("gone"),
    )


def test_a_client_without_revisions_gets_those_of_the_log() -> None:
    made = trace(events(("r17.a", "1")), events(("r17.a", "1"), ("r17.b", "2")), events(("r17.a", None)))
    assert [[one.revision for one in item.events] for item in made.stream] == [[5], [7, 7], [8]]
    assert judge_trace(made).verdict == "kept"


@pytest.mark.parametrize(
    ("handed", "broken"),
    [
        ([("r17.a", "1"), ("r17.b", "2"), ("r17.a", None)], {"reliable", "complete"}),
        ([("r17.a", "1"), ("r17.a", "1"), ("r17.a", "1"), ("r17.b", "2"), ("r17.a", None)], {"unique"}),
        ([("r17.a", "1"), ("r17.a", "7"), ("r17.a", "1"), ("r17.b", "2"), ("r17.a", None)], {"phantom"}),
        ([("r17.a", "1"), ("r17.b", "2"), ("r17.a", None), ("r17.a", "1")], {"ordered"}),
    ],
)
def test_without_revisions_the_judge_sees_as_much(handed: Any, broken: set[str]) -> None:
    verdict = judge_trace(trace(*(events(one) for one in handed)))
    assert broken <= set(verdict.broken)


def test_a_snapshot_without_a_revision_is_placed_where_the_state_was_so() -> None:
    made = trace(Delivery(resync=Resync(None, {"r17.a": "1", "r17.b": "2"})), events(("r17.a", None)))
    assert made.stream[0].revision == 7
    empty = trace(Delivery(resync=Resync(None, {})), log=())
    assert empty.stream[0].revision == 0


@pytest.mark.parametrize(
    ("handed", "start"),
    [
        ([], 6),
        ([Delivery(events=(Event("r17.a", "1", revision=5),))], 4),
        ([Delivery(events=(Event("r17.a", None, revision=8),))], 6),
        ([Delivery(events=(Event("r17.a", "0", revision=2),))], 4),
        ([Delivery(resync=Resync(5, {}))], 5),
        ([Delivery(resync=Resync(9, {}))], 6),
        ([Delivery(bookmark=5)], 6),
    ],
)
def test_the_start_is_where_the_client_says_within_the_bounds_that_are_known(handed: Any, start: int) -> None:
    assert trace(*handed, started=(4, 6)).start_revision_exclusive == start


def test_what_is_committed_after_the_end_is_nobodys_debt() -> None:
    assert [entry.revision for entry in trace(until=6).log] == [5, 6]
    further = trace(Delivery(events=(Event("r17.a", None, revision=8),)), until=6)
    assert [entry.revision for entry in further.log] == [5, 6, 7, 8]
