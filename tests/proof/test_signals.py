"""What a play has shown: the state of the wire at the end of a connection, and what lies between two ends."""

from __future__ import annotations

import pytest
from support.mutants import toy

from pytest_netfault.proof.arguments import Settings
from pytest_netfault.proof.bench import Bench
from pytest_netfault.proof.signals import signals_of, turn_at
from pytest_netfault.schedules import Break, Heal, Schedule, Sever, Subscribe, WaitForEvents, Write

TURNS = (("up", 10), ("down", 100), ("up", 5))


@pytest.mark.parametrize(
    ("up", "down", "turn"),
    [
        (0, 0, (0, "up", 0, True)),
        (3, 0, (1, "up", 3, False)),
        (10, 0, (1, "up", 10, True)),
        (10, 40, (2, "down", 40, False)),
        (10, 100, (2, "down", 100, True)),
        (14, 100, (3, "up", 4, False)),
        (15, 100, (3, "up", 5, True)),
        # More than was kept of the conversation: what is known of it.
        (15, 900, (3, "up", 5, True)),
    ],
)
def test_which_turn_it_is(up: int, down: int, turn: tuple[int, str, int, bool]) -> None:
    assert turn_at(TURNS, up, down) == turn


def test_a_conversation_that_nobody_kept_has_no_turns() -> None:
    assert turn_at((), 10, 20) == (0, "up", 0, True)


def test_what_a_play_shows() -> None:
    schedule = Schedule(
        [Subscribe(), Write("a"), WaitForEvents(), Break(Sever()), Write("a"), Write("b"), Heal(), Write("a")]
    )
    with (
        toy.ToyServer() as server,
        Bench(toy.RightStore, server, Settings(settle=10.0, seed=1)) as bench,
    ):
        run = bench.play(schedule, learn=True)
    shown = signals_of(run)
    # The watch has greeted, brought a change, and is ended in its second turn, while nothing is missing.
    assert "behind: Sever down2 0" in shown
    assert "recovery: Sever down2, pp" in shown
    assert signals_of(run, ["recovery"]) == {"recovery: Sever down2, pp"}
