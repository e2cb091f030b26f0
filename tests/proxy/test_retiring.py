"""A link that gives its port away while its connections end in order; several addresses; an upstream that is none."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from pytest_netfault.control import Link, ProxyThread
from pytest_netfault.events import Cause
from pytest_netfault.proxy.addresses import Address, NoAddress, TcpAddress, UpstreamAddress
from pytest_netfault.proxy.link import ProxyLink
from pytest_netfault.proxy.stage import Ending

LOCAL = TcpAddress("127.0.0.1", 0)
Open = Callable[..., tuple[ProxyLink, Link]]


@pytest.fixture
def thread() -> Iterator[ProxyThread]:
    thread = ProxyThread()
    yield thread
    thread.close()


@pytest.fixture
def opened(thread: ProxyThread) -> Open:
    def open_link(
        upstream: UpstreamAddress, listen: Address | Sequence[Address] = LOCAL, **more: Any
    ) -> tuple[ProxyLink, Link]:
        made = ProxyLink(thread.engine(), upstream, listen, name="link", seed=1, look_up_first=False, **more)
        thread.add(made)
        return made, Link(thread, made)

    return open_link


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def where(server: socket.socket) -> TcpAddress:
    return TcpAddress(*server.getsockname()[:2])


def connected(link: Link, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection((link.host, link.port), timeout=20)
    accepted = server.accept()[0]
    accepted.settimeout(20)
    return client, accepted


def test_the_port_is_free_at_once_and_both_sides_get_fin(
    thread: ProxyThread, opened: Open, server: socket.socket
) -> None:
    made, link = opened(where(server))
    client, accepted = connected(link, server)
    with client, accepted:
        accepted.sendall(b"x")
        assert client.recv(1) == b"x"
        thread.change(lambda: made.retire(Cause()))
        with socket.create_server((link.host, link.port)):
            client.sendall(b"unread by the proxy")
            assert client.recv(1) == b""
            assert accepted.recv(1) == b""
            assert not made.released  # it reads on, so that what comes now does not turn the FIN into a RST
    thread.drop(made)
    assert made.released


def test_it_ends_by_itself_once_its_peers_have_closed(
    thread: ProxyThread, opened: Open, server: socket.socket
) -> None:
    made, link = opened(where(server))
    client, accepted = connected(link, server)
    thread.change(lambda: made.retire(Cause()))
    with client, accepted:
        assert client.recv(1) == accepted.recv(1) == b""
    while not made.released:
        thread.call(lambda: None)
    assert link.connections == []


def test_without_connections_it_ends_at_once(
    thread: ProxyThread, opened: Open, server: socket.socket
) -> None:
    made, link = opened(where(server))
    thread.change(lambda: made.retire(Cause()))
    thread.change(lambda: made.retire(Cause()))
    with socket.create_server((link.host, link.port)):
        thread.drop(made)


def test_who_had_come_and_was_not_accepted_gets_fin_too(
    thread: ProxyThread, opened: Open, server: socket.socket
) -> None:
    made, link = opened(where(server))
    with socket.create_connection((link.host, link.port), timeout=20) as client:
        thread.change(lambda: made.retire(Cause()))
        assert client.recv(1) == b""


def test_a_forgotten_flow_is_let_go_of(thread: ProxyThread, opened: Open, server: socket.socket) -> None:
    made, link = opened(where(server))
    client, accepted = connected(link, server)
    with client, accepted:
        link.forget()
        thread.change(lambda: made.retire(Cause()))
        assert made.connections.live == {}


def taken_on_ipv6_alone(stack: contextlib.ExitStack) -> int:
    """A port that somebody serves on ``::1``, and that is free on 127.0.0.1."""
    while True:
        taken = stack.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port: int = taken.getsockname()[1]
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class TestSeveralAddresses:
    @pytest.fixture(autouse=True)
    def _needs_ipv6(self) -> None:
        with socket.socket(socket.AF_INET6) as probe:
            try:
                probe.bind(("::1", 0))
            except OSError:
                pytest.skip("this machine has no IPv6")

    def test_all_of_them_serve_on_one_port(self, opened: Open, server: socket.socket) -> None:
        _, link = opened(where(server), (LOCAL, TcpAddress("::1", 0)))
        assert link.host == "127.0.0.1"
        for host in ("127.0.0.1", "::1"):
            with (
                socket.create_connection((host, link.port), timeout=20) as client,
                server.accept()[0] as accepted,
            ):
                accepted.sendall(b"x")
                assert client.recv(1) == b"x"

    def test_faults_hold_for_all_of_them(self, opened: Open, server: socket.socket) -> None:
        _, link = opened(where(server), (LOCAL, TcpAddress("::1", 0)))
        with link.refuse():
            for host in ("127.0.0.1", "::1"):
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection((host, link.port), timeout=20)
        with socket.create_connection(("::1", link.port), timeout=20):
            server.accept()[0].close()
        link.close()
        with socket.create_server(("::1", link.port), family=socket.AF_INET6):
            pass

    def test_only_the_first_must_be_free(self, opened: Open, server: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            port = taken_on_ipv6_alone(stack)
            _, link = opened(where(server), (TcpAddress("127.0.0.1", port), TcpAddress("::1", port)))
            assert link.address == f"127.0.0.1:{port}"
            with pytest.raises(OSError, match="cannot listen on"):
                opened(where(server), (TcpAddress("::1", port), TcpAddress("127.0.0.1", port)))


def test_an_upstream_that_is_no_address_fails_for_each_connection(opened: Open) -> None:
    _, link = opened(NoAddress("bogus", "address bogus: missing port in address"), unreachable=Ending.FIN)
    assert link.upstream == "bogus"
    for _ in range(2):
        with socket.create_connection((link.host, link.port), timeout=20) as client:
            assert client.recv(1) == b""
    failed = [event for event in link.events if event.kind == "upstream_failed"]
    assert [event.detail for event in failed] == ["address bogus: missing port in address"] * 2
