"""A TLS server behind a TLS link, and clients that trust the link's authority."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from pytest_netfault import TLS, Link, NetFault

PATIENCE = 20.0


@dataclass(frozen=True)
class Pair:
    """A TLS connection, seen from both of its ends."""

    client: ssl.SSLSocket
    server: ssl.SSLSocket

    def ends(self, direction: str) -> tuple[ssl.SSLSocket, ssl.SSLSocket]:
        return (self.client, self.server) if direction == "up" else (self.server, self.client)


class Hosted:
    """A TLS server with an authority of its own, and a link to it."""

    def __init__(self, net: NetFault, stack: contextlib.ExitStack, folder: Path, **settings: Any) -> None:
        self.net = net
        self._stack = stack
        self.ca = trustme.CA()
        self.ca_file = str(folder / "upstream-ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert("localhost", "127.0.0.1", "store.example").configure_cert(self.context)
        self.server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100))
        self.server.settimeout(PATIENCE)
        self.settings = {"upstream_ca": self.ca_file, **settings}
        self.link: Link = net.forward(self.server.getsockname(), tls=TLS(**self.settings))

    def trusting(self, **settings: Any) -> ssl.SSLContext:
        """The context of a client that knows nothing but the CA."""
        context = ssl.create_default_context(cafile=self.net.ca.file)
        for name, value in settings.items():
            setattr(context, name, value)
        return context

    def upstream_trusting(self) -> ssl.SSLContext:
        """The context of a client that speaks to the server without the link."""
        return ssl.create_default_context(cafile=self.ca_file)

    def own(self, sock: Any) -> Any:
        self._stack.callback(sock.close)
        sock.settimeout(PATIENCE)
        return sock

    def dial(self) -> socket.socket:
        """A TCP connection to the link."""
        return self.own(socket.create_connection((self.link.host, self.link.port), timeout=PATIENCE))  # type: ignore[no-any-return]

    def accept(self) -> socket.socket:
        """The TCP connection that the upstream gets."""
        return self.own(self.server.accept()[0])  # type: ignore[no-any-return]

    def connect(
        self, context: ssl.SSLContext | None = None, *, name: str = "localhost", session: Any = None
    ) -> Pair:
        """A connection, with both handshakes done."""
        client = self.about_to_shake_hands(context, name=name, session=session)
        served: list[Any] = []

        def serve() -> None:
            try:
                sock = self.context.wrap_socket(self.accept(), server_side=True, suppress_ragged_eofs=False)
                served.append(self.own(sock))
            except OSError as error:
                served.append(error)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client.do_handshake()
        finally:
            thread.join(PATIENCE)
        (server,) = served
        if isinstance(server, OSError):
            raise server
        while not any(live.state == "open" for live in self.link.connections[-1:]):
            if self.link.events[-1].kind == "closed":
                break  # the link has refused what the client takes for a handshake that is over
        return Pair(client, server)

    def about_to_shake_hands(
        self, context: ssl.SSLContext | None = None, *, name: str = "localhost", session: Any = None
    ) -> ssl.SSLSocket:
        """A client that has connected and said nothing yet."""
        client = (context or self.trusting()).wrap_socket(
            self.dial(),
            server_hostname=name,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=False,
            session=session,
        )
        return self.own(client)  # type: ignore[no-any-return]

    def failure(self) -> tuple[str | None, str]:
        """Of which side a handshake has failed, and why; waits for it."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            for event in self.link.events:
                if event.kind == "tls_failed":
                    return event.by, event.detail
        raise AssertionError(f"no handshake has failed: {self.link.events}")


@pytest.fixture
def net() -> Iterator[NetFault]:
    with NetFault(seed=1) as net:
        yield net


@pytest.fixture
def make_hosted(net: NetFault, tmp_path: Path) -> Iterator[Callable[..., Hosted]]:
    with contextlib.ExitStack() as stack:
        yield lambda **settings: Hosted(net, stack, tmp_path, **settings)


@pytest.fixture
def hosted(make_hosted: Callable[..., Hosted]) -> Hosted:
    return make_hosted()


@pytest.fixture
def secure(hosted: Hosted) -> Pair:
    """One connection through the link."""
    return hosted.connect()
