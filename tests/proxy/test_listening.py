"""The port stays ours while it refuses; IPv6, Unix sockets, and names with several addresses work alike."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from pytest_netfault.control import NetFault
from pytest_netfault.faults import Blackhole, Fault, Refuse, Sever, StallAccept


def bind_here(address: tuple[str, int], *options: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        for option in options:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        sock.bind(address)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


@pytest.mark.parametrize("fault", [None, Sever(), Refuse(), Blackhole(), StallAccept()], ids=repr)
@pytest.mark.parametrize(
    "options",
    [(), (socket.SO_REUSEADDR,), (socket.SO_REUSEADDR, socket.SO_REUSEPORT)],
    ids=["plain", "addr", "both"],
)
@pytest.mark.parametrize("listen", [("127.0.0.1", 0), ("::1", 0)], ids=["ipv4", "ipv6"])
def test_nobody_else_gets_the_port(
    make_rig: Any, fault: Fault | None, options: tuple[int, ...], listen: tuple[str, int]
) -> None:
    rig = make_rig(listen=listen)
    rig.connect()
    if fault is not None:
        rig.link.apply(fault)
    with pytest.raises(OSError) as caught:
        bind_here((rig.link.host, rig.link.port), *options)
    assert caught.value.errno == errno.EADDRINUSE
    rig.link.heal()
    rig.connect()


def test_a_port_asked_for_by_number_is_kept_and_given_back(net: NetFault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as finder:
        port = finder.getsockname()[1]
    for _ in range(3):
        link = net.forward(9, listen=("127.0.0.1", port))
        assert link.port == port
        with link.refuse(), pytest.raises(ConnectionRefusedError):
            socket.create_connection((link.host, link.port))
        link.close()


def test_a_taken_port_is_one_clear_sentence(net: NetFault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = taken.getsockname()
        with pytest.raises(
            OSError, match=rf"^\[Errno {errno.EADDRINUSE}\] cannot listen on 127.0.0.1:{address[1]}: "
        ):
            net.forward(9, listen=address)


def test_refusing_and_serving_again_many_times_with_connections_open(rig: Any) -> None:
    pairs = []
    for turn in range(30):
        pairs.append(rig.connect())
        with rig.link.refuse():
            assert rig.refused()
        for pair in pairs:
            pair.client.sendall(bytes([turn]))
            assert pair.server.recv(1) == bytes([turn])


def test_ipv6_both_ways(make_rig: Any, helpers: Any) -> None:
    server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    rig = make_rig(server, listen=("::1", 0))
    assert rig.link.address == f"[::1]:{rig.link.port}"
    assert rig.link.host == "::1"
    pair = rig.connect()
    pair.client.sendall(b"six")
    assert pair.server.recv(9) == b"six"
    with rig.link.sever():
        assert rig.refused()
        assert helpers.take_all(pair.client) == (b"", "fin")
    with rig.link.blackhole(packets=True):
        rig.hanging()
    rig.connect()


class TestUnix:
    @pytest.fixture
    def unix_rig(self, make_rig: Any, short_path: Path) -> Any:
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{short_path}/upstream")
        server.listen(100)
        return make_rig(server, listen=f"unix:{short_path}/link")

    def test_bytes_and_endings(self, unix_rig: Any, helpers: Any, short_path: Path) -> None:
        assert unix_rig.link.address == f"unix:{short_path}/link"
        assert unix_rig.link.host == f"{short_path}/link"
        assert unix_rig.link.port == 0
        pair = unix_rig.connect()
        pair.client.sendall(b"up")
        pair.client.shutdown(socket.SHUT_WR)
        assert helpers.take_all(pair.server) == (b"up", "fin")
        pair.server.sendall(b"down" * 100_000)
        pair.server.close()
        assert helpers.take_all(pair.client) == (b"down" * 100_000, "fin")

    def test_sever_and_refuse_keep_the_path(self, unix_rig: Any, helpers: Any, short_path: Path) -> None:
        path = Path(unix_rig.link.host)
        pair = unix_rig.connect()
        for _ in range(3):
            with unix_rig.link.refuse():
                assert unix_rig.refused()
                with socket.socket(socket.AF_UNIX) as other, pytest.raises(OSError, match="in use"):
                    other.bind(str(path))
            pair.client.sendall(b"still")
            assert pair.server.recv(9) == b"still"
        with unix_rig.link.sever():
            assert unix_rig.refused()
            assert helpers.take_all(pair.client) == (b"", "fin")
        unix_rig.connect()
        assert sorted(entry.name for entry in short_path.iterdir()) == ["link", "upstream"]
        unix_rig.link.close()
        assert sorted(entry.name for entry in short_path.iterdir()) == ["upstream"]

    def test_connections_that_nobody_has_accepted_yet_count_as_open(
        self, unix_rig: Any, helpers: Any
    ) -> None:
        for _ in range(6):
            stop = threading.Event()
            clients: list[socket.socket] = []

            def dial(stop: threading.Event = stop, clients: list[socket.socket] = clients) -> None:
                while not stop.is_set() and len(clients) < 60:
                    with contextlib.suppress(ConnectionRefusedError):
                        clients.append(unix_rig.dial())

            with contextlib.ExitStack() as stack:
                helpers.in_thread(stack, dial)
                while len(clients) < 30:
                    unix_rig.fence()
                with unix_rig.link.sever():
                    stop.set()
                    ends = {helpers.take_all(client) for client in list(clients)}
            assert ends == {(b"", "fin")}
            for client in clients:
                client.close()

    def test_a_black_hole_leaves_new_connections_unserved(self, unix_rig: Any) -> None:
        pair = unix_rig.connect()
        with unix_rig.link.blackhole():
            pair.client.sendall(b"held")
            other = unix_rig.dial()
            other.sendall(b"held too")
            assert unix_rig.nothing(pair.server)
            assert unix_rig.nothing(unix_rig.server)
        assert pair.server.recv(9) == b"held"
        assert unix_rig.answer().recv(9) == b"held too"

    def test_an_upstream_whose_queue_is_full_is_waited_for(self, make_rig: Any, short_path: Path) -> None:
        """connect() to it would wait, so the proxy's client waits too, and is not turned away."""
        server = socket.socket(socket.AF_UNIX)
        server.bind(f"{short_path}/full")
        server.listen(0)
        rig = make_rig(server)
        clients = [rig.dial() for _ in range(5)]
        for number, client in enumerate(clients):
            client.sendall(bytes([number]))
        rig.fence()
        assert {rig.answer().recv(1) for _ in clients} == {bytes([number]) for number in range(5)}

    def test_an_upstream_that_is_not_there(self, net: NetFault, short_path: Path, helpers: Any) -> None:
        link = net.forward(f"unix:{short_path}/nobody")
        assert helpers.call(link) == (b"", "rst")
        (failed,) = (event for event in link.events if event.kind == "upstream_failed")
        assert (failed.address, failed.detail) == (f"unix:{short_path}/nobody", "No such file or directory")

    def test_a_path_that_is_taken(self, net: NetFault, short_path: Path) -> None:
        (short_path / "taken").touch()
        with pytest.raises(OSError, match="cannot listen on unix:"):
            net.forward(9, listen=f"unix:{short_path}/taken")
        assert (short_path / "taken").exists()

    def test_a_path_that_somebody_else_has_taken_meanwhile_is_left_alone(
        self, unix_rig: Any, short_path: Path
    ) -> None:
        (short_path / "link").unlink()
        (short_path / "link").write_text("mine")
        unix_rig.link.close()
        assert (short_path / "link").read_text() == "mine"


