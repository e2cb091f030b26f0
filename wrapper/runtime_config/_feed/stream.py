"""One watch stream: requests out, replies in.

Two threads serve a stream: the reader (the feed's own thread) blocks in the iteration, and gRPC's sender blocks on the
queue of requests. `close` ends both without the network: cancelling a call is local, and a sentinel closes the queue,
without which gRPC's sender would wait there for ever.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

from runtime_config import errors
from runtime_config._etcd import messages
from runtime_config._etcd.channel import Channel
from runtime_config._etcd.grpc_status import CallFailed


class Requests:
    """The iterator that gRPC's sender thread consumes; records that thread so that it can be joined."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.sender: threading.Thread | None = None

    def put(self, request: Any) -> None:
        self._queue.put(request)

    def close(self) -> None:
        self._queue.put(None)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        if self.sender is None:
            self.sender = threading.current_thread()
            self.sender.name = "runtime-config-requests"
        request = self._queue.get()
        if request is None:
            raise StopIteration
        return request


class Stream:
    """An open call. `replies()` is iterated by one thread; everything else may come from any."""

    def __init__(self, channel: Channel, first: Any, metadata: list[tuple[str, str]]) -> None:
        self._requests = Requests()
        self._requests.put(first)
        self._ended = threading.Event()
        self._spinner: threading.Thread | None = None
        try:
            self._call = channel.watch(iter(self._requests), metadata=metadata)
        except ValueError as error:  # the channel was closed meanwhile
            raise errors.Closed("the store is closed") from error
        # False means that the call ended already, and the callback will never run.
        if not self._call.add_callback(self._on_end):
            self._ended.set()

    def _on_end(self) -> None:
        # Runs in gRPC's completion thread of this channel, the other thread that must have ended after close.
        self._spinner = threading.current_thread()
        self._ended.set()

    def replies(self) -> Iterator[Any]:
        """Yield replies until the stream ends. Raises CallFailed with the status it ended with."""
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise CallFailed.of(error) from error

    def request_progress(self) -> None:
        """Send a progress request; the reply to it shows that the stream is alive."""
        self._requests.put(messages.progress())

    def cancel(self) -> None:
        """End the stream from this side, at once; the reader sees it end."""
        self._call.cancel()

    def close(self, seconds: float = 1.0) -> None:
        """Cancel, and wait until gRPC's threads of this stream are gone, at most `seconds`. Idempotent."""
        deadline = time.monotonic() + seconds
        self._requests.close()
        self._call.cancel()
        self._ended.wait(max(0.0, deadline - time.monotonic()))
        for thread in (self._requests.sender, self._spinner):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
