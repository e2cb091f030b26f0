"""toxiproxy-python as PyPI has it, against our server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from support.serving import Serving, Upstream

toxiproxy = pytest.importorskip("toxiproxy", reason="toxiproxy-python is not installed")


@pytest.fixture
def client(serving: Serving) -> Iterator[Any]:
    from toxiproxy.api import APIConsumer

    before = APIConsumer.host, APIConsumer.port
    client = toxiproxy.Toxiproxy()
    client.update_api_consumer("127.0.0.1", serving.port)
    yield client
    APIConsumer.host, APIConsumer.port = before


def is_up(proxy: Any) -> bool:
    host, port = proxy.listen.split(":")
    with socket.socket() as sock:
        return sock.connect_ex((host, int(port))) == 0


def test_the_server_runs_and_has_a_version(client: Any) -> None:
    assert client.running()
    assert client.version() == b'{"version": "2.12.0"}\n'


def test_proxies_are_created_found_and_destroyed(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:1", name="p")
    assert is_up(proxy)
    assert list(client.proxies()) == ["p"]
    assert client.get_proxy("p").listen == proxy.listen
    from toxiproxy.exceptions import ProxyExists

    with pytest.raises(ProxyExists):
        client.create(upstream="127.0.0.1:1", name="p")
    assert client.destroy(proxy)
    assert client.get_proxy("p") is None
    assert not is_up(proxy)


def test_down_and_up(client: Any) -> None:
    proxy = client.create(upstream="127.0.0.1:1", name="p", listen="localhost:0")
    with proxy.down():
        assert not is_up(proxy)
        assert client.get_proxy("p").enabled is False
    assert is_up(proxy)


def test_populate_replaces_what_differs(client: Any) -> None:
    first = client.populate([{"name": "p", "upstream": "127.0.0.1:1", "listen": "127.0.0.1:0"}])
    assert [one.name for one in first] == ["p"]
    same = {"name": "p", "upstream": "127.0.0.1:1", "listen": first[0].listen}
    assert client.populate([same]) == []
    assert [one.upstream for one in client.populate([{**same, "upstream": "127.0.0.1:2"}])] == ["127.0.0.1:2"]


def test_toxics(client: Any, upstream: Upstream) -> None:
    proxy = client.create(upstream=upstream.address, name="p")
    proxy.add_toxic(type="limit_data", attributes={"bytes": 3})
    assert list(proxy.toxics()) == ["limit_data_downstream"]
    toxic = proxy.get_toxic("limit_data_downstream")
    assert (toxic.type, toxic.stream, toxic.toxicity, toxic.attributes) == (
        "limit_data",
        "downstream",
        1,
        {"bytes": 3},
    )
    host, port = proxy.listen.split(":")
    ours, theirs = upstream.connect((host, int(port)))
    theirs.sendall(b"12345")
    assert ours.recv(10) == b"123"
    from toxiproxy.exceptions import InvalidToxic, NotFound

    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="nonsense")
    assert proxy.destroy_toxic("limit_data_downstream")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("limit_data_downstream")
    proxy.add_toxic(type="latency", name="late", toxicity=0.5)
    assert client.reset()
    assert proxy.toxics() == {}
