"""The way that most services read live configuration from etcd: watch, and when the watch ends, watch again.

It is written as one would write it after reading the documentation of `etcd3`: timeouts are set, errors are caught
and logged, a pause keeps it from hammering a server that is down, and everything is closed. It works in every
demonstration. What it misses is what happens between the end of one watch and the start of the next.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any

from runtime_config.compat import etcd3

from pytest_netfault import Delivery, Event

__all__ = ["NaiveStore", "open_store"]

log = logging.getLogger(__name__)

REQUEST_SECONDS = 5
RETRY_SECONDS = 0.2


class NaiveStore:
    """A store of configuration on the plain `etcd3` client."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._etcd = etcd3.client(host=host, port=int(port), timeout=REQUEST_SECONDS)
        self._etcd.watcher._run = functools.partial(_until_closed, self._etcd.watcher._run)
        self._closed = threading.Event()
        self._cancel: Callable[[], None] | None = None
        self._watcher: threading.Thread | None = None

    def put(self, key: str, value: str) -> None:
        self._etcd.put(key, value)

    def delete(self, key: str) -> None:
        self._etcd.delete(key)

    def put_many(self, changes: Mapping[str, str | None]) -> None:
        txn = self._etcd.transactions
        self._etcd.transaction(
            compare=[],
            success=[
                txn.delete(key) if value is None else txn.put(key, value) for key, value in changes.items()
            ],
            failure=[],
        )

    def subscribe(self, prefix: str, deliver: Callable[[Delivery], None]) -> None:
        responses, self._cancel = self._etcd.watch_prefix_response(prefix)
        self._watcher = threading.Thread(target=self._watch, args=(prefix, responses, deliver), daemon=True)
        self._watcher.start()

    def _watch(self, prefix: str, responses: Any, deliver: Callable[[Delivery], None]) -> None:
        while not self._closed.is_set():
            try:
                if responses is None:
                    responses, self._cancel = self._etcd.watch_prefix_response(prefix)
                for response in responses:
                    deliver(Delivery(events=tuple(_event(event) for event in response.events)))
            except Exception as error:
                log.info("the watch of %r ended (%s), watching again", prefix, error)
            responses = None
            self._closed.wait(RETRY_SECONDS)

    def close(self) -> None:
        self._closed.set()
        if self._cancel is not None:
            self._cancel()
        self._etcd.close()


def _until_closed(watch: Callable[[], None]) -> None:
    """The watching thread of `etcd3` outlives its client, and would die of the closed channel with a traceback."""
    with contextlib.suppress(ValueError):
        watch()


def _event(event: Any) -> Event:
    deleted = isinstance(event, etcd3.events.DeleteEvent)
    value = None if deleted else event.value.decode()
    return Event(event.key.decode(), value, event._event.kv.mod_revision)


open_store = NaiveStore
