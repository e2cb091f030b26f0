"""Connections: one at a time to one of several endpoints, replaced when it fails. Owns every gRPC channel.

    Channels ── lease() ──> Channel (one connection to one endpoint)
             <─ failed(channel): the next lease gets a new one, to the next endpoint

Each channel has its own TCP connection (`use_local_subchannel_pool`): without it gRPC would give a fresh channel
the very connection that has just been found dead. A replaced channel is closed once its last user has returned it,
so that giving up on a connection never cancels somebody else's call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from runtime_config import errors
from runtime_config._etcd.messages import rpc


class Channel:
    """One gRPC channel to one endpoint, with the calls that are made on it."""

    def __init__(self, channel: grpc.Channel, endpoint: str) -> None:
        kv, watch, auth = rpc.KVStub(channel), rpc.WatchStub(channel), rpc.AuthStub(channel)
        self.endpoint = endpoint
        self.calls: dict[str, Any] = {"Range": kv.Range, "Txn": kv.Txn, "Authenticate": auth.Authenticate}
        self.watch: Any = watch.Watch
        self.users = 0
        self.retired = False
        #: Whether any call on this channel was answered: before that, there may be no connection at all.
        self.answered = False
        self.close = channel.close


class Channels:
    """Leases the current channel, and replaces it when a user reports that it failed. Safe to use from any thread."""

    def __init__(self, endpoints: Sequence[str], connect: Callable[[str], grpc.Channel]) -> None:
        self.endpoints = tuple(endpoints)
        self._connect = connect
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._index = 0
        self._current: Channel | None = None
        self._open: set[Channel] = set()
        self._users = 0
        self._closed = False

    @contextmanager
    def lease(self) -> Iterator[Channel]:
        """The current channel, kept open until the block ends. Raises Closed after `close`."""
        with self._lock:
            if self._closed:
                raise errors.Closed("the store is closed")
            if self._current is None:
                endpoint = self.endpoints[self._index % len(self.endpoints)]
                self._current = Channel(self._connect(endpoint), endpoint)
                self._open.add(self._current)
            channel = self._current
            channel.users += 1
            self._users += 1
        try:
            yield channel
        finally:
            with self._lock:
                channel.users -= 1
                self._users -= 1
                last = channel.retired and channel.users == 0 and channel in self._open
                if last:
                    self._open.discard(channel)
                self._idle.notify_all()
            if last:
                channel.close()

    def failed(self, channel: Channel) -> None:
        """Retire this channel: the next lease connects anew, to the next endpoint. Called from inside its lease."""
        with self._lock:
            channel.retired = True
            if self._current is channel:
                self._current = None
                self._index += 1

    def close(self, seconds: float) -> None:
        """Close every channel at once; calls in flight end as cancelled. Never waits for the network.

        Waits at most `seconds` for the threads of those calls to return their leases.
        """
        with self._lock:
            self._closed = True
            self._current = None
            channels, self._open = self._open, set()
        for channel in channels:
            channel.close()
        with self._idle:
            self._idle.wait_for(lambda: self._users == 0, seconds)
