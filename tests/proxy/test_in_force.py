"""When a call returns, the fault holds for every open and every future connection; after heal it is gone."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Any

import pytest

from pytest_netfault.faults import Blackhole, Cut, Delay, Fault, Sever, StallAccept


def test_sever_ends_open_connections_in_order_and_refuses_new_ones(rig: Any, pair: Any, helpers: Any) -> None:
    with rig.link.sever():
        assert rig.refused()
        assert helpers.take_all(pair.client) == (b"", "fin")
        assert helpers.take_all(pair.server) == (b"", "fin")
        assert rig.refused()
    again = rig.connect()
    again.client.sendall(b"back")
    assert again.server.recv(9) == b"back"


def test_sever_sends_fin_even_if_the_peer_goes_on_sending(rig: Any, pair: Any, helpers: Any) -> None:
    """Bytes that wait unread would turn a plain close() into a RST."""
    with rig.link.blackhole():
        pair.client.sendall(b"never read")
        pair.server.sendall(b"neither")
        rig.link.sever()
        pair.client.sendall(b"and more")
        assert helpers.take_all(pair.client) == (b"", "fin")
        assert helpers.take_all(pair.server) == (b"", "fin")


def test_reset_ends_open_connections_with_rst_and_serves_new_ones(rig: Any, pair: Any, helpers: Any) -> None:
    rig.link.reset()
    assert helpers.take_all(pair.client) == (b"", "rst")
    assert helpers.take_all(pair.server) == (b"", "rst")
    again = rig.connect()
    again.client.sendall(b"served")
    assert again.server.recv(9) == b"served"


def test_refuse_leaves_open_connections_alone(rig: Any, pair: Any) -> None:
    with rig.link.refuse():
        assert rig.refused()
        pair.client.sendall(b"up")
        assert pair.server.recv(9) == b"up"
        pair.server.sendall(b"down")
        assert pair.client.recv(9) == b"down"
    rig.connect()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_blackhole_lets_nothing_pass_in_its_direction(rig: Any, pair: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    with rig.link.blackhole(direction):
        sender.sendall(b"held")
        assert rig.nothing(receiver)
        receiver.sendall(b"the other way")
        assert sender.recv(99) == b"the other way"
    assert receiver.recv(9) == b"held"


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault",
    [Blackhole(), Blackhole("up"), Blackhole("down"), Blackhole(packets=True), StallAccept()],
    ids=repr,
)
@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_connect_itself_hangs(rig: Any, fault: Fault) -> None:
    with rig.link.apply(fault) as active:
        client = rig.hanging()
        rig.fence()
        assert select.select([], [client], [], 0) == ([], [], []), "it connected, or failed"
        assert active.met_traffic
    # The kernel tries again about a second after the first attempt.
    assert select.select([], [client], [], 20)[1] == [client]
    rig.answer()


def test_stall_accept_leaves_open_connections_alone(rig: Any, pair: Any) -> None:
    with rig.link.stall_accept():
        pair.client.sendall(b"up")
        assert pair.server.recv(9) == b"up"


@pytest.mark.parametrize("fault", [Sever(), Cut(0)], ids=repr)
def test_connections_that_nobody_has_accepted_yet_count_as_open(rig: Any, helpers: Any, fault: Fault) -> None:
    """Fifty clients whose connect() has returned; the proxy may or may not have come to them."""
    for _ in range(5):
        clients = [rig.dial() for _ in range(50)]
        with rig.link.apply(fault):
            assert {helpers.take_all(client) for client in clients} == {(b"", "fin")}


def test_reset_meets_connections_that_nobody_has_accepted_yet(rig: Any, helpers: Any) -> None:
    for _ in range(5):
        clients = [rig.dial() for _ in range(50)]
        rig.link.reset()
        assert {helpers.take_all(client) for client in clients} == {(b"", "rst")}


def test_refuse_lets_connections_live_that_nobody_has_accepted_yet(rig: Any) -> None:
    for _ in range(5):
        clients = [rig.dial() for _ in range(50)]
        with rig.link.refuse():
            for client in clients:
                client.sendall(b"x")
            assert [rig.answer().recv(1) for _ in clients] == [b"x"] * 50


@pytest.mark.parametrize("direction", ["up", "down"])
def test_blackhole_stops_a_stream_where_it_is(rig: Any, helpers: Any, direction: str) -> None:
    """What the receiver's kernel may still get is what was handed to it before the call: no more follows."""
    pair = rig.connect()
    sender, receiver = pair.ends(direction)
    with contextlib.ExitStack() as stack:
        stop = []

        def stream() -> None:
            with contextlib.suppress(OSError):
                while not stop:
                    sender.sendall(bytes(10_000))

        helpers.in_thread(stack, stream)
        for _ in range(20):
            helpers.take(receiver, 1_000_000)
            with rig.link.blackhole():
                delivered = getattr(rig.link.connections[0], f"bytes_{direction}")
                rig.fence()
                assert getattr(rig.link.connections[0], f"bytes_{direction}") == delivered
        stop.append(True)
        rig.link.reset()


