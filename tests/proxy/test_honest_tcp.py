"""Half-close, FIN and RST reach the other side as what they are; a refusing upstream never looks like success."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import pytest

from pytest_netfault.faults import Blackhole, Cut, Fault, Reset, Sever

directions = pytest.mark.parametrize("direction", ["up", "down"])


@directions
def test_a_half_close_keeps_the_other_half(pair: Any, helpers: Any, direction: str) -> None:
    """The reply to a request whose sender has ended its side is not lost."""
    sender, receiver = pair.ends(direction)
    sender.sendall(b"request")
    sender.shutdown(socket.SHUT_WR)
    assert helpers.take_all(receiver) == (b"request", "fin")
    receiver.sendall(b"reply" * 100_000)
    receiver.shutdown(socket.SHUT_WR)
    assert helpers.take_all(sender) == (b"reply" * 100_000, "fin")


@directions
def test_a_reset_of_an_idle_connection_is_carried(pair: Any, helpers: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    helpers.hang_up(sender)
    assert helpers.take_all(receiver) == (b"", "rst")


@directions
def test_a_reset_after_bytes_all_bytes_and_then_the_reset(pair: Any, helpers: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    sender.sendall(b"x" * 100_000)
    assert helpers.take(receiver, 1) == b"x"
    helpers.hang_up(sender)
    assert helpers.take_all(receiver) == (b"x" * 99_999, "rst")


@directions
def test_a_reset_after_a_half_close_is_carried(rig: Any, pair: Any, helpers: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    sender.shutdown(socket.SHUT_WR)
    assert helpers.take_all(receiver) == (b"", "fin")
    helpers.hang_up(sender)
    rig.link.wait_for_connection(0)
    # TCP tells a receiver that has had its FIN only when it writes.

    def call_out() -> None:
        while True:
            receiver.sendall(b"anyone there?")
            rig.fence()

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        call_out()


@directions
def test_a_reset_reaches_a_peer_that_only_writes(pair: Any, helpers: Any, direction: str) -> None:
    sender, receiver = pair.ends(direction)
    helpers.hang_up(sender)

    def call_out() -> None:
        while True:
            receiver.sendall(b"anyone there?" * 100)

    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        call_out()


@pytest.mark.slow
@directions
def test_a_reset_reaches_a_receiver_that_has_stopped_reading(rig: Any, helpers: Any, direction: str) -> None:
    """Full buffers do not hide it: the connection does not stay half alive behind a reader that never reads."""
    pair = rig.connect()
    sender, receiver = pair.ends(direction)
    rig.fill(sender)
    helpers.hang_up(sender)
    data, ending = b"", ""
    rig.link.wait_for_connection(0)
    while rig.link.connections:
        rig.fence()
    data, ending = helpers.take_all(receiver)
    assert ending == "rst"
    assert set(data) <= {0}


@directions
def test_a_close_with_bytes_unread_is_a_reset(pair: Any, helpers: Any, direction: str) -> None:
    """That is what a kernel makes of it, and what the other side must see."""
    sender, receiver = pair.ends(direction)
    receiver.sendall(b"never read")
    sender.recv(1)
    sender.close()
    assert helpers.take_all(receiver) == (b"", "rst")


def test_fin_from_both_sides_at_once(pair: Any, helpers: Any, rig: Any) -> None:
    pair.client.sendall(b"bye")
    pair.server.sendall(b"bye")
    pair.client.shutdown(socket.SHUT_WR)
    pair.server.shutdown(socket.SHUT_WR)
    assert helpers.take_all(pair.client) == (b"bye", "fin")
    assert helpers.take_all(pair.server) == (b"bye", "fin")
    rig.fence()
    assert rig.link.connections == []


def test_an_upstream_that_refuses_is_seen_as_a_reset(net: Any, helpers: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    link = net.forward(address)
    for _ in range(20):
        assert helpers.call(link, b"anyone?") == (b"", "rst")
    failed = [event for event in link.events if event.kind == "upstream_failed"]
    assert len(failed) == 20
    assert "refused" in failed[0].detail


def test_an_upstream_that_appears_later_is_reached(net: Any, helpers: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
    link = net.forward(address)
    assert helpers.call(link) == (b"", "rst")
    with socket.create_server(address) as server:
        server.settimeout(20)
        with socket.create_connection((link.host, link.port), timeout=20) as client:
            client.sendall(b"now")
            upstream, _ = server.accept()
            with upstream:
                assert upstream.recv(9) == b"now"


def test_a_connection_to_itself_is_no_upstream(net: Any, helpers: Any, monkeypatch: Any) -> None:
    """Calling a closed port from the range of automatic ones sometimes gets that very port as the caller's own,
    and TCP then connects the socket to itself: an echo that looks like success."""

    def to_itself(_: Any) -> Any:
        attempts = [None]

        def connect() -> socket.socket | None:
            if not attempts:
                return None
            attempts.pop()
            sock = socket.socket()
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                sock.connect(sock.getsockname())
            return sock

        return connect

    link = net.forward(9)
    monkeypatch.setattr(link._link.connections.upstream, "connector", to_itself)
    assert helpers.call(link) == (b"", "rst")


@pytest.mark.parametrize("ending", ["fin", "rst", "sever"])
def test_an_upstream_that_answers_and_ends_before_the_proxy_looks_is_heard(
    rig: Any, helpers: Any, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream = rig.link._link.connections.upstream
    real, called, done = upstream.connector, threading.Event(), threading.Event()

    def slow(found: Any) -> Any:
        connect = real(found)

        def attempt() -> Any:
            try:
                return connect()
            finally:
                called.set()
                done.wait(20)

        return attempt

    monkeypatch.setattr(upstream, "connector", slow)
    client = rig.dial()
    assert called.wait(20)
    server = rig.answer()
    server.sendall(b"last words")
    if ending == "sever":
        threading.Timer(0, done.set).start()
        rig.link.sever()
        assert helpers.take_all(server) == (b"", "fin"), "not reset for what nobody has read"
        return
    helpers.hang_up(server) if ending == "rst" else server.close()
    done.set()
    assert helpers.take_all(client) == (b"last words", ending)


@pytest.mark.slow
@pytest.mark.linux("connect() itself hangs only with a socket filter")
def test_a_client_that_resets_while_the_upstream_does_not_answer_is_given_up(net: Any, helpers: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = net.forward(server.getsockname(), name="silent")
        with silent.blackhole():
            link = net.forward(silent.address)
            client = socket.create_connection((link.host, link.port), timeout=20)
            link.wait_for_connection()
            assert [one.state for one in link.connections] == ["connecting"]
            helpers.hang_up(client)
            done = threading.Event()
            while link.connections and not done.wait(0.01):
                pass
            assert [(event.kind, event.by) for event in link.events][-2:] == [
                ("rst", "client"),
                ("closed", "client"),
            ]


def test_who_ended_it_is_written_down(rig: Any, helpers: Any) -> None:
    pair = rig.connect()
    pair.server.shutdown(socket.SHUT_WR)
    assert helpers.take_all(pair.client) == (b"", "fin")
    helpers.hang_up(pair.client)
    assert helpers.take_all(pair.server)[0] == b""
    rig.fence()
    # A RST that is carried to the other side is an event of who sent it, and of nobody else.
    ends = ("fin", "rst", "closed")
    seen = [(event.kind, event.by) for event in rig.link.events if event.kind in ends]
    assert seen == [("fin", "upstream"), ("rst", "client"), ("closed", "client")]


@pytest.mark.parametrize("who", ["client", "upstream"])
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_an_end_that_a_peer_made_is_no_faults_even_when_one_was_healed_before(
    rig: Any, helpers: Any, who: str, how: str
) -> None:
    with rig.link.sever():
        pass
    pair = rig.connect()
    near, far = (pair.client, pair.server) if who == "client" else (pair.server, pair.client)
    if how == "rst":
        helpers.hang_up(near)
        helpers.take_all(far)
    else:
        near.shutdown(socket.SHUT_WR)
        assert helpers.take_all(far) == (b"", "fin")
        far.close()
        assert helpers.take_all(near) == (b"", "fin")
    rig.fence()
    number = max(event.connection or 0 for event in rig.link.events if event.kind == "closed")
    ends = [
        event for event in rig.link.events if event.connection == number and event.kind in (how, "closed")
    ]
    assert (ends[0].by, ends[-1].by) == (who, who)
    assert not any(event.fault or event.fault_id for event in ends)


@pytest.mark.parametrize(
    "fault",
    [
        Sever(),
        Reset(),
        Cut(0, connection=1),
        Cut(0, connection=1, how="rst"),
        Blackhole(on_heal="sever"),
        Blackhole(on_heal="reset"),
    ],
    ids=repr,
)
def test_an_end_that_a_fault_made_names_it(rig: Any, helpers: Any, fault: Fault) -> None:
    rig.link.delay(0).heal()  # so that the number of the fault is not that of the connection
    pair = rig.connect()
    active = rig.link.apply(fault)
    if isinstance(fault, Blackhole):
        active.heal()
    helpers.take_all(pair.client)
    helpers.take_all(pair.server)
    pair.client.close()
    pair.server.close()
    while any(one.number == 1 for one in rig.link.connections):
        rig.fence()
    ends = [
        (event.kind, event.by, event.fault, event.fault_id)
        for event in rig.link.events
        if event.connection == 1 and event.kind in ("fin", "rst", "closed")
    ]
    kind = "rst" if "rst" in repr(fault) or "eset" in repr(fault) else "fin"
    assert ends == [(kind, "netfault", fault, 2), ("closed", "netfault", fault, 2)]
