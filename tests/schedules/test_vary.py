"""Variations of schedules, and which of them a guided search goes on from."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault import Break, Compact, Cut, Heal, Restart, Schedule, Sever, Subscribe, Write
from pytest_netfault.schedules.corpus import Corpus
from pytest_netfault.schedules.generate import FaultMix, seeded
from pytest_netfault.schedules.vary import MOST_STEPS, vary

MIX = FaultMix(abilities=frozenset({"compact", "restart", "many"}))


@given(seed=st.integers(0, 10_000), rounds=st.integers(1, 6))
def test_what_is_varied_again_and_again_can_be_played(seed: int, rounds: int) -> None:
    randrange = random.Random(seed).randrange
    schedule = seeded(seed, 0, MIX)
    for number in range(rounds):
        before = schedule
        schedule = vary(schedule, randrange, MIX, seeded(seed, number, MIX))
        assert sum(isinstance(step, Subscribe) for step in schedule) == 1
        assert len(schedule) <= MOST_STEPS
        assert Schedule.from_json(schedule.to_json()) == schedule
        assert eval(str(schedule), vars(pytest.importorskip("pytest_netfault.schedules"))) == schedule
        assert any(isinstance(step, (Break, Restart)) for step in schedule) or schedule == before


def test_the_same_chance_makes_the_same_variation() -> None:
    schedule = seeded(1, 0, MIX)
    made = [vary(schedule, random.Random(7).randrange, MIX) for _ in range(2)]
    assert made[0] == made[1] != schedule


@given(seed=st.integers(0, 10_000))
def test_nothing_is_brought_in_that_may_not_be_drawn(seed: int) -> None:
    mix = FaultMix((Sever, Cut(7)))
    schedule = Schedule([Subscribe(), Break(Cut(7)), Write("a"), Heal()])
    randrange = random.Random(seed).randrange
    for _ in range(5):
        schedule = vary(schedule, randrange, mix)
        for step in schedule:
            assert not isinstance(step, (Compact, Restart))
            if isinstance(step, Break):
                assert type(step.fault) is Sever or step.fault == Cut(7)


def test_a_schedule_is_kept_if_it_has_shown_something_new() -> None:
    corpus: Corpus[str] = Corpus()
    assert corpus.learn("first", {"a"})
    assert not corpus.learn("the same again", {"a"})
    assert corpus.learn("more", {"a", "b"})
    assert not corpus.learn("nothing", ())
    assert (len(corpus), corpus.signals) == (2, 2)


def test_what_has_shown_something_rare_is_varied_more_often() -> None:
    corpus: Corpus[str] = Corpus()
    for number in range(20):
        corpus.learn(f"common {number}", {"common", f"its own {number}"})
        for _ in range(10):
            corpus.learn("again", {"common", f"its own {number}"})
    corpus.learn("rare", {"common", "rare"})
    randrange = random.Random(1).randrange
    chosen = [corpus.choose(randrange) for _ in range(200)]
    assert chosen.count("rare") > 1.5 * max(chosen.count(f"common {number}") for number in range(20))


def test_nothing_is_varied_before_anything_was_kept() -> None:
    with pytest.raises(ValueError, match="nothing was kept"):
        Corpus[str]().choose(random.Random(1).randrange)
