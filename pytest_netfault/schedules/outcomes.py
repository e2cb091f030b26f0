"""What writers were told, against what the store committed.

``put`` and ``delete`` make promises too: what they acknowledge is stored, what they reject is not, and nothing is
stored twice. These are their names among the broken guarantees:

writes.lost       a put was acknowledged, and the log does not have it.
writes.phantom    a put was rejected ("certainly not applied"), and the log has it.
writes.duplicate  the log has a put more often than it was asked for: somebody sent it again.

Puts are told apart by key and value, and values are unique but for the steps that repeat one, which are counted. A
delete that finds nothing leaves no trace in a log, so that deletes are not judged. A store without a log is judged by
what it holds in the end (``journal.py``).

Rules of this file: pure functions. A write with an unknown outcome may be in the log or not, and never counts
against its client.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_netfault.checks.trace import Revision
from pytest_netfault.schedules.recording import WriteRecord
from pytest_netfault.schedules.subject import OpenStore, WriteRejected

__all__ = ["WriteBreakage", "WriteGuarantee", "judge_writes", "rejections"]

WriteGuarantee = Literal["writes.lost", "writes.phantom", "writes.duplicate"]


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


def rejections(open_store: OpenStore) -> tuple[type[BaseException], ...]:
    """The exceptions by which a client says that a write was certainly not applied."""
    named: Any = getattr(open_store, "rejected", ())
    return (WriteRejected, *(named if isinstance(named, Iterable) else (named,)))


def judge_writes(writes: Sequence[WriteRecord], log: Iterable[Revision]) -> tuple[WriteBreakage, ...]:
    """Compare the outcomes with the log, which must have been read after the last outcome was known."""
    stored = Counter(
        (event.key, event.value or "") for entry in log for event in entry.events if event.type == "put"
    )
    told: dict[tuple[str, str], Counter[str]] = {}
    for write in writes:
        for key, value in write.changes:
            if value is not None:
                told.setdefault((key, value), Counter())[write.outcome] += 1
    return tuple(
        breakage
        for said, outcomes in told.items()
        if (breakage := _judge(*said, outcomes, stored[said])) is not None
    )


def _judge(key: str, value: str, outcomes: Counter[str], stored: int) -> WriteBreakage | None:
    acknowledged, rejected, unknown = (outcomes[name] for name in ("ok", "fail", "info"))
    if stored < acknowledged:
        return WriteBreakage(
            "writes.lost",
            key,
            value,
            f"put {key!r} = {value!r} was acknowledged {_times(acknowledged)}, and the log has it {_times(stored)}",
        )
    if stored <= acknowledged + unknown:
        return None
    if rejected and stored <= acknowledged + unknown + rejected:
        return WriteBreakage(
            "writes.phantom", key, value, f"put {key!r} = {value!r} was rejected, and the log has it"
        )
    return WriteBreakage(
        "writes.duplicate",
        key,
        value,
        f"put {key!r} = {value!r} was asked for {_times(outcomes.total())}, and the log has it {_times(stored)}",
    )


def _times(number: int) -> str:
    return ("never", "once", "twice")[number] if number < 3 else f"{number} times"
