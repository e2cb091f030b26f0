"""A fault costs connections at rest nothing, and holds for them all the same: before the next byte, in its order."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from pytest_netfault.faults import Blackhole, Corrupt, Cut, Delay, Fault, Slice, Throttle
from pytest_netfault.proxy import CustomFault, Place, Stage

MAY_WAIT = [Delay(0.01), Throttle(1000), Slice(3), Corrupt(0.5), Cut(7), Blackhole()]


def stages_of(rig: Any) -> list[list[str]]:
    """The names of the stages of each direction of each connection."""

    def look() -> list[list[str]]:
        pipes = [pipe for one in rig.link._link.connections.live.values() for pipe in one.pipes]
        return [[type(stage).__name__ for stage in pipe.flow.stages] for pipe in pipes]

    return rig.link._link.engine.call(look)  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", MAY_WAIT, ids=repr)
def test_nothing_is_made_for_connections_at_rest(rig: Any, fault: Fault) -> None:
    pairs = [rig.connect() for _ in range(20)]
    rig.link.wait_for_connection(20)
    while any(one.state == "connecting" for one in rig.link.connections):
        rig.fence()
    with rig.link.apply(fault) as active:
        assert not active._state.stages
        pairs[3].client.sendall(b"x")
        rig.fence()
        assert set(active._state.stages) == {4}
    assert stages_of(rig) == [[]] * 40


def test_they_get_all_in_the_order_of_application(rig: Any, pair: Any) -> None:
    class Mine(Stage):
        pass

    class Own(CustomFault):
        def stage(self, place: Place) -> Stage:
            return Mine()

    with contextlib.ExitStack() as stack:
        for fault in (Slice(3), Delay(0), Own(), Corrupt(0), Throttle(1e9)):
            stack.enter_context(rig.link.apply(fault))
        assert stages_of(rig) == [["SliceStage", "DelayStage", "GuardedStage"]] * 2
        pair.client.sendall(b"abc")
        assert pair.server.recv(9) == b"abc"
        whole = ["SliceStage", "DelayStage", "GuardedStage", "CorruptStage", "ThrottleStage"]
        assert stages_of(rig) == [whole] * 2


def test_one_that_was_healed_before_anything_moved_is_never_met(rig: Any, pair: Any) -> None:
    with rig.link.delay(3600), rig.link.slice(1):
        with rig.link.blackhole() as silence:
            pass
        assert not silence.met_traffic
    pair.client.sendall(b"abc")
    assert pair.server.recv(9) == b"abc"
    assert not [event for event in rig.link.events if event.kind == "hit"]


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_silence_meets_what_waits_in_the_kernel(rig: Any, pair: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    with rig.link.blackhole(direction) as silence:
        sender.sendall(b"abc")
        assert silence.met_traffic
        assert rig.nothing(receiver)
    assert receiver.recv(9) == b"abc"


@pytest.mark.parametrize("on_heal", ["sever", "reset"])
def test_a_silence_that_ends_connections_ends_those_at_rest(
    rig: Any, pair: Any, helpers: Any, on_heal: Any
) -> None:
    rig.link.blackhole(on_heal=on_heal).heal()
    assert helpers.take_all(pair.client) == (b"", "fin" if on_heal == "sever" else "rst")


@pytest.mark.parametrize("moved", [0, 5])
def test_a_cut_that_was_passed_already_cuts_at_once(rig: Any, pair: Any, helpers: Any, moved: int) -> None:
    pair.client.sendall(bytes(moved))
    if moved:
        helpers.take(pair.server, moved)
        rig.link.wait_for_bytes(moved)
    rig.link.cut(moved, direction="up")
    assert helpers.take_all(pair.server) == (b"", "fin")


def test_many_faults_together_cost_each_its_own(rig: Any, pair: Any) -> None:
    """Their numbers are the smallest that are free, and are given back."""
    held = [rig.link.delay(0) for _ in range(500)]
    assert [one._state.ordinal for one in held] == list(range(500))
    for one in held[100:200]:
        one.heal()
    again = [rig.link.delay(0) for _ in range(101)]
    assert [one._state.ordinal for one in again] == [*range(100, 200), 500]
    assert rig.link.corrupt(0)._state.ordinal == 0
    pair.client.sendall(b"through all of them")
    assert pair.server.recv(99) == b"through all of them"
