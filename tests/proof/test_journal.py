from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import pytest

from pytest_netfault.checks.inferred_log import infer_log
from pytest_netfault.checks.trace import LogEvent, Promise, Revision
from pytest_netfault.checks.writes import Held, judge_held
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.trace_builder import stream_of
from pytest_netfault.store import Delivery, Event, Resync


def journal(
    writes: Sequence[WriteRecord],
    delivered: Sequence[Delivery],
    held: Held | None = None,
    promise: Promise = "every-event",
) -> tuple[Revision, ...]:
    return infer_log(writes, stream_of(delivered), held, promise)


Outcome = Literal["ok", "fail", "info"]


def write(outcome: Outcome, value: str | None, key: str = "r17.a") -> WriteRecord:
    return WriteRecord(1, "link", ((key, value),), outcome, 0.0, 1.0)


def seen(*values: str | None) -> list[Delivery]:
    return [Delivery(events=(Event("r17.a", value),)) for value in values]


@pytest.mark.parametrize(
    ("writes", "handed", "made"),
    [
        ([write("ok", "1")], [], {2: "1"}),
        ([write("fail", "1"), write("ok", "2")], [], {3: "2"}),
        ([write("info", "1"), write("ok", "2")], [], {3: "2"}),
        ([write("info", "1"), write("ok", "2")], seen("1"), {2: "1", 3: "2"}),
        ([write("fail", "1")], seen("1"), {}),
        ([write("ok", "1"), write("ok", None)], [], {2: "1", 3: None}),
        ([write("ok", None)], [], {}),
        ([write("ok", None)], seen(None), {2: None}),
        ([write("ok", "1"), write("ok", None), write("ok", None)], [], {2: "1", 3: None}),
        ([write("ok", "1"), write("info", None), write("ok", None)], [], {2: "1"}),
        ([write("info", "1"), write("ok", None)], [], {}),
        ([write("info", "1"), write("ok", "1")], seen("1"), {3: "1"}),
        ([write("info", "1"), write("ok", "1")], seen("1", "1"), {2: "1", 3: "1"}),
        ([write("ok", None), write("ok", "1"), write("ok", None)], seen("1", None), {3: "1", 4: None}),
    ],
)
def test_the_journal_holds_what_was_surely_made(
    writes: list[WriteRecord], handed: list[Delivery], made: dict[int, str | None]
) -> None:
    one_by_one = [dataclasses.replace(one, begun=float(n), ended=n + 0.5) for n, one in enumerate(writes)]
    assert journal(one_by_one, handed) == tuple(
        Revision(revision, (LogEvent("delete" if value is None else "put", "r17.a", value),))
        for revision, value in made.items()
    )


@pytest.mark.parametrize(
    ("deleted_at", "made"),
    [
        (1.0, ["1", None]),
        (0.9, ["1"]),  # begun while the put was under way: it may have found nothing
    ],
)
def test_a_delete_that_may_have_found_nothing_was_not_surely_made(
    deleted_at: float, made: list[str | None]
) -> None:
    put, delete = write("ok", "1"), dataclasses.replace(write("ok", None), begun=deleted_at, ended=2.0)
    assert [event.value for entry in journal([put, delete], ()) for event in entry.events] == made


# -- what the store holds -------------------------------------------------------------------------------------------


def after(first: WriteRecord, outcome: Outcome, value: str | None) -> WriteRecord:
    """A write that was asked for when another had ended."""
    return dataclasses.replace(write(outcome, value), begun=first.ended, ended=9.0)


UNKNOWN = write("info", "1")


@pytest.mark.parametrize(
    ("writes", "held", "made"),
    [
        ([UNKNOWN], {"r17.a": "1"}, ["1"]),
        ([UNKNOWN], {"r17.a": "other"}, []),
        ([UNKNOWN], {"r17.a": None}, []),
        ([write("fail", "1")], {"r17.a": "1"}, []),
        # Somebody else surely wrote the value that is held: it says nothing about this one.
        ([UNKNOWN, write("ok", "1")], {"r17.a": "1"}, ["1"]),
        # That the key is not there may have other reasons than a delete.
        ([write("ok", "1"), write("info", None)], {"r17.a": None}, ["1"]),
    ],
)
def test_an_unknown_write_that_the_store_holds_was_made(
    writes: list[WriteRecord], held: dict[str, str | None], made: list[str]
) -> None:
    assert [one.value for entry in journal(writes, (), held) for one in entry.events] == made


