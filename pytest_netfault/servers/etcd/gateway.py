"""etcd's HTTP/JSON gateway, spoken with the standard library.

Every etcd since 3.4 answers its gRPC calls also as JSON below ``/v3/`` on its client address. Reading the log through
it needs no gRPC and no protobuf, and shares no code with the client under test.

Each call has a connection of its own and a deadline; whatever goes wrong is a ServerUnreachable that names the address
and the call. Only a `WatchStream` lives longer, until its opener closes it.
"""

from __future__ import annotations

import base64
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_netfault.servers.errors import ServerUnreachable

__all__ = ["CALL_SECONDS", "Gateway", "WatchStream"]

# etcd itself gives a proposal up after 5 s plus two election timeouts; one that is only busy answers before.
CALL_SECONDS = 10.0

# A range from "\0" to "\0" is etcd's way to say: every key.
_EVERY_KEY = base64.b64encode(b"\0").decode()


class Gateway:
    """One etcd's JSON gateway.

    Args:
        host: an IP address or a name, without brackets.
        port: the client port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port

    def call(
        self, path: str, body: Mapping[str, Any] | None, *, timeout: float = CALL_SECONDS
    ) -> dict[str, Any]:
        """POST ``body`` as JSON (None: GET) and return the answer; ``timeout`` is in seconds, for each step.

        Raises:
            ServerUnreachable: nothing listens, no answer came in time, or the answer is an error.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=max(timeout, 0.001))
        try:
            if body is None:
                connection.request("GET", path)
            else:
                connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            status = response.status
        except (OSError, http.client.HTTPException) as error:
            reason = f"no answer within {timeout:g} s" if isinstance(error, TimeoutError) else _say(error)
            raise self._failed(path, reason) from error
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status != 200 or not isinstance(answer, dict):
            raise self._failed(path, f"status {status}, {text[:200].decode(errors='replace').strip()!r}")
        return answer

    def version(self, *, timeout: float = CALL_SECONDS) -> str:
        """The server's version, such as ``"3.5.1"``."""
        answer = self.call("/version", None, timeout=timeout)
        version = answer.get("etcdserver")
        if not isinstance(version, str):
            raise self._failed("/version", f"an answer that is not etcd's, {answer!r}")
        return version

    def revision(self, *, timeout: float = CALL_SECONDS) -> int:
        """The store's revision, read linearizably: everything acknowledged before is at or below it."""
        body = {"key": _EVERY_KEY, "range_end": _EVERY_KEY, "count_only": True}
        return self._revision("/v3/kv/range", body, timeout)

    def put(self, key: bytes, value: bytes, *, timeout: float = CALL_SECONDS) -> int:
        """Write one key; return the revision that did it."""
        body = {"key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode()}
        return self._revision("/v3/kv/put", body, timeout)

    def compact(self, revision: int, *, timeout: float = CALL_SECONDS) -> None:
        """Forget everything below ``revision``."""
        self.call("/v3/kv/compaction", {"revision": str(revision)}, timeout=timeout)

    def watch(self, start_revision: int) -> WatchStream:
        """Prepare a watch of the whole keyspace from ``start_revision`` on, that revision included."""
        return WatchStream(self, start_revision)

    def _revision(self, path: str, body: Mapping[str, Any], timeout: float) -> int:
        answer = self.call(path, body, timeout=timeout)
        try:
            return int(answer["header"]["revision"])
        except (KeyError, TypeError, ValueError):
            raise self._failed(path, f"an answer without a revision, {answer!r}") from None

    def _failed(self, path: str, reason: str) -> ServerUnreachable:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return ServerUnreachable(f"etcd at {host}:{self.port} did not answer {path}: {reason}")


class WatchStream:
    """One watch: an iterator of etcd's replies, which ends when the stream does.

    `close` may be called from any thread, at any time and twice; it wakes a reader at once.
    """

    def __init__(self, gateway: Gateway, start_revision: int) -> None:
        self._gateway = gateway
        self._start = start_revision
        self._closed = False
        self._socket: socket.socket | None = None

    def replies(self) -> Iterator[dict[str, Any]]:
        """Open the stream and yield the ``result`` of each reply until the stream ends or is closed.

        Raises:
            OSError, http.client.HTTPException, ValueError: the stream could not be opened or broke.
        """
        connection = http.client.HTTPConnection(self._gateway.host, self._gateway.port)
        try:
            connection.sock = self._connect()
            create = {
                "key": _EVERY_KEY,
                "range_end": _EVERY_KEY,
                "start_revision": str(self._start),
                # A long catch-up then comes in replies of bounded size instead of one of any size.
                "fragment": True,
            }
            connection.request("POST", "/v3/watch", json.dumps({"create_request": create}))
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(f"status {response.status}, {response.read(200)!r}")
            buffer = bytearray()
            while data := response.read1(1 << 16):
                buffer += data
                if b"\n" in data:
                    *lines, rest = bytes(buffer).split(b"\n")
                    buffer = bytearray(rest)
                    for line in filter(None, lines):
                        reply = json.loads(line)
                        if "result" not in reply:
                            raise ValueError(f"etcd ended the watch with {reply!r}")
                        yield reply["result"]
        finally:
            connection.close()
            if self._socket is not None:
                self._socket.close()

    def close(self) -> None:
        """End the stream: a reader of `replies` sees its end, a later one a refusal."""
        self._closed = True
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not connected yet, or closed already

    def _connect(self) -> socket.socket:
        where = socket.getaddrinfo(self._gateway.host, self._gateway.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = where[0]
        # Kept before it connects, so that close() can wake a connect that hangs.
        self._socket = connecting = socket.socket(family, kind, protocol)
        # A dead network below an attached server would otherwise leave the reader waiting for ever.
        connecting.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
            if hasattr(socket, option):
                connecting.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        connecting.settimeout(CALL_SECONDS)
        connecting.connect(address)
        connecting.settimeout(None)
        if self._closed:
            raise OSError("closed while it connected")
        return connecting


def _say(error: Exception) -> str:
    return (
        (error.strerror or str(error)) if isinstance(error, OSError) else (str(error) or type(error).__name__)
    )
