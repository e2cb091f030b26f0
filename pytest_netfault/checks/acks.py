"""Acknowledged writes against what arrived: for stores that expose no revision.

The writes were issued one after another, each with a value of its own, so that a value identifies its write. What was
delivered is compared with the outcomes of the writes, and a read at the end, over an undisturbed connection, settles
what it can.

    verdict = judge_acks(Acks.from_json(document))
    verdict.verdict     # "kept", "broken" or "inconclusive"
    verdict.lost        # the ids of writes that were made and never arrived

The rules, and the reasons where a choice was made
--------------------------------------------------
lost                 The write was made and was never delivered: it was acknowledged, or its outcome was unknown and
                     the final read shows it. Also: it was acknowledged and the final read shows an older
                     acknowledged value of its key, so that the store itself has lost it. A key that is absent from
                     the final read is no evidence of a loss: it may have expired.
phantom              A write that certainly did not happen (``fail``) was delivered, or is in the final read; or a
                     value was delivered that nobody wrote, named by key and value because it has no id.
duplicate            It was delivered more than once. This breaks nothing: a client that retries a write whose
                     outcome is unknown makes a second one.
unknown_applied      Outcome unknown; it was delivered, or the final read shows it.
unknown_not_applied  Outcome unknown, never delivered, all was quiet, and the final read shows that it was not made:
                     it shows a value acknowledged before the write was issued, or, for a key of which nothing
                     was acknowledged, none of its values. (An older value of unknown outcome proves nothing: it
                     may have been applied late, on top of this one.)
undetermined         Anything else that was not delivered: an unknown outcome without a final read, or overwritten
                     by a later write; and, if the run was stopped early, a write that may still have been in
                     transit: one with no later write of its key delivered.

A write can be in two lists (``unknown_applied`` and ``duplicate``; ``unknown_applied`` and ``lost``).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_netfault.checks.reading import OUTCOMES, FormatError, Outcome, Path, location, quoted, wrong
from pytest_netfault.checks.values import freeze
from pytest_netfault.checks.verdict import VerdictName, abridged
from pytest_netfault.common.renamed import renamed

__all__ = ["AckVerdict", "Acks", "Pair", "UniqueWrite", "judge_acks"]

if not TYPE_CHECKING:
    __getattr__ = renamed(__name__, AckReport="AckVerdict", Write="UniqueWrite")

# The lists of a verdict, in the order in which they are shown.
_LISTS = ("lost", "phantom", "duplicate", "unknown_applied", "unknown_not_applied", "undetermined")
_MOST_IDS = 10


@dataclass(frozen=True)
class UniqueWrite:
    """One write: its id, what it wrote (a value that no other write of the key has), and its outcome."""

    id: Any
    key: str
    value: Any
    outcome: Outcome


@dataclass(frozen=True)
class Pair:
    """A key with a value, as it was delivered."""

    key: str
    value: Any


@dataclass(frozen=True)
class Acks:
    """Writes with their outcomes, and what was delivered of them to a subscriber.

    Attributes:
        writes: in the order of issue. Ids are unique, and so are the values of a key.
        delivered: in the order of arrival.
        final_read: what the store held in the end, or None if it was not read. An absent key had no value.
        quiet_at_end: False if the run was stopped before things were quiet.
        id: a name for reports.

    Raises:
        FormatError: an id, or a value of a key, is there twice.
    """

    writes: tuple[UniqueWrite, ...]
    delivered: tuple[Pair, ...]
    final_read: Mapping[str, Any] | None
    quiet_at_end: bool
    id: str | None = None

    def __post_init__(self) -> None:
        ids: set[Hashable] = set()
        values: set[Hashable] = set()
        for index, write in enumerate(self.writes):
            if write.outcome not in OUTCOMES:
                raise wrong(("writes", index, "outcome"), '"ok", "fail" or "info"', write.outcome)
            name, value = freeze(write.id), (write.key, freeze(write.value))
            if name in ids:
                raise _repeated(("writes", index, "id"), write.id, "ids are unique")
            if value in values:
                raise _repeated(("writes", index, "value"), write.value, "the values of a key are unique")
            ids.add(name)
            values.add(value)

    @classmethod
    def from_json(cls, document: object, path: Path = ()) -> Acks:
        """Read a decoded JSON object; ``path`` is its place in the document, for the errors.

        Raises:
            FormatError: a member is missing or is not what the format says.
        """
        from pytest_netfault.checks.acks_json import read_acks

        return read_acks(document, path)


@dataclass(frozen=True)
class AckVerdict:
    """The ids of writes by what became of them, each list in the order of issue.

    ``phantom`` holds ids, and a :class:`Pair` for each value that nobody wrote.
    """

    id: str | None
    lost: tuple[Any, ...]
    phantom: tuple[Any, ...]
    duplicate: tuple[Any, ...]
    unknown_applied: tuple[Any, ...]
    unknown_not_applied: tuple[Any, ...]
    undetermined: tuple[Any, ...]
    acknowledged: int

    @property
    def verdict(self) -> VerdictName:
        """Broken if anything is lost or phantom; inconclusive if something is open or nothing was acknowledged."""
        if self.lost or self.phantom:
            return "broken"
        return "inconclusive" if self.undetermined or not self.acknowledged else "kept"

    def lists(self) -> dict[str, list[Any]]:
        """The six lists as plain objects, ready for ``json.dumps``."""
        return {
            name: [
                {"key": one.key, "value": one.value} if isinstance(one, Pair) else one
                for one in getattr(self, name)
            ]
            for name in _LISTS
        }

    def to_json(self) -> dict[str, Any]:
        """``verdict``, and the six lists."""
        return {"verdict": self.verdict, **self.lists()}

    def lines(self) -> list[str]:
        """The verdict, and the ids of each list that has any."""
        lists = {name: ids for name, ids in self.lists().items() if ids}
        reason = ""
        if self.verdict == "broken":
            reason = f": {', '.join(name for name in ('lost', 'phantom') if name in lists)}"
        elif self.verdict == "inconclusive":
            reason = ": some writes are undetermined" if self.undetermined else ": no write was acknowledged"
        return [
            f"{self.verdict}{reason}",
            *(f"    {name}: {abridged(list(map(quoted, ids)), _MOST_IDS)}" for name, ids in lists.items()),
        ]


def judge_acks(acks: Acks) -> AckVerdict:
    """Say of each write what became of it, in time proportional to what is there.

    >>> writes = (UniqueWrite(1, "k", "a", "ok"), UniqueWrite(2, "k", "b", "info"), UniqueWrite(3, "k", "c", "ok"))
    >>> verdict = judge_acks(Acks(writes, (Pair("k", "a"),), {"k": "c"}, quiet_at_end=True))
    >>> verdict.verdict, verdict.lost, verdict.undetermined
    ('broken', (3,), (2,))
    """
    by_value = {(write.key, freeze(write.value)): index for index, write in enumerate(acks.writes)}
    times = [0] * len(acks.writes)
    furthest: dict[str, int] = {}  # key -> the latest of its writes that was delivered
    phantom: list[Any] = []
    unknown: set[Hashable] = set()
    for pair in acks.delivered:
        name = (pair.key, freeze(pair.value))
        index = by_value.get(name)
        if index is None:
            if name not in unknown:
                unknown.add(name)
                phantom.append(pair)
            continue
        times[index] += 1
        furthest[pair.key] = max(furthest.get(pair.key, -1), index)
        if acks.writes[index].outcome == "fail" and times[index] == 1:
            phantom.append(acks.writes[index].id)

    final = _Final(acks, by_value)
    lists: dict[str, list[Any]] = {
        name: [] for name in ("lost", "duplicate", "unknown_applied", "unknown_not_applied", "undetermined")
    }
    for index, write in enumerate(acks.writes):
        if write.outcome == "fail":
            if final.shows(index) and not times[index]:
                phantom.append(write.id)
            continue
        if times[index] > 1:
            lists["duplicate"].append(write.id)
        if write.outcome == "info":
            if times[index] or final.shows(index):
                lists["unknown_applied"].append(write.id)
            else:
                refuted = acks.quiet_at_end and final.refutes(index)
                lists["unknown_not_applied" if refuted else "undetermined"].append(write.id)
                continue
        # From here on the write was made, for certain.
        if write.outcome == "ok" and final.undoes(index):
            lists["lost"].append(write.id)
        elif not times[index]:
            # Once a later write of the key has arrived, nothing earlier of it is still on its way.
            overtaken = furthest.get(write.key, -1) > index
            lists["lost" if acks.quiet_at_end or overtaken else "undetermined"].append(write.id)
    return AckVerdict(
        acks.id,
        tuple(lists["lost"]),
        tuple(phantom),
        tuple(lists["duplicate"]),
        tuple(lists["unknown_applied"]),
        tuple(lists["unknown_not_applied"]),
        tuple(lists["undetermined"]),
        sum(write.outcome == "ok" for write in acks.writes),
    )


class _Final:
    """What the final read says about a write, by its index."""

    def __init__(self, acks: Acks, by_value: Mapping[tuple[str, Hashable], int]) -> None:
        self._writes = acks.writes
        self._looked = acks.final_read is not None
        self._acknowledged = {write.key for write in acks.writes if write.outcome == "ok"}
        # key -> the write whose value the store held in the end
        self._index = {
            key: by_value[key, freeze(value)]
            for key, value in (acks.final_read or {}).items()
            if value is not None and (key, freeze(value)) in by_value
        }

    def shows(self, index: int) -> bool:
        """The store held the value of this write."""
        return self._index.get(self._writes[index].key) == index

    def undoes(self, index: int) -> bool:
        """The store held the value of an acknowledged write of the key, issued before this one."""
        final = self._index.get(self._writes[index].key, index)
        return final < index and self._writes[final].outcome == "ok"

    def refutes(self, index: int) -> bool:
        """A write of unknown outcome was not made."""
        key = self._writes[index].key
        if key in self._index:
            return self.undoes(index)
        # No write of the key is to be seen. Where one was acknowledged the key was lost or has expired, and
        # with it the answer; otherwise none was made.
        return self._looked and key not in self._acknowledged


def _repeated(path: Path, value: object, rule: str) -> FormatError:
    return FormatError(f"{location(path)} is {quoted(value)} a second time, and {rule}", path)
