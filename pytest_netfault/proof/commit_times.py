"""When each revision of a run was committed.

A log has no clock: when a revision was committed is known within bounds, those of its write, of its delivery and of the
revisions around it. It is drawn at the end of that time if its own write or delivery proves that it was committed by
then, and otherwise at the beginning.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from pytest_netfault.checks.trace import Delivered
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.recording import WriteRecord

__all__ = ["Commit", "commit_times", "makers_of"]


class Commit(NamedTuple):
    """When a revision was committed, in seconds from the beginning of the run.

    Attributes:
        earliest: not before this.
        latest: not after this; infinite if nothing shows it.
        at: where it is drawn.
    """

    earliest: float
    latest: float
    at: float


def commit_times(run: Run) -> dict[int, Commit]:
    """When each revision was committed."""
    makers = {revision: run.writes[number] for revision, number in makers_of(run).items()}
    arrivals = _arrivals(run)
    low, lows = run.began, []
    for entry in run.log:
        write = makers.get(entry.revision)
        if write is not None and write.begun is not None:
            low = max(low, write.begun)
        lows.append(low)
    high, found = math.inf, {}
    for entry, earliest in zip(reversed(run.log), reversed(lows), strict=True):
        write = makers.get(entry.revision)
        proofs = [arrivals.get(entry.revision, math.inf)]
        if write is not None and write.outcome == "ok" and write.ended is not None:
            proofs.append(write.ended)
        high = max(min(high, *proofs), earliest)
        at = high if math.isfinite(min(proofs)) else earliest
        found[entry.revision] = Commit(earliest - run.began, high - run.began, at - run.began)
    return found


def makers_of(run: Run) -> dict[int, int]:
    """The number of the write that made each revision, as far as the log tells.

    Each write takes the first revision that says the same, that no other write has made, and that is neither before
    what had been put and acknowledged when it began, nor behind what was put after it had returned.
    """
    by_change: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for entry in run.log:
        for event in entry.events:
            by_change[event.key, event.value if event.type == "put" else None].append(entry.revision)
    puts = [
        (write, by_change[change][0])
        for write in run.writes
        for change in write.changes
        if change[1] is not None and write.outcome != "fail" and change in by_change
    ]
    made: dict[int, int] = {}
    for number, write in enumerate(run.writes):
        if write.outcome == "fail":
            continue
        for change in write.changes:
            revision = next(
                (
                    one
                    for one in by_change.get(change, ())
                    if made.get(one, number) == number and _may_have_made(write, one, puts)
                ),
                None,
            )
            if revision is not None:
                made[revision] = number
    return made


def _may_have_made(write: WriteRecord, revision: int, puts: Iterable[tuple[WriteRecord, int]]) -> bool:
    return not any(
        (revision < there and put.outcome == "ok" and _before(put, write))
        or (revision > there and _before(write, put))
        for put, there in puts
    )


def _before(one: WriteRecord, other: WriteRecord) -> bool:
    return one.ended is not None and other.begun is not None and one.ended <= other.begun


def _arrivals(run: Run) -> dict[int, float]:
    """When each revision was first delivered."""
    first: dict[int, float] = {}
    for item, at in zip(run.trace.stream, run.delivered_at, strict=False):
        if isinstance(item, Delivered):
            for event in item.events:
                first.setdefault(event.revision, at)
    return first
