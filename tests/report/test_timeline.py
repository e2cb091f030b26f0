"""A picture as data: what can be drawn, the way to JSON and back, rows, and the axis."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.report.timeline import Card, Flow, Mark, Timeline, number_marks, packed
from pytest_netfault.report.timeline_axis import squeezed, squeezed_axis

times = st.floats(0, 1e6).map(lambda time: round(time, 6))


@st.composite
def bars(draw: st.DrawFn) -> list[Mark]:
    spans = draw(st.lists(st.tuples(times, times.filter(bool) | st.none()), max_size=30))
    return [
        Mark(f"m{n}", "lane", start, None if length is None else start + length, "")
        for n, (start, length) in enumerate(spans)
    ]


@pytest.mark.slow
def test_to_a_file_and_back(small: Timeline, large: Timeline) -> None:
    for picture in (small, large):
        assert Timeline.from_json(json.loads(json.dumps(picture.to_json()))) == picture


@pytest.mark.parametrize(
    "data", [None, [], {}, {"format": 2}, {"format": 1}, {"format": 1, "headline": "", "lanes": [{"x": 1}]}]
)
def test_what_is_no_picture_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="timeline"):
        Timeline.from_json(data)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lane": "elsewhere"}, "lane 'elsewhere', which is not there"),
        ({"end": -1.0}, "before it starts"),
        ({"start": float("nan")}, "finite"),
        ({"shade": (0.0, float("inf"))}, "finite"),
        ({"known": float("inf")}, "finite"),
        ({"tone": "pink"}, "'pink' is none of"),
        ({"shape": "egg"}, "'egg' is none of"),
        ({"id": "e2"}, "two marks have the same id"),
    ],
)
def test_what_cannot_be_drawn_is_refused(small: Timeline, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(small, marks=(replace(small.marks[0], **change), *small.marks[1:]))


def test_what_refers_to_nothing_is_refused(small: Timeline) -> None:
    for change in ({"flows": (Flow(("e99",)),)}, {"cards": (Card("written", "", "", "e99"),)}):
        with pytest.raises(ValueError, match="no mark 'e99'"):
            replace(small, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="two lanes"):
        replace(small, lanes=(*small.lanes, small.lanes[0]))


@given(bars())
def test_bars_in_a_row_do_not_touch(marks: list[Mark]) -> None:
    placed, rows = packed(marks, at_most=1_000)
    assert {one.id for one in placed} == {one.id for one in marks}
    assert rows == max((one.row + 1 for one in placed), default=1)
    for row in range(rows):
        within = [one for one in placed if one.row == row]
        for one, two in pairwise(within):
            assert one.end is not None
            assert one.end <= two.start


@pytest.mark.slow
@given(bars())
def test_there_are_never_too_many_rows(marks: list[Mark]) -> None:
    placed, rows = packed(marks, at_most=3)
    assert rows <= 3
    assert all(one.row < rows for one in placed)


@pytest.mark.slow
@given(bars())
def test_marks_are_numbered_in_the_order_of_their_start(marks: list[Mark]) -> None:
    names, numbered = number_marks(marks)
    assert [one.id for one in numbered] == [f"e{n}" for n in range(1, len(marks) + 1)]
    assert all(one.start <= two.start for one, two in pairwise(numbered))
    assert {names[one.id] for one in marks} == {one.id for one in numbered}


@given(st.lists(times, max_size=60))
def test_the_axis_always_rises_and_holds_all_times(points: Iterable[float]) -> None:
    points = list(points)
    knots = squeezed(points)
    assert len(knots) >= 2
    for (time, place), (later, farther) in pairwise(knots):
        assert later > time
        assert farther > place
    if points:
        assert knots[0][0] == min(points)
        assert knots[-1][0] >= max(points)


@given(st.lists(times, min_size=3, max_size=60, unique=True))
def test_no_pause_grows(points: list[float]) -> None:
    for (time, place), (later, farther) in pairwise(squeezed(points)):
        assert farther - place <= (later - time) * (1 + 1e-6) + 1e-6


def test_a_long_wait_leaves_room_for_what_happened_before(small: Timeline) -> None:
    knots = squeezed_axis(small)
    busy = next(place for time, place in knots if time == 0.030)
    assert busy / knots[-1][1] > 0.3  # 30 ms of 2 s; to scale it would be 0.015
