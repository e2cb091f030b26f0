"""The scenarios' oracle: each of its rules with a case that passes and one that does not."""

from __future__ import annotations

import doctest
from typing import Any

import pytest
from runtime_config import ABSENT, Changes, Deleted, Key, Resynced, Snapshot, Undecodable, Updated
from runtime_config.values import Values
from scenarios import oracle
from scenarios.oracle import Judgement, judge

A, B = Key("oracle.a", int), Key("oracle.b", int)
HISTORY = {
    5: {"oracle.a": 1},
    7: {"oracle.a": 2, "oracle.b": 1},
    8: {"oracle.b": None},
}
FINAL = {"oracle.a": 2}
START = Snapshot(Values({"oracle.a": 1}), 6)
SEVEN = Changes(7, (Updated(A, 2, 1), Updated(B, 1, ABSENT)))
EIGHT = Changes(8, (Deleted(B, 1),))
GAP = Resynced("compacted", Values(FINAL), (Updated(A, 2, 1),), 6, 9)
REPLACED = Resynced("store_replaced", Values({"oracle.b": 9}), (Deleted(A, 2), Updated(B, 9, ABSENT)), 8, 3)


def judged(*items: Any, epochs: Any = (HISTORY,), final: Any = None) -> Any:
    return judge(items, list(epochs), FINAL if final is None else final)


def test_the_whole_story_passes() -> None:
    assert judged(START, SEVEN, EIGHT) == Judgement()
    assert judged(START, SEVEN, EIGHT)


def test_a_revision_that_never_came_is_lost() -> None:
    assert judged(START, EIGHT).lost == (7,)
    assert judged(START, SEVEN).lost == (8,)
    assert judged().lost == (5, 7, 8)
    assert not judged(START, SEVEN)


def test_a_revision_twice_is_a_duplicate() -> None:
    assert judged(START, SEVEN, SEVEN, EIGHT).duplicated == (7,)
    assert judged(START, SEVEN, EIGHT, SEVEN).duplicated == (7,)


def test_what_lies_inside_a_gap_that_was_reported_is_not_lost() -> None:
    reported = judged(START, GAP)
    assert reported
    assert reported.resyncs == ("compacted",)


@pytest.mark.parametrize(
    ("items", "word"),
    [
        ([Snapshot(Values({}), 6), SEVEN, EIGHT], "Snapshot at 6"),
        ([START, Changes(7, (Updated(A, 3, 1), Updated(B, 1, ABSENT))), EIGHT], "delivered as"),
        ([START, Changes(7, (Updated(A, 2, 1),)), EIGHT], "delivered as"),
        ([START, Changes(7, (Updated(A, 2, 4), Updated(B, 1, ABSENT))), EIGHT], "previous of oracle.a"),
        ([START, SEVEN, EIGHT, Changes(9, (Updated(A, 2, 2),))], "revision 9 is None"),
        ([START, SEVEN, START, SEVEN, EIGHT], "in the middle"),
        ([START, Resynced("compacted", Values({}), (Deleted(A, 1),), 6, 9)], "Resynced at 9"),
        ([START, Resynced("compacted", Values(FINAL), (), 6, 9)], "does not lead to its values"),
        ([START, SEVEN, EIGHT, Resynced("compacted", Values({"oracle.a": 1}), (), 6, 6)], "went back"),
        ([START, Resynced("compacted", Values(FINAL), (Updated(A, 2, 1),), 8, 9)], "bridges from 8"),
        ([START, SEVEN, EIGHT, REPLACED], "which it was not"),
        ([START, SEVEN, EIGHT, Undecodable(A, b"x", ValueError(), 9)], "could not be decoded"),
    ],
)
def test_what_differs_from_the_history_is_wrong(items: list[Any], word: str) -> None:
    found = judged(*items)
    assert not found
    assert any(word in text for text in found.wrong), found


def test_a_replaced_store_begins_a_new_history() -> None:
    after = {3: {"oracle.b": 9}}
    assert judged(START, SEVEN, EIGHT, REPLACED, epochs=(HISTORY, after), final={"oracle.b": 9})
    unreported = judged(START, SEVEN, EIGHT, epochs=(HISTORY, after), final=FINAL)
    assert unreported.wrong == ("no resync said that the store was replaced",)


def test_the_end_has_to_be_what_a_read_gives() -> None:
    assert "a read gives" in judged(START, SEVEN, EIGHT, final={"oracle.a": 3}).wrong[0]


def test_examples_of_the_oracle() -> None:
    assert doctest.testmod(oracle).failed == 0
