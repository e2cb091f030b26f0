"""One watch stream: requests out, replies in, and a watchdog that cancels it when it is dead.

Three threads serve a stream. The reader (the feed's own thread) blocks in the iteration; gRPC's sender blocks on the
queue of requests; the watchdog, one per feed, sleeps until `_decide` wants to be asked again. `close` ends the
first two without the network's help: cancelling a call is local, and the queue is closed with a sentinel,
without which gRPC's sender would wait there for ever.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

from runtime_config import _messages, errors
from runtime_config._calls import CallFailed
from runtime_config._decide import Action, Pulse
from runtime_config._link import Wire


class Requests:
    """The iterator that gRPC's sender thread consumes; remembers that thread so that it can be joined."""

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

    def __init__(self, wire: Wire, first: Any, metadata: list[tuple[str, str]]) -> None:
        self._requests = Requests()
        self._requests.put(first)
        self._ended = threading.Event()
        self._spinner: threading.Thread | None = None
        try:
            self._call = wire.watch(iter(self._requests), metadata=metadata)
        except ValueError as error:  # the channel was closed under our feet
            raise errors.Closed("the store is closed") from error
        # False means that the call ended already, and the callback will never run.
        if not self._call.add_callback(self._on_end):
            self._ended.set()

    def _on_end(self) -> None:
        # Runs in gRPC's completion thread of this channel: the one other thread that must be gone after close.
        self._spinner = threading.current_thread()
        self._ended.set()

    def replies(self) -> Iterator[Any]:
        """Yield replies until the stream ends. Raises CallFailed with the status it ended with."""
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise CallFailed.of(error) from error

    def ask(self) -> None:
        """Send a progress request; its reply shows that the stream lives."""
        self._requests.put(_messages.progress())

    def cancel(self) -> None:
        """End the stream from this side, at once; the reader sees it end."""
        self._call.cancel()

    def close(self, seconds: float = 1.0) -> None:
        """Cancel, and wait until gRPC's threads of this stream are gone, at most `seconds`. Twice is fine."""
        deadline = time.monotonic() + seconds
        self._requests.close()
        self._call.cancel()
        self._ended.wait(max(0.0, deadline - time.monotonic()))
        for thread in (self._requests.sender, self._spinner):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))


class Watchdog:
    """Watches the feed's present stream and cancels it when `_decide` says that it is dead."""

    def __init__(self, dead_after: float) -> None:
        self._dead_after = dead_after
        self._changed = threading.Condition()
        self._stream: Stream | None = None
        self._pulse = Pulse(0.0, dead_after)
        self._stopped = False
        self.gave_up = False
        self._thread = threading.Thread(target=self._run, name="runtime-config-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def guard(self, stream: Stream) -> None:
        """Watch this stream from now on, instead of any other."""
        with self._changed:
            self._stream, self.gave_up = stream, False
            self._pulse = Pulse(time.monotonic(), self._dead_after)
            self._changed.notify()

    def word(self) -> None:
        """A reply arrived. The watchdog is not woken: it finds out when it looks next."""
        now = time.monotonic()
        with self._changed:
            first = self._pulse.heard is None
            self._pulse = self._pulse.word(now)
            if first:
                self._changed.notify()

    def release(self) -> None:
        """The stream ended; there is nothing to watch."""
        with self._changed:
            self._stream = None

    def _run(self) -> None:
        with self._changed:
            while not self._stopped:
                if self._stream is None:
                    self._changed.wait()
                    continue
                now = time.monotonic()
                action, due = self._pulse.decide(now)
                if action is Action.WAIT:
                    self._changed.wait(max(0.001, due - now))
                elif action is Action.ASK:
                    self._pulse = self._pulse.ask(now)
                    self._stream.ask()
                else:
                    self.gave_up = True
                    stream, self._stream = self._stream, None
                    stream.cancel()

    def stop(self, seconds: float) -> None:
        """End the thread; wait for it at most `seconds`."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(seconds)
