"""Connections: one at a time to one of several endpoints, replaced when it fails. Owns every gRPC channel.

    Link ── lease() ──> Wire (one channel, one endpoint)      failed(wire): the next lease gets a new one, elsewhere

Each wire has its own TCP connection (`use_local_subchannel_pool`): without it gRPC would hand a fresh channel
the very connection that has just been found dead. A replaced wire is closed once its last user has let go of
it, so that giving up on a connection never cancels somebody else's call.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from runtime_config import errors
from runtime_config._messages import rpc
from runtime_config._numbers import shown


@dataclass(frozen=True)
class TLS:
    """How to encrypt: `ca` to verify the server (default: the system's roots), `cert` and `key` to prove who you are.

    Each is a path to a PEM file, or its content as bytes, which no repr shows. `server_name` is what the server's
    certificate says, where that differs from the address. Raises ValueError when only one of `cert` and `key` is
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
        if "@" in one and "unix:" not in one:  # not shown: there is a password in it
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
    is the least here, and a shorter `dead_after` is watched by progress requests alone. A connect that takes
    longer than 2 s is retried: on a lossy or healing network a new SYN is faster than the kernel's third
    repeat of the old one.
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


class Wire:
    """One channel to one endpoint, with the calls that are made on it."""

    def __init__(self, channel: grpc.Channel, endpoint: str) -> None:
        kv, watch, auth = rpc.KVStub(channel), rpc.WatchStub(channel), rpc.AuthStub(channel)
        self.endpoint = endpoint
        self.calls: dict[str, Any] = {"Range": kv.Range, "Txn": kv.Txn, "Authenticate": auth.Authenticate}
        self.watch: Any = watch.Watch
        self.users = 0
        self.retired = False
        #: Whether anything was ever answered on this wire: before that, there may be no connection at all.
        self.answered = False
        self.close = channel.close


class Link:
    """Leases the present wire, and replaces it when a user says that it failed. Safe to use from any thread."""

    def __init__(self, endpoints: Sequence[str], connect: Callable[[str], grpc.Channel]) -> None:
        self.endpoints = tuple(endpoints)
        self._connect = connect
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._at = 0
        self._wire: Wire | None = None
        self._open: set[Wire] = set()
        self._users = 0
        self._closed = False

    @contextmanager
    def lease(self) -> Iterator[Wire]:
        """The present wire, kept open until the block ends. Raises Closed after `close`."""
        with self._lock:
            if self._closed:
                raise errors.Closed("the store is closed")
            if self._wire is None:
                endpoint = self.endpoints[self._at % len(self.endpoints)]
                self._wire = Wire(self._connect(endpoint), endpoint)
                self._open.add(self._wire)
            wire = self._wire
            wire.users += 1
            self._users += 1
        try:
            yield wire
        finally:
            with self._lock:
                wire.users -= 1
                self._users -= 1
                last = wire.retired and wire.users == 0 and wire in self._open
                if last:
                    self._open.discard(wire)
                self._idle.notify_all()
            if last:
                wire.close()

    def failed(self, wire: Wire) -> None:
        """Give this wire up: the next lease connects anew, to the next endpoint. Called from inside its lease."""
        with self._lock:
            wire.retired = True
            if self._wire is wire:
                self._wire = None
                self._at += 1

    def close(self, seconds: float) -> None:
        """Close every channel at once; calls still under way end as cancelled. Never waits for the network.

        Waits at most `seconds` for the threads of those calls to notice it.
        """
        with self._lock:
            self._closed = True
            self._wire = None
            wires, self._open = self._open, set()
        for wire in wires:
            wire.close()
        with self._idle:
            self._idle.wait_for(lambda: self._users == 0, seconds)


def connector(tls: TLS | None, dead_after: float) -> Callable[[str], grpc.Channel]:
    """A function that opens a channel to an endpoint."""
    options = channel_options(dead_after, tls.server_name if tls else None)
    if tls is None:
        return lambda endpoint: grpc.insecure_channel(endpoint, options=options)
    credentials = tls.credentials()
    return lambda endpoint: grpc.secure_channel(endpoint, credentials, options=options)
