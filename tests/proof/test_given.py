"""A search by Hypothesis that has found a loss is led to the smallest schedule, and plays nothing more."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase

from pytest_netfault import Break, Schedule, Sever, Subscribe, UpdateLost, Write, verify
from pytest_netfault.proof import losses
from pytest_netfault.proof.given import input_of
from pytest_netfault.schedules import schedules
from pytest_netfault.schedules.shrink import shrink

ABOUT = ("a client", "a server")
quick = settings(
    deadline=None,
    database=None,
    max_examples=200,
    phases=[Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


def loses(schedule: Schedule) -> bool:
    """A mistake that shows where something is written over the link right behind a fault."""
    pairs = zip(schedule.steps, schedule.steps[1:], strict=False)
    return any(isinstance(one, Break) and isinstance(two, Write) and two.via == "link" for one, two in pairs)


def lost(schedule: Schedule) -> UpdateLost:
    return UpdateLost("lost", schedule=schedule, trace={}, broken=("complete",), seed=1)


class Kit:
    """What ``verify.replay`` does with an input, without a client: the plays are only counted."""

    def __init__(self) -> None:
        self.played: list[Schedule] = []
        self.tried: list[Schedule] = []
        self.until_then = -1

    def replay(self, schedule: Schedule) -> None:
        self.tried.append(schedule)
        found = self.result(schedule)
        if found is not None:
            raise found

    def result(self, schedule: Schedule) -> UpdateLost | None:
        drawn = input_of(schedule)
        known = None if drawn is None else drawn.known(ABOUT)
        if known is not None:
            return known.error()
        if not self.fails(schedule):
            return None
        smaller = None if drawn is None else drawn.asked
        if drawn is None or smaller is None:
            if drawn is not None:
                drawn.learn(ABOUT, lost(schedule))
            return lost(schedule)

        def attempt(candidates: Sequence[Schedule]) -> list[bool | None]:
            return [self.fails(candidate) or None for candidate in candidates]

        smallest, _ = shrink(schedule, True, attempt, go_on=lambda: True, asked=smaller)
        drawn.learn(ABOUT, lost(smallest))
        self.until_then = len(self.played)
        return lost(smallest)

    def fails(self, schedule: Schedule) -> bool:
        self.played.append(schedule)
        return loses(schedule)


def run(kit: Kit, how: settings = quick, **more: Any) -> UpdateLost:
    @how
    @given(schedule=schedules(), **more)
    def prove(schedule: Schedule, **_: object) -> None:
        kit.replay(schedule)

    with pytest.raises(UpdateLost) as caught:
        prove()
    return caught.value


def test_it_ends_at_the_smallest_that_was_played() -> None:
    kit = Kit()
    told = run(kit)
    assert told.schedule == Schedule([Subscribe(), Break(Sever()), Write("a", via="link")])
    assert told.schedule in kit.played
    assert kit.tried[-1] == told.schedule, "what Hypothesis prints is what the message tells of"
    assert len(kit.played) == kit.until_then, "nothing was played while Hypothesis shrank"


def test_what_fails_by_luck_is_reported_as_what_it_is() -> None:
    class Lucky(Kit):
        def fails(self, schedule: Schedule) -> bool:
            return super().fails(schedule) and self.until_then < 0 and self.played.count(schedule) == 1

    kit = Lucky()
    told = run(kit, settings(quick, phases=[Phase.generate]))
    assert loses(told.schedule), "and not that the test is flaky"
    assert kit.played.count(told.schedule) == 1


def test_the_next_time_that_one_is_tried_first() -> None:
    again = settings(quick, database=InMemoryExampleDatabase())
    told = run(Kit(), again)
    kit = Kit()
    assert run(kit, again).schedule == told.schedule
    assert kit.played[0] == kit.tried[0] == told.schedule


def test_what_else_is_drawn_may_decide_so_every_input_is_played() -> None:
    seen: list[object] = []

    @settings(quick, max_examples=3)
    @given(flag=st.booleans(), schedule=schedules())
    def before(flag: bool, schedule: Schedule) -> None:  # noqa: ARG001
        seen.append(input_of(schedule))

    @settings(quick, max_examples=3)
    @given(schedule=schedules(), data=st.data())
    def after(schedule: Schedule, data: st.DataObject) -> None:
        data.draw(st.booleans())
        seen.append(input_of(schedule))

    @settings(quick, max_examples=3, phases=[Phase.explicit])
    @example(schedule=Schedule([Subscribe(), Break(Sever()), Write("a")]))
    @given(schedule=schedules())
    def written(schedule: Schedule) -> None:
        seen.append(input_of(schedule))

    for test in (before, after, written):
        test()
    assert len(seen) >= 5
    assert not any(seen)
    assert input_of(Schedule([Subscribe()])) is None


def test_a_loss_that_the_test_catches_leads_nobody() -> None:
    kit = Kit()

    @settings(quick, max_examples=40)
    @given(schedule=schedules())
    def prove(schedule: Schedule) -> None:
        with contextlib.suppress(UpdateLost):
            kit.replay(schedule)

    prove()
    assert sum(not loses(one) for one in kit.tried) > 10
    assert set(kit.tried) <= set(kit.played)


@pytest.mark.slow
def test_a_client_that_loses_is_found_made_small_and_played_no_more(
    toy: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FromNowOn(toy.RightStore):  # type: ignore[name-defined, misc]
        def resume_at(self) -> None:
            return None

    monkeypatch.setattr(losses, "_SECONDS_OF_A_PROPERTY", (0.3, 0.1, 0.1))
    tried: list[Schedule] = []

    @settings(quick, max_examples=30)
    @given(schedule=schedules(faults=[Sever]))
    def prove(schedule: Schedule) -> None:
        tried.append(schedule)
        verify.replay(FromNowOn, server, schedule, settle=0.3, notice=None)

    with pytest.raises(UpdateLost, match="Found by Hypothesis, shrunk from") as caught:
        prove()
    assert caught.value.schedule == tried[-1]
