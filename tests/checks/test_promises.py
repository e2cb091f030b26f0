"""``latest-per-key`` and ``comes-back``: each rule as a case that keeps it and one that breaks it, a field apart."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from pytest_netfault.checks.guarantees import judge_trace
from pytest_netfault.checks.judging import judge_text
from pytest_netfault.checks.promises import DECLARED
from pytest_netfault.checks.reading import FormatError
from pytest_netfault.checks.trace import (
    Bookmarked,
    Delivered,
    Disconnected,
    Disturbance,
    Failed,
    LogEvent,
    Promise,
    Replacement,
    Resynced,
    Trace,
    TraceEvent,
    UnplacedDelivery,
    UnplacedSnapshot,
)


def snap(revision: int, **kvs: str) -> Resynced:
    return Resynced(revision, kvs)


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


Case = tuple[str, list[Any], dict[str, Any], str]

LOG = "2:a=1 3:b=1 4:a=2"
TURNS = "2:a=1 3:a=2 4:a=1"
PAIR = "2:a=1 3:b=1,c=1 4:a=2"
KNOWN: dict[str, Any] = {"initial": {}}

PER_KEY: dict[str, Case] = {
    # complete
    "the last of each key": (LOG, ["4a", "3b"], {}, ""),
    "the last of one is missing": (LOG, ["2a", "3b"], {}, "complete"),
    "the last is missing, stopped early": (LOG, ["2a", "3b"], {"quiet": False}, ""),
    "one key never came": (LOG, ["4a"], {}, "complete"),
    "it was there at the start": (LOG, ["4a"], {"start": 3}, ""),
    "nothing came, and nothing changed": (LOG, [], {"start": 4}, ""),
    "a delete is missing": ("2:a=1 3:-a", ["2a"], {}, "complete"),
    "a key that came and went": ("2:a=1 3:-a", [], {}, ""),
    # A key that was there at the start, was never shown, and is gone: there is nothing that the subscriber has wrong.
    "gone, and never shown": ("2:a=1 3:-a", [], {"start": 2}, ""),
    "gone, and it had been shown": ("2:a=1 3:-a", ["2a"], {"start": 2}, "complete"),
    "changed, and never shown": ("2:a=1 3:a=2", [], {"start": 2}, "complete"),
    "gone, and a snapshot was without it": ("2:a=1 3:-a 4:b=1", [snap(4, b="1")], {"start": 2}, ""),
    "gone, and a snapshot had shown it": ("2:a=1 3:-a", [snap(2, a="1")], {"start": 2}, "complete"),
    "gone, and there before the log begins": ("3:-a", [], {"start": 2}, ""),
    "gone, and shown as it was before the log begins": ("3:-a", [snap(2, a="1")], {"start": 2}, "complete"),
    "gone, and not shown as it was before the log begins": ("3:-a", [snap(2)], {"start": 2}, ""),
    "gone, and a bookmark says so": ("2:a=1 3:-a", [Bookmarked(3)], {"start": 2}, ""),
    "a bookmark says that it is gone, and it had been shown": (
        "2:a=1 3:-a",
        ["2a", Bookmarked(3)],
        {"start": 2},
        "complete bookmarkable",
    ),
    "a value that came back": (TURNS, ["2a"], {}, ""),
    "a value that did not come back": (TURNS, ["3a"], {}, "complete"),
    "told that it is over": (LOG, ["2a", Failed("gone")], {}, ""),
    "what came after the end of the run is not owed": (LOG, ["2a", "3b"], {"owed_until": 3}, ""),
    "what came before it is": (LOG, ["2a", "3b"], {"owed_until": 4}, "complete"),
    "further with one key than with another": (LOG, ["4a"], {"owed_until": 2}, ""),
    # ordered: of one key
    "skipped": (LOG, ["3b", "4a"], {}, ""),
    "no order between keys": (LOG, ["4a", "3b"], {}, ""),
    "back, of one key": (LOG, ["4a", "3b", "2a"], {}, "complete ordered"),
    "back and forth": (LOG, ["4a", "3b", "2a", "4a"], {}, "ordered"),
    "the same again": (LOG, ["4a", "4a", "3b", "4a"], {}, ""),
    "older than a snapshot": (LOG, [snap(4, a="2", b="1"), "2a", "4a"], {}, "ordered"),
    "what a snapshot had": (LOG, [snap(4, a="2", b="1"), "3b"], {}, ""),
    "a snapshot that goes back": (LOG, ["4a", "3b", snap(3, a="1", b="1"), "4a"], {}, "ordered"),
    "a snapshot that goes back in no key": (LOG, ["4a", snap(4, a="2", b="1")], {}, ""),
    "an older snapshot of what did not change": (LOG, ["2a", "3b", snap(3, a="1", b="1"), "4a"], {}, ""),
    "a snapshot from before the start": (LOG, [snap(3, a="1", b="1"), "4a"], {"start": 4}, "ordered"),
    # before_start
    "the state at the start": (LOG, ["2a", "3b", "4a"], {"start": 2}, ""),
    "what was superseded at the start": (LOG, ["2a", "3b", "4a"], {"start": 4}, "before_start"),
    "what was superseded when it may have begun": (
        LOG,
        ["2a", "3b", "4a"],
        {"start": 4, "start_not_before": 2},
        "",
    ),
    # bookmarkable
    "a bookmark": (LOG, ["2a", "3b", Bookmarked(3), "4a"], {}, ""),
    "a bookmark too early": (LOG, ["2a", Bookmarked(3), "3b", "4a"], {}, "bookmarkable"),
    "a bookmark over what was skipped": (TURNS, ["3a", Bookmarked(3), "4a"], {}, ""),
    "a bookmark below another": (LOG, ["2a", "3b", Bookmarked(3), Bookmarked(2), "4a"], {}, ""),
    "a bookmark over a loss, stopped early": (LOG, ["2a", Bookmarked(4)], {"quiet": False}, "bookmarkable"),
    # resync
    "a snapshot needs no reason": (LOG, ["2a", snap(4, a="2", b="1")], {}, ""),
    "a wrong snapshot": (LOG, ["2a", snap(4, a="1", b="1")], {}, "resync"),
    # filter, phantom
    "a stranger": ("2:r.a=1 3:x=1", ["2r.a", "3x"], {"prefix": "r."}, "filter"),
    "no stranger": ("2:r.a=1 3:x=1", ["2r.a"], {"prefix": "r."}, ""),
    "another value": (LOG, ["3b", "4a=9"], {}, "complete phantom"),
    "another revision": (LOG, ["3b", "4a", "5b=1"], {}, "phantom"),
    "a lie after it was over": (LOG, [Failed("gone"), "4a=9"], {}, "phantom"),
    # what is not judged
    "a transaction in parts": (PAIR, ["3c", "4a", "3b"], {}, ""),
    "disconnects": (LOG, ["2a", Disconnected(), "3b", "4a"], {}, ""),
    # without revisions
    "said once": (LOG, [said("b=1", "a=2")], KNOWN, ""),
    "said again and again": (
        LOG,
        [said("a=1"), said("a=1"), said("b=1"), said("a=2"), said("a=2")],
        KNOWN,
        "",
    ),
    "said too little": (LOG, [said("b=1", "a=1")], KNOWN, "complete"),
    "said backwards": (LOG, [said("b=1"), said("a=2"), said("a=1")], KNOWN, "complete ordered"),
    "said in turns": (TURNS, [said("a=1"), said("a=2"), said("a=1")], KNOWN, ""),
    "said in one turn too many": (
        TURNS,
        [said("a=1"), said("a=2"), said("a=1"), said("a=2")],
        KNOWN,
        "complete ordered",
    ),
    "said what never was": (LOG, [said("b=1"), said("a=3"), said("a=2")], KNOWN, "phantom"),
    "said that it is not there yet": ("2:a=1", [said("-a"), said("a=1")], KNOWN, ""),
    "said that it is not there any more": ("2:a=1", [said("a=1"), said("-a")], KNOWN, "complete ordered"),
    "a state first": (LOG, [state(a="1"), said("b=1", "a=2")], KNOWN, ""),
    "a state that was read key by key": (LOG, [state(a="2")], KNOWN, "complete"),
    "a state that was read key by key, and then the rest": (LOG, [state(a="2"), said("b=1")], KNOWN, ""),
    "a state that goes back": (LOG, [said("b=1", "a=2"), state(a="1", b="1")], KNOWN, "complete ordered"),
    "a state that never was": (LOG, [state(a="3", b="1"), said("a=2")], KNOWN, "resync"),
    "a state without a key": (LOG, [said("b=1"), state(a="2")], KNOWN, "complete ordered"),
    "a state of a stranger": (
        "2:r.a=1",
        [UnplacedSnapshot({"r.a": "1", "x": "1"})],
        {**KNOWN, "prefix": "r."},
        "resync",
    ),
    "a state of nobody else": ("2:r.a=1", [UnplacedSnapshot({"r.a": "1"})], {**KNOWN, "prefix": "r."}, ""),
    # a replaced store
    "the store was replaced": (
        "2:a=1 3:b=1 2:a=2",
        ["2a", "3b", snap(2, a="2")],
        {"replacements": (Replacement(2, 2),)},
        "",
    ),
}


@pytest.mark.parametrize("name", PER_KEY)
def test_latest_per_key(name: str, case: Any) -> None:
    check("latest-per-key", case, *PER_KEY[name])


def check(
    promise: Promise, case: Any, log: str, stream: list[Any], more: dict[str, Any], broken: str
) -> None:
    trace = case(log, stream, promise=promise, **more)
    verdict = judge_trace(trace)
    assert verdict.broken == tuple(broken.split())
    assert not set(verdict.broken) - set(DECLARED[promise].guarantees)
    # And the file says the same.
    (judged,) = judge_text(json.dumps(trace.to_json()))
    assert judged.verdict.to_json() == verdict.to_json()


def by(revision: int, after_item: int = 0, who: Any = "network") -> Disturbance:
    return Disturbance(revision, after_item, who)


ALL = "2:a=1 3:a=2 4:a=3 5:b=1 6:a=4"
NEVER: dict[str, Any] = {"disturbances": ()}
AFTER_3: dict[str, Any] = {"disturbances": (by(3, 1),)}
DELETES = "2:a=1 3:-a 4:a=2 5:-a 6:b=1"

COMES_BACK: dict[str, Case] = {
    # Nobody knows what was disturbed.
    "all of it": (ALL, ["2a", "3a", "4a", "5b", "6a"], {}, ""),
    "a gap": (ALL, ["2a", "6a"], {}, ""),
    "a gap with a word": (ALL, ["2a", Disconnected(), "6a"], {}, ""),
    "no tail": (ALL, ["2a", "5b"], {}, "complete"),
    "no tail, stopped early": (ALL, ["2a", "5b"], {"quiet": False}, ""),
    "deaf": (ALL, ["2a", Disconnected()], {}, "complete"),
    "nothing came": (ALL, [], {}, "complete"),
    "nothing was owed": (ALL, [], {"start": 6}, ""),
    "told that it is over": (ALL, ["2a", Failed("gone")], {}, ""),
    # Nothing was.
    "undisturbed, all of it": (ALL, ["2a", "3a", "4a", "5b", "6a"], NEVER, ""),
    "undisturbed, a gap": (ALL, ["2a", "3a", "5b", "6a"], NEVER, "complete"),
    "undisturbed, from the start on": (ALL, ["5b", "6a"], {**NEVER, "start": 4}, ""),
    # An outage until revision 3, when one item had come.
    "an outage": (ALL, ["2a", "4a", "5b", "6a"], AFTER_3, ""),
    "a moment to come back": (ALL, ["2a", "5b", "6a"], AFTER_3, ""),
    "a gap when it was back": (ALL, ["2a", "4a", "6a"], AFTER_3, "complete"),
    "no tail when it was back": (ALL, ["2a", "4a", "5b"], AFTER_3, "complete"),
    "late, and all of it": (ALL, ["2a", "6a", "5b", "3a"], AFTER_3, ""),
    "never back": (ALL, ["2a"], AFTER_3, "complete"),
    "never back, and nothing more was written": ("2:a=1 3:a=2", ["2a"], AFTER_3, ""),
    "what was under way does not show that it is back": (ALL, ["2a", "3a", "5b", "6a"], AFTER_3, ""),
    # The client reconnected until revision 5.
    "it reconnected later": (
        ALL,
        ["2a", "4a", "6a"],
        {"disturbances": (by(3, 1), by(5, 2, "client"))},
        "",
    ),
    "it reconnects all the time and hears the last": (
        ALL,
        ["2a", "4a", "6a"],
        {"disturbances": (by(3, 1), by(6, 3, "client"))},
        "",
    ),
    "it reconnects all the time and is deaf": (
        ALL,
        ["2a", "4a"],
        {"disturbances": (by(3, 1), by(6, 3, "client"))},
        "complete",
    ),
    "it reconnected before the outage ended": (
        ALL,
        ["2a", "4a", "6a"],
        {"disturbances": (by(2, 1, "client"), by(3, 1))},
        "complete",
    ),
    "the network was disturbed to the end": (ALL, ["2a"], {"disturbances": (by(6, 1),)}, ""),
    "what came after the end of the run is not owed": (ALL, ["2a", "4a"], {**AFTER_3, "owed_until": 4}, ""),
    "what came before it is": (ALL, ["2a", "4a"], {**AFTER_3, "owed_until": 5}, "complete"),
    # filter, phantom
    "a stranger": ("2:r.a=1 3:x=1", ["2r.a", "3x"], {"prefix": "r."}, "filter"),
    "no stranger": ("2:r.a=1 3:x=1", ["2r.a"], {"prefix": "r."}, ""),
    "another value": (ALL, ["6a", "6a=9"], {}, "phantom"),
    "another revision": (ALL, ["6a", "5a=4"], {}, "phantom"),
    # what is not judged
    "twice": (ALL, ["2a", "6a", "6a"], {}, ""),
    "older ones once more": (ALL, ["2a", "6a", "2a"], {}, ""),
    "from before the start": (ALL, ["2a", "6a"], {"start": 4}, ""),
    "a bookmark": (ALL, ["2a", Bookmarked(5), "6a", Bookmarked(1)], {}, ""),
    "a transaction in parts": ("2:a=1,b=1 3:c=1", ["2b", "3c", "2a"], NEVER, ""),
    # snapshots
    "a snapshot": (ALL, ["2a", snap(6, a="4", b="1")], AFTER_3, ""),
    "a wrong snapshot": (ALL, ["2a", snap(6, a="3", b="1")], AFTER_3, "resync"),
    "a snapshot that is too old": (ALL, ["2a", snap(5, a="3", b="1")], AFTER_3, "complete"),
    "a state": (ALL, ["2a", state(a="4", b="1")], {**AFTER_3, **KNOWN}, ""),
    "a state that is too old": (ALL, ["2a", state(a="3", b="1")], {**AFTER_3, **KNOWN}, "complete"),
    "a state that never was": (
        ALL,
        ["2a", state(a="9", b="1"), "4a", "5b", "6a"],
        {**AFTER_3, **KNOWN},
        "resync",
    ),
    # without revisions
    "said": (ALL, [said("a=1"), said("a=3"), said("b=1"), said("a=4")], AFTER_3, ""),
    "said with a gap": (ALL, [said("a=1"), said("a=3"), said("a=4")], AFTER_3, "complete"),
    "said what never was": (ALL, [said("a=1"), said("a=4"), said("a=5")], {}, "phantom"),
    "an equal change may be the later one": (DELETES, [said("a=1"), said("-a"), said("b=1")], AFTER_3, ""),
    "but not the later one of two": (DELETES, [said("a=1"), said("a=2"), said("b=1")], AFTER_3, "complete"),
    "what came before the end of the outage is the earlier one": (
        "2:a=1 3:-a 4:a=2 5:-a",
        [said("-a"), said("a=2")],
        AFTER_3,
        "complete",
    ),
    "what came after it may be the later one": (
        "2:a=1 3:-a 4:a=2 5:-a",
        [said("a=1"), said("a=2"), said("-a")],
        AFTER_3,
        "",
    ),
    # a replaced store
    "the store was replaced": (
        "2:a=1 3:b=1 2:a=2",
        ["2a", "3b", snap(2, a="2")],
        {"replacements": (Replacement(2, 2),)},
        "",
    ),
}


@pytest.mark.parametrize("name", COMES_BACK)
def test_comes_back(name: str, case: Any) -> None:
    check("comes-back", case, *COMES_BACK[name])


@pytest.mark.parametrize(("promise", "cases"), [("latest-per-key", PER_KEY), ("comes-back", COMES_BACK)])
def test_every_guarantee_that_is_judged_is_broken_by_some_case(
    promise: Promise, cases: dict[str, Case]
) -> None:
    seen = {name for _, _, _, broken in cases.values() for name in broken.split()}
    assert seen == set(DECLARED[promise].guarantees)


def test_each_promise_is_declared() -> None:
    assert tuple(DECLARED) == get_args(Promise)


@pytest.mark.parametrize("promise", get_args(Promise))
def test_what_nobody_can_be_blamed_for_is_kept_under_each_promise(promise: Promise, case: Any) -> None:
    assert judge_trace(case(LOG, ["2a", "3b", "4a"], promise=promise)).verdict == "kept"


def test_the_words_say_what_the_subscriber_was_left_with(case: Any) -> None:
    verdict = judge_trace(case(LOG, ["2a", "3b"], promise="latest-per-key"))
    assert verdict.lines() == [
        "broken: complete",
        "    complete: revision 4 (put 'a') had not arrived when all was quiet: the subscriber was left with '1'",
    ]


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (["2a"], "and so had nothing else that was committed after the last outage"),
        (
            ["2a", "4a", "6a"],
            "although the subscriber was back: revision 4, also committed after the last outage, had",
        ),
    ],
)
def test_the_words_say_whether_the_subscriber_was_back(stream: list[Any], words: str, case: Any) -> None:
    verdict = judge_trace(case(ALL, stream, promise="comes-back", **AFTER_3))
    assert words in verdict.evidence[0].sentence


def test_a_trace_with_disturbances_survives_its_file(case: Any) -> None:
    trace = case(LOG, ["2a"], promise="comes-back", disturbances=(by(2, 1), by(3, 1, "client")))
    assert Trace.from_json(trace.to_json()) == trace
    plain = case(LOG, ["2a"])
    assert "disturbances" not in plain.to_json()


def test_who_disturbed_is_known_or_refused(case: Any) -> None:
    document = case(LOG, ["2a"], promise="comes-back", disturbances=(by(2, 1),)).to_json()
    document["disturbances"][0]["by"] = "moon"
    with pytest.raises(FormatError, match=r'disturbances\[0\].by must be "network" or "client", not "moon"'):
        Trace.from_json(document)


def test_thousands_of_lies_are_counted_and_few_are_told(case: Any) -> None:
    lies = tuple(TraceEvent("put", "a", "9", 4) for _ in range(2_000))
    for promise in ("latest-per-key", "comes-back"):
        verdict = judge_trace(case(LOG, ["3b", "4a", Delivered(lies)], promise=promise))
        assert verdict.counts["phantom"] == 2_000
        assert len(verdict.evidence) == 1_000
