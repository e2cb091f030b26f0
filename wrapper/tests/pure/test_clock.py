"""Ages do not depend on the wall clock, which people and NTP set."""

from __future__ import annotations

import time

import pytest
from runtime_config import STALE, SYNCED
from runtime_config._monitor import Monitor

DAY = 86_400.0


@pytest.mark.parametrize("step", [-DAY, DAY])
def test_a_step_of_the_wall_clock_changes_no_age(monkeypatch: pytest.MonkeyPatch, step: float) -> None:
    board = Monitor()
    assert board.silence == float("inf")
    board.contact()
    board.become(SYNCED)
    board.become(STALE, RuntimeError("cut"))
    began = time.monotonic()
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + step)
    contact, stale = board.counters.last_contact, board.stale_since
    assert contact is not None
    assert stale is not None
    for age in (board.silence, time.time() - contact, time.time() - stale):
        assert 0 <= age < time.monotonic() - began + 60  # and not a day more or less


def test_stale_since_is_none_while_synced() -> None:
    board = Monitor()
    board.become(SYNCED)
    assert board.stale_since is None
    assert board.counters.last_contact is None
