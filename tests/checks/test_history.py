"""Reading histories: what is accepted, and what is refused with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.checks.history import History
from pytest_netfault.checks.reading import FormatError


def event(process: int, kind: str, op: str | None = None, **more: Any) -> dict[str, Any]:
    return {"process": process, "type": kind, **({} if op is None else {"op": op}), **more}


def test_questions_and_answers_are_brought_together() -> None:
    history = History.from_events(
        [
            event(1, "invoke", "write", value=4),
            event(2, "invoke", "read"),
            event(1, "ok", "write", value=4),
            event(2, "ok", "read", value=None),
            event(2, "invoke", "cas", value=[4, 5]),
            event(2, "fail", "cas", result="compare-failed"),
            event(1, "invoke", "write", value=6),
        ]
    )
    assert [str(one) for one in history.operations] == [
        "process 1: write 4",
        "process 2: read -> null",
        "process 2: cas 4 to 5 (compare failed)",
        "process 1: write 6 (unknown)",
    ]
    assert [(one.invoked, one.returned) for one in history.operations] == [(0, 2), (1, 3), (4, 5), (6, None)]
    assert [one.lines for one in history.operations] == [(1, 3), (2, 4), (5, 6), (7, None)]


def test_a_failed_cas_is_an_observation_only_if_it_says_so() -> None:
    invoke = event(1, "invoke", "cas", value=[1, 2])
    (silent,) = History.from_events([invoke, event(1, "fail", "cas")]).operations
    (telling,) = History.from_events([invoke, event(1, "fail", "cas", result="compare-failed")]).operations
    assert (silent.compare_failed, telling.compare_failed) == (False, True)


def test_equal_times_overlap_and_different_times_do_not() -> None:
    def two(second: float) -> History:
        return History.from_events(
            [
                event(1, "invoke", "write", value=1, time=0.0),
                event(1, "ok", "write", time=1.0),
                event(2, "invoke", "read", time=second),
                event(2, "ok", "read", value=None, time=2.0),
            ]
        )

    first, later = two(1.0).operations
    assert first.returned is not None
    assert first.returned > later.invoked
    first, later = two(1.001).operations
    assert first.returned is not None
    assert first.returned < later.invoked


def test_times_count_and_not_lines() -> None:
    early = [event(1, "invoke", "write", value=1, time=5.0), event(1, "ok", "write", time=6.0)]
    late = [event(2, "invoke", "read", time=1.0), event(2, "ok", "read", value=None, time=2.0)]
    write, read = History.from_events([*early, *late]).operations
    assert read.returned is not None
    assert read.returned < write.invoked


WRITE = event(1, "invoke", "write", value=1)


@pytest.mark.parametrize(
    ("events", "line", "message"),
    [
        ([5], 1, "an event must be an object, not 5"),
        ([event(1, "begin", "read")], 1, 'type must be "invoke", "ok", "fail" or "info", not "begin"'),
        (
            [event(1, "invoke", "swap")],
            1,
            "op must be one of read, write, cas, get, put, append, delete, not",
        ),
        ([{"type": "invoke", "op": "read"}], 1, "process must be a number or a string, not null"),
        ([event(1, "invoke", "write")], 1, 'write has no "value"'),
        ([event(1, "invoke", "get")], 1, 'get has no "key"'),
        ([event(1, "invoke", "cas", value=1)], 1, r"the value of a cas must be \[from, to\], not 1"),
        ([event(1, "invoke", "append", key="k", value=1)], 1, "append takes a string, not 1"),
        ([event(1, "ok", "read", value=1)], 1, "process 1 has nothing open that could end"),
        ([WRITE, WRITE], 2, "process 1 invokes while its operation of line 1 is open"),
        ([WRITE, event(1, "ok", "read")], 2, 'op is "read", and the invoke of line 1 says "write"'),
        ([WRITE, event(1, "info"), WRITE], 3, "process 1 goes on after the unknown outcome of line 2"),
        ([event(1, "invoke", "read"), event(1, "ok", "read")], 2, 'the answer of a read has no "value"'),
        ([WRITE, event(1, "ok", time=1.0)], 1, "this event has no time and others have one"),
        ([{**WRITE, "time": "now"}], 1, 'time must be a number of seconds, not "now"'),
        ([{**WRITE, "time": 2}, event(1, "ok", time=1)], 2, "ends at 1, before it began at 2 in line 1"),
        ([{**WRITE, "index": "0"}], 1, 'index must be a whole number, not "0"'),
    ],
)
def test_a_damaged_history_names_its_line(events: list[Any], line: int, message: str) -> None:
    with pytest.raises(FormatError, match=message) as caught:
        History.from_events(events)
    assert caught.value.line == line


def test_lines_are_counted_with_the_blank_ones() -> None:
    good = json.dumps(WRITE)
    with pytest.raises(FormatError, match="not JSON") as caught:
        History.from_lines([good, "", '{"process": 2, "ty'])
    assert caught.value.line == 3
    assert len(History.from_lines([good, "", ""]).operations) == 1


@pytest.mark.slow
@given(st.lists(st.text() | st.sampled_from([json.dumps(WRITE), "[]", "NaN", "[" * 2000]), max_size=4))
def test_no_text_does_more_than_be_refused(lines: list[str]) -> None:
    refusal = None
    try:
        History.from_lines(lines)
    except FormatError as error:
        refusal = error
    assert refusal is None or (refusal.line is not None and 1 <= refusal.line <= len(lines))
