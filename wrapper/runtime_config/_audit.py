"""Does what was delivered add up to what the store holds? Pure.

Old servers can lose a change on a healthy stream (a delete at the revision of a compaction, a change behind a
snapshot install), and no amount of care with the cursor shows it. So now and then the feed lists the keys with
their revisions, waits until whatever was under way must have arrived, and compares that with what each sink holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# A quiet half of an hour would do as well; this bounds how long such a loss stays hidden without costing anything.
EVERY = (300.0, 600.0)
# Catch-up batches come up to 0.1 s late; a busy server and a full machine take longer.
GRACE = 10.0


@dataclass(frozen=True)
class Audit:
    """A listing that waits to be compared: name to revision of last write, as of `revision`."""

    held: Mapping[str, int]
    revision: int


def missing(audit: Audit, held: Mapping[str, int], deleted: Mapping[str, int]) -> list[str]:
    """Names whose change a sink was never given, in order.

    `held` is what the sink has now for the names of the listing that it covers, `deleted` at which revision it
    was told of a delete since the listing.

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
    """When to look next; spread out, so that a fleet does not list in step."""
    return now + uniform(*EVERY)
