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
from pytest_netfault.proof.trace_builder import build_trace, decode_utf8, read_log
from pytest_netfault.store import Delivery, Event, Resync

LOG = (
    Revision(5, (LogEvent("put", "r17.a", "1"),)),
    Revision(6, (LogEvent("put", "r17x.a", "9"),)),
    Revision(7, (LogEvent("put", "r17.a", "1"), LogEvent("put", "r17.b", "2"))),
    Revision(8, (LogEvent("delete", "r17.a"),)),
)


def trace(
    *handed: Delivery,
    started: tuple[int, int] = (4, 4),
    until: int = 8,
    log: Any = LOG,
    promise: Any = "every-event",
) -> Any:
    return build_trace(
        name="test",
        promise=promise,
        namespace="r17",
        log=log,
        delivered=handed,
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
    assert empty.stream[0].revision == 4


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


# A key goes to 1, to 2, away, and to 1 again; another is put in between, and the first goes away once more.
TURNS = (
    Revision(5, (LogEvent("put", "r17.a", "1"),)),
    Revision(6, (LogEvent("put", "r17.a", "2"),)),
    Revision(7, (LogEvent("delete", "r17.a"),)),
    Revision(8, (LogEvent("put", "r17.b", "3"),)),
    Revision(9, (LogEvent("put", "r17.a", "1"),)),
)
GONE = (*TURNS, Revision(10, (LogEvent("delete", "r17.a"),)))


@pytest.mark.parametrize(
    ("handed", "log", "broken"),
    [
        ([("r17.a", "1"), ("r17.b", "3")], TURNS, ()),
        ([("r17.b", "3"), ("r17.a", "1")], TURNS, ()),
        ([("r17.a", "1"), ("r17.a", "2"), ("r17.b", "3"), ("r17.a", "1")], TURNS, ()),
        ([("r17.a", "1"), ("r17.a", "2"), ("r17.b", "3")], TURNS, ("complete",)),
        ([("r17.a", "1"), ("r17.b", "3"), ("r17.a", "2")], TURNS, ("ordered", "complete")),
        ([("r17.b", "3"), ("r17.a", None)], GONE, ()),
        ([("r17.a", None), ("r17.b", "3")], GONE, ()),
        ([("r17.a", None), ("r17.b", "3"), ("r17.a", "1")], GONE, ("complete",)),
        ([("r17.a", None)], GONE, ("complete",)),
    ],
)
def test_who_may_skip_and_shows_no_revisions_is_believed_what_it_may_have_meant(
    handed: list[tuple[str, str | None]], log: Any, broken: tuple[str, ...]
) -> None:
    judged = trace(*map(events, handed), until=10, log=log, promise="latest-value")
    assert set(judge_trace(judged).broken) == set(broken)


def test_who_shows_revisions_is_taken_at_its_word() -> None:
    told = Delivery(events=(Event("r17.a", "1", revision=5), Event("r17.b", "3", revision=8)))
    judged = trace(told, until=10, log=TURNS, promise="latest-value")
    assert judge_trace(judged).broken == ("complete",)
    assert judged.log == TURNS


def test_what_a_snapshot_has_told_is_not_taken_back() -> None:
    snapshot = Delivery(resync=Resync(9, {"r17.a": "1", "r17.b": "3"}))
    late = trace(snapshot, events(("r17.a", None)), until=10, log=GONE, promise="latest-value")
    assert judge_trace(late).broken == ()
    old = trace(snapshot, events(("r17.a", "2")), until=10, log=GONE, promise="latest-value")
    assert set(judge_trace(old).broken) == {"ordered", "complete"}
