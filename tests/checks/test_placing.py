"""What shows no revision is placed where the log allows it, in favour of the subscriber."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.reading import FormatError
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Disconnected,
    LogEvent,
    Replacement,
    Resynced,
    StreamItem,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)


def said(*changes: str) -> UnplacedDelivery:
    """``said("a=1", "-b")``: a delivery without revisions."""
    return UnplacedDelivery(
        tuple(
            LogEvent("delete", change[1:]) if change.startswith("-") else LogEvent("put", *change.split("="))  # type: ignore[arg-type]
            for change in changes
        )
    )


def state(**kvs: str) -> UnplacedSnapshot:
    return UnplacedSnapshot(kvs)


TURNS = "5:a=1 6:-a 7:a=1 8:b=2"


@pytest.mark.parametrize("promise", ["every-event", "latest-value"])
@pytest.mark.parametrize(
    ("log", "stream", "more", "broken"),
    [
        # A snapshot that comes first may stand at each revision from the start on with its state.
        ("", [state()], {}, ()),
        ("", [state()], {"start": 17}, ()),
        ("5:a=1", [state(a="1")], {}, ()),
        ("5:a=1", [state(), "5a"], {}, ()),
        ("5:a=1", [state(a="1"), "5a"], {}, ("ordered",)),
        (TURNS, [state(), "5a", "6a", "7a", "8b"], {}, ()),
        (TURNS, [state(), "7a", "8b"], {}, ()),
        (TURNS, [state(a="1"), "8b"], {}, ()),
        (TURNS, [state(a="1"), "6a", "7a", "8b"], {}, ()),
        # Or before the start, as long as nothing has changed between.
        ("5:a=1", [state(a="1"), Bookmarked(7)], {"start": 9}, ()),
        ("5:a=1", [Disconnected(), Delivered(()), state(a="1"), Bookmarked(7)], {"start": 9}, ()),
        ("5:a=1 8:a=1", [state(a="1"), Bookmarked(7)], {"start": 9}, ("bookmarkable",)),
        # And nothing else.
        ("5:a=1", [state(a="2")], {}, ("resync",)),
        ("5:a=1 6:-a 7:b=1", [state(), "7b"], {}, ()),
        # It may not be older than what the subscriber has got: then it fits nowhere.
        ("5:a=1 6:b=1", ["5a", "6b", state(a="1")], {}, ("resync",)),
        ("5:a=1 6:b=1", ["5a", state(a="1"), "6b"], {}, ()),
        ("5:a=1 6:b=1", ["5a", Bookmarked(5), state(a="1"), "6b"], {}, ()),
        # Where it stands follows from what comes after it, also without revisions.
        (TURNS, [state(), said("a=1"), said("b=2")], {}, ()),
        (TURNS, [state(), said("a=1"), said("-a"), said("a=1"), said("b=2")], {}, ()),
        # What a compaction has taken away may be skipped.
        (TURNS, ["5a", state(a="1"), "8b"], {"compactions": ((6, 1),)}, ()),
        (TURNS, [said("a=1"), state(a="1"), said("b=2")], {"compactions": ((6, 1),)}, ()),
        (TURNS, ["5a", state(), said("a=1"), said("b=2")], {"compactions": ((6, 1),)}, ()),
    ],
)
def test_a_snapshot_without_a_revision(
    promise: str, log: str, stream: list[Any], more: dict[str, Any], broken: tuple[str, ...], case: Any
) -> None:
    verdict = judge_trace(case(log, stream, promise=promise, **{"initial": {}, **more}))
    assert set(verdict.broken) - {"complete"} == set(broken)
    if not broken:
        assert verdict.verdict == "kept"


@pytest.mark.parametrize(
    ("stream", "broken"),
    [
        # It does not come first, so that what it skips is missing...
        (["5a", state(a="1", b="2")], {"complete"}),
        # ... unless there is a place for it where it skips nothing.
        (["5a", state(a="1"), "6a", "7a", "8b"], set()),
        (["5a", state(a="1"), "8b"], {"reliable", "complete"}),
    ],
)
def test_a_snapshot_in_the_middle_excuses_nothing(stream: list[Any], broken: set[str], case: Any) -> None:
    assert set(judge_trace(case(TURNS, stream, initial={})).broken) == broken


@pytest.mark.parametrize("promise", ["every-event", "latest-value"])
def test_where_the_next_one_fits_decides_although_something_is_missing_as_yet(
    promise: str, case: Any
) -> None:
    stream = [state(a="1"), state()]
    trace = case("3:a=1 4:-a 5:a=1", stream, promise=promise, initial={}, start=0, quiet=False)
    assert judge_trace(trace).broken == ()


def test_a_bookmark_before_it_leaves_the_start_open(case: Any) -> None:
    stream = [Bookmarked(5), state(a="1")]
    assert judge_trace(case("5:a=1", stream, start=5, start_not_before=4, initial={})).verdict == "kept"
    assert judge_trace(case("5:a=1", stream, start=4, initial={})).broken == ("complete", "bookmarkable")


def test_a_snapshot_that_fits_nowhere_is_told_in_a_sentence(case: Any) -> None:
    verdict = judge_trace(case("5:a=1 6:b=1", ["5a", "6b", state(a="1")], initial={}))
    (one,) = verdict.evidence
    assert str(one) == (
        "resync: the snapshot of item 2, which shows no revision, fits nowhere: from revision 6 on, where the "
        "subscriber was, the store was never in that state; at 6 'b' is missing from it, written in revision 6"
    )


@pytest.mark.parametrize("promise", ["every-event", "latest-value"])
@pytest.mark.parametrize(
    ("log", "stream", "more", "broken"),
    [
        # A change is the next one that says the same: what lies before the start is none.
        (TURNS, [said("a=1"), said("b=2")], {"start": 6}, ()),
        (TURNS, [said("-a"), said("a=1"), said("b=2")], {"start": 5}, ()),
        # Nor what a snapshot has told.
        (TURNS, [Resynced(6, {}), said("a=1"), said("b=2")], {}, ()),
        (TURNS, ["5a", "6a", Resynced(6, {}), said("a=1"), said("b=2")], {}, ()),
        # Nor what was handed over with a revision.
        (TURNS, ["5a", "6a", said("a=1"), "8b"], {}, ()),
        ("5:a=1", [said("a=2")], {}, ("phantom",)),
        ("5:a=1 6:b=1", [said("b=1"), said("a=1")], {}, ("ordered",)),
        # A subscription that began somewhere in between.
        (TURNS, [said("a=1"), said("b=2")], {"start": 7, "start_not_before": 4}, ()),
        (TURNS, [said("b=2")], {"start": 7, "start_not_before": 4}, ()),
        (TURNS, [said("-a"), said("a=1"), said("b=2")], {"start": 7, "start_not_before": 4}, ()),
        (TURNS, ["7a", "8b"], {"start": 7, "start_not_before": 4}, ()),
        # What comes later than all that is waited for is owed to who got that far.
        (TURNS, [said("a=1"), said("-a")], {"owed_until": 6}, ()),
    ],
)
def test_a_change_without_a_revision(
    promise: str, log: str, stream: list[Any], more: dict[str, Any], broken: tuple[str, ...], case: Any
) -> None:
    verdict = judge_trace(case(log, stream, promise=promise, **{"initial": {}, **more}))
    assert set(verdict.broken) & {*broken, "ordered", "before_start", "unique"} == set(broken)
    if not broken:
        assert verdict.verdict == "kept"


def test_bookmarks_beside_changes_without_revisions(case: Any) -> None:
    for promise in ("every-event", "latest-value"):
        right = case(
            TURNS, [said("a=1"), said("-a"), said("a=1"), Bookmarked(7), said("b=2")], promise=promise
        )
        assert judge_trace(right).verdict == "kept"
        wrong = case(
            TURNS, [said("a=1"), said("-a"), Bookmarked(7), said("a=1"), said("b=2")], promise=promise
        )
        assert judge_trace(wrong).broken[:1] != ()
    skips = case("5:a=1 6:a=2 7:a=1", [said("a=1"), Bookmarked(7)], promise="latest-value")
    assert judge_trace(skips).verdict == "kept"


def test_a_change_that_nobody_made_is_told_without_a_revision(case: Any) -> None:
    (one,) = judge_trace(case("", [said("a=2")])).evidence
    assert str(one) == "phantom: put 'a' = '2' came in item 0, and the log never says so"
    assert (one.revision, one.key) == (None, "a")


def test_what_was_judged_has_a_revision_for_everything(case: Any) -> None:
    verdict = judge_trace(case(TURNS, [state(), said("a=1"), "8b"], initial={}))
    assert verdict.trace.stream == (
        Resynced(6, {}),
        Delivered((TraceEvent("put", "a", "1", 7),)),
        Delivered((TraceEvent("put", "b", "2", 8),)),
    )
    plain = case(TURNS, ["5a"])
    assert judge_trace(plain).trace is plain


def test_a_replaced_store_needs_revisions(case: Callable[..., Any]) -> None:
    stream: list[StreamItem] = [said("a=1")]
    with pytest.raises(FormatError, match="replacements need a server's log and a revision with everything"):
        case("5:a=1", stream, replacements=(Replacement(1, 1),))
