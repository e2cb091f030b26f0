"""Both ends of real connections through a link, each socket owned by the rig that closes it.

A test talks through ``rig``: ``pair = rig.connect()`` gives the client's socket and the socket that the
upstream accepted for it. ``rig.fence()`` returns once the proxy has seen everything that was sent before: that is how
"nothing arrived" is said without waiting for time to pass.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from pytest_netfault.control import Link, NetFault

settings.register_profile("netfault", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("netfault")

# Far longer than anything here takes: reached only when something is broken.
PATIENCE = 20.0


@dataclass(frozen=True)
class Pair:
    """One connection, seen from both of its ends."""

    client: socket.socket
    server: socket.socket

    def ends(self, direction: str) -> tuple[socket.socket, socket.socket]:
        """Who sends and who receives in this direction."""
        return (self.client, self.server) if direction == "up" else (self.server, self.client)


class Rig:
    """A server, a link to it, and the sockets at both ends."""

    def __init__(
        self, net: NetFault, stack: contextlib.ExitStack, server: socket.socket, **forward: Any
    ) -> None:
        self.net = net
        self._stack = stack
        self.server = self._own(server)
        name = server.getsockname()
        self.link: Link = net.forward(f"unix:{name}" if server.family == socket.AF_UNIX else name, **forward)
        self._quiet: Pair | None = None

    def _own(self, sock: socket.socket) -> socket.socket:
        self._stack.callback(sock.close)
        sock.settimeout(PATIENCE)
        return sock

    def dial(self, *, timeout: float | None = PATIENCE, receive_buffer: int | None = None) -> socket.socket:
        """A client that has connected to the link."""
        link = self.link
        if link.address.startswith("unix:"):
            sock = self._own(socket.socket(socket.AF_UNIX))
        else:
            sock = self._own(socket.socket(socket.AF_INET6 if ":" in link.host else socket.AF_INET))
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.settimeout(timeout)
        sock.connect(link.host if link.address.startswith("unix:") else (link.host, link.port))
        return sock

    def answer(self) -> socket.socket:
        """The upstream accepts the next connection."""
        return self._own(self.server.accept()[0])

    def connect(self, *, receive_buffer: int | None = None) -> Pair:
        """A client, and the upstream's socket for it."""
        client = self.dial(receive_buffer=receive_buffer)
        return Pair(client, self.answer())

    def fence(self) -> None:
        """Returns once the proxy has handled whatever was sent to it before.

        A second link on the same thread, without faults, answers after the first one's sockets had their turn.
        """
        if self._quiet is None:
            server = socket.create_server(("127.0.0.1", 0))
            self._quiet = Rig(self.net, self._stack, server, name="fence").connect()
        for _ in range(2):
            self._quiet.client.sendall(b"?")
            assert self._quiet.server.recv(1) == b"?"
            self._quiet.server.sendall(b"!")
            assert self._quiet.client.recv(1) == b"!"

    def nothing(self, sock: socket.socket) -> bool:
        """Whether neither a byte nor an ending has come to this socket by now."""
        self.fence()
        return select.select([sock], [], [], 0) == ([], [], [])

    def fill(self, sock: socket.socket) -> int:
        """Send until every buffer on the way is full; returns how many bytes went."""
        total, sent = 0, 1
        while sent:
            sent = fill(sock)
            total += sent
            self.fence()
        return total

    def later(self, seconds: float) -> None:
        """Returns once a fault that was set this many seconds ago has run out on the proxy's clock."""
        server = socket.create_server(("127.0.0.1", 0))
        clock = Rig(self.net, self._stack, server, name="clock")
        with clock.link.delay(seconds, direction="up"):
            pair = clock.connect()
            pair.client.sendall(b"tick")
            assert pair.server.recv(9) == b"tick"
        clock.link.close()

    def refused(self) -> bool:
        """Whether connecting to the link is refused."""
        try:
            self.dial()
        except ConnectionRefusedError:
            return True
        return False

    def hanging(self) -> socket.socket:
        """A client whose attempt to connect is under way."""
        sock = self._own(socket.socket(socket.AF_INET6 if ":" in self.link.host else socket.AF_INET))
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            sock.connect((self.link.host, self.link.port))
        return sock


def hang_up(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def take_all(sock: socket.socket) -> tuple[bytes, str]:
    """Everything that comes, and how it ends: ``"fin"`` or ``"rst"``."""
    parts = []
    try:
        while part := sock.recv(1 << 20):
            parts.append(part)
    except (ConnectionResetError, BrokenPipeError):
        return b"".join(parts), "rst"
    return b"".join(parts), "fin"


def take(sock: socket.socket, size: int) -> bytes:
    """Exactly so many bytes."""
    parts = []
    while size:
        part = sock.recv(min(size, 1 << 20))
        if not part:
            raise EOFError(f"{size} bytes short")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def fill(sock: socket.socket) -> int:
    """Send until nobody takes any more; returns how much went."""
    sock.setblocking(False)
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(1 << 16))
    except BlockingIOError:
        pass
    finally:
        sock.settimeout(PATIENCE)
    return sent


@pytest.fixture
def net() -> Iterator[NetFault]:
    with NetFault(seed=1) as net:
        yield net


@pytest.fixture
def make_rig(net: NetFault) -> Iterator[Callable[..., Rig]]:
    """Makes a server with a link; arguments go to ``forward``."""
    with contextlib.ExitStack() as stack:

        def make(server: socket.socket | None = None, **forward: Any) -> Rig:
            server = server or socket.create_server(("127.0.0.1", 0), backlog=2000)
            return Rig(net, stack, server, **forward)

        yield make


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


@pytest.fixture
def pair(rig: Rig) -> Pair:
    return rig.connect()


class Helpers:
    """Functions that tests share. A fixture, since test modules do not import each other."""

    patience = PATIENCE
    hang_up = staticmethod(hang_up)
    take_all = staticmethod(take_all)
    take = staticmethod(take)
    fill = staticmethod(fill)

    @staticmethod
    def call(link: Link, said: bytes = b"") -> tuple[bytes, str]:
        """Connect, say something, and hear everything until the end. The reset may come before connect() returns."""
        with contextlib.ExitStack() as stack:
            try:
                client = stack.enter_context(
                    socket.create_connection((link.host, link.port), timeout=PATIENCE)
                )
                client.sendall(said)
            except (ConnectionResetError, BrokenPipeError):
                return b"", "rst"
            return take_all(client)

    @staticmethod
    def open_descriptors() -> int:
        return sum(1 for _ in Path("/proc/self/fd").iterdir())

    @staticmethod
    def blocks(seed: str, size: int) -> Iterator[bytes]:
        """``size`` bytes that repeat nowhere, in blocks of 64 KiB."""
        for number in range(0, size, 65536):
            yield hashlib.shake_128(f"{seed}/{number}".encode()).digest(min(65536, size - number))

    @staticmethod
    def in_thread(stack: contextlib.ExitStack, work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        stack.callback(thread.join, PATIENCE)
        return thread


@pytest.fixture(scope="session")
def helpers() -> type[Helpers]:
    return Helpers


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A directory whose path leaves room for the name of a Unix socket."""
    short = Path(f"/tmp/nf{os.getpid()}")
    short.mkdir(exist_ok=True)
    yield short
    for entry in short.iterdir():
        entry.unlink()
    short.rmdir()


@pytest.fixture(scope="module")
def cut_net() -> Iterator[NetFault]:
    """One NetFault for all the inputs of a property."""
    with NetFault(seed=1) as net:
        yield net
