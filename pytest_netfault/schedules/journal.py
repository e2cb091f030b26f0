"""The log that a store without one would have kept, from what writers were told, and from what the store holds.

Surely made is what was acknowledged; a delete only if its key was surely there, for of one that finds nothing nobody
is told. A write with an unknown outcome counts as made as soon as it was handed over, or when the store holds its value
and nobody else wrote that.

Writes stand in the order in which they were issued. Two that were under way together may have taken effect the other
way round. Where it matters (``latest-value``), what a key ended with tells which came last: what the store holds, or,
where nobody can look, what the subscriber said last, which has the benefit of the doubt.

Rules of this file: pure functions. A key that the store does not hold accuses nobody: it may have expired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pytest_netfault.checks.trace import LogEvent, Promise, Revision
from pytest_netfault.schedules.outcomes import WriteBreakage
from pytest_netfault.schedules.recording import WriteRecord
from pytest_netfault.schedules.subject import Delivery

__all__ = ["Held", "journal", "judge_held"]

Change = tuple[str, "str | None"]

#: What the store holds of the keys that were looked at; None for one that is not there.
Held = Mapping[str, "str | None"]


def journal(
    writes: Sequence[WriteRecord],
    handed: Sequence[Delivery],
    held: Held | None = None,
    promise: Promise = "every-event",
) -> tuple[Revision, ...]:
    """The writes that were made, as far as anybody knows; the n-th write that was issued is revision n + 1.

    Args:
        writes: all of them, in the order of issue.
        handed: what the subscriber was handed.
        held: what the store held, if somebody looked.
        promise: what the subscriber was promised.

    >>> late, second = (WriteRecord(n, "link", (("k", str(n)),), "info", 0.0, None) for n in (1, 2))
    >>> [entry.revision for entry in journal([late, second], (), {"k": "2"})]
    [3]
    """
    made = _surely_made(writes)
    _add_handed(made, writes, handed)
    _add_held(made, writes, held or {})
    rows = [
        [change for change in write.changes if change in there]
        for write, there in zip(writes, made, strict=True)
    ]
    if promise == "latest-value":
        for change in (_last_said(handed) if held is None else held).items():
            _put_last(rows, writes, change)
    return tuple(
        Revision(
            revision, tuple(LogEvent("delete" if value is None else "put", key, value) for key, value in row)
        )
        for revision, row in enumerate(rows, start=2)
        if row
    )


def judge_held(writes: Sequence[WriteRecord], held: Held) -> tuple[WriteBreakage, ...]:
    """Compare the outcomes with what the store held after the last of them was known.

    >>> writes = [WriteRecord(n, "link", (("k", str(n)),), "ok", n, n + 0.5) for n in (1, 2)]
    >>> print(*judge_held(writes, {"k": "1"}))
    writes.lost: put 'k' = '2' was acknowledged, and at the end the store holds '1', which is older
    """
    breakages = []
    for key, value in held.items():
        asked = [write for write in writes if value is not None and (key, value) in write.changes]
        makers = [write for write in asked if write.outcome != "fail"]
        if not asked:
            continue  # a key that is not there may have expired; a value of somebody else says nothing
        if not makers:
            words = f"put {key!r} = {value!r} was rejected, and at the end the store holds it"
            breakages.append(WriteBreakage("writes.phantom", key, value, words))
        elif newest := _newest_behind(makers, writes, key):
            what = f"delete {key!r}" if newest[1] is None else f"put {key!r} = {newest[1]!r}"
            words = f"{what} was acknowledged, and at the end the store holds {value!r}, which is older"
            breakages.append(WriteBreakage("writes.lost", *newest, words))
    return tuple(breakages)


def _newest_behind(makers: Iterable[WriteRecord], writes: Sequence[WriteRecord], key: str) -> Change | None:
    """The last acknowledged change of a key that began when all of these had been acknowledged."""
    behind = [
        change
        for write in writes
        if write.outcome == "ok" and all(_surely_before(one, write) for one in makers)
        for change in write.changes
        if change[0] == key
    ]
    return behind[-1] if behind else None


def _surely_before(first: WriteRecord, second: WriteRecord) -> bool:
    """Whether one was acknowledged before the other began; what was not may take effect at any later moment."""
    return (
        first.outcome == "ok"
        and first.ended is not None
        and second.begun is not None
        and first.ended <= second.begun
    )


def _surely_made(writes: Iterable[WriteRecord]) -> list[set[Change]]:
    there: dict[str, bool] = {}  # of a key that is not in it nobody knows
    surely = []
    for write in writes:
        made = set()
        for key, value in write.changes:
            if write.outcome == "ok":
                if value is not None or there.get(key, False):
                    made.add((key, value))
                there[key] = value is not None
            elif write.outcome == "info":
                there.pop(key, None)
        surely.append(made)
    return surely


def _add_handed(made: list[set[Change]], writes: Sequence[WriteRecord], handed: Sequence[Delivery]) -> None:
    """What may have been made was made if it was handed over more often than it was surely made."""
    spare = Counter((event.key, event.value) for delivery in handed for event in delivery.events or ())
    spare.subtract(change for there in made for change in there)
    for write, there in zip(writes, made, strict=True):
        for change in write.changes:
            if change not in there and write.outcome != "fail" and spare[change] > 0:
                spare[change] -= 1
                there.add(change)


def _add_held(made: list[set[Change]], writes: Sequence[WriteRecord], held: Held) -> None:
    for change in held.items():
        if change[1] is None or any(change in there for there in made):
            continue
        for write, there in zip(reversed(writes), reversed(made), strict=True):
            if change in write.changes and write.outcome == "info":
                there.add(change)
                break


def _last_said(handed: Iterable[Delivery]) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    for delivery in handed:
        if delivery.resync is not None:
            said = dict.fromkeys(said) | dict(delivery.resync.kvs)
        for event in delivery.events or ():
            said[event.key] = event.value
    return said


def _put_last(rows: list[list[Change]], writes: Sequence[WriteRecord], change: Change) -> None:
    """Let the key end with this change, if one that made it may have taken effect behind all others of the key."""
    of_key = [index for index, row in enumerate(rows) if any(key == change[0] for key, _ in row)]
    makers = [index for index in of_key if change in rows[index]]
    if not makers or makers[-1] == of_key[-1]:
        return
    last = makers[-1]
    if not any(_surely_before(writes[last], writes[index]) for index in of_key if index > last):
        rows[last].remove(change)
        rows[of_key[-1]].append(change)
