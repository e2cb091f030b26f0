"""A guided search: what decides the schedules, and that the number of lanes does not."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_netfault import Compact, Schedule
from pytest_netfault.proof.guided import BEHIND, Guided
from pytest_netfault.schedules.generate import FaultMix, seeded

MIX = FaultMix(abilities=frozenset({"compact"}))


def shown(run: Any) -> frozenset[str]:
    """Something that not every schedule shows, and that is the same each time."""
    return frozenset(f"{type(step).__name__} {number % 5}" for number, step in enumerate(run.schedule))


def searched(ahead: int, *, count: int = 150, show: Any = shown, some_wait: bool = False) -> list[Schedule]:
    """The schedules of a search whose plays end in order while so many are under way."""
    guided = Guided(7, range(count), MIX, show=show, waits=lambda one: some_wait and Compact() in one.steps)
    made: list[Schedule] = []
    under_way: deque[Schedule] = deque()
    for schedule in guided:
        made.append(schedule)
        if some_wait and Compact() in schedule.steps:
            continue
        under_way.append(schedule)
        if len(under_way) >= ahead:
            guided.learn(SimpleNamespace(schedule=under_way.popleft()))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize("some_wait", [False, True])
def test_the_number_of_lanes_changes_no_schedule(some_wait: bool) -> None:
    one = searched(1, some_wait=some_wait)
    assert all(searched(ahead, some_wait=some_wait) == one for ahead in (2, 7, BEHIND))


def test_it_begins_with_what_the_seed_draws() -> None:
    made = searched(1)
    assert made[:BEHIND] == [seeded(7, number, MIX) for number in range(BEHIND)]
    fresh = sum(one == seeded(7, number, MIX) for number, one in enumerate(made[BEHIND:], start=BEHIND))
    assert 0 < fresh < len(made[BEHIND:]) // 2


def test_what_the_plays_show_decides() -> None:
    assert searched(1) != searched(1, show=lambda run: frozenset(map(str, run.schedule)))


def test_plays_that_show_nothing_leave_it_with_what_the_seed_draws() -> None:
    made = searched(1, count=60, show=lambda _: frozenset())
    assert made == [seeded(7, number, MIX) for number in range(60)]
