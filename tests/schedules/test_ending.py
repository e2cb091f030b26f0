from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_netfault.schedules.contract import Pace
from pytest_netfault.schedules.ending import Conclude, Ending, LastWrite, Wait

PACE = Pace(settle=5, last_writes=(0.25, 1.0))


def test_when_all_has_arrived_one_last_write_shows_that_the_subscriber_lives() -> None:
    ending = Ending(PACE, now=0)
    assert ending.decide(now=0, arrived=3, missing=0, broken=False) == LastWrite()
    assert ending.decide(now=0, arrived=3, missing=1, broken=False) == Wait(0.25)
    assert ending.decide(now=0.1, arrived=4, missing=0, broken=False) == Conclude(quiet=True)


def test_a_broken_guarantee_ends_the_run_at_once_and_no_tail_is_called_lost() -> None:
    assert Ending(PACE, now=0).decide(now=0, arrived=0, missing=9, broken=True) == Conclude(quiet=False)


def test_silence_is_filled_with_last_writes_and_ends_after_settle() -> None:
    ending = Ending(PACE, now=10)
    decisions = [
        ending.decide(now=now, arrived=0, missing=2, broken=False)
        for now in (10, 10.25, 10.25, 11, 11, 14.5, 15)
    ]
    assert decisions == [
        Wait(0.25),
        LastWrite(),
        Wait(0.75),
        LastWrite(),
        Wait(4.0),
        Wait(0.5),
        Conclude(quiet=True),
    ]


def test_only_what_was_owed_and_arrived_is_progress() -> None:
    ending = Ending(Pace(settle=5, last_writes=()), now=0)
    assert ending.decide(now=4, arrived=1, missing=1, broken=False) == Wait(5)
    assert ending.decide(now=8, arrived=1, missing=1, broken=False) == Wait(1)  # others came, it did not
    assert ending.decide(now=9, arrived=1, missing=1, broken=False) == Conclude(quiet=True)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_it_always_comes_to_an_end(asked: list[tuple[float, int, int]]) -> None:
    """Whoever waits as long as he is told, with never more than three changes to come, is told to stop."""
    ending = Ending(PACE, now=0)
    now, steps = 0.0, 0
    for pause, arrived, missing in [*asked, *[(5.0, 3, 1)] * 6]:
        action = ending.decide(now=now, arrived=arrived, missing=missing, broken=False)
        steps += 1
        if isinstance(action, Conclude):
            return
        assert not isinstance(action, Wait) or action.seconds > 0
        now += pause
    raise AssertionError(f"it went on for {steps} questions")
