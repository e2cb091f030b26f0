"""A forgotten flow: mute for good, both ways, and nothing is closed; new connections are served."""

from __future__ import annotations

import contextlib
import select
import socket
from collections.abc import Callable
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.faults import (
    Blackhole,
    Cut,
    Delay,
    Fault,
    Forget,
    Lose,
    Refuse,
    Reset,
    Sever,
    Slice,
    StallAccept,
    Throttle,
)
from pytest_netfault.proxy import kernel
from pytest_netfault.proxy.connections import FORGOTTEN_KEPT

packets = pytest.mark.parametrize("packets", [False, True])
directions = pytest.mark.parametrize("direction", ["up", "down"])
endings = pytest.mark.parametrize("ending", ["fin", "rst"])


def end(sock: socket.socket, ending: str, helpers: Any) -> None:
    sock.shutdown(socket.SHUT_WR) if ending == "fin" else helpers.hang_up(sock)


@packets
def test_an_open_flow_is_mute_both_ways_and_a_new_one_is_served(rig: Any, pair: Any, packets: bool) -> None:
    idle = rig.connect()
    pair.client.sendall(b"before")
    assert pair.server.recv(6) == b"before"
    forgotten = rig.link.forget(packets=packets)
    for sock in (pair.client, pair.server, idle.client, idle.server):
        sock.sendall(b"into the dark")
    for sock in (pair.client, pair.server, idle.client, idle.server):
        assert rig.nothing(sock)
    fresh = rig.connect()
    fresh.client.sendall(b"served")
    assert fresh.server.recv(6) == b"served"
    fresh.server.sendall(b"answered")
    assert fresh.client.recv(8) == b"answered"
    assert forgotten.met_traffic
    assert [one.state for one in rig.link.connections] == ["forgotten", "forgotten", "open"]
    assert rig.link.bytes_up == 12


@packets
@directions
def test_what_is_said_on_a_new_connection_arrives_whole(
    rig: Any, pair: Any, helpers: Any, direction: str, packets: bool
) -> None:
    rig.link.forget(packets=packets)
    sender, receiver = rig.connect().ends(direction)
    pair.client.sendall(b"noise")
    said = b"".join(helpers.blocks("forget", 1 << 20))
    with contextlib.ExitStack() as stack:
        helpers.in_thread(stack, lambda: sender.sendall(said))
        assert helpers.take(receiver, len(said)) == said


def test_there_is_nothing_to_heal(rig: Any, pair: Any) -> None:
    with rig.link.forget() as forgotten:
        assert forgotten.healed
    forgotten.heal()
    rig.link.heal()
    rig.net.heal()
    pair.client.sendall(b"still mute")
    pair.server.sendall(b"still mute")
    assert rig.nothing(pair.client)
    assert rig.nothing(pair.server)


def test_where_nothing_was_open_nothing_was_met(rig: Any) -> None:
    assert not rig.link.forget().met_traffic
    pair = rig.connect()
    pair.client.sendall(b"new")
    assert pair.server.recv(3) == b"new"


def test_each_flow_that_was_forgotten_is_named(rig: Any) -> None:
    for _ in range(2):
        rig.connect()
    rig.link.forget()
    said = [(event.kind, event.connection, event.fault, event.direction) for event in rig.link.events[-3:]]
    assert said == [
        ("fault", None, Forget(), None),
        ("hit", 1, Forget(), "both"),
        ("hit", 2, Forget(), "both"),
    ]


@packets
@directions
@endings
def test_the_ending_of_a_peer_is_swallowed(
    rig: Any, pair: Any, helpers: Any, direction: str, ending: str, packets: bool
) -> None:
    sender, receiver = pair.ends(direction)
    rig.link.forget(packets=packets)
    end(sender, ending, helpers)
    assert rig.nothing(receiver)
    receiver.sendall(b"anyone?")
    assert rig.nothing(receiver)


