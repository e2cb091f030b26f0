"""Which deliveries of a very long run are left out of reports: the middle, with a note of how many.

What a verdict refers to, and the first arrival of each update, are always kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_netfault.checks.trace import Delivered, Resynced
from pytest_netfault.proof.contract import Run
from pytest_netfault.report.timeline import Mark

__all__ = ["count_hidden", "shortened", "shown_items"]

# Of a long stream the first and the last so many are shown, and so many others that matter.
_ENDS = 100
_MATTERING = 50
_MOST = 2 * _ENDS + 2 * _MATTERING


def shown_items(run: Run) -> Sequence[int]:
    """The indexes of the deliveries that are shown, in order."""
    total = min(len(run.trace.stream), len(run.delivered_at))
    if total <= _MOST:
        return range(total)
    wrong = [one.item for one in run.verdict.evidence if one.item is not None and one.item < total]
    kept = {
        *range(_ENDS),
        *range(total - _ENDS, total),
        *wrong[:_MATTERING],
        *_first_arrivals(run)[:_MATTERING],
    }
    return sorted(kept)


def _first_arrivals(run: Run) -> list[int]:
    known: set[int] = set()
    first = []
    for number, item in enumerate(run.trace.stream[: len(run.delivered_at)]):
        revisions: set[int] = set()
        if isinstance(item, Delivered):
            revisions = {event.revision for event in item.events}
        elif isinstance(item, Resynced):
            revisions = {item.revision}
        if not revisions <= known:
            known |= revisions
            first.append(number)
    return first


def count_hidden(run: Run) -> int:
    """How many deliveries are not shown: those that were not kept, and the middle of what was."""
    total = min(len(run.trace.stream), len(run.delivered_at))
    return run.left_out + total - len(shown_items(run))


def shortened(marks: Sequence[Mark], what: str) -> list[Mark]:
    """The marks of one lane, in the order of their start, without the middle if there are too many.

    >>> marks = [Mark(str(n), "x", n, n, "") for n in range(1_000)]
    >>> short = shortened(marks, "ends")
    >>> len(short), short[150].label
    (301, '... and 700 more ends')
    """
    if len(marks) <= _MOST:
        return list(marks)
    half = _MOST // 2
    hidden = marks[half:-half]
    place = replace(
        Mark("", hidden[0].lane, hidden[0].start, hidden[0].start, ""),
        id=f"more {what}",
        label=f"... and {len(hidden):,} more {what}",
        row=hidden[0].row,
        shape="flag",
    )
    return [*marks[:half], place, *marks[-half:]]
