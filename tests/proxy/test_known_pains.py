"""What hurts in the best known fault proxy of this kind, Toxiproxy: each pain as one test that this one passes."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from pytest_netfault.faults import Delay, Slice, Throttle


def test_one_slow_reader_does_not_hang_the_control_of_all_links(make_rig: Any) -> None:
    """There, a call about a link whose reader has stopped blocks every call about every link."""
    slow, other = make_rig(), make_rig()
    pair = slow.connect()
    faults = [slow.link.delay(0.001), slow.link.slice(10), slow.link.throttle(1e9)]
    slow.fill(pair.client)
    for fault in faults:
        fault.heal()
    other.link.delay(0.001).heal()
    other.connect()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Slice(0),
        lambda: Slice(-1),
        lambda: Slice(1, gap=-1),
        lambda: Throttle(0),
        lambda: Throttle(-1),
        lambda: Delay(-1),
        lambda: Delay(0, jitter=-1),
    ],
)
def test_no_parameter_kills_it(rig: Any, make: Any) -> None:
    """There, some parameters are accepted and then end the process."""
    with pytest.raises(ValueError, match="must be"):
        rig.link.apply(make())
    pair = rig.connect()
    pair.client.sendall(b"alive")
    assert pair.server.recv(9) == b"alive"


def test_an_idle_connection_is_reset_as_well(rig: Any, pair: Any, helpers: Any) -> None:
    """There, a reset comes with the next byte, so that an idle client waits for ever."""
    rig.link.reset()
    assert helpers.take_all(pair.client) == (b"", "rst")
    assert helpers.take_all(pair.server) == (b"", "rst")


def test_a_half_close_does_not_end_the_other_direction(pair: Any, helpers: Any) -> None:
    """There, both directions end, and the reply is lost."""
    pair.client.sendall(b"request")
    pair.client.shutdown(socket.SHUT_WR)
    assert helpers.take_all(pair.server) == (b"request", "fin")
    pair.server.sendall(b"reply")
    pair.server.close()
    assert helpers.take_all(pair.client) == (b"reply", "fin")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_a_reset_arrives_as_a_reset(pair: Any, helpers: Any, direction: str) -> None:
    """There, it arrives as an orderly end: the receiver takes half a message for a whole one."""
    sender, receiver = pair.ends(direction)
    sender.sendall(b"half a mess")
    assert helpers.take(receiver, 11) == b"half a mess"
    helpers.hang_up(sender)
    assert helpers.take_all(receiver) == (b"", "rst")


def test_a_refused_upstream_does_not_look_like_success(net: Any, helpers: Any) -> None:
    """There, the client's connection is accepted and then ends in order."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    assert helpers.call(net.forward(address)) == (b"", "rst")


def test_a_seed_has_an_effect(make_rig: Any, helpers: Any) -> None:
    """There, it has none: random choices differ from run to run."""
    damaged = []
    for _ in range(2):
        rig = make_rig()
        with rig.link.corrupt(0.1):
            pair = rig.connect()
            pair.client.sendall(bytes(10_000))
            damaged.append(helpers.take(pair.server, 10_000))
    assert damaged[0] == damaged[1] != bytes(10_000)


def test_bytes_are_counted_while_the_connection_lives(rig: Any, pair: Any) -> None:
    """There, counters appear only when a connection has ended."""
    for total in range(1, 5):
        pair.client.sendall(b"x")
        rig.link.wait_for_bytes(total)
        assert rig.link.connections[0].bytes_up == total


@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_connecting_can_be_made_to_hang(rig: Any) -> None:
    """There, the kernel completes each connection before the proxy has a say."""
    with rig.link.stall_accept():
        client = rig.hanging()
        rig.fence()
        with pytest.raises(BlockingIOError):
            client.recv(1, socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            assert client.getpeername() is None, "it is connected"
