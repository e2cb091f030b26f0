"""A value that is always current: `limit = store.live(LIMIT)`, then `limit.value` wherever it is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from runtime_config import errors
from runtime_config._coding import decode
from runtime_config._etcd.records import Entry
from runtime_config._feed.sink import Cover, RawBatch, RawReset, Sink
from runtime_config._owner import Owner
from runtime_config.keys import Key, Unset
from runtime_config.state import Handle
from runtime_config.values import Item

T = TypeVar("T")
log = logging.getLogger("runtime_config")


class Live(Sink, Generic[T]):
    """The current value of one key. Reading it makes no call to the server, and is safe from any thread.

    While the store cannot be reached it keeps its last value, and `age` grows. A stored value that cannot be
    decoded is logged, and the last good one stays in force. As long as it is referred to, its store stays open. In
    a forked process, where nothing is followed, every property raises Closed.
    """

    def __init__(
        self,
        key: Key[T],
        cover: Cover,
        *,
        silence: Callable[[], float],
        on_change: Callable[[Key[T], Callable[[Item], None]], Handle],
    ) -> None:
        super().__init__(cover)
        self._key = key
        self._silence = silence
        self._owner = Owner()
        self._register = on_change
        self._entry: Entry | None = None
        self._decoded: tuple[Entry, T] | None = None
        self._bad: Entry | None = None

    @property
    def value(self) -> T:
        """The current value, or the key's default.

        Raises KeyNotSet if the store holds nothing and there is no default, DecodeError if it never held a
        good value, Unavailable if the store has not been reached even once.
        """
        self._owner.check()
        entry, decoded = self._entry, self._decoded
        if not self.joined:
            raise errors.Unavailable(
                f"the store has not been reached yet, so {self._key.name!r} has no value"
            )
        if entry is None:
            if isinstance(self._key.default, Unset):
                raise errors.KeyNotSet(f"{self._key.name!r} is not set, and it has no default")
            return self._key.default
        if decoded is not None and (decoded[0] is entry or self._bad is entry):
            return decoded[1]
        try:
            value = decode(self._key, entry.value)
        except errors.DecodeError as error:
            self._bad = entry
            if decoded is None:
                raise
            log.error("%s; the last good value stays in force", error)
            return decoded[1]
        self._decoded = (entry, value)
        return value

    @property
    def revision(self) -> int:
        """The revision of the last write of this key; 0 while it is not set."""
        self._owner.check()
        entry = self._entry
        return 0 if entry is None else entry.revision

    @property
    def age(self) -> float:
        """Seconds since the server last replied: the value is at most that old. Infinite before the first reply.

        Setting the wall clock does not change it; on Linux the time in which the machine was suspended counts.
        """
        self._owner.check()
        return self._silence()

    def on_change(self, callback: Callable[[Item], None]) -> Handle:
        """The same as `store.on_change(key, callback)`."""
        return self._register(self._key, callback)

    def fail(self, error: Exception) -> bool:
        log.error("%r cannot be followed at the moment: %s", self._key.name, error)
        return False

    def _held(self) -> Mapping[str, int]:
        return {} if self._entry is None else {self._key.name: self._entry.revision}

    def _on_start(self, entries: Mapping[str, Entry], revision: int) -> None:
        self._entry = entries.get(self._key.name)

    def _on_batch(self, batch: RawBatch) -> None:
        for _, change in batch.changes:
            self._entry = None if change.value is None else change.entry(change.value)

    def _on_reset(self, reset: RawReset) -> None:
        self._entry = reset.entries.get(self._key.name)

    def __repr__(self) -> str:
        shown: Any = self._decoded[1] if self._decoded is not None else "..."
        return f"<Live {self._key.name} = {shown!r} at revision {0 if self._entry is None else self._entry.revision}>"
