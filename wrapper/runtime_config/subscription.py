"""A subscription: an iterator over everything that happens to some keys.

    with store.subscribe(Section("billing")) as updates:
        for item in updates:
            ...

Rules of this file. The feed's thread only stores bytes; decoding (which runs the user's codecs) and comparing
happen in the thread that iterates. Memory is bounded: when the buffer is full nothing more is put in; what is
there is handed out first, and then one `Resynced("overflow")` bridges the rest. Nothing here ever waits for a
slow consumer. What is being decoded when an exception passes through (a Ctrl-C, for instance) is decoded again by the
next call: it counts as delivered only when it was.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from runtime_config import errors
from runtime_config._decode import decode
from runtime_config._messages import Entry
from runtime_config._numbers import seconds
from runtime_config._owner import Owner
from runtime_config._sink import Cover, RawBatch, RawReset, Sink
from runtime_config.keys import key_named
from runtime_config.values import (
    ABSENT,
    Change,
    Changes,
    Deleted,
    Item,
    Reason,
    Resynced,
    Snapshot,
    Undecodable,
    Updated,
    Values,
)

MAX_ITEMS = 1000
MAX_BYTES = 16 * 1024 * 1024
# What an entry costs besides its bytes, roughly: an object with five fields.
_OVERHEAD = 200


@dataclass(frozen=True)
class _Start:
    entries: Mapping[str, Entry]
    revision: int


@dataclass(frozen=True)
class _Told:
    """What the consumer was last told about one key: the bytes, and the last value they or older ones decoded to."""

    raw: bytes
    revision: int
    value: Any


class Subscription(Sink):
    """An iterator of items, in strictly rising revision: one `Snapshot` first, then `Changes`, `Resynced`,
    `Undecodable`.

    Iterate it from one thread; `close` may come from any. Iterating ends once it or the store is closed. It
    raises `PermissionDenied` or `AuthenticationFailed` when the server refuses to serve it for good. A lost
    connection raises nothing: the items of the meantime arrive later, and `store.state` tells of it.

    While an item is being awaited Ctrl-C works, and no item is lost by it. Leaving the `with` block closes the
    subscription; one that nobody refers to any more is closed as well. As long as somebody does, its store stays open.
    In a process that was forked it raises Closed.
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
        self._max_items, self._max_bytes = max_items, max_bytes
        self._buffer: deque[_Start | RawBatch | RawReset] = deque()
        self._bytes = 0
        self._overflow: Reason | None = None
        self._applied: dict[str, Entry] = {}
        self._applied_revision = 0
        self._ended = False
        self._error: Exception | None = None
        self._owner = Owner()
        # The consumer's side: touched by the iterating thread only.
        self._told: dict[str, _Told] = {}
        self._raw: _Start | RawBatch | RawReset | None = None
        self._ready: deque[Item] = deque()
        self._revision = 0

    @property
    def revision(self) -> int:
        """The revision of the item that was handed out last; 0 before the first."""
        return self._revision

    # The feed's side

    def _on_start(self, entries: Mapping[str, Entry], revision: int) -> None:
        self._applied, self._applied_revision = dict(entries), revision
        self._put(_Start(entries, revision), 0)

    def _on_batch(self, batch: RawBatch) -> None:
        for name, change in batch.changes:
            if change.value is None:
                self._applied.pop(name, None)
            else:
                self._applied[name] = Entry(
                    change.key, change.value, change.revision, change.created_revision, change.version
                )
        self._applied_revision = batch.revision
        self._put(batch, _cost(batch))

    def _on_reset(self, reset: RawReset) -> None:
        self._applied, self._applied_revision = dict(reset.entries), reset.revision
        if self._overflow is not None:
            # One bridge will span both; of its two reasons the consumer should hear the graver.
            self._overflow = reset.reason
        else:
            self._put(reset, _cost(reset))

    def _put(self, item: _Start | RawBatch | RawReset, cost: int) -> None:
        if self._ended or self._overflow is not None:
            return
        if self._buffer and (len(self._buffer) >= self._max_items or self._bytes + cost > self._max_bytes):
            self._overflow = item.reason if isinstance(item, RawReset) else "overflow"
            self._on_overflow()
            return
        self._buffer.append(item)
        self._bytes += cost
        self.lock.notify()

    def _held(self) -> Mapping[str, int]:
        return {name: entry.revision for name, entry in self._applied.items()}

    def fail(self, error: Exception) -> bool:
        with self.lock:
            self._error = self._error or error
            self.lock.notify_all()
        return True

    # The consumer's side

    def get(self, timeout: float | None = None) -> Item:
        """The next item, awaited for at most `timeout` seconds (None: as long as it takes; 0: only if it is there).

        Raises DeadlineExceeded when none came, Closed when none will come any more, and what iterating raises.
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
            telling, items = self._items_of(self._raw)
            self._ready.extend(items)
            self._raw = None
            telling.commit()
        item = self._ready.popleft()
        self._revision = item.revision
        return item

    def _take(self, deadline: float | None) -> _Start | RawBatch | RawReset:
        with self.lock:
            while not self._buffer:
                if self._overflow is not None and not self._ended:
                    reason, self._overflow = self._overflow, None
                    return RawReset(reason, dict(self._applied), self._applied_revision)
                if self._ended:
                    raise StopIteration
                if self._error is not None:
                    self._ended = True
                    raise self._error
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    raise errors.DeadlineExceeded("no item came in time")
                self.lock.wait(left)
            item = self._buffer.popleft()
            if not isinstance(item, _Start):
                self._bytes -= _cost(item)
            return item

    def _items_of(self, raw: _Start | RawBatch | RawReset) -> tuple[_Telling, list[Item]]:
        """What the consumer will have been told after `raw`, and the items that say so. Changes nothing yet."""
        telling = _Telling(self._told)
        if isinstance(raw, RawBatch):
            for name, change in raw.changes:
                telling.tell(name, change.value, change.revision, raw.revision)
            first: list[Item] = [Changes(raw.revision, tuple(telling.changes))] if telling.changes else []
            return telling, [*first, *telling.bad]
        telling.replace(raw.entries)
        values = Values(
            {name: told.value for name, told in telling.all().items() if told.value is not ABSENT}
        )
        if isinstance(raw, _Start):
            return telling, [Snapshot(values, raw.revision), *telling.bad]
        resynced = Resynced(raw.reason, values, tuple(telling.changes), self._revision, raw.revision)
        return telling, [resynced, *telling.bad]

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
            self._buffer.clear()
            self.lock.notify_all()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Telling:
    """Works out what has to be told: decodes, compares with what was told before, and collects the differences."""

    def __init__(self, told: dict[str, _Told]) -> None:
        self._told = told
        self._fresh: dict[str, _Told | None] = {}
        self.changes: list[Change] = []
        self.bad: list[Undecodable] = []

    def replace(self, entries: Mapping[str, Entry]) -> None:
        """Make `entries` what was told: the difference by name, vanished keys as deleted."""
        for name in sorted(self._told.keys() | entries.keys()):
            entry, told = entries.get(name), self._told.get(name)
            if entry is None:
                self.tell(name, None, 0, 0)
            elif told is None or told.raw != entry.value or told.revision != entry.revision:
                self.tell(name, entry.value, entry.revision, entry.revision)

    def tell(self, name: str, raw: bytes | None, revision: int, at: int) -> None:
        key = key_named(name)
        told = self._told.get(name)
        previous = ABSENT if told is None else told.value
        if raw is None:
            self._fresh[name] = None
            self.changes.append(Deleted(key, previous))
            return
        try:
            value = decode(key, raw)
        except errors.DecodeError as error:
            self._fresh[name] = _Told(raw, revision, previous)
            self.bad.append(Undecodable(key, raw, error, at))
            return
        self._fresh[name] = _Told(raw, revision, value)
        self.changes.append(Updated(key, value, previous))

    def all(self) -> dict[str, _Told]:
        """Everything that will have been told."""
        return {name: told for name, told in {**self._told, **self._fresh}.items() if told is not None}

    def commit(self) -> None:
        """It was told."""
        for name, told in self._fresh.items():
            if told is None:
                self._told.pop(name, None)
            else:
                self._told[name] = told


def _cost(item: RawBatch | RawReset) -> int:
    if isinstance(item, RawBatch):
        return sum(len(change.key) + len(change.value or b"") + _OVERHEAD for _, change in item.changes)
    return sum(len(entry.key) + len(entry.value) + _OVERHEAD for entry in item.entries.values())


def deliver_in_thread(
    subscription: Subscription,
    callback: Callable[[Item], None],
    on_error: Callable[[BaseException], None],
    on_end: Callable[[BaseException], None],
) -> threading.Thread:
    """Call `callback` with each item, in a thread of its own, until the subscription is closed.

    Whatever the callback raises goes to `on_error`, and the next item comes all the same: SystemExit or a test's
    failure mean nothing to this thread. `on_end` hears of whatever else ends the delivery, such as a server that
    refuses to serve this subscription.
    """

    def run() -> None:
        try:
            for item in subscription:
                try:
                    callback(item)
                except BaseException as error:  # noqa: PERF203 - an item, an exception
                    on_error(error)
        except BaseException as error:
            on_end(error)

    thread = threading.Thread(target=run, name="runtime-config-callback", daemon=True)
    thread.start()
    return thread
