from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.proof.contract import Timeouts
from pytest_netfault.proof.quiescence import Account, Conclude, Ending, LastWrite, Wait

PACE = Timeouts(settle=5, last_writes=(0.25, 1.0))


def test_when_all_has_arrived_one_last_write_shows_that_the_subscriber_lives() -> None:
    ending = Ending(PACE, now=0)
    assert ending.decide(now=0, arrived=3, missing=0, broken=False) == LastWrite()
    assert ending.decide(now=0, arrived=3, missing=1, broken=False) == Wait(0.25)
    assert ending.decide(now=0.1, arrived=4, missing=0, broken=False) == Conclude(quiet=True)


def test_a_broken_guarantee_ends_the_run_at_once_and_no_tail_is_called_lost() -> None:
    assert Ending(PACE, now=0).decide(now=0, arrived=0, missing=9, broken=True) == Conclude(quiet=False)


def played(
    ending: Ending, *, now: float = 0.0, late: float = 0.0, arrived: int = 0, starved: float = 0.0
) -> tuple[list[float], float]:
    """When last writes were made, and when it ended, if nothing arrives and each wait takes so much longer.

    Each time that it is asked, somebody had got no processor for ``starved`` seconds.
    """
    wrote = []
    began = now
    while True:
        action = ending.decide(now=now, arrived=arrived, missing=2, broken=False)
        if isinstance(action, Conclude):
            assert action.quiet
            return wrote, now - began
        if isinstance(action, Account):
            ending.account(starved)
        elif isinstance(action, LastWrite):
            wrote.append(round(now - began, 6))
        else:
            assert action.seconds > 0
            now += action.seconds + late


def test_silence_is_filled_with_last_writes_and_ends_after_settle() -> None:
    wrote, took = played(Ending(PACE, now=10), now=10)
    assert wrote == [0.25, 1.0]
    assert took == pytest.approx(5)


def test_a_machine_that_stands_still_is_not_taken_for_a_subscriber_that_does() -> None:
    ending = Ending(PACE, now=0)
    assert isinstance(ending.decide(now=0, arrived=0, missing=2, broken=False), Wait)
    assert ending.decide(now=60, arrived=0, missing=2, broken=False) == LastWrite()
    _, took = played(ending, now=60)
    assert took > 4
    _, slow = played(Ending(PACE, now=0), late=2)
    assert slow > 20


def test_a_little_late_is_no_reason_to_wait_longer() -> None:
    _, took = played(Ending(PACE, now=0), late=0.05)
    assert took == pytest.approx(5, abs=0.3)


def test_who_got_no_processor_is_waited_for_as_much_longer_but_not_for_ever() -> None:
    ending, now = Ending(Timeouts(settle=5, last_writes=()), now=0), 0.0
    for starved in (9.0, 2.0, 0.4):  # the first one is where it begins to count
        while isinstance(action := ending.decide(now=now, arrived=0, missing=2, broken=False), Wait):
            now += action.seconds
        assert action == Account()
        ending.account(starved)
    assert now == pytest.approx(5 + 2, abs=0.1)
    assert ending.decide(now=now, arrived=0, missing=2, broken=False) == Conclude(quiet=True)
    _, took = played(Ending(PACE, now=0), starved=5)
    assert took == pytest.approx(5 + 50, abs=1)
    _, took = played(Ending(Timeouts(settle=45), now=0), starved=45)
    assert took == pytest.approx(45 + 60, abs=2)


def test_a_little_without_a_processor_is_no_reason_to_wait_longer() -> None:
    _, took = played(Ending(PACE, now=0), starved=0.45)
    assert took == pytest.approx(5)


def test_only_what_was_owed_and_arrived_is_progress() -> None:
    ending = Ending(Timeouts(settle=5, last_writes=()), now=0)
    _, took = played(ending)
    assert took == pytest.approx(5)
    ending = Ending(Timeouts(settle=5, last_writes=()), now=0)
    now = 0.0
    while now < 4:  # others come, and once one that was owed
        action = ending.decide(now=now, arrived=int(now > 2), missing=1, broken=False)
        if isinstance(action, Account):
            ending.account(0.0)
            continue
        assert isinstance(action, Wait)
        now += action.seconds
    _, took = played(ending, now=now, arrived=1)
    assert now + took == pytest.approx(7, abs=0.3)


@pytest.mark.slow
@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 3)), max_size=60),
    st.floats(0, 1e6),
)
def test_it_always_comes_to_an_end(asked: list[tuple[float, int, int]], starved: float) -> None:
    """Whoever waits as long as he is told, with never more than three changes to come, is told to stop."""
    ending = Ending(PACE, now=0)
    now, steps = 0.0, 0
    for pause, arrived, missing in [*asked, *[(5.0, 3, 1)] * 1000]:
        action = ending.decide(now=now, arrived=arrived, missing=missing, broken=False)
        steps += 1
        if isinstance(action, Conclude):
            return
        if isinstance(action, Account):
            ending.account(starved)
        assert not isinstance(action, Wait) or action.seconds > 0
        now += pause
    raise AssertionError(f"it went on for {steps} questions")


def test_a_subscriber_that_comes_back_is_asked_once_more() -> None:
    ending = Ending(PACE, now=0, confirm=True)
    assert ending.decide(now=0, arrived=0, missing=0, broken=False) == LastWrite()
    assert ending.decide(now=0, arrived=0, missing=1, broken=False) == Wait(0.25)
    assert ending.decide(now=0.25, arrived=0, missing=1, broken=False) == LastWrite()
    assert ending.decide(now=0.3, arrived=2, missing=0, broken=False) == LastWrite()
    assert ending.decide(now=0.4, arrived=3, missing=0, broken=False) == Conclude(quiet=True)


@pytest.mark.parametrize(("delivered", "at_the_end"), [(False, 5.0), (True, 6.25)])
def test_a_last_write_that_supersedes_the_one_before_is_no_progress_unless_something_came(
    delivered: bool, at_the_end: float
) -> None:
    ending, now, writes = Ending(PACE, now=0), 0.0, 0
    while True:
        items = int(delivered and now > 1.2)
        action = ending.decide(now=now, arrived=writes, missing=2, broken=False, items=items)
        if isinstance(action, Conclude):
            break
        if isinstance(action, Account):
            ending.account(0.0)
        writes += isinstance(action, LastWrite)
        now += action.seconds if isinstance(action, Wait) else 0.0
    assert now == pytest.approx(at_the_end, abs=0.1)
    assert writes == 2