@directions
def test_a_half_closed_flow_is_forgotten_as_well(rig: Any, pair: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    sender.shutdown(socket.SHUT_WR)
    assert receiver.recv(1) == b""
    rig.link.forget()
    receiver.sendall(b"the other half")
    receiver.shutdown(socket.SHUT_WR)
    assert rig.nothing(sender)


def test_both_ends_may_close_their_halves_and_neither_hears_of_it(rig: Any, pair: Any) -> None:
    rig.link.forget()
    pair.client.shutdown(socket.SHUT_WR)
    pair.server.shutdown(socket.SHUT_WR)
    assert rig.nothing(pair.client)
    assert rig.nothing(pair.server)


@packets
def test_a_connection_whose_connect_had_returned_counts_as_open(rig: Any, packets: bool) -> None:
    clients = [rig.dial() for _ in range(20)]
    rig.link.forget(packets=packets)
    for client in clients:
        client.sendall(b"anyone?")
    assert all(rig.nothing(client) for client in clients)
    fresh = rig.dial()
    fresh.sendall(b"new")
    heard = [rig.answer() for _ in range(21)]
    ready, _, _ = select.select(heard, [], [], 20)
    assert [sock.recv(9) for sock in ready] == [b"new"]
    assert all(rig.nothing(sock) for sock in heard)


def test_a_client_whose_upstream_has_not_answered_yet_never_hears_of_it(net: NetFault, rig: Any) -> None:
    """The upstream refuses afterwards, which a client would otherwise be told by a reset."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = net.forward(server.getsockname(), name="silent")
        silent.blackhole()
        link = net.forward(silent.address, name="forgetful")
        with socket.create_connection((link.host, link.port), timeout=20) as client:
            link.wait_for_connection()
            link.forget()
            silent.close()
            assert rig.nothing(client)


HELD: list[Fault] = [
    Delay(3600),
    Blackhole(),
    Blackhole(on_heal="sever"),
    Blackhole(on_heal="reset"),
    Throttle(1),
    Slice(1, gap=3600),
    Cut(2, how="blackhole"),
    Lose(1.0),
]


@packets
@directions
@pytest.mark.parametrize("fault", HELD, ids=repr)
def test_what_another_fault_held_does_not_slip_out_later(
    rig: Any, pair: Any, direction: str, fault: Fault, packets: bool
) -> None:
    sender, receiver = pair.ends(direction)
    held = rig.link.apply(fault)
    sender.sendall(b"0123456789")
    rig.fence()
    before = len(rig.link.events)
    rig.link.forget(packets=packets)
    receiver.setblocking(False)
    with contextlib.suppress(BlockingIOError):  # what had passed before
        receiver.recv(100)
    held.heal()
    assert rig.nothing(receiver)
    assert rig.nothing(sender)
    assert {event.kind for event in rig.link.events[before:]} <= {"fault", "hit", "heal"}


@pytest.mark.parametrize(
    "fault",
    [Sever(), Reset(), Refuse(), StallAccept(), Blackhole(on_heal="reset"), Blackhole(on_heal="sever"), Cut(0),
     Cut(0, how="rst"), Delay(0), Slice(1), Throttle(10**6), Lose(0.5), Blackhole(packets=True)],
    ids=repr,
)  # fmt: skip
@packets
def test_no_later_fault_reaches_a_forgotten_flow(rig: Any, pair: Any, fault: Fault, packets: bool) -> None:
    rig.link.forget(packets=packets)
    rig.link.apply(fault).heal()
    pair.client.sendall(b"mute")
    pair.server.sendall(b"mute")
    assert rig.nothing(pair.client)
    assert rig.nothing(pair.server)
    fresh = rig.connect()
    fresh.client.sendall(b"new")
    assert fresh.server.recv(3) == b"new"


def test_forgetting_again_takes_the_flows_made_since(rig: Any) -> None:
    rig.connect()
    rig.link.forget()
    since = rig.connect()
    assert rig.link.forget(packets=True).met_traffic
    since.client.sendall(b"mute")
    assert rig.nothing(since.server)
    assert rig.link.forget().met_traffic is False


@directions
def test_without_packets_the_peer_is_acknowledged(rig: Any, pair: Any, direction: str) -> None:
    sender, _ = pair.ends(direction)
    rig.link.forget()
    sender.sendall(b"taken")
    while kernel.unacknowledged(sender):
        rig.fence()


@directions
def test_with_packets_a_user_timeout_finds_out(rig: Any, pair: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
    rig.link.forget(packets=True)
    rig.link.lose(0.5).heal()  # which takes its own filter away, and no other
    sender.sendall(b"anyone?")
    with pytest.raises(TimeoutError) as caught:
        sender.recv(1)
    assert caught.value.errno is not None, "the kernel gave up, not our own patience"
    assert rig.nothing(receiver)


@pytest.mark.slow
def test_with_packets_a_keepalive_finds_out(rig: Any, pair: Any) -> None:
    for option, value in [(socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 1)]:
        pair.client.setsockopt(socket.IPPROTO_TCP, option, value)
    pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    rig.link.forget(packets=True)
    with pytest.raises(TimeoutError) as caught:
        pair.client.recv(1)
    assert caught.value.errno is not None, "the kernel gave up, not our own patience"


@packets
def test_closing_the_link_ends_the_flows(rig: Any, pair: Any, helpers: Any, packets: bool) -> None:
    rig.link.forget(packets=packets)
    rig.link.close()
    assert helpers.take_all(pair.client)[0] == b""
    assert helpers.take_all(pair.server)[0] == b""


def test_a_writer_into_a_forgotten_flow_is_stopped_by_back_pressure(rig: Any, pair: Any) -> None:
    rig.link.forget()
    assert rig.fill(pair.client) < 64 * 1024 * 1024
    assert rig.link._link.connections.live[1].up.flow.held == 0


def test_a_unix_socket_is_forgotten_too(make_rig: Callable[..., Any], short_path: Any) -> None:
    rig = make_rig(listen=f"unix:{short_path}/link")
    pair = rig.connect()
    rig.link.forget()
    pair.client.sendall(b"mute")
    pair.server.sendall(b"mute")
    assert rig.nothing(pair.server)
    assert rig.nothing(pair.client)
    pair.client.close()
    assert rig.nothing(pair.server)


def test_a_side_whose_peer_is_gone_is_let_go_of_and_the_other_is_not_told(
    rig: Any, pair: Any, helpers: Any
) -> None:
    rig.link.forget()
    rig.fence()
    before = helpers.open_descriptors()
    helpers.hang_up(pair.client)  # our end of it, and the link's
    rig.fence()
    assert helpers.open_descriptors() == before - 2
    assert rig.nothing(pair.server)
    helpers.hang_up(pair.server)
    rig.fence()
    assert rig.link.connections == []
    assert helpers.open_descriptors() == before - 4


def test_flows_that_their_clients_have_left_do_not_pile_up(rig: Any, helpers: Any) -> None:
    """The newest are kept, as their upstream would see them; of more than those the oldest are closed."""
    pairs = []
    for turn in range(FORGOTTEN_KEPT + 10):
        pair = rig.connect()
        pairs.append(pair)
        rig.link.forget()
        pair.client.close() if turn % 2 else helpers.hang_up(pair.client)
        rig.fence()
    assert len(rig.link.connections) == FORGOTTEN_KEPT
    assert [rig.nothing(pair.server) for pair in pairs] == [False] * 10 + [True] * FORGOTTEN_KEPT


def test_a_filter_that_cannot_be_set_leaves_the_flows_as_they_were(
    rig: Any, pair: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def set_loss(sock: socket.socket, loss: float) -> None:
        calls.extend([loss] * (loss == 1.0))
        if loss == 1.0 and len(calls) == 2:
            raise OSError("out of option memory")
        real(sock, loss)

    real = kernel.set_loss
    monkeypatch.setattr(kernel, "set_loss", set_loss)
    with pytest.raises(OSError, match="option memory"):
        rig.link.apply(Forget(packets=True))
    monkeypatch.undo()
    pair.client.sendall(b"untouched")
    assert pair.server.recv(9) == b"untouched"
