"""Turns the replies on a stream into whole transactions. Pure: replies in, transactions out.

Theory. The store numbers its transactions. The cursor holds one number, `next`: the first revision not yet delivered.
A stream is always opened at exactly `next`, and only the end of a delivered transaction advances it. Three
things look as if they could advance it, and must not:

* the `created` reply carries the newest revision, but the changes before it arrive up to 100 ms later;
* a progress reply claims that everything up to its revision was sent, but servers before 3.5.8 send changes after it;
* the last reply of a batch may be cut (fragments): half a transaction must not count as one.

Changes below `next` were delivered before; some servers repeat them after a reconnect, so they are dropped here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from runtime_config._etcd.records import RawChange


@dataclass(frozen=True)
class Batch:
    """All changes of one transaction."""

    revision: int
    changes: tuple[RawChange, ...]


class Cursor:
    """Collects replies and returns whole transactions, each once, in ascending order.

    >>> cursor = Cursor(5)
    >>> cursor.take([RawChange(b"k", b"old", 4), RawChange(b"k", b"1", 5)], more=False)
    [Batch(revision=5, changes=(RawChange(key=b'k', value=b'1', revision=5, created_revision=0, version=0),))]
    >>> cursor.next
    5
    >>> cursor.delivered(5)
    >>> cursor.next
    6
    """

    def __init__(self, next: int) -> None:  # noqa: A002
        if next < 1:
            raise ValueError(f"a cursor starts at a revision of at least 1, not {next}")
        self.next = next
        self._parts: list[RawChange] = []

    def take(self, changes: Iterable[RawChange], *, more: bool) -> list[Batch]:
        """Add one reply's changes; `more` says that the rest of this reply follows in further fragments."""
        self._parts.extend(changes)
        if more:
            return []
        parts, self._parts = self._parts, []
        grouped: dict[int, list[RawChange]] = {}
        for change in parts:
            if change.revision >= self.next:
                grouped.setdefault(change.revision, []).append(change)
        return [Batch(revision, tuple(grouped[revision])) for revision in sorted(grouped)]

    def delivered(self, revision: int) -> None:
        """Everything up to `revision` has been delivered."""
        self.next = max(self.next, revision + 1)

    def stream_ended(self) -> None:
        """Discard fragments whose rest will never come: the next stream sends them again, complete."""
        self._parts = []

    def restart(self, next: int) -> None:  # noqa: A002
        """Continue at another revision, after a full listing; the only way to go back."""
        self.next, self._parts = next, []
