"""Each rule of the guarantees, as a case that keeps it and one that breaks it, a word apart."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_netfault.checks.guarantees import GUARANTEES, MAX_EVIDENCE, judge_trace
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Disconnected,
    Failed,
    Replacement,
    Resynced,
    TraceEvent,
)

LOG = "2:a=1 3:b=1 4:a=2"
PAIR = "2:a=1 3:b=1,c=1 4:a=2"


def snap(revision: int, **kvs: str) -> Resynced:
    return Resynced(revision, kvs)


EVERY_EVENT: dict[str, tuple[str, list[Any], dict[str, Any], str]] = {
    # reliable and complete
    "all of it": (LOG, ["2a", "3b", "4a"], {}, ""),
    "all of it at once": (LOG, ["2a 3b 4a"], {}, ""),
    "a gap": (LOG, ["2a", "4a"], {}, "reliable complete"),
    "a gap, stopped early": (LOG, ["2a", "4a"], {"quiet": False}, "reliable"),
    "no tail": (LOG, ["2a", "3b"], {}, "complete"),
    "no tail, stopped early": (LOG, ["2a", "3b"], {"quiet": False}, ""),
    "nothing came": (LOG, [], {}, "complete"),
    "nothing was owed": (LOG, [], {"start": 4}, ""),
    "late in another delivery": (LOG, ["2a", "4a", "3b"], {}, "reliable ordered"),
    "late in the same delivery": (LOG, ["2a", "4a 3b"], {}, "ordered"),
    "half a revision, then the next": (PAIR, ["2a", "3b", "4a"], {}, "reliable complete"),
    "half a revision at the end": (PAIR, ["2a", "3b"], {"quiet": False}, ""),
    "an empty delivery carries nothing": (LOG, [Delivered(()), "2a 3b 4a"], {}, ""),
    "a disconnect says nothing": (LOG, ["2a", Disconnected(), "3b", "4a"], {}, ""),
    "a delete is a change": ("2:a=1 3:-a 4:b=1", ["2a", "3a", "4b"], {}, ""),
    "a delete that never came": ("2:a=1 3:-a 4:b=1", ["2a", "4b"], {}, "reliable complete"),
    "same value twice is two changes": ("2:a=1 3:a=1", ["2a", "3a"], {}, ""),
    "same value twice, told once": ("2:a=1 3:a=1", ["2a"], {}, "complete"),
    # the end of the duty
    "told that it is over": (LOG, ["2a", Failed("compacted")], {}, ""),
    "a gap before it was over": (LOG, ["2a", "4a", Failed("compacted")], {}, "reliable"),
    "a gap after it was over": (LOG, ["2a", Failed("compacted"), "4a"], {}, ""),
    "a lie after it was over": (LOG, ["2a", Failed("compacted"), "3b=9"], {}, "phantom"),
    # unique
    "twice": (LOG, ["2a", "3b", "3b", "4a"], {}, "unique"),
    "twice in one delivery": (LOG, ["2a", "3b 3b", "4a"], {}, "unique"),
    "twice, with newer between": (LOG, ["2a", "3b", "2a", "4a"], {}, "unique ordered"),
    "a whole revision twice": (PAIR, ["2a", "3b 3c", "3b 3c", "4a"], {}, "unique"),
    "half a revision twice": (PAIR, ["2a", "3b 3c", "3b", "4a"], {}, "unique"),
    "an old revision twice": (PAIR, ["2a", "3b 3c", "4a", "3b 3c"], {}, "unique ordered"),
    # ordered
    "turned around in a revision": (PAIR, ["2a", "3c 3b", "4a"], {}, "ordered"),
    "turned around in a delivery": (LOG, ["3b 2a", "4a"], {}, "ordered"),
    # atomic
    "a revision in two": (PAIR, ["2a", "3b", "3c", "4a"], {}, "atomic"),
    "a revision in two, with the rest of the next": (PAIR, ["2a 3b", "3c 4a"], {}, "atomic"),
    "a revision in two, backwards": (PAIR, ["2a", "3c", "3b", "4a"], {}, "reliable ordered atomic"),
    "half, then all of it": (PAIR, ["2a", "3b", "3b 3c", "4a"], {}, "unique atomic"),
    # bookmarkable
    "a bookmark": (LOG, ["2a", "3b", Bookmarked(3), "4a"], {}, ""),
    "a bookmark too early": (LOG, ["2a", Bookmarked(3), "3b", "4a"], {}, "bookmarkable"),
    "a bookmark over a loss": (LOG, ["2a", "3b", Bookmarked(4)], {"quiet": False}, "bookmarkable"),
    "a bookmark over a loss, quiet": (LOG, ["2a", "3b", Bookmarked(4)], {}, "complete bookmarkable"),
    "a bookmark below what came": (LOG, ["2a", "3b", Bookmarked(2), "4a"], {}, "bookmarkable"),
    "a bookmark again": (LOG, ["2a", "3b", Bookmarked(3), Bookmarked(3), "4a"], {}, ""),
    "a bookmark that went back": ("5:a=1", [Bookmarked(4), Bookmarked(3), "5a"], {}, "bookmarkable"),
    "a repeat below a bookmark": (LOG, ["2a", Bookmarked(2), "2a", "3b", "4a"], {}, "unique bookmarkable"),
    "a bookmark beyond the log": (LOG, ["2a", "3b", "4a", Bookmarked(9)], {}, ""),
    "a bookmark after half a revision": (
        PAIR,
        ["2a", "3b", Bookmarked(3), "3c 4a"],
        {},
        "atomic bookmarkable",
    ),
    # filter
    "a stranger": ("2:r.a=1 3:rx.a=1 4:r.a=2", ["2r.a", "3rx.a", "4r.a"], {"prefix": "r."}, "filter"),
    "no stranger": ("2:r.a=1 3:rx.a=1 4:r.a=2", ["2r.a", "4r.a"], {"prefix": "r."}, ""),
    "a stranger in a revision": (
        "2:r.a=1 3:r.b=1,rx.a=1",
        ["2r.a", "3r.b 3rx.a"],
        {"prefix": "r."},
        "filter",
    ),
    # phantom
    "another value": (LOG, ["2a", "3b=9", "4a"], {}, "reliable complete phantom"),
    "another value at the end": (LOG, ["2a", "3b", "4a=9"], {}, "complete phantom"),
    "one more": (LOG, ["2a", "3b", "4a", "9z=1"], {}, "phantom"),
    "another revision": (LOG, ["2a", "3b", "5a=2"], {}, "complete phantom"),
    "another key": (LOG, ["2a", "3b", "4c=2"], {}, "complete phantom"),
    "another type": (
        LOG,
        ["2a", "3b", Delivered((TraceEvent("delete", "a", None, 4),))],
        {},
        "complete phantom",
    ),
    "a phantom twice": (LOG, ["2a", "3b", "4a", "9z=1", "1z=1", "9z=1"], {}, "phantom"),
    "an empty value for a delete": (
        "2:a=1 3:-a",
        ["2a", Delivered((TraceEvent("delete", "a", "", 3),))],
        {},
        "",
    ),
    # before_start
    "at the start": (LOG, ["2a", "3b", "4a"], {"start": 2}, "before_start"),
    "after the start": (LOG, ["3b", "4a"], {"start": 2}, ""),
    "back before the start": (LOG, ["3b", "2a", "4a"], {"start": 2}, "ordered before_start"),
    # resync
    "a snapshot first": (LOG, [snap(3, a="1", b="1"), "4a"], {}, ""),
    "a snapshot first, after a disconnect": (LOG, [Disconnected(), snap(3, a="1", b="1"), "4a"], {}, ""),
    "an old value": (LOG, [snap(4, a="1", b="1")], {}, "resync"),
    "a key too few": (LOG, [snap(3, a="1"), "4a"], {}, "resync"),
    "a key too many": (LOG, [snap(3, a="1", b="1", z="1"), "4a"], {}, "resync"),
    "a deleted key": ("2:a=1 3:-a 4:b=1", [snap(3, a="1"), "4b"], {}, "resync"),
    "a stranger in a snapshot": (LOG, [snap(3, a="1", b="1"), "4a"], {"prefix": "a"}, "resync"),
    "only what is subscribed": (LOG, [snap(3, a="1"), "4a"], {"prefix": "a"}, ""),
    "a snapshot between revisions": ("2:a=1 5:a=2", [snap(4, a="1"), "5a"], {}, ""),
    "a snapshot beyond the log": (LOG, [snap(9, a="2", b="1")], {}, ""),
    "from before the start": (LOG, [snap(2, a="1"), "3b", "4a"], {"start": 2}, ""),
    "older than the start": (LOG, [snap(2, a="1"), "4a"], {"start": 3}, "ordered"),
    "older than the start, and nothing of it changed since": (
        LOG,
        [snap(2, a="1"), "4a"],
        {"start": 3, "prefix": "a"},
        "",
    ),
    "as old, and not the first": (
        LOG,
        [snap(3, a="1"), snap(2, a="1"), "4a"],
        {"start": 3, "prefix": "a"},
        "ordered",
    ),
    "its own revision again": (LOG, [snap(3, a="1", b="1"), "3b", "4a"], {}, "ordered"),
    "nothing skipped": (LOG, ["2a", "3b", snap(3, a="1", b="1"), "4a"], {}, ""),
    "skipped without a reason": (LOG, ["2a", snap(4, a="2", b="1")], {}, "complete"),
    "skipped without a reason, then more": (
        LOG,
        ["2a", snap(3, a="1", b="1"), "4a"],
        {},
        "reliable complete",
    ),
    "skipped without a reason, stopped early": (LOG, ["2a", snap(4, a="2", b="1")], {"quiet": False}, ""),
    "skipped what was compacted": (
        LOG,
        ["2a", snap(3, a="1", b="1"), "4a"],
        {"compactions": ((3, 1),)},
        "",
    ),
    "compacted at the cursor": (LOG, ["2a", snap(3, a="1", b="1"), "4a"], {"compactions": ((2, 1),)}, ""),
    "compacted below the cursor": (
        LOG,
        ["2a", "3b", snap(4, a="2", b="1")],
        {"compactions": ((2, 1),)},
        "complete",
    ),
    "compacted too late": (
        LOG,
        ["2a", snap(3, a="1", b="1"), "4a"],
        {"compactions": ((3, 2),)},
        "reliable complete",
    ),
    "a gap is not excused later": (
        LOG,
        ["3b", snap(4, a="2", b="1")],
        {"compactions": ((3, 1),)},
        "reliable complete",
    ),
    "half a revision, the rest compacted": (
        PAIR,
        ["2a", "3b", snap(4, a="2", b="1", c="1")],
        {"compactions": ((4, 2),)},
        "",
    ),
    "a snapshot that goes back": (LOG, ["2a", "3b", "4a", snap(3, a="1", b="1"), "4a"], {}, "ordered"),
    "back, and twice again": (
        LOG,
        ["2a", "3b", "4a", snap(3, a="1", b="1"), "4a", "4a"],
        {},
        "unique ordered",
    ),
    "back, and too far": (LOG, ["2a", "3b", "4a", snap(3, a="1", b="1"), "3b"], {}, "unique ordered"),
    "a snapshot below a snapshot": (
        LOG,
        [snap(4, a="2", b="1"), snap(3, a="1", b="1"), "4a"],
        {},
        "ordered",
    ),
    "back, with its bookmarks": (
        LOG,
        ["2a", "3b", "4a", Bookmarked(4), snap(3, a="1", b="1"), Bookmarked(3), "4a"],
        {},
        "ordered",
    ),
}


LATEST_VALUE: dict[str, tuple[str, list[Any], dict[str, Any], str]] = {
    "the last of each": (LOG, ["3b", "4a"], {}, ""),
    "the last of one is missing": (LOG, ["2a", "3b"], {}, "complete"),
    "the last is missing, stopped early": (LOG, ["2a", "3b"], {"quiet": False}, ""),
    "one key never came": (LOG, ["4a"], {}, "complete"),
    "never back": ("2:a=1 3:a=2 4:a=3", ["3a", "2a", "4a"], {}, "ordered"),
    "back at the end": ("2:a=1 3:a=2", ["3a", "2a"], {}, "complete ordered"),
    "back, of another key": ("2:a=1 3:b=2", ["3b", "2a"], {}, "ordered"),
    "twice": (LOG, ["3b", "4a", "4a"], {}, "unique"),
    "a deleted key": ("2:a=1 3:-a", ["3a"], {}, ""),
    "a delete is missing": ("2:a=1 3:-a", ["2a"], {}, "complete"),
    "a phantom": (LOG, ["3b", "4a=9"], {}, "complete phantom"),
    "a snapshot needs no reason": (LOG, ["2a", snap(4, a="2", b="1")], {}, ""),
    "a wrong snapshot": (LOG, ["2a", snap(4, a="1", b="1")], {}, "resync"),
    "older than a snapshot": (LOG, [snap(4, a="2", b="1"), "2a"], {}, "complete ordered"),
    "older than a snapshot, then right": (
        "2:a=1 3:b=1 4:a=2 5:a=3",
        [snap(4, a="2", b="1"), "2a", "5a"],
        {},
        "ordered",
    ),
    "a bookmark after the latest": ("2:a=1 3:a=2 4:b=1", ["3a", Bookmarked(3), "4b"], {}, ""),
    "a bookmark before the latest": (
        "2:a=1 3:a=2 4:b=1",
        ["2a", Bookmarked(3), "3a", "4b"],
        {},
        "bookmarkable",
    ),
    "a snapshot back, and its bookmark": (
        LOG,
        ["3b", "4a", Bookmarked(4), snap(3, a="1", b="1"), Bookmarked(3), "4a"],
        {},
        "ordered",
    ),
    "told that it is over": (LOG, ["2a", Failed("gone")], {}, ""),
}


@pytest.mark.parametrize("name", EVERY_EVENT)
def test_every_event(name: str, case: Any) -> None:
    log, stream, more, broken = EVERY_EVENT[name]
    assert judge_trace(case(log, stream, **more)).broken == tuple(broken.split())


@pytest.mark.parametrize("name", LATEST_VALUE)
def test_latest_value(name: str, case: Any) -> None:
    log, stream, more, broken = LATEST_VALUE[name]
    assert judge_trace(case(log, stream, promise="latest-value", **more)).broken == tuple(broken.split())


def test_every_guarantee_is_broken_by_some_case() -> None:
    seen = {name for _, _, _, broken in EVERY_EVENT.values() for name in broken.split()}
    assert seen == set(GUARANTEES)


@pytest.mark.parametrize(
    ("more", "broken"),
    [
        ({}, ()),  # the log begins at 11 and says nothing about z
        ({"initial": {"z": "1"}}, ()),
        ({"initial": {}}, ("resync",)),
        ({"initial": {"z": "2"}}, ("resync",)),
        ({"initial": {"z": "1", "y": "1"}}, ("resync",)),
    ],
)
def test_keys_from_before_the_log(more: dict[str, Any], broken: tuple[str, ...], case: Any) -> None:
    trace = case("11:a=1", [snap(10, z="1"), "11a"], start=10, **more)
    assert judge_trace(trace).broken == broken


def test_a_log_that_reaches_below_the_start_is_whole(case: Any) -> None:
    assert judge_trace(case("9:y=1 11:a=1", [snap(10, y="1", z="1"), "11a"], start=10)).broken == ("resync",)


def test_an_unknown_key_must_be_right_once_the_log_has_it(case: Any) -> None:
    trace = case("11:a=1", [snap(11, a="0", z="1")], start=10)
    assert judge_trace(trace).broken == ("resync",)


@pytest.mark.parametrize(
    ("stream", "after_item", "broken"),
    [
        (["5a", snap(2, a="1"), "3a"], 1, ""),
        (["5a", snap(2, a="1"), "3a"], 2, "complete ordered phantom"),
        (["5a", snap(2, a="1")], 1, "complete"),
        (["5a"], 1, "complete"),
        (["5a", "2a"], 1, "complete phantom"),
        (["5a", Failed("replaced")], 1, ""),
    ],
)
def test_a_replaced_store(stream: list[Any], after_item: int, broken: str, case: Any) -> None:
    trace = case(
        "5:a=9 6:a=8 2:a=1 3:a=2", stream, start=4, replacements=(Replacement(2, after_item),), prefix="a"
    )
    assert judge_trace(trace).broken == tuple(broken.split())


def test_a_tail_that_was_not_waited_for_is_inconclusive(case: Any) -> None:
    assert judge_trace(case(LOG, ["2a", "3b"], quiet=False)).verdict == "inconclusive"
    assert judge_trace(case(LOG, ["2a", "3b", "4a"], quiet=False)).verdict == "kept"
    assert judge_trace(case(LOG, ["2a", "4a"], quiet=False)).verdict == "broken"


def test_evidence_names_item_revision_and_key(case: Any) -> None:
    verdict = judge_trace(case(LOG, ["2a", Disconnected(), "4a"]))
    reliable, complete = verdict.evidence
    assert (reliable.guarantee, reliable.item, reliable.revision, reliable.key) == ("reliable", 2, 3, "b")
    assert str(reliable) == (
        "reliable: revision 3 (put 'b') had not arrived when revision 4 was delivered in item 2"
    )
    assert (complete.guarantee, complete.item) == ("complete", None)
    assert verdict.lost == (TraceEvent("put", "b", "1", 3),)


def test_lost_is_what_never_arrived(case: Any) -> None:
    assert judge_trace(case(LOG, ["2a", "4a", "3b"])).lost == ()
    assert [e.revision for e in judge_trace(case(LOG, ["2a", "4a"], quiet=False)).lost] == [3]
    assert [e.revision for e in judge_trace(case(LOG, ["2a"], quiet=False)).lost] == []
    assert [e.revision for e in judge_trace(case(LOG, ["2a"])).lost] == [3, 4]


def test_a_phantom_is_told_what_the_log_says(case: Any) -> None:
    (evidence, *_) = judge_trace(case(LOG, ["2a", "3b=9", "4a"], quiet=False)).evidence
    assert str(evidence) == (
        "phantom: revision 3 (put 'b') came in item 1 with '9', and in the log that revision is put 'b' = '1'"
    )


def test_evidence_is_bounded_and_counted(case: Any) -> None:
    count = MAX_EVIDENCE + 5
    log = " ".join(f"{n}:k=1" for n in range(2, count + 2))
    verdict = judge_trace(case(log, []))
    assert verdict.counts == {"complete": count}
    assert len(verdict.evidence) == MAX_EVIDENCE
    assert len(verdict.lost) == count


def test_a_revision_that_repeats_a_change_has_it_twice(case: Any) -> None:
    log = "2:a=1,a=1 3:b=1"
    assert judge_trace(case(log, ["2a 2a", "3b"])).broken == ()
    assert judge_trace(case(log, ["2a", "3b"])).broken == ("reliable", "complete")
    assert judge_trace(case(log, ["2a 2a 2a", "3b"])).broken == ("unique",)


@pytest.mark.parametrize(
    ("kvs", "words"),
    [
        ({"a": "1", "b": "1"}, "it says 'a' is '1', and revision 4 made it '2'"),
        ({"a": "2"}, "'b' is missing from it, written in revision 3"),
        ({"a": "2", "b": "1", "z": "0"}, "it holds 'z', which did not exist at revision 4"),
    ],
)
def test_a_wrong_snapshot_is_explained(kvs: dict[str, str], words: str, case: Any) -> None:
    (evidence,) = judge_trace(case(LOG, [Resynced(4, kvs)])).evidence
    assert words in evidence.sentence


def test_a_huge_transaction_is_judged_like_a_small_one(case: Any) -> None:
    keys = [f"k{n}" for n in range(100)]
    log = "2:" + ",".join(f"{key}=1" for key in keys) + " 3:z=1"
    whole = " ".join(f"2{key}" for key in keys)
    assert judge_trace(case(log, [whole, "3z"])).broken == ()
    assert judge_trace(case(log, [whole, whole, "3z"])).broken == ("unique",)
    assert judge_trace(case(log, [whole.replace("2k50 ", ""), "3z"])).broken == ("reliable", "complete")
    assert judge_trace(case(log, [whole.replace("2k50", "2k50=9"), "3z"])).broken == (
        "reliable",
        "complete",
        "phantom",
    )
