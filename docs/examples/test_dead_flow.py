"""NAT forgot the flow: which of keepalive, user timeout and heartbeat finds out, and which does not.

The intervals are as short as Linux allows, so that the tests are quick. In production they are longer: shorter than the
idle timeout of the strictest device on the way (350 s on an AWS load balancer, four minutes on Azure's).
"""

from __future__ import annotations

import contextlib
import errno
import socket
import sys
import threading

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="the names of the socket options are those of Linux"
)


@pytest.fixture
def server():
    """Answers each byte with itself."""

    def answer(sock):
        with sock:
            while data := sock.recv(100):
                sock.sendall(data)

    def accept(listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(sock,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        yield listener.getsockname()


@pytest.fixture
def link(netfault, server):
    return netfault.forward(server)


def connect(link, **options):
    """A connection with socket options, once it has carried something."""
    client = socket.create_connection((link.host, link.port), timeout=20)
    for name, value in options.items():
        level = socket.SOL_SOCKET if name == "SO_KEEPALIVE" else socket.IPPROTO_TCP
        client.setsockopt(level, getattr(socket, name), value)
    client.sendall(b"?")
    assert client.recv(1) == b"?"
    return client


KEEPALIVE = {"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 1}


def test_a_keepalive_finds_out_when_nobody_acknowledges(link):
    """Who only reads, such as a subscriber, needs a keepalive: it never sends anything that could time out."""
    with connect(link, **KEEPALIVE) as reader:
        link.forget(packets=True)
        with pytest.raises(OSError) as seen:
            reader.recv(1)
        assert seen.value.errno == errno.ETIMEDOUT


def test_a_user_timeout_finds_out_for_who_writes(link):
    with connect(link, TCP_USER_TIMEOUT=300) as writer:
        link.forget(packets=True)
        writer.sendall(b"?")  # succeeds: it is only in the kernel's buffer
        with pytest.raises(OSError) as seen:
            writer.recv(1)
        assert seen.value.errno == errno.ETIMEDOUT


def test_neither_finds_out_when_a_proxy_acknowledges(link):
    """Behind a proxy that has lost the other half, TCP is satisfied. Only a question that is not answered tells."""
    with connect(link, **KEEPALIVE, TCP_USER_TIMEOUT=300) as client:
        link.forget()
        client.settimeout(2.5)  # longer than both
        with pytest.raises(TimeoutError) as seen:
            client.recv(1)
        assert seen.value.errno is None, "it was our own patience that ended, not the connection"


class Heartbeat:
    """A client that asks while it is idle, and connects anew when no answer comes."""

    def __init__(self, link, patience):
        self._link, self._patience = link, patience
        self._sock = connect(link)

    def beat(self):
        """Ask once; returns whether the connection was still good."""
        try:
            self._sock.settimeout(self._patience)
            self._sock.sendall(b"?")
            if self._sock.recv(1):
                return True
        except OSError:
            pass
        self._sock.close()
        self._sock = connect(self._link)
        return False

    def close(self):
        self._sock.close()


@pytest.mark.parametrize("packets", [False, True])
def test_a_heartbeat_always_finds_out(link, packets):
    with contextlib.closing(Heartbeat(link, patience=0.3)) as client:
        assert client.beat()
        link.forget(packets=packets)
        assert not client.beat()
        assert client.beat(), "new connections are served: only the old flow was forgotten"


def test_one_flow_of_two_is_forgotten(link):
    with connect(link) as one, connect(link) as two:
        link.forget(connections=1)
        one.sendall(b"?")
        two.sendall(b"?")
        assert two.recv(1) == b"?"
        one.settimeout(0.1)
        with pytest.raises(TimeoutError):
            one.recv(1)
