"""A subscription: an iterator over everything that happens to some keys.

    with store.subscribe(Section("billing")) as updates:
        for item in updates:
            ...

The feed's thread only stores bytes; decoding (which runs the user's codecs) and comparing happen in the thread that
iterates. An item counts as delivered only when `get` or the iteration returns it: what was being decoded when an
exception passed through is decoded again by the next call.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping

from runtime_config import errors
from runtime_config._etcd.records import Entry
from runtime_config._feed.buffer import MAX_BYTES, MAX_ITEMS, Buffer, Raw, RawStart
from runtime_config._feed.consumer import Prepared, Received
from runtime_config._feed.sink import Cover, RawBatch, RawReset, Sink
from runtime_config._numbers import seconds
from runtime_config._owner import Owner
from runtime_config.values import Item


class Subscription(Sink):
    """An iterator of items, in strictly ascending revision: one `Snapshot` first, then `Changes`, `Resynced`,
    `Undecodable`.

    Iterate it in one thread; `close` may be called from any. Iteration ends when the subscription or the store is
    closed. It raises `PermissionDenied` or `AuthenticationFailed` when the server refuses to serve it for good. A lost
    connection raises nothing: what was missed arrives later, and `store.state` shows the outage.

    Ctrl-C interrupts a wait for an item, and no item is lost by it. Leaving the `with` block closes the subscription; a
    subscription that is garbage-collected is closed as well. As long as it is referred to, its store stays open. In a
    forked process it raises Closed.
    """

    def __init__(
        self,
        cover: Cover,
        *,
        on_close: Callable[[Subscription], None],
        on_overflow: Callable[[], None],
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(cover)
        self._on_close, self._on_overflow = on_close, on_overflow
        self._buffer = Buffer(max_items, max_bytes)
        self._ended = False
        self._error: Exception | None = None
        self._owner = Owner()
        # The consumer's side, used by the iterating thread only.
        self._received: dict[str, Received] = {}
        self._raw: Raw | None = None
        self._ready: deque[Item] = deque()
        self._revision = 0

    @property
    def revision(self) -> int:
        """The revision of the item that was delivered last; 0 before the first."""
        return self._revision

    # The feed's side

    def _on_start(self, entries: Mapping[str, Entry], revision: int) -> None:
        self._put(RawStart(entries, revision))

    def _on_batch(self, batch: RawBatch) -> None:
        self._put(batch)

    def _on_reset(self, reset: RawReset) -> None:
        self._put(reset)

    def _put(self, item: Raw) -> None:
        if self._buffer.put(item):
            self.lock.notify()
        else:
            self._on_overflow()

    def _held(self) -> Mapping[str, int]:
        return self._buffer.held

    def fail(self, error: Exception) -> bool:
        with self.lock:
            self._error = self._error or error
            self.lock.notify_all()
        return True

    # The consumer's side

    def get(self, timeout: float | None = None) -> Item:
        """The next item, waiting at most `timeout` seconds (None: without limit; 0: only what is there already).

        Raises DeadlineExceeded when none came, Closed when no more will come, and what iterating raises.
        """
        if timeout is not None:
            timeout = seconds("timeout", timeout, least=0.0)
        try:
            return self._next(timeout)
        except StopIteration:
            raise errors.Closed("the subscription is closed") from None

    def _next(self, timeout: float | None) -> Item:
        self._owner.check()
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            if self._raw is None:
                self._raw = self._take(deadline)
            prepared = Prepared(self._received, self._raw, self._revision)
            self._ready.extend(prepared.items)
            self._raw = None
            prepared.commit()
        item = self._ready.popleft()
        self._revision = item.revision
        return item

    def _take(self, deadline: float | None) -> Raw:
        with self.lock:
            while (item := self._buffer.take()) is None:
                if self._ended:
                    raise StopIteration
                if self._error is not None:
                    self._ended = True
                    raise self._error
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise errors.DeadlineExceeded("no item came in time")
                self.lock.wait(left)
            return item

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self._next(None)

    def close(self) -> None:
        """End the iteration, at once and from any thread. Idempotent."""
        if not self._owner.here:
            return
        self._on_close(self)
        with self.lock:
            self._ended = True
            self._buffer.close()
            self.lock.notify_all()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def deliver_in_thread(
    subscription: Subscription,
    callback: Callable[[Item], None],
    on_error: Callable[[BaseException], None],
    on_end: Callable[[BaseException], None],
) -> threading.Thread:
    """Call `callback` with each item, in a thread of its own, until the subscription is closed.

    Whatever the callback raises is passed to `on_error`, and the next item is delivered all the same: SystemExit or a
    test's failure mean nothing to this thread. `on_end` gets whatever else ends the delivery, such as a server that
    refuses to serve this subscription.
    """

    def run() -> None:
        try:
            for item in subscription:
                try:
                    callback(item)
                except BaseException as error:  # noqa: PERF203 - one callback's error must not end the loop
                    on_error(error)
        except BaseException as error:
            on_end(error)

    thread = threading.Thread(target=run, name="runtime-config-callback", daemon=True)
    thread.start()
    return thread
