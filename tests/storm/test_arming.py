"""What a storm counts on open links, and what it does at a place."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_netfault import Link, NetFault
from pytest_netfault.servers.peers import members_are_gone, members_talk_below
from pytest_netfault.storm.arming import Arming, reset_all
from pytest_netfault.storm.places import Place
from pytest_netfault.storm.profile import Exchange, Profile
from pytest_netfault.storm.traffic import Traffic


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while data := self.request.recv(4096):
                self.request.sendall(data)
        except OSError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True


@pytest.fixture(scope="module")
def echo() -> Iterator[tuple[str, int]]:
    with Server(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address  # type: ignore[misc]
        server.shutdown()
        thread.join()


@pytest.fixture
def link(echo: tuple[str, int]) -> Iterator[Link]:
    with NetFault(seed=1) as net:
        yield net.forward(echo)


def talk(sock: socket.socket, text: bytes) -> bytes:
    sock.sendall(text)
    return sock.recv(4096)


def connect(link: Link) -> socket.socket:
    return socket.create_connection((link.host, link.port), timeout=5)


def connect_unix(link: Link) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(link.host)
    return client


TWO_TURNS = tuple(Exchange(1, way, "turn", 5) for way in ("up", "down", "up", "down"))


def test_turns_are_counted_where_the_protocol_is_not_known(link: Link) -> None:
    traffic = Traffic()
    arming = Arming(traffic)
    arming.arm()
    with connect(link) as client:
        assert talk(client, b"hello") == talk(client, b"hello") == b"hello"
    arming.heal()
    assert traffic.profile(1.0) == Profile(1.0, (None,), TWO_TURNS)


def test_a_connection_that_was_open_before_is_counted_from_then_on(link: Link) -> None:
    traffic = Traffic()
    with connect(link) as client:
        talk(client, b"before")
        arming = Arming(traffic)
        arming.arm()
        assert talk(client, b"hello") == talk(client, b"hello") == b"hello"
        arming.heal()
        assert talk(client, b"after") == b"after"
    assert traffic.profile(1.0) == Profile(1.0, (None,), TWO_TURNS)


def test_a_link_that_is_opened_meanwhile_is_armed_too(echo: tuple[str, int]) -> None:
    traffic = Traffic()
    arming = Arming(traffic)
    arming.arm()
    with NetFault(seed=1) as net, connect(net.forward(echo)) as client:
        talk(client, b"hello")
        arming.heal()
    assert traffic.profile(1.0).exchanges == TWO_TURNS[:2]


def test_links_between_members_of_a_cluster_are_left_alone(
    echo: tuple[str, int], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """They talk all the time: in a session that has a cluster, each place would be one of theirs."""
    request.addfinalizer(lambda: members_are_gone(tmp_path))
    members_talk_below(tmp_path)
    traffic = Traffic((None,), Place(1, "up", 1, "rst"))
    arming = Arming(traffic)
    with (
        NetFault(seed=1) as net,
        connect_unix(net.forward(echo, listen=f"unix:{tmp_path}/m1:1")) as before,
    ):
        assert talk(before, b"before") == b"before"
        arming.arm()
        with connect_unix(net.forward(echo, listen=f"unix:{tmp_path}/m2:1")) as meanwhile:
            for client in (before, meanwhile):
                assert talk(client, b"hello") == b"hello"
            arming.heal()
            reset_all()
            for client in (before, meanwhile):
                assert talk(client, b"after") == b"after"
    assert traffic.struck is None
    assert traffic.profile(1.0).exchanges == ()


@pytest.mark.parametrize("text", ["up 2 fin", "down 2 fin", "up 2 rst", "down 2 rst"])
def test_a_connection_ends_at_its_place_and_the_next_one_works(link: Link, text: str) -> None:
    place = Place.parse(text)
    traffic = Traffic((None,), place)
    arming = Arming(traffic)
    arming.arm()
    with connect(link) as client:
        assert talk(client, b"hello") == b"hello"
        if text.endswith("rst"):
            with pytest.raises(ConnectionResetError):
                talk(client, b"hello")
        else:
            assert talk(client, b"hello") == b""
    assert traffic.struck is not None
    with connect(link) as client:
        assert talk(client, b"again") == talk(client, b"again") == b"again"
    arming.heal()


def test_a_part_of_a_reply_comes_before_a_place_inside_it(link: Link) -> None:
    arming = Arming(Traffic((None,), Place(1, "down", 1, "fin", inside=True), offset=2))
    arming.arm()
    with connect(link) as client:
        client.sendall(b"hello")
        assert client.recv(100) + client.recv(100) == b"he"
    arming.heal()


def test_silence_ends_by_itself_and_loses_nothing(link: Link) -> None:
    traffic = Traffic((None,), Place(1, "down", 1, "silence"))
    arming = Arming(traffic)
    arming.arm()
    began = time.monotonic()
    with connect(link) as client:
        assert talk(client, b"hello") == b"hello"
        assert time.monotonic() - began >= 0.99
        assert talk(client, b"again") == b"again"
    arming.heal()


def test_a_forgotten_connection_is_mute_until_the_play_is_over_and_reset_then(link: Link) -> None:
    traffic = Traffic((None,), Place(1, "up", 2, "forget"))
    arming = Arming(traffic)
    arming.arm()
    with connect(link) as client, connect(link) as other:
        assert talk(client, b"hello") == b"hello"
        client.sendall(b"lost")
        assert talk(other, b"hello") == b"hello"
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(10)
        assert traffic.struck is not None
        arming.heal()
        client.settimeout(5)
        with pytest.raises(ConnectionResetError):
            client.recv(10)
        assert talk(other, b"after") == b"after"


def test_a_place_that_is_not_reached_does_nothing(link: Link) -> None:
    traffic = Traffic((None,), Place(1, "up", 3, "rst"))
    arming = Arming(traffic)
    arming.arm()
    with connect(link) as client:
        assert talk(client, b"hello") == talk(client, b"hello") == b"hello"
    arming.heal()
    assert traffic.struck is None
