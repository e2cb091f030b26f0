"""Faults of the kernel: segments themselves are dropped, and TCP does what it does on a bad network."""

from __future__ import annotations

import select
import socket
import struct
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.faults import Blackhole, Delay, Forget, Lose, UnsupportedFault
from pytest_netfault.proxy import kernel

directions = pytest.mark.parametrize("direction", ["up", "down"])


def retransmits(sock: socket.socket) -> int:
    """Segments sent again so far and attempts under way, as TCP_INFO counts them (linux/tcp.h)."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    under_way = info[2]
    total: int = struct.unpack_from("I", info, 100)[0]
    return under_way + total


@directions
def test_the_peer_of_a_packet_black_hole_retransmits(
    rig: Any, pair: Any, helpers: Any, direction: str
) -> None:
    sender, receiver = pair.ends(direction)
    with rig.link.blackhole(packets=True) as hole:
        sender.sendall(b"into the dark")
        while not retransmits(sender):
            rig.fence()
        assert rig.nothing(receiver)
        assert hole.met_traffic
    assert helpers.take(receiver, 13) == b"into the dark"


@directions
def test_with_a_plain_black_hole_the_peer_is_acknowledged(rig: Any, pair: Any, direction: str) -> None:
    """The kernel of the proxy takes the bytes, and only the proxy keeps silent."""
    sender, receiver = pair.ends(direction)
    with rig.link.blackhole():
        sender.sendall(b"taken")
        while kernel.unacknowledged(sender):
            rig.fence()
        assert rig.nothing(receiver)


@pytest.mark.slow
@directions
def test_a_sender_in_a_packet_black_hole_times_out_as_on_a_dead_network(
    rig: Any, pair: Any, direction: str
) -> None:
    sender, receiver = pair.ends(direction)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    with rig.link.blackhole(packets=True):
        sender.sendall(b"anyone?")
        with pytest.raises(TimeoutError) as caught:
            sender.recv(1)
        assert caught.value.errno is not None, "the kernel gave up, not our own patience"
        assert rig.nothing(receiver)
    assert retransmits(receiver) == 0


@pytest.mark.parametrize("how", ["sever", "reset"])
def test_a_packet_black_hole_may_end_the_connections(rig: Any, pair: Any, helpers: Any, how: str) -> None:
    with rig.link.blackhole(packets=True, on_heal=how):
        pair.client.sendall(b"lost")
        rig.fence()
    expected = (b"", "fin" if how == "sever" else "rst")
    assert helpers.take_all(pair.server) == expected
    assert helpers.take_all(pair.client) == expected


@pytest.mark.slow
@directions
def test_random_loss_is_repaired_by_tcp(rig: Any, helpers: Any, direction: str) -> None:
    with rig.link.lose(0.2, direction) as loss:
        sender, receiver = rig.connect().ends(direction)
        for block in helpers.blocks("loss", 65536 * 200):
            sender.sendall(block[:3000])
            assert helpers.take(receiver, 3000) == block[:3000]
            if retransmits(sender):
                break
        assert retransmits(sender) > 0
        assert loss.met_traffic


@pytest.mark.slow
def test_syns_are_lost_as_well(rig: Any) -> None:
    with rig.link.lose(1.0, "up") as loss:
        client = rig.hanging()
        rig.fence()
        assert select.select([], [client], [], 0) == ([], [], [])
        assert loss.met_traffic
    assert select.select([], [client], [], 20)[1] == [client]
    pair_server = rig.answer()
    client.setblocking(True)
    client.sendall(b"through")
    assert pair_server.recv(9) == b"through"


def test_a_connection_made_under_loss_is_clean_once_it_is_healed(rig: Any, helpers: Any) -> None:
    """Accepted sockets inherit the listener's filter; healing must find it on them too."""
    with rig.link.lose(0.01):
        pairs = [rig.connect() for _ in range(20)]
    before = [retransmits(pair.client) for pair in pairs]
    for pair in pairs:
        for _ in range(50):
            pair.client.sendall(bytes(1000))
            helpers.take(pair.server, 1000)
    assert [retransmits(pair.client) for pair in pairs] == before


def test_losses_stack(rig: Any, pair: Any) -> None:
    """Two independent losses; healing one leaves the other."""
    one, other = rig.link.lose(1.0), rig.link.lose(0.5)
    other.heal()
    pair.client.sendall(b"lost")
    while not retransmits(pair.client):
        rig.fence()
    one.heal()
    assert pair.server.recv(9) == b"lost"


@pytest.mark.parametrize("fault", [Lose(0.5), Blackhole(packets=True), Forget(packets=True)], ids=repr)
def test_where_the_kernel_has_no_filters_the_fault_is_refused_and_nothing_is_changed(
    rig: Any, pair: Any, monkeypatch: pytest.MonkeyPatch, fault: Any
) -> None:
    monkeypatch.setattr(kernel, "has_filters", lambda: False)
    with pytest.raises(UnsupportedFault, match=r"SO_ATTACH_FILTER.*Linux"):
        rig.link.apply(fault)
    pair.client.sendall(b"untouched")
    assert pair.server.recv(9) == b"untouched"
    rig.connect()


def test_where_the_kernel_has_no_filters_connecting_is_left_unserved(
    make_rig: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "has_filters", lambda: False)
    rig = make_rig()
    with rig.link.blackhole() as silence:
        assert not silence.met_traffic
        client = rig.dial()
        client.sendall(b"held")
        rig.fence()
        assert select.select([rig.server], [], [], 0) == ([], [], [])
        assert silence.met_traffic
    assert rig.answer().recv(9) == b"held"
    assert silence.met_traffic


@pytest.mark.parametrize("fault", [Lose(0.5), Blackhole(packets=True), Forget(packets=True)], ids=repr)
def test_unix_sockets_have_no_segments(net: NetFault, short_path: Any, fault: Any) -> None:
    link = net.forward(80, listen=f"unix:{short_path}/link")
    with pytest.raises(UnsupportedFault, match="Unix socket has none; forward"):
        link.apply(fault)
    other = net.forward(f"unix:{short_path}/nobody")
    with pytest.raises(UnsupportedFault, match="Unix socket has none; forward"):
        other.apply(fault)


def test_a_fault_that_fails_half_way_leaves_nothing_behind(
    rig: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def set_loss(sock: socket.socket, loss: float) -> None:
        calls.extend([loss] * (loss == 1.0))  # other links of this process lose nothing
        if loss == 1.0 and len(calls) == 2:
            raise OSError("out of option memory")
        real(sock, loss)

    real = kernel.set_loss
    monkeypatch.setattr(kernel, "set_loss", set_loss)
    with pytest.raises(OSError, match="option memory"):
        rig.link.blackhole(packets=True)
    monkeypatch.undo()
    pair.client.sendall(b"untouched")
    assert pair.server.recv(9) == b"untouched"
    rig.connect()
    rig.link.apply(Delay(0)).heal()
