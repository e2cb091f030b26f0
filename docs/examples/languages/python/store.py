"""The same logic as go/etcd/main.go, in Python with etcd3: a store of this process, and a program beside it.

The program is ``python store.py [-naive]``, for `ProcessStore`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from runtime_config.compat import etcd3

from pytest_netfault import Delivery, Event, Resync

PAUSE_SECONDS = 2.0
OPTIONS = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 2_000),
    ("grpc.http2.ping_timeout_ms", 2_000),
    ("grpc.http2.max_pings_without_data", 0),  # as many as it takes
    ("grpc.use_local_subchannel_pool", 1),  # clients of one process share no connection
]


class EtcdStore:
    """With ``naive`` it goes on from now when it has lost its connection, instead of from where it was."""

    def __init__(self, address: str, *, naive: bool = False) -> None:
        host, _, port = address.rpartition(":")
        self._etcd: Any = etcd3.client(host, int(port), timeout=1, grpc_options=OPTIONS)
        # etcd3's own thread outlives its client, and would die of the closed channel with a traceback.
        run = self._etcd.watcher._run
        self._etcd.watcher._run = functools.partial(_quietly, run)
        self._naive = naive
        self._next = 0  # the revision to watch from; 0 where the state has to be read first
        self._closed = threading.Event()

    def put(self, key: str, value: str) -> None:
        self._etcd.put(key, value)

    def delete(self, key: str) -> None:
        self._etcd.delete(key)

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        started = threading.Event()
        threading.Thread(target=self._live, args=(prefix, deliver, started), daemon=True).start()
        started.wait()

    def _live(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        while not self._closed.is_set():
            try:
                if not self._next:
                    self._read(prefix, deliver, again=started.is_set())
                self._follow(prefix, deliver, started)
            except etcd3.exceptions.RevisionCompactedError:
                self._next = 0
            except Exception:  # the connection is lost
                self._next = 0 if self._naive else self._next
            self._closed.wait(PAUSE_SECONDS)
        started.set()

    def _read(self, prefix: str, deliver: Callable[[Delivery], None], *, again: bool) -> None:
        state = self._etcd.get_prefix_response(prefix)
        if not (again and self._naive):
            kvs = {kv.key.decode(): kv.value.decode() for kv in state.kvs}
            deliver(Delivery(resync=Resync(state.header.revision, kvs)))
        self._next = state.header.revision + 1

    def _follow(self, prefix: str, deliver: Callable[[Delivery], None], started: threading.Event) -> None:
        responses, _ = self._etcd.watch_prefix_response(prefix, start_revision=self._next)
        started.set()
        for response in responses:
            for change in response.events:
                deleted = isinstance(change, etcd3.events.DeleteEvent)
                value = None if deleted else change.value.decode()
                revision = change._event.kv.mod_revision
                deliver(Delivery(events=(Event(change.key.decode(), value, revision),)))
                self._next = revision + 1

    def close(self) -> None:
        self._closed.set()
        self._etcd.close()


def _quietly(run: Callable[[], None]) -> None:
    with contextlib.suppress(ValueError):
        run()


def main() -> None:
    """Speak the protocol of ``ProcessStore``."""
    writing = threading.Lock()

    def say(**line: object) -> None:
        with writing:
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()

    def deliver(delivery: Delivery) -> None:
        if delivery.events is not None:
            say(deliver={"events": [vars(event) for event in delivery.events]})
        elif delivery.resync is not None:
            say(deliver={"resync": vars(delivery.resync)})

    def answer(asked: dict[str, Any]) -> None:
        do = asked["do"]
        try:
            if do == "put":
                store.put(asked["key"], asked["value"])
            elif do == "delete":
                store.delete(asked["key"])
            elif do == "subscribe":
                store.subscribe(asked["prefix"], deliver)
            say(id=asked["id"], ok=True)
        except Exception as error:
            say(id=asked["id"], unknown=repr(error))

    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "open":
            store = EtcdStore(asked["address"], naive="-naive" in sys.argv)
        if asked["do"] == "close":
            answer(asked)
            os._exit(0)
        threading.Thread(target=answer, args=(asked,), daemon=True).start()


if __name__ == "__main__":
    main()
