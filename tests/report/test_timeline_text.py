"""The picture in plain characters: small, ASCII, and what was lost always in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.common.printable import printable_lines
from pytest_netfault.report.timeline import Lane, Mark, Timeline
from pytest_netfault.report.timeline_text import LINES, drawn

LANES = (
    Lane("direct", "Another service writes", "calls", rows=2),
    Lane("faults", "Faults", "faults"),
    Lane("connections", "Connections", "connections"),
    Lane("arrived", "Arrived", "deliveries"),
)
times = st.floats(0, 1e5).map(lambda time: round(time, 6))


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    lane = draw(st.sampled_from(LANES)).id
    start = draw(times)
    shape = draw(st.sampled_from(["bar", "diamond", "dot", "cross", "flag", "cut"]))
    end = start + draw(times) if shape == "bar" else start
    is_open = shape == "bar" and draw(st.booleans())
    tone = draw(st.sampled_from(["plain", "good", "unknown", "bad", "fault", "lost", "culprit"]))
    return Mark(
        "",
        lane,
        start,
        None if is_open else end,
        draw(st.text(max_size=40)),
        draw(st.text(max_size=3)),
        tone=tone,  # type: ignore[arg-type]
        shape=shape,  # type: ignore[arg-type]
        known=end if is_open and draw(st.booleans()) else None,
        shade=(start, end) if tone == "culprit" else None,
    )


@pytest.mark.slow
@given(st.lists(marks(), max_size=40), st.integers(60, 160))
def test_any_picture_fits(found: list[Mark], columns: int) -> None:
    numbered = tuple(replace(mark, id=f"e{number}") for number, mark in enumerate(found))
    text = drawn(Timeline("", LANES, numbered), columns=columns)
    assert text.isascii()
    assert len(text.splitlines()) <= LINES
    assert all(len(line) <= columns for line in text.splitlines())
    assert bool(text) is any(mark.lane != "connections" or mark.shape != "flag" for mark in found)
    if any(mark.lane == "arrived" and mark.shape != "bar" and mark.tone == "lost" for mark in found):
        assert "X never arrived" in text
        (arrived,) = (line for line in text.splitlines() if line.startswith("Arrived"))
        assert "X" in arrived


def test_every_lane_but_the_steps_has_a_line(small: Timeline) -> None:
    lines = drawn(small).splitlines()
    assert [line[:22].strip() for line in lines[1:-1]] == [lane.name for lane in small.lanes]
    steps = replace(small, lanes=(*small.lanes, Lane("steps", "Steps")))
    assert drawn(steps) == drawn(small)


def test_a_loss_an_unknown_outcome_and_a_fault_can_be_told_apart(small: Timeline) -> None:
    writes, commits, faults, connections, arrived = drawn(small).splitlines()[1:-1]
    assert "[" in writes
    assert "?" in writes  # nobody knows how it ended
    assert "* revision 7" in commits
    assert "###" in faults
    assert "Sever()" in faults
    assert "|#1" in connections
    assert "X 7 never arrived" in arrived
    assert arrived.index("X") < arrived.rindex("o")
    assert ":" in arrived  # the fault holds here
    assert drawn(small).splitlines()[-1].strip() == (
        "o arrived, X never arrived, ? outcome unknown, # a fault holds"
    )


def test_the_part_that_is_looked_at_first_is_drawn(large: Timeline) -> None:
    text = drawn(large)
    assert "2.49 s" in text
    assert "0.0 ms" not in text
    assert "X" in text
    whole = drawn(replace(large, focus=None))
    assert "X" in whole.splitlines()[-2]  # and not buried under the others
    assert "0.0 ms" in whole


def test_nothing_is_nothing(small: Timeline) -> None:
    assert drawn(replace(small, marks=(), flows=(), cards=())) == ""


def test_no_line_is_one_that_must_be_escaped_where_it_is_shown() -> None:
    """A CI system takes a line that begins with two colons for a command; escaping them would move what is drawn."""
    lanes = (Lane("faults", "Faults", "faults"), Lane("connections", "Connections", "connections", rows=2))
    marks = (
        Mark("e1", "faults", 0.2, 0.8, "Sever()", tone="culprit", shade=(0.2, 0.8)),
        Mark("e2", "connections", 0.0, 0.3, "#1", "#1", shape="bar"),
        Mark("e3", "connections", 0.9, 1.0, "#2", "#2", shape="bar", row=1),
    )
    text = drawn(Timeline("", lanes, marks), columns=60)
    assert printable_lines(text) == text
    first, second = text.splitlines()[2:4]
    assert first.index(":") > first.index("#1")
    assert first.rindex(":") == second.rindex(":")
