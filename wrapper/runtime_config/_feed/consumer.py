"""The consumer's side of a subscription: decodes, and compares with what the consumer has received before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime_config import errors
from runtime_config._coding import decode
from runtime_config._etcd.records import Entry
from runtime_config._feed.buffer import Raw, RawStart
from runtime_config._feed.sink import RawBatch
from runtime_config.keys import key_named
from runtime_config.values import (
    ABSENT,
    Change,
    Changes,
    Deleted,
    Item,
    Resynced,
    Snapshot,
    Undecodable,
    Updated,
    Values,
)


@dataclass(frozen=True)
class Received:
    """What the consumer has received of one key: the bytes, and the last value that they or older ones decoded to."""

    raw: bytes
    revision: int
    value: Any


class Prepared:
    """The items for one entry of the buffer, and what the consumer will have received with them.

    Nothing changes before `commit`: an exception while decoding (Ctrl-C, for instance) leaves everything as it was.
    """

    def __init__(self, received: dict[str, Received], raw: Raw, last_revision: int) -> None:
        self._received = received
        self._fresh: dict[str, Received | None] = {}
        self._changes: list[Change] = []
        self._undecodable: list[Undecodable] = []
        self.items: list[Item] = [*self._first(raw, last_revision), *self._undecodable]

    def _first(self, raw: Raw, last_revision: int) -> list[Item]:
        if isinstance(raw, RawBatch):
            for name, change in raw.changes:
                self._add(name, change.value, change.revision, raw.revision)
            return [Changes(raw.revision, tuple(self._changes))] if self._changes else []
        self._replace(raw.entries)
        values = Values({name: one.value for name, one in self._all().items() if one.value is not ABSENT})
        if isinstance(raw, RawStart):
            return [Snapshot(values, raw.revision)]
        return [Resynced(raw.reason, values, tuple(self._changes), last_revision, raw.revision)]

    def _replace(self, entries: Mapping[str, Entry]) -> None:
        """Add the difference to `entries`, by name; keys that have vanished count as deleted."""
        for name in sorted(self._received.keys() | entries.keys()):
            entry, received = entries.get(name), self._received.get(name)
            if entry is None:
                self._add(name, None, 0, 0)
            elif received is None or received.raw != entry.value or received.revision != entry.revision:
                self._add(name, entry.value, entry.revision, entry.revision)

    def _add(self, name: str, raw: bytes | None, revision: int, item_revision: int) -> None:
        key = key_named(name)
        received = self._received.get(name)
        previous = ABSENT if received is None else received.value
        if raw is None:
            self._fresh[name] = None
            self._changes.append(Deleted(key, previous))
            return
        try:
            value = decode(key, raw)
        except errors.DecodeError as error:
            self._fresh[name] = Received(raw, revision, previous)
            self._undecodable.append(Undecodable(key, raw, error, item_revision))
            return
        self._fresh[name] = Received(raw, revision, value)
        self._changes.append(Updated(key, value, previous))

    def _all(self) -> dict[str, Received]:
        both = {**self._received, **self._fresh}
        return {name: received for name, received in both.items() if received is not None}

    def commit(self) -> None:
        """The items have been delivered."""
        for name, received in self._fresh.items():
            if received is None:
                self._received.pop(name, None)
            else:
                self._received[name] = received