FIRST, BESIDE = write("ok", "1"), write("ok", "2")


@pytest.mark.parametrize(
    ("writes", "handed", "held", "last"),
    [
        ([FIRST, BESIDE], [], None, "2"),
        ([FIRST, BESIDE], [], {"r17.a": "1"}, "1"),
        ([FIRST, after(FIRST, "ok", "2")], [], {"r17.a": "1"}, "2"),  # that cannot be: see judge_held
        ([write("info", "1"), after(FIRST, "ok", "2")], [], {"r17.a": "1"}, "1"),
        ([FIRST, BESIDE], seen("2", "1"), None, "1"),
        ([FIRST, BESIDE], seen("2", "1"), {"r17.a": "2"}, "2"),
        ([FIRST, after(FIRST, "ok", "2")], seen("2", "1"), None, "2"),
        ([FIRST, BESIDE], [Delivery(resync=Resync(None, {"r17.a": "1"}))], None, "1"),
        (
            [FIRST, after(FIRST, "ok", None), BESIDE],
            [*seen("2"), Delivery(resync=Resync(None, {}))],
            None,
            None,
        ),
        # It was seen after somebody had looked: a write without an answer may have taken effect since.
        ([FIRST, write("info", "2")], seen("1", "2"), {"r17.a": "1"}, "2"),
        ([FIRST, write("ok", "2")], seen("1", "2"), {"r17.a": "1"}, "1"),
    ],
)
def test_of_writes_that_were_under_way_together_the_one_that_is_left_came_last(
    writes: list[WriteRecord], handed: list[Delivery], held: dict[str, str | None] | None, last: str | None
) -> None:
    log = journal(writes, handed, held, "latest-value")
    assert log[-1].events[-1].value == last
    assert [entry.revision for entry in log] == sorted({entry.revision for entry in log})
    in_order = journal(writes, handed, held)
    assert sorted(map(str, (one for entry in log for one in entry.events))) == sorted(
        map(str, (one for entry in in_order for one in entry.events))
    )


@pytest.mark.parametrize(
    ("writes", "held", "sentence"),
    [
        (
            [FIRST, after(FIRST, "ok", "2")],
            "1",
            "writes.lost: put 'r17.a' = '2' was acknowledged, and at the end the store holds '1', which is older",
        ),
        ([FIRST, after(FIRST, "ok", "2")], "2", ""),
        ([FIRST, after(FIRST, "info", "2")], "1", ""),
        ([FIRST, after(FIRST, "fail", "2")], "1", ""),
        ([FIRST, BESIDE], "1", ""),  # under way together
        ([write("info", "1"), after(FIRST, "ok", "2")], "1", ""),  # it may have taken effect late
        ([FIRST, after(FIRST, "ok", "2"), write("info", "1")], "1", ""),  # or was put once more
        ([FIRST, after(FIRST, "ok", "2")], None, ""),  # it may have expired
        ([FIRST, after(FIRST, "ok", "2")], "somebody else's", ""),
        (
            [FIRST, after(FIRST, "ok", None)],
            "1",
            "writes.lost: delete 'r17.a' was acknowledged, and at the end the store holds '1', which is older",
        ),
        (
            [write("fail", "1")],
            "1",
            "writes.phantom: put 'r17.a' = '1' was rejected, and at the end the store holds it",
        ),
        ([write("fail", "1"), write("info", "1")], "1", ""),
        (
            [FIRST, write("fail", "1"), after(FIRST, "ok", "2")],
            "1",
            "writes.lost: put 'r17.a' = '2' was acknowledged, and at the end the store holds '1', which is older",
        ),
    ],
)
def test_what_the_store_holds_in_the_end_is_held_against_what_writers_were_told(
    writes: list[WriteRecord], held: str | None, sentence: str
) -> None:
    assert "".join(map(str, judge_held(writes, {"r17.a": held}))) == sentence
