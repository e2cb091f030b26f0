"""An upstream that has a name: where it is now is looked up for each connection, and on nobody else's time."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_netfault.control import NetFault, NetFaultClosed
from pytest_netfault.proxy import upstream as upstream_module

NAME = "db.test"


class Names:
    """A resolver for one name, which a test changes while links use it."""

    def __init__(self) -> None:
        self.host: str | None = "127.0.0.1"
        self.asked = threading.Semaphore(0)  # released at each look-up
        self.answers = threading.Event()  # look-ups wait for it
        self.answers.set()

    def getaddrinfo(self, real: Callable[..., Any], host: Any, port: int, *rest: Any, **more: Any) -> Any:
        if host not in (NAME, NAME.encode()) or more.get("flags", 0) & socket.AI_NUMERICHOST:
            return real(host, port, *rest, **more)
        self.asked.release()
        self.answers.wait(20)
        if self.host is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return real(self.host, port, type=socket.SOCK_STREAM)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    names, real = Names(), socket.getaddrinfo

    def getaddrinfo(host: Any, port: int, *rest: Any, **more: Any) -> Any:
        flags = rest[3] if len(rest) > 3 else more.get("flags", 0)
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, *rest, **more)
        return names.getaddrinfo(real, host, port, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield names
    names.answers.set()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


def dial(link: Any) -> socket.socket:
    return socket.create_connection((link.host, link.port), timeout=20)


def reaches(link: Any, server: socket.socket) -> bool:
    """Whether what a new client says comes to this server."""
    with dial(link) as client, server.accept()[0] as upstream:
        upstream.settimeout(20)
        client.sendall(b"here")
        return upstream.recv(9) == b"here"


def why_failed(link: Any) -> list[str]:
    return [event.detail for event in link.events if event.kind == "upstream_failed"]


def test_a_server_that_moved_is_found_by_the_next_connection(
    net: NetFault, names: Names, server: socket.socket
) -> None:
    """As a container that was made anew: the same name and port, another address."""
    port = server.getsockname()[1]
    link = net.forward(f"{NAME}:{port}")
    assert reaches(link, server)
    with socket.create_server(("127.0.0.2", port)) as moved:
        moved.settimeout(20)
        names.host = "127.0.0.2"
        assert reaches(link, moved)


def test_a_name_that_is_gone_refuses_the_connection_says_so_and_heals(
    net: NetFault, names: Names, server: socket.socket, helpers: Any
) -> None:
    link = net.forward((NAME, server.getsockname()[1]))
    names.host = None
    assert helpers.call(link) == (b"", "rst")
    [why] = why_failed(link)
    assert f"cannot resolve upstream {NAME}:" in why
    assert why.endswith("Name or service not known")
    names.host = "127.0.0.1"
    assert reaches(link, server)


def test_a_name_that_is_unknown_at_forward_is_an_error_there_and_leaves_no_port(
    net: NetFault, names: Names, helpers: Any
) -> None:
    net.forward(9)
    names.host, before = None, helpers.open_descriptors()
    with socket.socket() as finder:
        finder.bind(("127.0.0.1", 0))
        address = finder.getsockname()
    with pytest.raises(OSError, match=rf"cannot resolve upstream {NAME}:80: Name or service not known"):
        net.forward((NAME, 80), listen=address)
    with socket.create_server(address):
        pass
    assert helpers.open_descriptors() <= before
    assert len(net.links) == 1


class TestALookUpThatHangs:
    @pytest.fixture
    def link(self, net: NetFault, names: Names, server: socket.socket) -> Any:
        link = net.forward((NAME, server.getsockname()[1]), name="named")
        assert names.asked.acquire(timeout=20)
        names.answers.clear()
        return link

    @pytest.fixture
    def client(self, link: Any, names: Names) -> Iterator[socket.socket]:
        with dial(link) as client:
            assert names.asked.acquire(timeout=20)
            yield client

    def test_delays_nobody_else(self, net: NetFault, link: Any, client: Any, server: socket.socket) -> None:
        with link.delay(1), link.blackhole():
            assert [one.state for one in link.connections] == ["connecting"]
        assert reaches(net.forward(server.getsockname()), server)

    def test_goes_on_when_the_answer_comes(
        self, link: Any, client: socket.socket, names: Names, server: socket.socket
    ) -> None:
        client.sendall(b"patience")
        names.answers.set()
        with server.accept()[0] as upstream:
            assert upstream.recv(9) == b"patience"

    @pytest.mark.parametrize("ending", ["sever", "reset"])
    def test_a_fault_ends_its_connection(
        self, link: Any, client: socket.socket, helpers: Any, ending: str
    ) -> None:
        getattr(link, ending)()
        assert helpers.take_all(client) == (b"", {"sever": "fin", "reset": "rst"}[ending])
        client.close()
        while link.connections:
            pass
        assert link._link.engine.call(lambda: link._link.connections._looking_up) == {}

    def test_the_end_of_the_link_ends_it(self, link: Any, client: socket.socket, helpers: Any) -> None:
        link.close()
        assert link._link.engine.call(lambda: link._link.connections._looking_up) == {}
        assert helpers.take_all(client)[1] in ("fin", "rst")

    def test_the_end_of_the_proxy_does_not_wait_for_it(
        self, net: NetFault, link: Any, client: socket.socket, names: Names
    ) -> None:
        net.close()
        assert not names.answers.is_set()

    def test_it_has_a_limit(
        self, link: Any, names: Names, helpers: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upstream_module, "LOOKUP_SECONDS", 0.01)
        assert helpers.call(link) == (b"", "rst")
        assert "no answer within 0.01 s" in why_failed(link)[0]

    def test_at_forward_it_has_the_same_limit(
        self, net: NetFault, link: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(upstream_module, "LOOKUP_SECONDS", 0.01)
        with pytest.raises(OSError, match=rf"cannot resolve upstream {NAME}:80: no answer within 0.01 s"):
            net.forward((NAME, 80))

    def test_at_forward_the_end_of_the_proxy_ends_it(
        self, net: NetFault, link: Any, names: Names, helpers: Any
    ) -> None:
        with contextlib.ExitStack() as stack:
            raised: list[BaseException] = []

            def forward() -> None:
                try:
                    net.forward((NAME, 80))
                except BaseException as error:  # noqa: BLE001, RUF100
                    raised.append(error)

            forwarding = helpers.in_thread(stack, forward)
            assert names.asked.acquire(timeout=20)
            net.close()
            forwarding.join(20)
            assert [type(error) for error in raised] == [NetFaultClosed]


def test_what_is_no_name_is_never_looked_up(
    net: NetFault, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = net.forward(server.getsockname())
    monkeypatch.setattr(upstream_module.trio.socket, "getaddrinfo", None)
    assert reaches(link, server)


class TestTheTaskOfALink:
    def tasks(self, net: NetFault) -> int:
        engine = net._thread.engine()
        return engine.call(lambda: len(engine._nursery.child_tasks))  # type: ignore[union-attr]

    def test_ends_with_it(self, net: NetFault) -> None:
        links = [net.forward(9) for _ in range(3)]
        assert self.tasks(net) == 3
        links[1].close()
        assert self.tasks(net) == 2
        links[1].close()
        assert self.tasks(net) == 2

    def test_closing_from_several_threads_at_once_ends_for_all(self, net: NetFault, helpers: Any) -> None:
        link = net.forward(9)
        with contextlib.ExitStack() as stack:
            threads = [helpers.in_thread(stack, link.close) for _ in range(5)]
        assert not any(thread.is_alive() for thread in threads)

    def test_an_end_that_fails_is_raised_where_the_link_is_closed_and_the_others_live_on(
        self, net: NetFault, server: socket.socket, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        broken, other = net.forward(9), net.forward(server.getsockname())
        real = broken._link.listener.close

        def fails() -> None:
            real()
            raise ZeroDivisionError("cannot close")

        monkeypatch.setattr(broken._link.listener, "close", fails)
        with pytest.raises(ZeroDivisionError):
            broken.close()
        broken.close()
        assert reaches(other, server)


class TestWhereALinkListens:
    def test_a_name_is_looked_up(self, net: NetFault, names: Names, server: socket.socket) -> None:
        link = net.forward(server.getsockname(), listen=(NAME, 0))
        assert link.host == "127.0.0.1"
        assert reaches(link, server)

    def test_a_name_that_does_not_resolve_is_an_error(self, net: NetFault, names: Names) -> None:
        names.host = None
        with pytest.raises(OSError, match=rf"cannot resolve listen {NAME}:0: Name or service not known"):
            net.forward(9, listen=(NAME, 0))
        assert not net.links

    def test_nobody_waits_longer_than_the_limit(
        self, net: NetFault, names: Names, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names.answers.clear()
        monkeypatch.setattr(upstream_module, "LOOKUP_SECONDS", 0.01)
        with pytest.raises(OSError, match=rf"cannot resolve listen {NAME}:0: no answer within 0.01 s"):
            net.forward(9, listen=(NAME, 0))

    def test_what_is_no_name_is_a_value_error(self, net: NetFault) -> None:
        with pytest.raises(ValueError, match=r"listen: .* is no host name"):
            net.forward(9, listen=("a" * 64 + ".test", 0))
