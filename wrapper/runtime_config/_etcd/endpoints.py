"""Where the servers are and how to reach them: endpoints, encryption, and the settings of gRPC's channels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from runtime_config._numbers import shown


@dataclass(frozen=True)
class TLS:
    """Encryption: `ca` verifies the server (default: the system's roots), `cert` and `key` authenticate the client.

    Each is a path to a PEM file, or its content as bytes, which no repr shows. `server_name` is the name in the
    server's certificate, where that differs from the address. Raises ValueError when only one of `cert` and `key` is
    given, or when one is the content as a str; TypeError for other types.

    >>> TLS(cert=b"...", key=b"secret")
    TLS(ca=None, cert=<3 bytes>, key=<6 bytes>, server_name=None)
    """

    ca: str | Path | bytes | None = None
    cert: str | Path | bytes | None = None
    key: str | Path | bytes | None = None
    server_name: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ValueError("TLS needs both cert and key, or neither")
        for name in ("ca", "cert", "key"):
            part = getattr(self, name)
            if not isinstance(part, (str, Path, bytes, type(None))):
                raise TypeError(f"TLS {name} must be a path or bytes, not a {type(part).__name__}")
            if isinstance(part, str) and "-----BEGIN" in part:
                raise ValueError(f"TLS {name} as a str is a path: give the content of a PEM file as bytes")

    def __repr__(self) -> str:
        shown = [
            f"{name}=<{len(part)} bytes>" if isinstance(part, bytes) else f"{name}={part!r}"
            for name, part in (("ca", self.ca), ("cert", self.cert), ("key", self.key))
        ]
        return f"TLS({', '.join(shown)}, server_name={self.server_name!r})"

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files. Raises OSError when one cannot be read."""
        ca, cert, key = (_pem(part) for part in (self.ca, self.cert, self.key))
        return grpc.ssl_channel_credentials(ca, key, cert)


_PORT = re.compile(r"[0-9]{1,5}\Z")


def _pem(part: str | Path | bytes | None) -> bytes | None:
    return part if part is None or isinstance(part, bytes) else Path(part).read_bytes()


def check_endpoints(endpoints: str | Sequence[str], tls: bool) -> tuple[str, ...]:
    """Return the endpoints as `host:port`. Raises ValueError or TypeError naming the one that is wrong.

    >>> check_endpoints("http://127.0.0.1:2379", False), check_endpoints(["a:1", "[::1]:2"], False)
    (('127.0.0.1:2379',), ('a:1', '[::1]:2'))
    """
    given = [endpoints] if isinstance(endpoints, str) else list(endpoints)
    if not given:
        raise ValueError("at least one endpoint is needed, like '127.0.0.1:2379'")
    checked = []
    for one in given:
        if not isinstance(one, str):
            raise TypeError(f"an endpoint must be a str like '127.0.0.1:2379', not {shown(one)}")
        if "@" in one and "unix:" not in one:  # not shown: it may contain a password
            raise ValueError("an endpoint is 'host:port', without a user: give username= and password=")
        scheme, _, rest = one.rpartition("://")
        if scheme not in ("", "http", "https") or (scheme == "https") > tls or (scheme == "http" and tls):
            raise ValueError(f"endpoint {one!r} and tls={'...' if tls else None} do not fit together")
        host, _, port = rest.rstrip("/").rpartition(":")
        if not rest.startswith("unix:") and (not host or not _PORT.match(port) or not 0 < int(port) < 65536):
            raise ValueError(f"endpoint {one!r} must be 'host:port', like '127.0.0.1:2379'")
        checked.append(rest.rstrip("/"))
    return tuple(checked)


def channel_options(dead_after: float, server_name: str | None) -> list[tuple[str, Any]]:
    """The settings that make a channel fail in time.

    `keepalive_*` alone does not: Python's gRPC waits 60 s for a ping's reply unless `http2.ping_timeout_ms`
    says less. Servers answer pings more frequent than 5 s with a GOAWAY (`--grpc-keepalive-min-time`), so 10 s
    is the minimum here, and a shorter `dead_after` is enforced by progress requests alone. A connect that takes
    longer than 2 s is retried: on a lossy or recovering network a new SYN is faster than the kernel's third
    retransmission of the old one.
    """
    connect_ms = int(min(2.0, max(1.0, dead_after / 4)) * 1000)
    options: list[tuple[str, Any]] = [
        ("grpc.keepalive_time_ms", int(max(10.0, dead_after / 2) * 1000)),
        ("grpc.keepalive_timeout_ms", 5000),
        ("grpc.http2.ping_timeout_ms", 5000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", connect_ms),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    if server_name is not None:
        options.append(("grpc.ssl_target_name_override", server_name))
    return options


def connector(tls: TLS | None, dead_after: float) -> Callable[[str], grpc.Channel]:
    """A function that opens a channel to an endpoint."""
    options = channel_options(dead_after, tls.server_name if tls else None)
    if tls is None:
        return lambda endpoint: grpc.insecure_channel(endpoint, options=options)
    credentials = tls.credentials()
    return lambda endpoint: grpc.secure_channel(endpoint, credentials, options=options)
