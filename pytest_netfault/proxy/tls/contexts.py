"""The settings of a link's TLS as contexts of the ssl module, and both handshakes of its connections."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence

from pytest_netfault.proxy.connection import Connection
from pytest_netfault.proxy.end import End, Side
from pytest_netfault.proxy.engine import Engine
from pytest_netfault.proxy.tls.authority import authority
from pytest_netfault.proxy.tls.end import TlsEnd
from pytest_netfault.proxy.tls.handshake import Handshake
from pytest_netfault.proxy.tls.settings import TLS

__all__ = ["Secure"]

# What a client on this machine may call the link, besides the name of its upstream.
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Secure:
    """What makes the connections of a link speak TLS. See :class:`.Securing`.

    Args:
        settings: how.
        host: of the upstream's address; empty if it has none.

    Raises:
        ValueError: a file of the settings is not what it should be.
        ModuleNotFoundError: trustme is not installed.
    """

    def __init__(self, settings: TLS, host: str) -> None:
        self.settings = settings
        self.server_name = settings.server_name or host or "localhost"
        self._names = tuple(dict.fromkeys((self.server_name, *_LOCAL)))
        self._to_upstream: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._to_client: dict[str | None, ssl.SSLContext] = {}
        self.to_upstream(())  # what is wrong with a file is an error now
        self.to_client(None)

    def end(self, engine: Engine, sock: socket.socket, side: Side) -> End:
        """See :meth:`.Securing.end`."""
        return TlsEnd(engine, sock, side)

    def handshake(self, connection: Connection) -> Handshake:
        """See :meth:`.Securing.handshake`."""
        assert isinstance(connection.client, TlsEnd)
        assert isinstance(connection.upstream, TlsEnd)
        return Handshake(connection, connection.client, connection.upstream, self)

    def to_upstream(self, protocols: Sequence[str]) -> ssl.SSLContext:
        """The context in which the link is a client that offers these protocols."""
        offered = tuple(protocols)
        if offered not in self._to_upstream:
            made = self._to_upstream[offered] = self._made_for_upstream()
            if offered:
                made.set_alpn_protocols(list(offered))
        return self._to_upstream[offered]

    def _made_for_upstream(self) -> ssl.SSLContext:
        settings = self.settings
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if not settings.verify_upstream:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif settings.upstream_ca is None:
            context.load_default_certs()
        else:
            try:
                context.load_verify_locations(settings.upstream_ca)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"upstream_ca must be a PEM file with certificates; {os.fspath(settings.upstream_ca)!r} is none: "
                    f"{error}"
                ) from error
        if settings.client_certificate is not None:
            files = settings.client_certificate
            certificate, key = files if isinstance(files, tuple) else (files, None)
            try:
                context.load_cert_chain(certificate, key)
            except (OSError, ssl.SSLError) as error:
                raise ValueError(
                    f"client_certificate must be PEM with a certificate and its key, not {files!r}: {error}"
                ) from error
        return context

    def to_client(self, protocol: str | None) -> ssl.SSLContext:
        """The context in which the link is a server that speaks this protocol, as its upstream does."""
        if protocol not in self._to_client:
            made = self._to_client[protocol] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            authority().configure_server(made, self._names)
            if self.settings.require_client_certificate:
                made.verify_mode = ssl.CERT_REQUIRED
                authority().configure_trust(made)
            if protocol is not None:
                made.set_alpn_protocols([protocol])
        return self._to_client[protocol]
