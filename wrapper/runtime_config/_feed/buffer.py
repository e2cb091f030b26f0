"""What the feed has delivered to a subscription and its consumer has not taken yet, in bounded memory.

When the buffer is full nothing more is put in. What is there is taken first, and then one reset with the reason
`overflow` bridges the rest: the current state is always kept, so a slow consumer never delays the feed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from runtime_config._etcd.records import Entry
from runtime_config._feed.sink import RawBatch, RawReset
from runtime_config.values import Reason

MAX_ITEMS = 1000
MAX_BYTES = 16 * 1024 * 1024
# What an entry costs besides its bytes, approximately: an object with five fields.
_OVERHEAD = 200


@dataclass(frozen=True)
class RawStart:
    """The listing that a subscription starts with."""

    entries: Mapping[str, Entry]
    revision: int


Raw = RawStart | RawBatch | RawReset


class Buffer:
    """Not synchronised: used under the lock of its subscription."""

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._items: deque[Raw] = deque()
        self._bytes = 0
        self._overflow: Reason | None = None
        self._closed = False
        # The current state: what the consumer holds once it has taken everything.
        self._state: dict[str, Entry] = {}
        self._revision = 0

    def __len__(self) -> int:
        return len(self._items)

    @property
    def held(self) -> Mapping[str, int]:
        """Name to revision of everything in the current state."""
        return {name: entry.revision for name, entry in self._state.items()}

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._items) or (self._overflow is not None and not self._closed)

    def put(self, item: Raw) -> bool:
        """Add an item. False if it no longer fits: the buffer overflows with it."""
        self._apply(item)
        if self._closed:
            return True
        if self._overflow is not None:
            if isinstance(item, RawReset):
                # One bridge will span both; of its two reasons the more serious one is reported.
                self._overflow = item.reason
            return True
        cost = _cost(item)
        if self._items and (len(self._items) >= self._max_items or self._bytes + cost > self._max_bytes):
            self._overflow = item.reason if isinstance(item, RawReset) else "overflow"
            return False
        self._items.append(item)
        self._bytes += cost
        return True

    def _apply(self, item: Raw) -> None:
        self._revision = item.revision
        if not isinstance(item, RawBatch):
            self._state = dict(item.entries)
            return
        for name, change in item.changes:
            if change.value is None:
                self._state.pop(name, None)
            else:
                self._state[name] = change.entry(change.value)

    def take(self) -> Raw | None:
        """The next item, or the bridge over what did not fit, or None if there is nothing."""
        if self._items:
            item = self._items.popleft()
            self._bytes -= _cost(item)
            return item
        if self._overflow is None or self._closed:
            return None
        reason, self._overflow = self._overflow, None
        return RawReset(reason, dict(self._state), self._revision)

    def close(self) -> None:
        """Discard everything, and keep nothing from now on."""
        self._closed = True
        self._items.clear()


def _cost(item: Raw) -> int:
    if isinstance(item, RawStart):
        return 0
    if isinstance(item, RawBatch):
        return sum(len(change.key) + len(change.value or b"") + _OVERHEAD for _, change in item.changes)
    return sum(len(entry.key) + len(entry.value) + _OVERHEAD for entry in item.entries.values())
