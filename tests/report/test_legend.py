"""The legend: what is in a picture, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture import picture
from pytest_netfault.report.timeline import Flow, Mark, Timeline
from pytest_netfault.report.timeline_legend import SIGNS, legend


def words(timeline: Timeline) -> list[str]:
    return [entry.words for entry in legend(timeline)]


def test_what_is_there_is_explained(small: Timeline) -> None:
    assert words(small) == [
        "never arrived",
        "committed, never arrived",
        "outcome unknown, left open",
        "acknowledged",
        "a fault holds",
        "a connection",
        "arrived",
        "the way of an update that was lost",
    ]


@pytest.mark.parametrize("gone", range(7))
def test_what_is_not_there_is_not(small: Timeline, gone: int) -> None:
    kept = tuple(mark for number, mark in enumerate(small.marks) if number != gone)
    assert len(words(replace(small, marks=kept, flows=(), cards=()))) == 6


def test_a_way_that_was_gone_once_too_often_is_named(small: Timeline) -> None:
    again = replace(small, flows=(Flow(("e4", "e7"), wrong=True),))
    assert words(again)[-1] == "it went this way once too often, or in parts"


def test_nothing_has_no_legend() -> None:
    assert legend(Timeline("", (), ())) == ()


def test_every_mark_of_a_run_is_explained_by_a_sign(make_run: Callable[..., Run]) -> None:
    drawn = picture(make_run())
    for mark in drawn.marks:
        alone = replace(drawn, marks=(mark,), flows=(), cards=())
        (entry,) = legend(alone)
        assert entry.sign in SIGNS


def test_a_rejected_write_is_told_from_one_that_was_acknowledged(small: Timeline) -> None:
    write = Mark("w", "direct", 0.0, 0.1, "put", tone="good")
    assert words(replace(small, marks=(write,), flows=(), cards=())) == ["acknowledged"]
    assert words(replace(small, marks=(replace(write, tone="bad"),), flows=(), cards=())) == ["rejected"]
