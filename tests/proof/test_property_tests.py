"""`verify.replay` under `@given`: a draw that proves nothing is no failure, and nothing passes that was not tested."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, reject, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable, UnsatisfiedAssumption

from pytest_netfault import (
    Break,
    Heal,
    ProvedNothing,
    Schedule,
    Sever,
    Subscribe,
    WaitForEvents,
    Write,
    verify,
)

NOTHING = Schedule([Subscribe()])
SOMETHING = Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Heal()])

quick = settings(
    deadline=None,
    max_examples=4,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def played() -> list[Schedule]:
    return []


def run(toy: Any, server: Any, draws: st.SearchStrategy[Schedule], played: list[Schedule]) -> None:
    @quick
    @given(schedule=draws)
    def prove(schedule: Schedule) -> None:
        played.append(schedule)
        verify.replay(toy.RightStore, server, schedule, settle=0.5)
        played.append(schedule)

    prove()


def test_a_draw_that_proves_nothing_is_rejected(toy: Any, server: Any, played: list[Schedule]) -> None:
    run(toy, server, st.sampled_from([NOTHING, SOMETHING]), played)
    assert played.count(NOTHING) % 2 == 1, "it was begun, and never came to its end"
    assert SOMETHING in played


def test_a_test_whose_every_draw_proves_nothing_fails(toy: Any, server: Any, played: list[Schedule]) -> None:
    with pytest.raises(Unsatisfiable):
        run(toy, server, st.just(NOTHING), played)
    assert played


def test_an_example_that_somebody_wrote_fails_if_it_proves_nothing(toy: Any, server: Any) -> None:
    @quick
    @example(schedule=NOTHING)
    @given(schedule=st.just(SOMETHING))
    def prove(schedule: Schedule) -> None:
        verify.replay(toy.RightStore, server, schedule, settle=0.5)

    with pytest.raises(ProvedNothing, match="nothing was broken in 1 example"):
        prove()


def test_it_can_still_be_caught(toy: Any, server: Any) -> None:
    caught = []

    @quick
    @given(schedule=st.sampled_from([NOTHING, SOMETHING]))
    def prove(schedule: Schedule) -> None:
        try:
            verify.replay(toy.RightStore, server, schedule, settle=0.5)
        except ProvedNothing as nothing:
            caught.append(nothing)
            reject()

    prove()
    assert caught
    assert caught[0].report.examples == 1


def test_outside_of_hypothesis_it_is_no_assumption(toy: Any, server: Any) -> None:
    with pytest.raises(ProvedNothing) as caught:
        verify.replay(toy.RightStore, server, NOTHING, settle=0.5)
    assert not isinstance(caught.value, UnsatisfiedAssumption)
