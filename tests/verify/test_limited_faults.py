"""A fault with limits is played, told, kept and made smaller like every other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault import (
    Break,
    Refuse,
    Schedule,
    Sever,
    Subscribe,
    UpdateLost,
    WaitForBytes,
    Write,
    verify,
)
from pytest_netfault.faults import limits_of
from pytest_netfault.schedules.shrink import candidates


@pytest.fixture
def from_now(toy: Any) -> Any:
    """A client that comes back at the present and skips what was written while it was away."""

    class FromNow(toy.RightStore):  # type: ignore[misc]
        def resume_at(self) -> None:
            return None

        def on_events(self, revision: int, changes: Any) -> None:
            self.next = 0
            super().on_events(revision, changes)

    return FromNow


def test_one_that_heals_itself_is_told(from_now: Any, server: Any, tmp_path: Path) -> None:
    # No bytes pass before it is over; a connection that was under way may come about, and be cut.
    schedule = Schedule(
        [Subscribe(), Break(Sever(seconds=0.1)), Write("a"), WaitForBytes(1, direction="down")]
    )
    with pytest.raises(UpdateLost) as lost:
        verify.replay(from_now, server, schedule, settle=0.5, report_dir=tmp_path)
    assert "Break(Sever(seconds=0.1))" in str(lost.value)
    assert "; over after 0.1 s" in str(lost.value)
    [saved] = tmp_path.glob("*.json")
    assert Schedule.from_json(json.loads(saved.read_text())["schedule"]) == schedule


@pytest.mark.slow
def test_a_fault_that_was_asked_for_with_limits_keeps_them(from_now: Any, server: Any) -> None:
    asked = Sever(connections=1)
    with pytest.raises(UpdateLost) as lost:
        verify.no_update_lost(from_now, server, faults=[asked], seed=1, settle=0.5, notice=None)
    assert {step.fault for step in lost.value.schedule if isinstance(step, Break)} <= {asked}


def test_a_limit_that_plays_no_part_is_dropped() -> None:
    limited = Sever(connections=range(1, 3))
    schedule = Schedule([Subscribe(), Break(limited), Break(Refuse(count=1)), Write("a")])
    smaller = {
        step.fault for candidate in candidates(schedule) for step in candidate if isinstance(step, Break)
    }
    assert {Sever(), Sever(connections=1), Refuse()} <= smaller
    assert all(not limits_of(fault).share for fault in smaller)


@pytest.mark.slow
def test_a_right_client_survives_limits(toy: Any, server: Any) -> None:
    faults = [Sever(seconds=0.05), Refuse(count=2), Sever(share=0.5), Sever(connections=range(1, 3))]
    report = verify.no_update_lost(
        toy.RightStore, server, faults=faults, seed=2, max_examples=15, settle=2, notice=None
    )
    assert report.examples == 15
