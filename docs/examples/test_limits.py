"""Flaky for some, dead for one: faults that hold for some connections, for some attempts, or for some time.

The client is a small one for HTTP that keeps its connection, asks again when it fails, and gives up on an answer that
does not come. Put your own in its place.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Client:
    """Two connections that are used in turn; one that fails is replaced."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._pool = [self._new(), self._new()]

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(*self._address, timeout=0.5)

    def get(self, tries: int = 5) -> bytes:
        for _ in range(tries):
            connection = self._pool.pop(0)
            try:
                connection.request("GET", "/")
                answer = connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
                self._pool.append(self._new())
            else:
                self._pool.append(connection)
                return answer
        raise ConnectionError(f"no answer after {tries} tries")

    def close(self) -> None:
        for connection in self._pool:
            connection.close()


class Hello(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def link(netfault):
    with ThreadingHTTPServer(("127.0.0.1", 0), Hello) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        with netfault.forward(server.server_address[:2], name="hello") as link:
            yield link
        server.shutdown()
        thread.join()


@pytest.fixture
def client(link):
    with contextlib.closing(Client(link.host, link.port)) as client:
        yield client


def test_dead_for_one(link, client):
    """One connection of the pool has died without a word; the other one works."""
    for _ in range(2):
        assert client.get() == b"hello"
    with link.blackhole(connections=1) as dead:
        for _ in range(4):
            assert client.get() == b"hello"
        assert dead.met_traffic


def test_flaky_for_some(link):
    """Three connections in ten are cut in the middle of the first answer. Which, the seed and their numbers decide."""
    with link.cut(30, direction="down", how="rst", share=0.3):
        for _ in range(40):
            with contextlib.closing(Client(link.host, link.port)) as client:
                assert client.get(tries=20) == b"hello"


def test_the_next_attempts_fail(link, client):
    """The server is still starting: it refuses twice, and then it is there."""
    starting = link.refuse(count=2)
    assert client.get() == b"hello"
    assert starting.healed
    assert link.attempts_refused == 2


def test_only_the_first_connections_are_slow(link, client):
    with link.delay(0.05, connections=range(1, 3)):
        assert client.get() == b"hello"


def test_an_outage_that_ends_by_itself(link, client):
    assert client.get() == b"hello"
    link.blackhole(seconds=0.2, on_heal="reset")  # as when a firewall comes up again with an empty table
    assert client.get() == b"hello"
