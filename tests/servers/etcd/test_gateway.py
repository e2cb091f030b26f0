from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import IncompleteRead

import pytest

from pytest_netfault.servers.errors import ServerUnreachable
from pytest_netfault.servers.etcd.gateway import Gateway

Serve = Callable[[Callable[[socket.socket], None]], Gateway]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A server of one connection: what it does with that connection is the test's."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads: list[threading.Thread] = []

        def start(talk: Callable[[socket.socket], None]) -> Gateway:
            def run() -> None:
                connection, _ = listener.accept()
                with connection:
                    with connection.makefile("rb") as request:
                        head = list(iter(request.readline, b"\r\n"))
                        lengths = [line for line in head if line.lower().startswith(b"content-length:")]
                        request.read(int(lengths[0].split(b":")[1]) if lengths else 0)
                    talk(connection)

            threads.append(threading.Thread(target=run))
            threads[-1].start()
            return Gateway("127.0.0.1", listener.getsockname()[1])

        yield start
        for thread in threads:
            thread.join(timeout=10)
            assert not thread.is_alive()


def _response(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def test_an_answer_is_read(serve: Serve) -> None:
    gateway = serve(
        lambda peer: peer.sendall(_response(200, b'{"header": {"revision": "9007199254740993"}}'))
    )
    assert gateway.revision() == 9007199254740993


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (_response(503, b'{"error": "etcdserver: no leader"}'), "status 503.*no leader"),
        (_response(200, b"<html>"), "status 200.*<html>"),
        (_response(200, b"[]"), "status 200"),
        (_response(200, b"{}"), "an answer without a revision"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (b"", "closed connection without response"),
    ],
)
def test_what_is_no_answer_is_said_in_a_sentence(serve: Serve, answer: bytes, reason: str) -> None:
    gateway = serve(lambda peer: peer.sendall(answer))
    with pytest.raises(
        ServerUnreachable, match=rf"etcd at 127.0.0.1:\d+ did not answer /v3/kv/range: .*{reason}"
    ):
        gateway.revision()


def test_something_else_than_etcd_has_no_version(serve: Serve) -> None:
    gateway = serve(lambda peer: peer.sendall(_response(200, b'{"version": "1.0"}')))
    with pytest.raises(ServerUnreachable, match="an answer that is not etcd's"):
        gateway.version()


def test_silence_ends_at_the_timeout(serve: Serve) -> None:
    done = threading.Event()
    gateway = serve(lambda _peer: (done.wait(10), None)[1])
    with pytest.raises(ServerUnreachable, match=r"no answer within 0.05 s"):
        gateway.revision(timeout=0.05)
    done.set()


def test_nobody_there_is_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ServerUnreachable, match="Connection refused"):
            Gateway("127.0.0.1", taken.getsockname()[1]).revision()


def test_replies_are_whole_however_the_stream_is_cut(serve: Serve) -> None:
    replies = [{"result": {"n": n, "pad": "x" * n * 1000}} for n in range(5)]
    text = b"".join(json.dumps(reply).encode() + b"\n" for reply in replies)

    def talk(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(text), 997):
            peer.sendall(_chunk(text[start : start + 997]))
        peer.sendall(b"0\r\n\r\n")

    stream = serve(talk).watch(2)
    assert [reply["n"] for reply in stream.replies()] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "talk",
    [
        _response(400, b"no"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(b'{"error": "shutting down"}\n'),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(b"{broken\n"),
    ],
)
def test_a_refused_or_broken_watch_is_an_error(serve: Serve, talk: bytes) -> None:
    stream = serve(lambda peer: peer.sendall(talk)).watch(2)
    with pytest.raises(ValueError):
        list(stream.replies())


def test_closing_wakes_a_reader(serve: Serve) -> None:
    ended = threading.Event()

    def talk(peer: socket.socket) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(b'{"result": {}}\n'))
        assert peer.recv(1) == b""  # the other side is gone
        ended.set()

    stream = serve(talk).watch(2)
    replies = stream.replies()
    assert next(replies) == {}
    threading.Thread(target=stream.close).start()
    with suppress(IncompleteRead):  # some versions of http.client call it that, others just end
        assert list(replies) == []
    assert ended.wait(10)


def test_a_stream_closed_before_it_began_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = Gateway("127.0.0.1", listener.getsockname()[1]).watch(2)
        stream.close()
        with pytest.raises(OSError, match="closed while it connected"):
            list(stream.replies())
