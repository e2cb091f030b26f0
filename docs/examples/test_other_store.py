"""The proof for a store that is not etcd: what the kit needs of a server, and of a client.

The store is a toy, but a real server on a real port: it speaks lines of JSON, keeps its history, and numbers its
changes. ``LineServer`` gives the kit the truth (``address``, ``revision()``, ``log()``); ``LineStore`` puts the client
under test behind the four methods.
"""

from __future__ import annotations

import contextlib
import json
import socket
import socketserver
import threading
from types import SimpleNamespace

import pytest

from pytest_netfault import Break, Delivery, Event, Schedule, Sever, Subscribe, UpdateLost, Write, verify

HEARTBEAT_SECONDS = 0.1
DEAD_SECONDS = 0.5  # after this much silence the client takes its connection for dead


class LineServer(socketserver.ThreadingTCPServer):
    """The server: every change gets the next revision, and a watch starts behind any revision."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), LineHandler)
        self.history: list[dict] = []
        self.changed = threading.Condition()
        self.stopping = False

    def handle_error(self, *_: object) -> None:
        pass  # clients come and go

    def commit(self, key: str, value: str | None) -> int:
        with self.changed:
            self.history.append({"revision": len(self.history) + 1, "key": key, "value": value})
            self.changed.notify_all()
            return len(self.history)

    # What the kit asks for: where clients connect, and the truth, read past every link.

    @property
    def address(self) -> str:
        return "{}:{}".format(*self.server_address)

    def revision(self) -> int:
        return len(self.history)

    def log(self, after_revision: int) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(
                revision=change["revision"],
                events=[
                    SimpleNamespace(
                        type="delete" if change["value"] is None else "put",
                        key=change["key"].encode(),
                        value=None if change["value"] is None else change["value"].encode(),
                    )
                ],
            )
            for change in self.history[after_revision:]
        ]


class LineHandler(socketserver.StreamRequestHandler):
    server: LineServer

    def handle(self) -> None:
        for line in self.rfile:
            request = json.loads(line)
            if "watch" in request:
                self.watch(request["watch"], request["after"])
                return
            self.send(revision=self.server.commit(request["key"], request["value"]))

    def watch(self, prefix: str, after: int | None) -> None:
        seen = len(self.server.history) if after is None else after
        self.send(watching=seen)
        while not self.server.stopping:
            with self.server.changed:
                if len(self.server.history) == seen:
                    self.server.changed.wait(HEARTBEAT_SECONDS)
                news = self.server.history[seen:]
            self.send(heartbeat=seen)
            for change in news:
                if change["key"].startswith(prefix):
                    self.send(**change)
            seen += len(news)

    def send(self, **message: object) -> None:
        self.wfile.write(json.dumps(message).encode() + b"\n")


class LineStore:
    """The client under test. With ``resume`` it asks for what it missed; without, it watches "from now on"."""

    def __init__(self, address: str, *, resume: bool) -> None:
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.resume = resume
        self.closed = threading.Event()
        self.thread: threading.Thread | None = None

    def put(self, key: str, value: str | None) -> None:
        with socket.create_connection(self.address, timeout=DEAD_SECONDS) as connection:
            connection.sendall(json.dumps({"key": key, "value": value}).encode() + b"\n")
            if not connection.makefile().readline():
                raise ConnectionError(
                    "the connection ended before the answer"
                )  # so nobody knows whether it counts

    def delete(self, key: str) -> None:
        self.put(key, None)

    def subscribe(self, prefix: str, deliver) -> None:
        started = threading.Event()
        self.thread = threading.Thread(target=self.follow, args=(prefix, deliver, started.set))
        self.thread.start()
        started.wait()

    def follow(self, prefix: str, deliver, started) -> None:
        after = None
        while not self.closed.is_set():
            with contextlib.suppress(OSError, ValueError):
                for message in self.messages(prefix, after if self.resume else None):
                    if "watching" in message:
                        after = message["watching"]
                        started()
                    elif "key" in message:
                        after = message["revision"]
                        deliver(Delivery(events=(Event(message["key"], message["value"], after),)))
            self.closed.wait(0.02)
        started()  # closed before it ever began

    def messages(self, prefix: str, after: int | None):
        with socket.create_connection(self.address, timeout=DEAD_SECONDS) as connection:
            connection.sendall(json.dumps({"watch": prefix, "after": after}).encode() + b"\n")
            for line in connection.makefile():
                if self.closed.is_set():
                    return
                yield json.loads(line)  # a ValueError if it was cut in the middle

    def close(self) -> None:
        self.closed.set()
        if self.thread is not None:
            self.thread.join()


@pytest.fixture
def line_server():
    with LineServer() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.stopping = True
        server.shutdown()
        thread.join()


def test_a_client_that_asks_for_what_it_missed_loses_nothing(line_server):
    report = verify.no_update_lost(
        lambda address: LineStore(address, resume=True), line_server, max_examples=10, settle=3.0
    )
    assert report.inconclusive == 0


def test_a_client_that_watches_from_now_on_is_caught(line_server):
    def open_store(address):
        return LineStore(address, resume=False)

    with pytest.raises(UpdateLost, match="An update was lost"):
        verify.replay(
            open_store, line_server, Schedule([Subscribe(), Break(Sever()), Write("a")]), settle=2.0
        )
