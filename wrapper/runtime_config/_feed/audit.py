"""The audit: does what was delivered add up to what the store holds?

Old servers can lose a change on a healthy stream (a delete at the revision of a compaction, a change behind a snapshot
install), and no handling of the cursor reveals it. So from time to time the feed lists the keys with their revisions,
waits until everything in flight must have arrived, and compares the listing with what each sink holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# How often; this bounds how long such a loss stays hidden, at a negligible cost.
EVERY = (300.0, 600.0)
# Catch-up batches come up to 0.1 s late; a busy server and a loaded machine take longer.
GRACE = 10.0


@dataclass(frozen=True)
class Audit:
    """A listing to be compared: name to revision of its last write, as of `revision`."""

    held: Mapping[str, int]
    revision: int


def missing(audit: Audit, held: Mapping[str, int], deleted: Mapping[str, int]) -> list[str]:
    """Names with a change that a sink never received, in order.

    `held` is what the sink holds now, of the names in the listing that it covers; `deleted` is the revision at which
    it received a delete since the listing.

    >>> audit = Audit({"a": 3, "b": 4}, revision=5)
    >>> missing(audit, {"a": 3, "b": 9}, {}), missing(audit, {"a": 2, "c": 1}, {"b": 7})
    ([], ['a', 'c'])
    """
    late = [name for name, revision in audit.held.items() if held.get(name, deleted.get(name, 0)) < revision]
    ghosts = [
        name for name, revision in held.items() if revision <= audit.revision and name not in audit.held
    ]
    return sorted(late + ghosts)


def next_audit(now: float, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """When to audit next; spread out, so that a fleet does not list in step."""
    return now + uniform(*EVERY)


class Auditor:
    """When the two steps of an audit are due (list, then compare), and what has to be kept between them."""

    def __init__(self, now: float) -> None:
        self._due = next_audit(now)
        self._pending: Audit | None = None
        #: Name to revision of the deletes that were delivered since the listing.
        self.deleted: dict[str, int] = {}

    def due(self, now: float) -> bool:
        return now >= self._due

    @property
    def pending(self) -> bool:
        """True between the two steps."""
        return self._pending is not None

    def begin(self, audit: Audit, now: float) -> None:
        """The listing was made: it is compared after a grace period."""
        self.deleted.clear()
        self._pending, self._due = audit, now + GRACE

    def take(self, now: float) -> Audit:
        """The listing to compare now; the next audit is due in a few minutes."""
        audit, self._pending = self._pending, None
        assert audit is not None
        self._due = next_audit(now)
        return audit

    def note_delete(self, name: str, revision: int) -> None:
        if self._pending is not None:
            self.deleted[name] = revision

    def abandon(self) -> None:
        """The stream ended: the listing is worthless, and the next step lists again."""
        self._pending = None
