"""A small store over TCP, and a client of it that loses nothing: the ground on which the proof kit is proved.

The protocol is one JSON object a line. ``put`` commits a transaction; ``get`` reads a prefix at the newest revision;
``watch`` sends every later transaction from a revision on, or says that it was compacted; an idle watch gets a
``beat`` now and then, so that a client can tell silence from death.

The client's methods are small on purpose: ``subscribers.py`` breaks one of them at a time.
"""

from __future__ import annotations

import bisect
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_netfault import Delivery, Event, Resync, WriteRejected

BEAT_SECONDS = 0.1
IDLE_SECONDS = 0.4
REQUEST_SECONDS = 0.4
RETRY_SECONDS = 0.02

Changes = list[tuple[str, "str | None"]]


@dataclass(frozen=True)
class LogEvent:
    type: str
    key: bytes
    value: bytes | None


@dataclass(frozen=True)
class LogRevision:
    revision: int
    events: tuple[LogEvent, ...]


class ToyServer:
    """The store: everything in memory, one thread for each connection."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: list[tuple[int, Changes]] = []
        self._revisions: list[int] = []  # of the entries
        self._state: dict[str, str] = {}
        self._current = 1
        self._compacted = 0
        self._closed = False
        self._connections: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._acceptor = threading.Thread(target=self._accept, name="toy server", daemon=True)
        self._acceptor.start()

    # -- the truth ----------------------------------------------------------------------------------------

    def revision(self) -> int:
        with self._changed:
            return self._current

    def log(self, after_revision: int) -> list[LogRevision]:
        with self._changed:
            first = bisect.bisect(self._revisions, after_revision)
            entries = self._entries[first:]
        return [
            LogRevision(
                revision,
                tuple(
                    LogEvent("delete", key.encode(), None)
                    if value is None
                    else LogEvent("put", key.encode(), value.encode())
                    for key, value in changes
                ),
            )
            for revision, changes in entries
        ]

    def compact(self) -> int:
        with self._changed:
            self._current += 1
            self._compacted = self._current
            return self._current

    def restart(self) -> None:
        """Every connection ends; the data stays."""
        for connection in list(self._connections):
            _end(connection)

    def another(self) -> ToyServer:
        return ToyServer()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        _end(self._listener)
        self._acceptor.join(5)
        self.restart()
        for thread in self._threads:
            thread.join(5)

    def __enter__(self) -> ToyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- serving ------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads = [one for one in self._threads if one.is_alive()]
            self._threads.append(thread)
            self._connections.add(connection)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    request = json.loads(line)
                    if request["op"] == "watch":
                        self._watch(connection, request["prefix"], request["from"])
                        return
                    _send(connection, self._answer(request))
        except (OSError, ValueError):
            pass  # the client went away, or half a line came
        finally:
            self._connections.discard(connection)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._changed:
            if request["op"] == "get":
                prefix = request["prefix"]
                kvs = {key: value for key, value in self._state.items() if key.startswith(prefix)}
                return {"rev": self._current, "kvs": kvs}
            if request.get("bad"):
                return {"error": "rejected"}
            changes = [
                (key, value)
                for key, value in request["changes"].items()
                if value is not None or key in self._state
            ]
            if changes:
                self._current += 1
                self._entries.append((self._current, changes))
                self._revisions.append(self._current)
                for key, value in changes:
                    if value is None:
                        del self._state[key]
                    else:
                        self._state[key] = value
                self._changed.notify_all()
            return {"rev": self._current}

    def _watch(self, connection: socket.socket, prefix: str, start: int | None) -> None:
        with self._changed:
            position = self._current + 1 if start is None else start
            if position <= self._compacted:
                _send(connection, {"compacted": self._compacted})
                return
            header = self._current
        _send(connection, {"watching": header})
        while True:
            with self._changed:
                if not self._closed and self._current < position:
                    self._changed.wait(BEAT_SECONDS)
                if self._closed:
                    return
                entries = self._entries[bisect.bisect_left(self._revisions, position) :]
                current = self._current
                position = max(position, current + 1)
            sent = False
            for revision, changes in entries:
                mine = [[key, value] for key, value in changes if key.startswith(prefix)]
                if mine:
                    _send(connection, {"rev": revision, "events": mine})
                    sent = True
            if not sent:
                _send(connection, {"beat": current})


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _end(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        connection.close()


class RightStore:
    """A client that loses nothing: a snapshot at R, then every change from R + 1, whatever happens in between."""

    idle_seconds: float | None = IDLE_SECONDS
    retry_seconds = RETRY_SECONDS

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._address = (host, int(port))
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._thread: threading.Thread | None = None
        self._watching = threading.Event()
        self.prefix = ""
        self.deliver: Callable[[Delivery], None] = lambda _: None
        self.next = 0
        self.state: dict[str, str] = {}

    # -- writing ------------------------------------------------------------------------------------------

    def put(self, key: str, value: str) -> None:
        self.put_many({key: value})

    def delete(self, key: str) -> None:
        self.put_many({key: None})

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        reply = self.request({"op": "put", "changes": dict(changes)})
        if "error" in reply:
            raise WriteRejected(reply["error"])

    # -- subscribing --------------------------------------------------------------------------------------

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        """Return when the server watches, or could not be reached: what comes next finds the connection there."""
        self.prefix, self.deliver = prefix, deliver
        self.start()
        self._thread = threading.Thread(target=self._run, name="toy subscriber", daemon=True)
        self._thread.start()
        self._watching.wait(REQUEST_SECONDS)

    def start(self) -> None:
        """Fix where the subscription begins."""
        self.take_snapshot()

    def take_snapshot(self) -> None:
        reply = self.request({"op": "get", "prefix": self.prefix})
        self.on_snapshot(reply["rev"], reply["kvs"])

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        self.state = dict(kvs)
        self.hand(Delivery(resync=Resync(revision, kvs)))
        self.next = revision + 1

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                self.watch()
            except (OSError, ValueError) as error:
                self._watching.set()
                if not self.goes_on(error):
                    return
            else:
                if not self.goes_on(None):
                    return
            self._closed.wait(self.retry_seconds)

    def goes_on(self, error: Exception | None) -> bool:
        """Whether to come back after a watch that ended (None) or failed."""
        return True

    def watch(self) -> None:
        """One watch, from its connection to its end."""
        with self.connection(self.idle_seconds) as connection, connection.makefile("rb") as lines:
            _send(connection, {"op": "watch", "prefix": self.prefix, "from": self.resume_at()})
            for line in lines:
                if not line.endswith(b"\n"):
                    return
                self.on_message(json.loads(line))

    def resume_at(self) -> int | None:
        return self.next

    def on_message(self, message: dict[str, Any]) -> None:
        if "compacted" in message:
            self.on_compacted(message["compacted"])
        elif "watching" in message:
            self._watching.set()
            self.on_watching(message["watching"])
        elif "events" in message:
            self.on_events(message["rev"], [tuple(change) for change in message["events"]])

    def on_watching(self, revision: int) -> None:
        """The watch is there; the newest revision is no place to resume at, for what is older may still come."""

    def on_compacted(self, revision: int) -> None:
        self.take_snapshot()

    def on_events(self, revision: int, changes: Changes) -> None:
        if revision < self.next:
            return
        self.hand(Delivery(events=tuple(Event(key, value, revision) for key, value in changes)))
        self.next = revision + 1

    def hand(self, delivery: Delivery) -> None:
        self.deliver(delivery)

    # -- connections --------------------------------------------------------------------------------------

    def request(self, message: dict[str, Any]) -> dict[str, Any]:
        with self.connection(REQUEST_SECONDS) as connection, connection.makefile("rb") as lines:
            _send(connection, message)
            line = lines.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the server went away before it answered")
            reply: dict[str, Any] = json.loads(line)
            return reply

    @contextlib.contextmanager
    def connection(self, timeout: float | None) -> Iterator[socket.socket]:
        connection = socket.create_connection(self._address, timeout=REQUEST_SECONDS)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(timeout)
        with self._lock:
            self._open.add(connection)
        try:
            if self._closed.is_set():
                raise ConnectionError("closed")
            yield connection
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        if self._thread is not None:
            self._thread.join(5)


class ComesBackStore(RightStore):
    """A client that hears what is committed while it is connected, without revisions: pub/sub."""

    def start(self) -> None:
        """It begins when the server watches."""

    def resume_at(self) -> int | None:
        return None

    def on_events(self, revision: int, changes: Changes) -> None:
        self.hand(Delivery(events=tuple(Event(key, value) for key, value in changes)))


class LatestPerKeyStore(RightStore):
    """A client that reads every key when it comes back, and tells of one key at a time, without revisions: a cache.

    It looks odd: what it knows already it tells again, the state at the start comes as changes, transactions come in
    parts and backwards, and what was overwritten meanwhile never comes.
    """

    def watch(self) -> None:
        self.take_snapshot()
        super().watch()

    def start(self) -> None:
        """The first watch begins with the state."""

    def on_snapshot(self, revision: int, kvs: dict[str, str]) -> None:
        gone = [key for key in self.state if key not in kvs]
        for key, value in [*dict.fromkeys(gone).items(), *kvs.items()]:
            self.tell(key, value)
        self.next = revision + 1

    def on_events(self, revision: int, changes: Changes) -> None:
        for key, value in reversed(changes):
            self.tell(key, value)
        self.next = revision + 1

    def tell(self, key: str, value: str | None) -> None:
        if value is None:
            self.state.pop(key, None)
        else:
            self.state[key] = value
        self.hand(Delivery(events=(Event(key, value),)))


#: For each promise, a client that keeps it and no other.
RIGHT: dict[str, type[RightStore]] = {
    "every-event": RightStore,
    "latest-per-key": LatestPerKeyStore,
    "comes-back": ComesBackStore,
}
