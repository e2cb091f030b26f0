"""What a subscription is, whoever waits for it: the feed's side of it, and the next item if there is one.

The feed's thread only stores bytes; decoding (which runs the user's codecs) and comparing happen where the items are
taken. An item counts as delivered only when `poll` returns it: what was being decoded when an exception passed through
is decoded again by the next call. How to wait for an item is the business of the subclasses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from runtime_config._etcd.records import Entry
from runtime_config._feed.buffer import MAX_BYTES, MAX_ITEMS, Buffer, Raw, RawStart
from runtime_config._feed.consumer import Prepared, Received
from runtime_config._feed.sink import Cover, RawBatch, RawReset, Sink
from runtime_config._owner import Owner
from runtime_config.values import Item


class Ended(Exception):
    """No item will come any more: the inbox was closed, or has raised its error."""


class Inbox(Sink):
    """Keeps what the feed delivers, in bounded memory, until one consumer takes it, in one thread at a time."""

    def __init__(
        self,
        cover: Cover,
        *,
        on_close: Callable[[Inbox], None],
        on_overflow: Callable[[], None],
        max_items: int = MAX_ITEMS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        super().__init__(cover)
        self._owner = Owner()
        self._on_close, self._on_overflow = on_close, on_overflow
        self._buffer = Buffer(max_items, max_bytes)
        self._ended = False
        self._error: Exception | None = None
        # The consumer's side, used by the thread that takes the items only.
        self._received: dict[str, Received] = {}
        self._raw: Raw | None = None
        self._ready: deque[Item] = deque()
        self._revision = 0

    @property
    def revision(self) -> int:
        """The revision of the item that was delivered last; 0 before the first."""
        return self._revision

    def _notify(self) -> None:
        """`poll` would now return or raise something. Called with the lock held, by any thread; never blocks."""
        raise NotImplementedError

    # The feed's side

    def _on_start(self, entries: Mapping[str, Entry], revision: int) -> None:
        self._put(RawStart(entries, revision))

    def _on_batch(self, batch: RawBatch) -> None:
        self._put(batch)

    def _on_reset(self, reset: RawReset) -> None:
        self._put(reset)

    def _put(self, item: Raw) -> None:
        if self._buffer.put(item):
            self._notify()
        else:
            self._on_overflow()

    def _held(self) -> Mapping[str, int]:
        return self._buffer.held

    def fail(self, error: Exception) -> bool:
        with self.lock:
            self._error = self._error or error
            self._notify()
        return True

    # The consumer's side

    def poll(self) -> Item | None:
        """The next item, or None if there is none yet.

        Raises Ended, or once, after the last item, what it failed with; in a forked process Closed.
        """
        self._owner.check()
        if self._ended:
            raise Ended
        while not self._ready:
            with self.lock:
                # Assigned with the lock held: an exception out of releasing it must not lose what was taken.
                if self._raw is None:
                    self._raw = self._take()
            if self._raw is None:
                return None
            prepared = Prepared(self._received, self._raw, self._revision)
            self._ready.extend(prepared.items)
            self._raw = None
            prepared.commit()
        item = self._ready.popleft()
        self._revision = item.revision
        return item

    def _take(self) -> Raw | None:
        item = self._buffer.take()
        if item is None and self._ended:
            raise Ended
        if item is None and self._error is not None:
            self._ended = True
            raise self._error
        return item

    @property
    def _stirred(self) -> bool:
        """Whether `poll` may return or raise something. With the lock held."""
        return self._ended or self._error is not None or self._buffer.waiting

    def shut(self) -> None:
        """No more items, from now on; whoever waits for one learns it. Idempotent, from any thread."""
        if not self._owner.here:
            return
        self._on_close(self)
        with self.lock:
            self._ended = True
            self._buffer.close()
            self._notify()
