"""When a stream is probed, and when it is given up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runtime_config._feed.watchdog import OPENING, Action, Liveness


def test_a_stream_that_is_not_confirmed_is_given_up() -> None:
    stream = Liveness(100.0, dead_after=20.0)
    assert stream.decide(100.0) == (Action.WAIT, 100.0 + OPENING)
    assert stream.decide(100.0 + OPENING)[0] is Action.GIVE_UP


@settings(deadline=None)
@given(dead_after=st.floats(0.2, 1000), gaps=st.lists(st.floats(0.01, 20), max_size=20))
def test_a_dead_stream_is_given_up_in_time_and_a_live_one_never(dead_after: float, gaps: list[float]) -> None:
    """Play a watchdog that wakes exactly when it asked to, over a stream that answers every question until it
    dies."""
    now, stream = 0.0, Liveness(0.0, dead_after).replied(0.0)
    for gap in gaps:
        next_reply = now + gap * dead_after
        while True:
            action, due = stream.decide(now)
            assert action is not Action.GIVE_UP, "a stream that answers was given up"
            if action is Action.PROBE:
                stream = stream.probed(now).replied(now)
                continue
            if due >= next_reply:
                break
            now = due
        now, stream = next_reply, stream.replied(next_reply)
    died = now
    while True:
        action, due = stream.decide(now)
        if action is Action.GIVE_UP:
            break
        if action is Action.PROBE:
            stream = stream.probed(now)
        else:
            now = due
    assert now - died == pytest.approx(dead_after)


def test_a_late_watchdog_asks_before_it_gives_up() -> None:
    stream = Liveness(0.0, dead_after=2.0).replied(1.0)
    assert stream.decide(500.0)[0] is Action.PROBE
    assert stream.probed(500.0).decide(500.9) == (Action.WAIT, 501.0)
