"""What a proxy does on the network: listening, moving, ending connections, freeing its port."""

from __future__ import annotations

import socket

import pytest
from support.serving import Serving, Upstream


def is_refused(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def echo(client: socket.socket, server: socket.socket) -> None:
    client.sendall(b"ping")
    assert server.recv(10) == b"ping"
    server.sendall(b"pong")
    assert client.recv(10) == b"pong"


class TestForwarding:
    def test_bytes_go_both_ways(self, serving: Serving, upstream: Upstream) -> None:
        echo(*upstream.connect(serving.create("p", upstream.address)))

    def test_a_half_closed_connection_keeps_its_other_half(
        self, serving: Serving, upstream: Upstream
    ) -> None:
        client, server = upstream.connect(serving.create("p", upstream.address))
        client.shutdown(socket.SHUT_WR)
        assert server.recv(10) == b""
        server.sendall(b"still")
        assert client.recv(10) == b"still"

    @pytest.mark.parametrize(
        "text", ["127.0.0.1:1", "bogus", "a b:1", "x" * 300 + ":1", ":", "unix:/nowhere", "é" * 80]
    )
    def test_an_upstream_is_not_looked_at_before_somebody_connects(self, serving: Serving, text: str) -> None:
        place = serving.create("p", text)
        assert serving.ask("GET", "/proxies/p").json["upstream"] == text
        for _ in range(3):
            with socket.create_connection(place, timeout=30) as client:
                assert client.recv(1) == b""

    def test_a_name_that_means_ipv4_and_ipv6_listens_on_both(
        self, serving: Serving, upstream: Upstream
    ) -> None:
        listen = serving.ask("POST", "/proxies", {"name": "p", "upstream": upstream.address}).json["listen"]
        if not listen.startswith("[::]"):
            pytest.skip("this machine has no IPv6")
        port = int(listen.rpartition(":")[2])
        echo(*upstream.connect(("127.0.0.1", port)))
        echo(*upstream.connect(("::1", port)))


class TestDisabling:
    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_the_port_is_free_and_comes_back(self, serving: Serving, upstream: Upstream, method: str) -> None:
        place = serving.create("p", upstream.address)
        client, server = upstream.connect(place)
        echo(client, server)
        server.sendall(b"unread")
        assert serving.ask(method, "/proxies/p", {"enabled": False}).json["enabled"] is False
        assert client.recv(10) in (b"unread", b"")
        assert server.recv(10) == b""
        with socket.create_server(place):
            answer = serving.ask(method, "/proxies/p", {"enabled": True})
            text = f"listen tcp 127.0.0.1:{place[1]}: bind: address already in use"
            assert (answer.status, answer.json["error"]) == (500, text)
            assert serving.ask("GET", "/proxies/p").json["enabled"] is False
        answer = serving.ask(method, "/proxies/p", {"enabled": True})
        assert answer.json["listen"] == f"127.0.0.1:{place[1]}"
        echo(*upstream.connect(place))

    def test_again_it_changes_nothing(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1")
        for _ in range(2):
            assert serving.ask("POST", "/proxies/p", {"enabled": False}).status == 200

    def test_connections_end_in_order(self, serving: Serving, upstream: Upstream) -> None:
        client, server = upstream.connect(serving.create("p", upstream.address))
        echo(client, server)
        client.sendall(b"x" * 1000)
        assert server.recv(1, socket.MSG_PEEK)
        serving.ask("POST", "/proxies/p", {"enabled": False})
        assert client.recv(10) == b""  # and no ConnectionResetError

    def test_a_deleted_proxy_is_gone(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address)
        client, _ = upstream.connect(place)
        assert serving.ask("DELETE", "/proxies/p").status == 204
        assert client.recv(1) == b""
        assert is_refused(place)


class TestMoving:
    def test_the_same_addresses_leave_connections_alone(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address, "localhost:0")
        pair = upstream.connect(place)
        for listen in (f"127.0.0.1:{place[1]}", f"localhost:{place[1]}"):
            body = {"listen": listen, "upstream": upstream.address, "name": "x", "toxics": [{"type": "noop"}]}
            answer = serving.ask("POST", "/proxies/p", body)
            assert (answer.json["name"], answer.json["toxics"]) == ("p", [])
        echo(*pair)

    def test_another_upstream_ends_them_and_keeps_the_port_and_the_toxics(self, serving: Serving) -> None:
        with Upstream() as first, Upstream() as second:
            place = serving.create("p", first.address)
            serving.ask("POST", "/proxies/p/toxics", {"type": "latency"})
            client, _ = first.connect(place)
            answer = serving.ask("PATCH", "/proxies/p", {"upstream": second.address})
            assert answer.json["listen"] == f"127.0.0.1:{place[1]}"
            assert len(answer.json["toxics"]) == 1
            assert client.recv(1) == b""
            echo(*second.connect(place))

    def test_another_address(self, serving: Serving, upstream: Upstream) -> None:
        place = serving.create("p", upstream.address)
        # Not another port of the same: the one that is free may be the one that was just left.
        listen = serving.ask("PATCH", "/proxies/p", {"listen": "127.0.0.2:0"}).json["listen"]
        moved = ("127.0.0.2", int(listen.rpartition(":")[2]))
        assert moved != place
        assert is_refused(place)
        echo(*upstream.connect(moved))

    def test_a_bad_address_changes_nothing_and_a_taken_one_disables(self, serving: Serving) -> None:
        place = serving.create("p", "127.0.0.1:1")
        answer = serving.ask("PATCH", "/proxies/p", {"listen": "bogus"})
        assert (answer.status, answer.json["error"]) == (500, "address bogus: missing port in address")
        assert serving.ask("GET", "/proxies/p").json["enabled"] is True
        with socket.create_server(("127.0.0.1", 0)) as taken:
            listen = f"127.0.0.1:{taken.getsockname()[1]}"
            assert serving.ask("PATCH", "/proxies/p", {"listen": listen}).status == 500
            proxy = serving.ask("GET", "/proxies/p").json
            assert (proxy["enabled"], proxy["listen"]) == (False, listen)
        assert is_refused(place)

    def test_disabled_it_may_be_given_any_upstream(self, serving: Serving) -> None:
        serving.create("p", "127.0.0.1:1", enabled=False)
        answer = serving.ask("PATCH", "/proxies/p", {"upstream": ""})
        assert (answer.status, answer.json["upstream"], answer.json["enabled"]) == (200, "", False)


@pytest.mark.linux("packet_loss needs a socket filter")
class TestAToxicThatCannotBeOnAnUpstream:
    """Packet loss drops segments, and a Unix socket has none: the one who asked for the two together is told."""

    SENTENCE = "drops TCP segments, and a Unix socket has none; forward to a TCP address"

    def keep_one(self, serving: Serving, upstream: Upstream) -> dict[str, object]:
        serving.create("p", upstream.address)
        made = serving.ask(
            "POST", "/proxies/p/toxics", {"type": "packet_loss", "attributes": {"loss_rate": 1}}
        )
        assert made.status == 200
        return dict(serving.ask("GET", "/proxies/p").json)

    def test_an_update_changes_nothing(self, serving: Serving, upstream: Upstream) -> None:
        before = self.keep_one(serving, upstream)
        answer = serving.ask("POST", "/proxies/p", {"upstream": "unix:/nowhere/x"})
        assert answer.status == 400
        assert answer.json["error"].startswith("toxic 'packet_loss_downstream' (packet_loss) ")
        assert answer.json["error"].endswith(self.SENTENCE)
        assert serving.ask("GET", "/proxies/p").json == before

    def test_a_fault_of_ours_is_no_exception(self, serving: Serving, upstream: Upstream) -> None:
        serving.create("p", upstream.address)
        made = serving.ask("POST", "/netfault/proxies/p/faults", {"fault": "lose", "probability": 0.5})
        assert made.status == 201
        answer = serving.ask("PATCH", "/proxies/p", {"upstream": "unix:/nowhere/x"})
        assert answer.status == 400
        assert self.SENTENCE in answer.json["error"]

    def test_of_a_disabled_proxy_it_is_said_when_it_is_enabled(
        self, serving: Serving, upstream: Upstream
    ) -> None:
        self.keep_one(serving, upstream)
        moved = serving.ask("POST", "/proxies/p", {"enabled": False, "upstream": "unix:/nowhere/x"})
        assert (moved.status, moved.json["enabled"]) == (200, False)
        answer = serving.ask("POST", "/proxies/p", {"enabled": True})
        assert answer.status == 400
        assert self.SENTENCE in answer.json["error"]
        assert serving.ask("GET", "/proxies/p").json["enabled"] is False
        assert serving.ask("POST", "/reset").status == 204  # it goes with the toxics
        there = serving.ask("GET", "/proxies/p").json
        assert (there["enabled"], there["toxics"]) == (True, [])

    def test_of_several_that_are_created_those_before_it_are_there(
        self, serving: Serving, upstream: Upstream
    ) -> None:
        toxic = {"type": "packet_loss", "attributes": {"loss_rate": 1}}
        entries = [
            {"name": "a", "listen": "127.0.0.1:0", "upstream": upstream.address},
            {"name": "b", "listen": "127.0.0.1:0", "upstream": "unix:/x", "toxics": [toxic], "netfault": 1},
        ]
        answer = serving.ask("POST", "/populate", entries)
        assert answer.status == 400
        assert self.SENTENCE in answer.json["error"]
        assert [one["name"] for one in answer.json["proxies"]] == ["a"]
        assert list(serving.ask("GET", "/proxies").json) == ["a"]
