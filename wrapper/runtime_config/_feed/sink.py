"""What the feed delivers to: the common part of a subscription and a live value.

A sink starts with a listing (everything it covers, at revision R) and continues with the transactions above R. The
feed may already be running, so joining takes three steps:

    1. register: from here on the feed delivers every transaction, and the sink keeps them;
    2. list; this happens after 1, so R is at least what the feed had delivered before 1;
    3. join(listing): transactions up to R are dropped, the rest follow.

A reset (the feed itself had to list again) that arrives between 1 and 3 makes that listing worthless: it may
come from a store that has been replaced. `join` then returns False, and the caller lists again.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime_config._etcd.layout import Layout, Range
from runtime_config._etcd.records import Entry, RawChange
from runtime_config._feed.audit import Audit, missing
from runtime_config.keys import Key, Section
from runtime_config.values import Reason


@dataclass(frozen=True)
class Cover:
    """Which names a sink covers, and the smallest range of the store that contains them all."""

    names: frozenset[str]
    sections: tuple[str, ...]
    span: Range

    @classmethod
    def of(cls, targets: Sequence[Key[Any] | Section], layout: Layout) -> Cover:
        """Raises TypeError for anything but keys and sections, ValueError for none at all."""
        if not targets:
            raise ValueError("name at least one Key or Section")
        for target in targets:
            if not isinstance(target, (Key, Section)):
                raise TypeError(f"a Key or a Section is needed here, like Section('billing'), not {target!r}")
        spans = [layout.range_of(target) for target in targets]
        return cls(
            frozenset(target.name for target in targets if isinstance(target, Key)),
            tuple(f"{target.name}." for target in targets if isinstance(target, Section)),
            Range(min(span.start for span in spans), max(span.end for span in spans)),
        )

    def __contains__(self, name: str) -> bool:
        return name in self.names or name.startswith(self.sections)


Named = tuple[str, RawChange]


@dataclass(frozen=True)
class RawBatch:
    """One transaction's changes of the names that a sink covers."""

    revision: int
    changes: tuple[Named, ...]


@dataclass(frozen=True)
class RawReset:
    """The feed had to list again: everything that a sink covers, as of `revision`."""

    reason: Reason
    entries: Mapping[str, Entry]
    revision: int


class Sink:
    """Base of what the feed delivers to. The feed calls `batch`, `reset` and `fail`, one after another."""

    def __init__(self, cover: Cover) -> None:
        self.cover = cover
        self.lock = threading.Condition()
        self.joined = False
        self._early: list[RawBatch] = []
        self._reset_early = False
        # The revision of the listing that the sink started from; the feed may still be behind it.
        self._since = 0

    def select(self, entries: Iterable[tuple[str, Entry]]) -> dict[str, Entry]:
        return {name: entry for name, entry in entries if name in self.cover}

    def batch(self, revision: int, changes: Sequence[Named]) -> None:
        mine = tuple(change for change in changes if change[0] in self.cover)
        if not mine:
            return
        with self.lock:
            if not self.joined:
                self._early.append(RawBatch(revision, mine))
            elif revision > self._since:  # otherwise the listing, which may be ahead of the feed, included it
                self._on_batch(RawBatch(revision, mine))

    def reset(self, reason: Reason, entries: Iterable[tuple[str, Entry]], revision: int) -> None:
        with self.lock:
            if not self.joined:
                self._early.clear()
                self._reset_early = True
            elif revision > self._since or reason == "store_replaced":
                self._since = revision
                self._on_reset(RawReset(reason, self.select(entries), revision))

    def listed_at(self) -> int | None:
        """The revision of the listing that it started from. One that has not started lists anew, and gives None."""
        with self.lock:
            if self.joined:
                return self._since
            self._early.clear()
            self._reset_early = True
            return None

    def join(self, entries: Iterable[tuple[str, Entry]], revision: int) -> bool:
        """Start from this listing. False if it may be outdated: list again and retry."""
        with self.lock:
            if self.joined:
                return True
            if self._reset_early:
                self._reset_early = False
                return False
            self.joined = True
            self._since = revision
            self._on_start(self.select(entries), revision)
            early, self._early = self._early, []
            for batch in early:
                if batch.revision > revision:
                    self._on_batch(batch)
            return True

    def missing(self, audit: Audit, deleted: Mapping[str, int]) -> list[str]:
        """Names with a change that this sink should have received and did not (see `audit`)."""
        with self.lock:
            if not self.joined or self._since > audit.revision:
                return []
            mine = Audit({name: at for name, at in audit.held.items() if name in self.cover}, audit.revision)
            return missing(mine, self._held(), deleted)

    def fail(self, error: Exception) -> bool:
        """The server refuses to serve this. True if that ends the sink, False if it is to be served later."""
        raise NotImplementedError

    def _held(self) -> Mapping[str, int]:
        raise NotImplementedError

    def _on_start(self, entries: Mapping[str, Entry], revision: int) -> None:
        raise NotImplementedError

    def _on_batch(self, batch: RawBatch) -> None:
        raise NotImplementedError

    def _on_reset(self, reset: RawReset) -> None:
        raise NotImplementedError