def test_delay_holds_what_follows_the_call(rig: Any, pair: Any) -> None:
    with rig.link.delay(3600):
        pair.client.sendall(b"late")
        assert rig.nothing(pair.server)
    assert pair.server.recv(9) == b"late"


def test_faults_hold_for_future_connections_too(rig: Any) -> None:
    with rig.link.delay(3600), rig.link.slice(1):
        pair = rig.connect()
        pair.client.sendall(b"late")
        assert rig.nothing(pair.server)
    assert pair.server.recv(9) == b"late"


def test_blackhole_stops_what_a_delay_had_taken_in(rig: Any, pair: Any) -> None:
    with rig.link.delay(0.2):
        pair.client.sendall(b"taken in")
        assert rig.nothing(pair.server)
        with rig.link.blackhole():
            rig.later(0.3)
            assert rig.nothing(pair.server)
        assert pair.server.recv(99) == b"taken in"


@pytest.mark.parametrize("how", ["sever", "reset"])
def test_a_healed_silence_may_end_the_connections(rig: Any, pair: Any, helpers: Any, how: str) -> None:
    fault = rig.link.blackhole(on_heal=how)
    pair.client.sendall(b"held")
    pair.server.sendall(b"held")
    rig.fence()
    fault.heal()
    expected = (b"", "fin" if how == "sever" else "rst")
    assert helpers.take_all(pair.client) == expected
    assert helpers.take_all(pair.server) == expected
    again = rig.connect()
    again.client.sendall(b"served")
    assert again.server.recv(9) == b"served"


def test_each_fault_is_healed_alone_and_twice_is_fine(rig: Any, pair: Any) -> None:
    refuse, delay = rig.link.refuse(), rig.link.delay(3600)
    delay.heal()
    delay.heal()
    pair.client.sendall(b"now")
    assert pair.server.recv(9) == b"now"
    assert rig.refused()
    refuse.heal()
    rig.connect()
    assert delay.healed
    assert refuse.healed


def test_heal_of_the_link_and_of_all(make_rig: Any) -> None:
    one, other = make_rig(), make_rig()
    for rig in (one, other):
        rig.link.refuse()
        rig.link.delay(9)
        rig.link.sever()
    one.link.heal()
    one.connect()
    assert other.refused()
    one.net.heal()
    other.connect()


@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_silence_goes_before_refusal(rig: Any) -> None:
    """On a silent network a refusal would not arrive either."""
    with rig.link.refuse():
        with rig.link.blackhole():
            client = rig.hanging()
            rig.fence()
            assert select.select([], [client], [], 0) == ([], [], [])
        assert rig.refused()
    rig.connect()


def test_every_fault_holds_under_every_other(rig: Any, helpers: Any) -> None:
    """A stack of everything that keeps bytes, healed in the order that is hardest: the oldest first."""
    faults = [rig.link.apply(fault) for fault in (Delay(3600), Cut(10**9), Delay(0, jitter=0.001))]
    faults += [rig.link.throttle(1e9), rig.link.slice(7), rig.link.refuse()]
    faults[-1].heal()
    pair = rig.connect()
    pair.client.sendall(bytes(range(200)))
    pair.client.shutdown(socket.SHUT_WR)
    assert rig.nothing(pair.server)
    for fault in faults:
        fault.heal()
    assert helpers.take_all(pair.server) == (bytes(range(200)), "fin")
