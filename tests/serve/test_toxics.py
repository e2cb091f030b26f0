"""What each toxic does to real connections."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import pytest
from support.serving import Answer, Serving, Upstream


def read(sock: socket.socket, size: int) -> bytes:
    parts = b""
    while len(parts) < size and (part := sock.recv(size - len(parts))):
        parts += part
    return parts


def until_the_end(sock: socket.socket) -> bytes:
    """All that comes, up to the end in order; a RST is raised."""
    parts = b""
    while part := sock.recv(65536):
        parts += part
    return parts


class Proxied:
    """A proxy, and a connection through it."""

    def __init__(self, serving: Serving, upstream: Upstream) -> None:
        self.serving = serving
        self.upstream = upstream
        self.place = serving.create("p", upstream.address)
        self.client, self.server = upstream.connect(self.place)
        self.pass_bytes()

    def pass_bytes(self) -> None:
        self.server.sendall(b"x")
        assert self.client.recv(1) == b"x"

    def toxic(self, kind: str, stream: str = "downstream", toxicity: float = 1, **attributes: float) -> None:
        body = {"type": kind, "stream": stream, "name": "t", "toxicity": toxicity, "attributes": attributes}
        answer = self.serving.ask("POST", "/proxies/p/toxics", body)
        assert answer.status == 200, answer

    def update(self, **body: Any) -> Answer:
        answer = self.serving.ask("PATCH", "/proxies/p/toxics/t", body)
        assert answer.status == 200, answer
        return answer

    def remove(self) -> None:
        assert self.serving.ask("DELETE", "/proxies/p/toxics/t").status == 204


@pytest.fixture
def proxied(serving: Serving, upstream: Upstream) -> Proxied:
    return Proxied(serving, upstream)


class TestLatency:
    def test_each_chunk_is_late(self, proxied: Proxied) -> None:
        proxied.toxic("latency", latency=100)
        before = time.monotonic()
        proxied.pass_bytes()
        assert time.monotonic() - before >= 0.1

    def test_the_other_stream_is_not(self, proxied: Proxied) -> None:
        proxied.toxic("latency", "upstream", latency=60_000)
        proxied.pass_bytes()

    def test_both_streams(self, proxied: Proxied) -> None:
        proxied.toxic("latency", "both", latency=50)
        before = time.monotonic()
        proxied.client.sendall(b"?")
        assert proxied.server.recv(1) == b"?"
        proxied.pass_bytes()
        assert time.monotonic() - before >= 0.1

    def test_removed_it_releases_what_it_held(self, proxied: Proxied) -> None:
        proxied.toxic("latency", latency=60_000)
        proxied.server.sendall(b"held")
        proxied.remove()
        assert read(proxied.client, 4) == b"held"

    def test_updated_it_releases_what_it_held(self, proxied: Proxied) -> None:
        proxied.toxic("latency", latency=60_000)
        proxied.server.sendall(b"held")
        proxied.update(attributes={"latency": 0})
        assert read(proxied.client, 4) == b"held"
        proxied.pass_bytes()


class TestBandwidth:
    def test_a_rate(self, proxied: Proxied) -> None:
        proxied.toxic("bandwidth", rate=100)
        before = time.monotonic()
        proxied.server.sendall(b"x" * 20_000)
        assert len(read(proxied.client, 20_000)) == 20_000
        assert time.monotonic() - before >= 0.19

    def test_no_rate_holds_until_it_is_removed(self, proxied: Proxied) -> None:
        proxied.toxic("bandwidth", rate=0)
        proxied.server.sendall(b"held")
        proxied.client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxied.client.recv(1)
        proxied.client.settimeout(30)
        proxied.remove()
        assert read(proxied.client, 4) == b"held"


class TestLimitData:
    @pytest.mark.parametrize("limit", [1, 5, 4096])
    def test_exactly_so_many_bytes_pass(self, proxied: Proxied, limit: int) -> None:
        proxied.toxic("limit_data", bytes=limit)
        proxied.server.sendall(b"y" * (limit + 3))
        assert until_the_end(proxied.client) == b"y" * limit
        assert until_the_end(proxied.server) == b""

    def test_the_last_byte_ends_it(self, proxied: Proxied) -> None:
        proxied.toxic("limit_data", bytes=4)
        proxied.server.sendall(b"four")
        assert until_the_end(proxied.client) == b"four"

    def test_none_waits_for_the_first_byte(self, proxied: Proxied) -> None:
        proxied.toxic("limit_data", bytes=0)
        proxied.client.sendall(b"?")
        assert proxied.server.recv(1) == b"?"
        proxied.server.sendall(b"never")
        assert until_the_end(proxied.client) == b""

    def test_an_update_keeps_the_count(self, proxied: Proxied) -> None:
        proxied.toxic("limit_data", bytes=100)
        proxied.server.sendall(b"12345")
        assert read(proxied.client, 5) == b"12345"
        proxied.update(attributes={"bytes": 7})
        proxied.server.sendall(b"678")
        assert until_the_end(proxied.client) == b"67"

    def test_below_what_has_passed_the_next_byte_ends_it(self, proxied: Proxied) -> None:
        proxied.toxic("limit_data", bytes=100)
        proxied.server.sendall(b"12345")
        assert read(proxied.client, 5) == b"12345"
        proxied.update(attributes={"bytes": 3})
        proxied.server.sendall(b"6")
        assert until_the_end(proxied.client) == b""


class TestTimeout:
    def test_it_swallows_and_then_closes(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", timeout=100)
        proxied.server.sendall(b"swallowed")
        assert until_the_end(proxied.client) == b""
        assert until_the_end(proxied.server) == b""

    def test_it_swallows_the_end_too(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", timeout=0)
        proxied.server.sendall(b"swallowed")
        proxied.server.close()
        proxied.client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxied.client.recv(1)

    def test_a_connection_at_rest_is_closed(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", timeout=20)
        assert until_the_end(proxied.client) == b""

    def test_a_reader_that_is_stalled_is_closed(self, proxied: Proxied) -> None:
        proxied.server.settimeout(0.2)
        with contextlib.suppress(TimeoutError):
            while True:
                proxied.server.sendall(b"z" * 1_000_000)
        proxied.server.settimeout(30)
        proxied.toxic("timeout", timeout=20)
        with contextlib.suppress(ConnectionError):
            assert until_the_end(proxied.server) == b""

    def test_a_new_connection_too(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", timeout=20)
        client, _ = proxied.upstream.connect(proxied.place)
        assert until_the_end(client) == b""

    def test_without_an_end_removing_it_closes(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", timeout=0)
        proxied.server.sendall(b"swallowed")
        proxied.client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxied.client.recv(1)
        proxied.client.settimeout(30)
        proxied.remove()
        assert until_the_end(proxied.client) == b""

    def test_a_reset_closes_what_it_held_and_nothing_else(self, proxied: Proxied) -> None:
        other = proxied.serving.create("q", proxied.upstream.address)
        client, server = proxied.upstream.connect(other)
        proxied.toxic("timeout", timeout=0)
        assert proxied.serving.ask("POST", "/reset").status == 204
        assert until_the_end(proxied.client) == b""
        server.sendall(b"fine")
        assert read(client, 4) == b"fine"


class TestResetPeer:
    @pytest.mark.parametrize("milliseconds", [0, 20])
    def test_a_connection_at_rest_is_reset(self, proxied: Proxied, milliseconds: int) -> None:
        proxied.toxic("reset_peer", timeout=milliseconds)
        with pytest.raises(ConnectionResetError):
            proxied.client.recv(1)

    def test_what_comes_meanwhile_is_swallowed(self, proxied: Proxied) -> None:
        proxied.toxic("reset_peer", timeout=50)
        proxied.server.sendall(b"swallowed")
        with pytest.raises(ConnectionResetError):
            proxied.client.recv(1)


class TestSlowClose:
    def test_the_end_is_late_and_bytes_are_not(self, proxied: Proxied) -> None:
        proxied.toxic("slow_close", delay=100)
        before = time.monotonic()
        proxied.server.sendall(b"now")
        assert read(proxied.client, 3) == b"now"
        proxied.server.shutdown(socket.SHUT_WR)
        assert proxied.client.recv(1) == b""
        assert time.monotonic() - before >= 0.1

    def test_removed_the_end_comes(self, proxied: Proxied) -> None:
        proxied.toxic("slow_close", delay=60_000)
        proxied.server.shutdown(socket.SHUT_WR)
        proxied.client.sendall(b"?")
        assert proxied.server.recv(1) == b"?"
        proxied.remove()
        assert proxied.client.recv(1) == b""


class TestSlicer:
    def test_pieces_are_of_that_size(self, proxied: Proxied) -> None:
        proxied.toxic("slicer", average_size=10, size_variation=4, delay=1000)
        text = bytes(range(200))
        proxied.server.sendall(text)
        pieces = []
        while sum(map(len, pieces)) < len(text):
            pieces.append(proxied.client.recv(1000))
        assert b"".join(pieces) == text
        assert len(pieces) > 5

    def test_all_arrives(self, proxied: Proxied) -> None:
        proxied.toxic("slicer", average_size=1, size_variation=1)
        text = b"0123456789" * 500
        proxied.server.sendall(text)
        assert read(proxied.client, len(text)) == text


class TestToxicity:
    def test_it_acts_on_a_share_of_the_connections_which_is_rolled_once(self, proxied: Proxied) -> None:
        pairs = [proxied.upstream.connect(proxied.place) for _ in range(40)]
        proxied.toxic("limit_data", toxicity=0.5, bytes=1)
        proxied.serving.ask("POST", "/proxies/p/toxics", {"type": "noop", "name": "neighbour"})
        for _, server in pairs:
            server.sendall(b"ab")
        ended = [len(read(client, 2)) == 1 for client, _ in pairs]
        assert 5 < sum(ended) < 35

    def test_nobody_and_everybody(self, proxied: Proxied) -> None:
        proxied.toxic("timeout", toxicity=0, timeout=0)
        proxied.pass_bytes()
        proxied.update(toxicity=1)
        proxied.server.sendall(b"swallowed")
        proxied.client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxied.client.recv(1)

    @pytest.mark.slow
    def test_the_seed_repeats_it(self, upstream: Upstream) -> None:
        def roll() -> list[bool]:
            with Serving("--seed=11") as serving:
                place = serving.create("p", upstream.address)
                body = {"type": "limit_data", "toxicity": 0.5, "attributes": {"bytes": 1}}
                serving.ask("POST", "/proxies/p/toxics", body)
                came = []
                for _ in range(12):
                    client, server = upstream.connect(place)
                    server.sendall(b"ab")
                    came.append(len(read(client, 2)) == 1)
                return came

        first = roll()
        assert first == roll()
        assert set(first) == {True, False}


class TestChain:
    def test_they_add_up_in_the_order_of_creation(self, proxied: Proxied) -> None:
        for name in ("a", "b"):
            body = {"type": "latency", "name": name, "attributes": {"latency": 50}}
            proxied.serving.ask("POST", "/proxies/p/toxics", body)
        before = time.monotonic()
        proxied.pass_bytes()
        assert time.monotonic() - before >= 0.1

    def test_an_update_keeps_the_place(self, proxied: Proxied) -> None:
        """The limit in front still cuts what the latency behind it delays."""
        proxied.toxic("limit_data", bytes=1000)
        body = {"type": "latency", "name": "late", "attributes": {"latency": 60_000}}
        proxied.serving.ask("POST", "/proxies/p/toxics", body)
        proxied.update(attributes={"bytes": 4})
        proxied.server.sendall(b"123456")
        proxied.client.sendall(b"?")
        assert proxied.server.recv(1) == b"?"
        proxied.serving.ask("DELETE", "/proxies/p/toxics/late")
        assert until_the_end(proxied.client) == b"1234"

    def test_toxics_hold_for_a_proxy_that_is_enabled_again(self, proxied: Proxied) -> None:
        proxied.toxic("limit_data", bytes=2)
        proxied.serving.ask("POST", "/proxies/p", {"enabled": False})
        proxied.serving.ask("POST", "/proxies/p", {"enabled": True})
        client, server = proxied.upstream.connect(proxied.place)
        server.sendall(b"abc")
        assert until_the_end(client) == b"ab"


class TestPacketLoss:
    def test_all_arrives_in_the_end(self, proxied: Proxied) -> None:
        body = {"type": "packet_loss", "name": "t", "attributes": {"loss_rate": 0.3, "correlation": 0.1}}
        answer = proxied.serving.ask("POST", "/proxies/p/toxics", body)
        if answer.status == 400:
            assert "socket filters" in answer.json["error"]
            pytest.skip("this machine cannot drop packets")
        assert answer.json["attributes"] == {"loss_rate": 0.3, "correlation": 0.1}
        proxied.pass_bytes()

    def test_it_may_hold_for_a_share_of_the_connections(self, proxied: Proxied) -> None:
        body = {"type": "packet_loss", "name": "t", "toxicity": 0, "attributes": {"loss_rate": 1}}
        answer = proxied.serving.ask("POST", "/proxies/p/toxics", body)
        if answer.status == 400:
            pytest.skip("this machine cannot drop packets")
        assert answer.json["toxicity"] == 0
        proxied.pass_bytes()
        proxied.update(toxicity=1)
        proxied.server.sendall(b"dropped until it is healed")
        proxied.client.settimeout(0.05)
        with pytest.raises(TimeoutError):
            proxied.client.recv(1)
        proxied.client.settimeout(30)
        proxied.update(toxicity=0)
        assert proxied.client.recv(7) == b"dropped"
