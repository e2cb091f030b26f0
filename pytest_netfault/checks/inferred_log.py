"""The log that a store without one would have kept, inferred from the outcomes of writes and from what the store holds.

A write is certain if it was acknowledged; a delete only if its key certainly existed: put before the delete began, with
no other delete that may lie between (a delete that finds nothing delivers nothing). A write of unknown outcome counts
as made once it was delivered, or if the store holds its value and no other write explains that.

Writes are in the order of issue. Two concurrent ones may have taken effect in the other order. Where it matters
(``latest-value``, ``latest-per-key``), the final value of a key shows which came last: what the store holds, or what
was delivered last, which has the benefit of the doubt where the store was not read, and where a write of unknown
outcome may have taken effect after it was.

Such a log proves three things (``PROVABLE``): what was made during the subscription must arrive (``complete``), and
nothing may arrive that was never written or was rejected (``phantom``, ``filter``). Order, repeats, bookmarks and
snapshots are not judged, because the order in which two concurrent writes took effect is unknown.

A key that the store does not hold is no evidence: it may have expired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from pytest_netfault.checks.promises import DECLARED
from pytest_netfault.checks.trace import (
    Delivered,
    LogEvent,
    Promise,
    Resynced,
    Revision,
    StreamItem,
    UnplacedDelivery,
    UnplacedSnapshot,
)
from pytest_netfault.checks.trace_verdict import Guarantee
from pytest_netfault.checks.writes import Change, Held, Written, surely_before

__all__ = ["PROVABLE", "Hiding", "change_of", "infer_log"]

#: The guarantees of a subscription that can be broken where the log was inferred.
PROVABLE: tuple[Guarantee, ...] = ("complete", "phantom", "filter")


def infer_log(
    writes: Sequence[Written],
    stream: Iterable[StreamItem],
    held: Held | None = None,
    promise: Promise = "every-event",
) -> tuple[Revision, ...]:
    """The writes that were made, as far as anybody knows; the n-th write that was issued is revision n + 1.

    Args:
        writes: all of them, in the order of issue.
        stream: what was delivered to the subscriber; its revisions are ignored.
        held: what the store held; None if it was not read.
        promise: what the subscriber was promised.

    >>> from pytest_netfault.checks.writes import Acknowledgement
    >>> late, second = (Acknowledgement((("k", str(n)),), "info", 0.0, None) for n in (1, 2))
    >>> [entry.revision for entry in infer_log([late, second], (), {"k": "2"})]
    [3]
    """
    stream = tuple(stream)
    made = _surely_made(writes)
    _add_delivered(made, writes, stream)
    _add_held(made, writes, held or {})
    rows = [
        [change for change in write.changes if change in there]
        for write, there in zip(writes, made, strict=True)
    ]
    if DECLARED[promise].states:
        for change in _last_of_each(writes, stream, held).items():
            _put_last(rows, writes, change)
    return tuple(
        Revision(
            revision, tuple(LogEvent("delete" if value is None else "put", key, value) for key, value in row)
        )
        for revision, row in enumerate(rows, start=2)
        if row
    )


def change_of(event: tuple[str, str, str | None] | tuple[str, str, str | None, int]) -> Change:
    """The change that an event tells of, however it writes a delete."""
    return event[1], None if event[0] == "delete" else event[2]


class Hiding:
    """Which writes a snapshot may have hidden: those that it shows, and those that were overwritten before it.

    A write is hidden if what the snapshot shows of its key may have been made after it. What the snapshot surely came
    before must still arrive.
    """

    def __init__(self, writes: Sequence[Written]) -> None:
        self._writes = writes
        self._makers: dict[Change, list[Written]] = {}
        for write in writes:
            if write.outcome != "fail":
                for change in write.changes:
                    self._makers.setdefault(change, []).append(write)

    def hides(self, kvs: Mapping[str, str], revision: int, key: str) -> bool:
        """Whether a snapshot of this state may come after what the write of this revision did to a key.

        >>> from pytest_netfault.checks.writes import Acknowledgement
        >>> first, second = (Acknowledgement((("k", str(n)),), "ok", n, n + 0.5) for n in (1, 2))
        >>> hiding = Hiding([first, second])
        >>> [hiding.hides({"k": "1"}, revision, "k") for revision in (2, 3)]
        [True, False]
        """
        write = self._writes[revision - 2]
        makers = self._makers.get((key, kvs.get(key)), ())
        return any(maker is write or not surely_before(maker, write) for maker in makers)


def _surely_made(writes: Sequence[Written]) -> list[set[Change]]:
    deletes = [write for write in writes if any(value is None for _, value in write.changes)]
    return [
        {
            change
            for change in write.changes
            if write.outcome == "ok"
            and (change[1] is not None or _surely_there(change[0], write, writes, deletes))
        }
        for write in writes
    ]


def _surely_there(key: str, delete: Written, writes: Sequence[Written], deletes: Sequence[Written]) -> bool:
    """Whether the key was surely there when it was deleted: put before, and not deleted by another in between."""
    others = [
        one for one in deletes if one is not delete and one.outcome != "fail" and (key, None) in one.changes
    ]
    return any(
        surely_before(put, delete)
        and all(surely_before(one, put) or surely_before(delete, one) for one in others)
        for put in writes
        if any(name == key and value is not None for name, value in put.changes)
    )


def _events(stream: Iterable[StreamItem]) -> Iterable[Change]:
    for item in stream:
        if isinstance(item, (Delivered, UnplacedDelivery)):
            yield from map(change_of, item.events)


def _add_delivered(made: list[set[Change]], writes: Sequence[Written], stream: Iterable[StreamItem]) -> None:
    """A write of unknown outcome was made if its change was delivered more often than it was certainly made."""
    spare = Counter(_events(stream))
    spare.subtract(change for there in made for change in there)
    for write, there in zip(writes, made, strict=True):
        for change in write.changes:
            if change not in there and write.outcome != "fail" and spare[change] > 0:
                spare[change] -= 1
                there.add(change)


def _add_held(made: list[set[Change]], writes: Sequence[Written], held: Held) -> None:
    """What the store holds was written: of several candidates by the first, which had to be delivered least surely."""
    for change in held.items():
        if change[1] is None or any(change in there for there in made):
            continue
        for write, there in zip(writes, made, strict=True):
            if change in write.changes and write.outcome == "info":
                there.add(change)
                break


def _last_said(stream: Iterable[StreamItem]) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    for item in stream:
        if isinstance(item, (Resynced, UnplacedSnapshot)):
            said = dict.fromkeys(said) | dict(item.kvs)
        elif isinstance(item, (Delivered, UnplacedDelivery)):
            said.update(map(change_of, item.events))
    return said


def _last_of_each(
    writes: Sequence[Written], stream: Iterable[StreamItem], held: Held | None
) -> dict[str, str | None]:
    """What each key ended with: what was held, unless what was said may have been made since."""
    said = _last_said(stream)
    if held is None:
        return said
    return {**held, **{key: value for key, value in said.items() if _may_be_made_late(writes, (key, value))}}


def _may_be_made_late(writes: Iterable[Written], change: Change) -> bool:
    """Whether a write of unknown outcome makes this change: it may take effect behind all others."""
    return any(write.outcome == "info" and change in write.changes for write in writes)


def _put_last(rows: list[list[Change]], writes: Sequence[Written], change: Change) -> None:
    """Let the key end with this change, if one that made it may have taken effect behind all others of the key."""
    of_key = [index for index, row in enumerate(rows) if any(key == change[0] for key, _ in row)]
    makers = [index for index in of_key if change in rows[index]]
    if not makers or makers[-1] == of_key[-1]:
        return
    last = makers[-1]
    if _may_be_made_late(writes, change) or not any(
        surely_before(writes[last], writes[index]) for index in of_key if index > last
    ):
        rows[last].remove(change)
        rows[of_key[-1]].append(change)
