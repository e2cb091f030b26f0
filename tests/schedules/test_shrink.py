from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.schedules import (
    Break,
    Compact,
    Cut,
    Heal,
    Schedule,
    Sever,
    Subscribe,
    WaitForEvents,
    Write,
    WriteMany,
    schedules,
)
from pytest_netfault.schedules.shrink import candidates, complexity, shrink
from pytest_netfault.schedules.steps import Step, writes_of

EVERYTHING = ("compact", "restart", "pause", "many")


def owed(schedule: Schedule) -> int:
    """How many steps write what the subscriber is owed."""
    place = schedule.steps.index(Subscribe())
    return sum(
        bool(writes_of(step)) and not getattr(step, "beside", False) for step in schedule.steps[place:]
    )


@pytest.mark.slow
@given(schedules(abilities=EVERYTHING))
def test_every_candidate_is_simpler_and_still_tells_something(schedule: Schedule) -> None:
    found = list(candidates(schedule))
    assert len(found) == len(set(found))
    for candidate in found:
        assert complexity(candidate) < complexity(schedule)
        assert owed(candidate) or not owed(schedule)


def search(
    schedule: Schedule, fails: Callable[[Schedule], bool], most: int = 10_000, width: int = 1
) -> tuple[Schedule, int]:
    played = 0

    def attempt(tried: Sequence[Schedule]) -> list[Schedule | None]:
        nonlocal played
        assert len(tried) <= width
        played += len(tried)
        return [candidate if fails(candidate) else None for candidate in tried]

    smallest, result = shrink(schedule, schedule, attempt, go_on=lambda: played < most, width=width)
    assert result == smallest
    return smallest, played


def loses_from_now(schedule: Schedule) -> bool:
    """As a subscriber that comes back at the newest revision: a write while something is broken is lost."""
    subscribed = broken = False
    for step in schedule:
        subscribed = subscribed or isinstance(step, Subscribe)
        if isinstance(step, (Break, Heal)):
            broken = subscribed and isinstance(step, Break)
        elif subscribed and broken and writes_of(step) and not getattr(step, "beside", False):
            return True
    return False


@given(schedules(abilities=EVERYTHING).filter(loses_from_now))
def test_a_plain_loss_shrinks_to_three_steps_in_a_few_plays(schedule: Schedule) -> None:
    smallest, played = search(schedule, loses_from_now)
    assert smallest == Schedule([Subscribe(), Break(Sever()), Write("a")])
    assert played <= 12


@given(schedules(abilities=EVERYTHING).filter(loses_from_now), st.integers(2, 9), st.integers(1, 3))
def test_trying_several_together_leads_to_the_same_schedule(
    schedule: Schedule, width: int, faults: int
) -> None:
    def fails(candidate: Schedule) -> bool:
        return loses_from_now(candidate) and candidate.faults >= min(faults, schedule.faults)

    assert search(schedule, fails, width=width)[0] == search(schedule, fails)[0]


def test_what_is_needed_stays() -> None:
    def fails(schedule: Schedule) -> bool:
        kinds: list[type[Step]] = [type(step) for step in schedule]
        return kinds.count(Break) == 2 and Compact in kinds

    start = Schedule(
        [
            Write("b"),
            Subscribe(),
            WaitForEvents(3),
            Break(Cut(120, direction="up", how="rst")),
            WriteMany(("a", "b"), via="link"),
            Compact(),
            Heal(),
            Break(Cut(120)),
            Write("c"),
        ]
    )
    smallest, _ = search(start, fails)
    assert len(smallest) == 5
    assert [step.fault for step in smallest if isinstance(step, Break)] == [Sever(), Sever()]
    assert smallest.writes == 1


def test_a_position_is_made_small() -> None:
    def fails(schedule: Schedule) -> bool:
        return any(
            isinstance(step, Break) and isinstance(step.fault, Cut) and step.fault.after_bytes >= 100
            for step in schedule
        )

    smallest, _ = search(
        Schedule([Subscribe(), Break(Cut(1_700, direction="down", how="rst")), Write("c")]), fails
    )
    assert smallest == Schedule([Subscribe(), Break(Cut(100)), Write("a")])


def test_the_search_stops_when_it_is_told() -> None:
    start = Schedule([Subscribe(), *[Break(Sever()), Write("a"), Heal()] * 5])
    smallest, played = search(start, lambda schedule: len(schedule) > 3, most=2)
    assert played == 2
    assert len(smallest) <= len(start)


def test_nothing_is_tried_twice() -> None:
    tried: list[Schedule] = []
    start = Schedule([Write("b"), Subscribe(), Break(Sever()), Write("c"), Heal(), Write("a", via="link")])

    def attempt(schedules: Sequence[Schedule]) -> list[None]:
        tried.extend(schedules)
        return [None] * len(schedules)

    shrink(start, 1, attempt, go_on=lambda: True)
    assert len(tried) == len(set(tried))
