"""Where a schedule may wait; each case differs from its neighbour in one step."""

from __future__ import annotations

import pytest

from pytest_netfault.faults import Reset, Sever
from pytest_netfault.schedules import (
    Break,
    Compact,
    Heal,
    Pause,
    Restart,
    Schedule,
    Subscribe,
    WaitForConnection,
    WaitForEvents,
    Write,
)
from pytest_netfault.schedules.waits import is_racy, with_waits


@pytest.mark.parametrize(
    ("steps", "racy"),
    [
        ([Subscribe(), Write("a"), Restart()], True),
        ([Subscribe(), Write("a"), WaitForEvents(), Restart()], False),
        ([Write("a"), Subscribe(), Restart()], False),  # what is there before comes with the subscription
        ([Subscribe(), Write("a"), Break(Reset()), Write("a")], True),
        ([Subscribe(), Break(Reset()), Write("a")], False),
        ([Subscribe(), Break(Sever()), Write("a"), Compact()], False),
        ([Subscribe(), Break(Sever()), Heal(), Write("a"), Compact()], True),
        ([Subscribe(), Pause(), Write("a"), Restart()], False),
    ],
)
def test_a_race_is_trouble_right_behind_a_write_that_is_under_way(steps: list[object], racy: bool) -> None:
    assert is_racy(Schedule(steps)) is racy  # type: ignore[arg-type]


def test_the_write_behind_the_trouble_then_a_wait_more_and_then_several() -> None:
    found = list(with_waits(Schedule([Subscribe(), Write("a"), Break(Reset()), Write("b")])))
    assert len(found) == len(set(found))
    assert found[:3] == [
        Schedule([Subscribe(), Break(Reset()), Write("a"), Write("b")]),
        Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Reset()), Write("b")]),
        Schedule([Subscribe(), Write("a"), Break(Reset()), WaitForConnection(), Write("b")]),
    ]
    assert (
        Schedule([Subscribe(), Write("a"), WaitForEvents(), Break(Reset()), WaitForConnection(), Write("b")])
        in found
    )


def test_no_wait_is_put_beside_its_like() -> None:
    schedule = Schedule([Subscribe(), Write("a"), WaitForEvents(), Restart()])
    assert all("WaitForEvents(), WaitForEvents()" not in str(variant) for variant in with_waits(schedule))
    assert schedule not in with_waits(schedule)
