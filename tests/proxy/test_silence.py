"""Silence holds endings too, and healing releases everything, in order."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from pytest_netfault.faults import Blackhole, Delay, Fault, Slice, Throttle

directions = pytest.mark.parametrize("direction", ["up", "down"])


@directions
@pytest.mark.parametrize("packets", [False, True])
@pytest.mark.parametrize("ending", ["fin", "rst"])
def test_a_black_hole_holds_bytes_and_the_ending_behind_them(
    rig: Any, pair: Any, helpers: Any, direction: str, ending: str, packets: bool
) -> None:
    sender, receiver = pair.ends(direction)
    with rig.link.blackhole(packets=packets):
        sender.sendall(b"held")
        if ending == "fin":
            sender.shutdown(socket.SHUT_WR)
        elif packets:
            return  # the kernel drops the reset itself, and it is sent once only
        else:
            helpers.hang_up(sender)
        assert rig.nothing(receiver)
    assert helpers.take_all(receiver) == (b"held", ending)


@directions
def test_an_ending_with_nothing_before_it_is_held_too(
    rig: Any, pair: Any, helpers: Any, direction: str
) -> None:
    sender, receiver = pair.ends(direction)
    fault = rig.link.blackhole(direction)
    helpers.hang_up(sender)
    assert rig.nothing(receiver)
    assert fault.met_traffic
    fault.heal()
    assert helpers.take_all(receiver) == (b"", "rst")


@pytest.mark.parametrize("ending", ["fin", "rst"])
@directions
def test_an_ending_that_a_delay_had_taken_in_is_stopped_as_well(
    rig: Any, pair: Any, helpers: Any, direction: str, ending: str
) -> None:
    sender, receiver = pair.ends(direction)
    delay = rig.link.delay(3600)
    sender.sendall(b"late")
    rig.fence()
    helpers.hang_up(sender) if ending == "rst" else sender.shutdown(socket.SHUT_WR)
    rig.fence()
    hole = rig.link.blackhole()
    delay.heal()
    assert rig.nothing(receiver)
    hole.heal()
    assert helpers.take_all(receiver) == (b"late", ending)


@pytest.mark.slow
def test_a_reset_that_waits_for_a_slow_reader_is_stopped_by_a_later_silence(rig: Any, helpers: Any) -> None:
    """It has come, and is not handed on yet because bytes before it are not acknowledged."""
    pair = rig.connect(receive_buffer=4096)
    sent = rig.fill(pair.server)
    helpers.hang_up(pair.server)
    while not any(event.kind == "rst" for event in rig.link.events):
        rig.fence()
    with rig.link.blackhole():
        rig.later(1.5)  # longer than a reset waits for a reader that takes nothing
        assert [one.number for one in rig.link.connections] == [1]
    data, ending = helpers.take_all(pair.client)
    assert ending == "rst"
    assert len(data) <= sent


@pytest.mark.parametrize("fault", [Delay(3600), Throttle(1), Slice(1, gap=3600), Blackhole()], ids=repr)
@pytest.mark.parametrize("ending", ["fin", "rst"])
@directions
def test_healing_releases_what_was_held_in_order(
    rig: Any, pair: Any, helpers: Any, direction: str, ending: str, fault: Fault
) -> None:
    sender, receiver = pair.ends(direction)
    data = b"".join(helpers.blocks("held", 50_000))
    with rig.link.apply(fault):
        sender.sendall(data[:25_000])
        rig.fence()
        sender.sendall(data[25_000:])
        rig.fence()
        if ending == "fin":
            sender.shutdown(socket.SHUT_WR)
        else:
            helpers.hang_up(sender)
        rig.fence()
        assert len(receiver.recv(10, socket.MSG_PEEK)) <= 10 if not rig.nothing(receiver) else True
    assert helpers.take_all(receiver) == (data, ending)


@directions
def test_what_follows_a_healed_fault_comes_behind_what_it_held(
    rig: Any, pair: Any, helpers: Any, direction: str
) -> None:
    sender, receiver = pair.ends(direction)
    expected = b""
    for turn in range(50):
        data = bytes([turn]) * 3000
        expected += data
        with rig.link.delay(3600):
            sender.sendall(data)
            if turn % 2:
                rig.fence()
        sender.sendall(data)
        expected += data
    assert helpers.take(receiver, len(expected)) == expected


def test_delay_is_late_alike_for_bytes_and_endings(rig: Any, pair: Any, helpers: Any) -> None:
    with rig.link.delay(0.05, jitter=0.05):
        pair.client.sendall(b"a")
        pair.client.shutdown(socket.SHUT_WR)
        assert helpers.take_all(pair.server) == (b"a", "fin")
        helpers.hang_up(pair.server)
        assert helpers.take_all(pair.client) == (b"", "rst")
