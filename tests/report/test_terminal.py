"""The section of a failing test, where more happened than a screen holds."""

from __future__ import annotations

import re

import pytest

from pytest_netfault.events import EventKind, LinkEvent
from pytest_netfault.report.network_story import LinkStory
from pytest_netfault.report.terminal import EVENTS_SHOWN, failure_text


def shown(kinds: list[EventKind]) -> list[str]:
    """The lines about events of a link on which these happened, one second apart."""
    events = tuple(LinkEvent(float(n), "link1", kind, detail=f"n{n}") for n, kind in enumerate(kinds))
    story = LinkStory("link1", "127.0.0.1:1", "127.0.0.1:2", 0, 0, (), events)
    lines = failure_text(seed=1, command="pytest", links=[story], since=0.0).splitlines()
    return [line.strip() for line in lines[2:]]


def numbers(lines: list[str]) -> list[int]:
    return [int(found[1]) for line in lines if (found := re.search(r" n(\d+)$", line))]


def test_what_fits_is_shown_whole() -> None:
    lines = shown(["accepted"] * EVENTS_SHOWN)
    assert numbers(lines) == list(range(EVENTS_SHOWN))
    assert len(lines) == EVENTS_SHOWN


@pytest.mark.parametrize("place", range(24))
@pytest.mark.parametrize("kind", ["fault", "hit", "heal"])
def test_what_was_done_to_the_link_is_never_left_out(kind: EventKind, place: int) -> None:
    kinds: list[EventKind] = ["fin"] * 24
    kinds[place] = kind
    lines = shown(kinds)
    assert place in numbers(lines)
    assert len(numbers(lines)) == EVENTS_SHOWN
    assert lines[0] == "20 of 24 events:"


def test_the_middle_is_left_out_and_each_gap_says_how_much() -> None:
    lines = shown(["fault", *["accepted"] * 98, "closed"])  # type: ignore[list-item]
    seen = numbers(lines)
    assert seen[0] == 0
    assert seen[-1] == 99
    (gap,) = (line for line in lines if line.startswith("..."))
    assert gap == "... 80 events left out"
    assert 0 < lines.index(gap) < len(lines) - 1


def test_of_too_many_faults_the_middle_is_left_out() -> None:
    lines = shown(["fault", "heal"] * 500)
    seen = numbers(lines)
    assert len(seen) == EVENTS_SHOWN
    assert (seen[0], seen[-1]) == (0, 999)
    assert "... 980 events left out" in lines


def test_what_the_sides_did_is_shown_beside_many_faults() -> None:
    kinds: list[EventKind] = ["accepted", *["fault", "heal"] * 50, "rst", "closed"]  # type: ignore[list-item]
    assert {0, 1, 100, 101, 102} <= set(numbers(shown(kinds)))


def test_times_stay_in_order() -> None:
    lines = shown(["accepted", "fin", "closed", "fault", "hit", "heal"] * 20)
    seen = numbers(lines)
    assert seen == sorted(set(seen))