def test_each_address_of_a_name_is_tried(net: NetFault, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        real = socket.getaddrinfo

        def three(host: str, *rest: Any, **more: Any) -> Any:
            if host != "several.test":
                return real(host, *rest, **more)
            return [
                (family, socket.SOCK_STREAM, 6, "", name)
                for family, name in [
                    (socket.AF_INET6, ("::1", port, 0, 0)),
                    (socket.AF_INET, ("127.0.0.2", port)),
                    (socket.AF_INET, ("127.0.0.1", port)),
                ]
            ]

        monkeypatch.setattr(socket, "getaddrinfo", three)
        link = net.forward(("several.test", port))
        with socket.create_connection((link.host, link.port), timeout=20) as client:
            upstream, _ = server.accept()
            with upstream:
                client.sendall(b"found")
                assert upstream.recv(9) == b"found"


def test_a_name_that_cannot_be_resolved_is_one_clear_sentence(net: NetFault, helpers: Any) -> None:
    net.forward(80)
    before = helpers.open_descriptors()
    with pytest.raises(OSError, match=r"cannot resolve upstream nowhere\.invalid:80"):
        net.forward("nowhere.invalid:80")
    with pytest.raises(ValueError, match=r"upstream: .* is no host name"):
        net.forward("a" * 70 + ".test:80")
    with pytest.raises((OSError, ValueError), match="listen"):
        net.forward(80, listen="nowhere.invalid:80")
    with pytest.raises((OSError, ValueError), match="listen"):
        net.forward(80, listen="a" * 70 + ".test:80")
    assert helpers.open_descriptors() <= before  # others may have closed some of theirs meanwhile
