"""The outcomes of writes, against what the store committed, or against what it held in the end.

``put`` and ``delete`` make promises too: what they acknowledge is stored, what they reject is not, and nothing is
stored twice. These are their names among the broken guarantees:

writes.lost       a put was acknowledged, and the log does not have it; or, without a log, a change was acknowledged and
                  the store holds a value that had been acknowledged before the change began.
writes.phantom    a put was rejected ("certainly not applied"), and the log has it, or the store holds it.
writes.duplicate  the log has a put more often than it was issued: it was sent again.

Puts are identified by key and value, and values are unique but for the steps that repeat one, which are counted. A
delete that finds nothing is not in a log, so that deletes are not compared with it.

A write of unknown outcome may have been made or not, at any moment after it began, and never counts against its client.
A key that the store does not hold is no evidence: it may have expired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from pytest_netfault.checks.reading import Outcome
from pytest_netfault.common.renamed import renamed

if TYPE_CHECKING:
    from pytest_netfault.checks.trace import Revision

__all__ = [
    "WRITE_GUARANTEES",
    "Acknowledgement",
    "Change",
    "Held",
    "Outcome",
    "WriteBreakage",
    "WriteGuarantee",
    "Written",
    "judge_held",
    "judge_writes",
    "surely_before",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(__name__, Write="Acknowledgement")

WriteGuarantee = Literal["writes.lost", "writes.phantom", "writes.duplicate"]
WRITE_GUARANTEES: tuple[WriteGuarantee, ...] = get_args(WriteGuarantee)

#: A key with its new value; None deletes.
Change = tuple[str, "str | None"]

#: What the store holds of the keys that were looked at; None for one that is not there.
Held = Mapping[str, "str | None"]


class Written(Protocol):
    """What is asked of a write here; :class:`Acknowledgement` is one."""

    @property
    def changes(self) -> tuple[Change, ...]: ...
    @property
    def outcome(self) -> Outcome: ...
    @property
    def begun(self) -> float | None: ...
    @property
    def ended(self) -> float | None: ...


@dataclass(frozen=True)
class Acknowledgement:
    """One write, and its outcome for the caller.

    Attributes:
        changes: full keys with their new values; None deletes.
        outcome: ``"ok"``, ``"fail"`` (certainly not applied), or ``"info"`` (unknown).
        begun: when it was issued, in seconds from any origin; None if that is unknown.
        ended: when the caller had its outcome; None if that is unknown, or if it never had.
    """

    changes: tuple[Change, ...]
    outcome: Outcome
    begun: float | None = None
    ended: float | None = None


@dataclass(frozen=True)
class WriteBreakage:
    """One write whose outcome was not what its client said.

    Attributes:
        guarantee: which promise was broken.
        key: the full key.
        value: what was put; None for a delete.
        sentence: what happened.
    """

    guarantee: WriteGuarantee
    key: str
    value: str | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.sentence}"


def surely_before(first: Written, second: Written) -> bool:
    """Whether one was acknowledged before the other began; what was not may take effect at any later moment."""
    return (
        first.outcome == "ok"
        and first.ended is not None
        and second.begun is not None
        and first.ended <= second.begun
    )


# -- against a log ----------------------------------------------------------------------------------------------


def judge_writes(writes: Sequence[Written], log: Iterable[Revision]) -> tuple[WriteBreakage, ...]:
    """Compare the outcomes with the log, which must have been read after the last outcome was known."""
    stored = Counter(
        (event.key, event.value or "") for entry in log for event in entry.events if event.type == "put"
    )
    outcomes_of: dict[tuple[str, str], Counter[str]] = {}
    for write in writes:
        for key, value in write.changes:
            if value is not None:
                outcomes_of.setdefault((key, value), Counter())[write.outcome] += 1
    return tuple(
        breakage
        for said, outcomes in outcomes_of.items()
        if (breakage := _judge(*said, outcomes, stored[said])) is not None
    )


def _judge(key: str, value: str, outcomes: Counter[str], stored: int) -> WriteBreakage | None:
    acknowledged, rejected, unknown = (outcomes[name] for name in ("ok", "fail", "info"))
    put = f"put {key!r} = {value!r}"
    if stored < acknowledged:
        words = f"{put} was acknowledged {_times(acknowledged)}, and the log has it {_times(stored)}"
        return WriteBreakage("writes.lost", key, value, words)
    if stored <= acknowledged + unknown:
        return None
    if rejected and stored <= acknowledged + unknown + rejected:
        return WriteBreakage("writes.phantom", key, value, f"{put} was rejected, and the log has it")
    asked = sum(outcomes.values())
    words = f"{put} was asked for {_times(asked)}, and the log has it {_times(stored)}"
    return WriteBreakage("writes.duplicate", key, value, words)


def _times(number: int) -> str:
    return ("never", "once", "twice")[number] if number < 3 else f"{number} times"


# -- against what the store holds -------------------------------------------------------------------------------


def judge_held(writes: Sequence[Written], held: Held) -> tuple[WriteBreakage, ...]:
    """Compare the outcomes with what the store held after the last of them was known.

    >>> writes = [Acknowledgement((("k", str(n)),), "ok", n, n + 0.5) for n in (1, 2)]
    >>> print(*judge_held(writes, {"k": "1"}))
    writes.lost: put 'k' = '2' was acknowledged, and at the end the store holds '1', which is older
    """
    breakages = []
    for key, value in held.items():
        asked = [write for write in writes if value is not None and (key, value) in write.changes]
        makers = [write for write in asked if write.outcome != "fail"]
        if not asked:
            continue  # a key that is not there may have expired; a value of another writer is no evidence
        if not makers:
            words = f"put {key!r} = {value!r} was rejected, and at the end the store holds it"
            breakages.append(WriteBreakage("writes.phantom", key, value, words))
        elif newest := _newest_behind(makers, writes, key):
            what = f"delete {key!r}" if newest[1] is None else f"put {key!r} = {newest[1]!r}"
            words = f"{what} was acknowledged, and at the end the store holds {value!r}, which is older"
            breakages.append(WriteBreakage("writes.lost", *newest, words))
    return tuple(breakages)


def _newest_behind(makers: Iterable[Written], writes: Sequence[Written], key: str) -> Change | None:
    """The last acknowledged change of a key that began when all of these had been acknowledged."""
    behind = [
        change
        for write in writes
        if write.outcome == "ok" and all(surely_before(one, write) for one in makers)
        for change in write.changes
        if change[0] == key
    ]
    return behind[-1] if behind else None
