"""The verdict on a trace: which guarantees are broken, where, and what was lost.

The rules of each guarantee, and the reasons for them, are in ``guarantees.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_netfault.checks.trace import Revision, Trace, TraceEvent
from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.checks.writes import WriteBreakage, WriteGuarantee
from pytest_netfault.common.wording import counted

__all__ = ["GUARANTEES", "MAX_EVIDENCE", "Breakage", "Guarantee", "TraceVerdict"]

Guarantee = Literal[
    "reliable",
    "complete",
    "unique",
    "ordered",
    "atomic",
    "bookmarkable",
    "resync",
    "filter",
    "phantom",
    "before_start",
]
GUARANTEES: tuple[Guarantee, ...] = get_args(Guarantee)

# Evidence is for people. Beyond this many of one kind breakages are only counted, so that a subscriber that replays a
# million changes does not make a million sentences.
MAX_EVIDENCE = 1_000


@dataclass(frozen=True)
class Breakage:
    """One place where a guarantee was broken.

    Attributes:
        guarantee: which one.
        item: the index in the stream where it showed; None where it showed at the end.
        revision: the revision concerned, if it is about one.
        key: the key concerned, if it is about one.
        sentence: what happened.
        items: the indexes in the stream of all items that the sentence names.
    """

    guarantee: Guarantee
    item: int | None
    revision: int | None
    key: str | None
    sentence: str
    items: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.sentence}"


@dataclass(frozen=True)
class TraceVerdict:
    """The verdict on a trace.

    Attributes:
        id: that of the trace.
        broken: the broken guarantees, those of the subscription in the order of ``GUARANTEES``, then those of the
            writes; empty when all hold.
        evidence: one for each breakage of the subscription, in the order of the stream, at most ``MAX_EVIDENCE`` of a
            kind.
        counts: how often each broken guarantee was broken.
        lost: what had to be delivered and never arrived.
        open_tail: how many changes were still to come when the run was stopped early.
        trace: what was judged: the trace with a revision for everything, and the part of the log that had to be
            delivered.
        log: the whole log; inferred where the store keeps none.
        writes: where the outcome of a write was not what its client reported.
        inconclusive: why the run tested nothing, where it did not.
    """

    id: str | None
    broken: tuple[Guarantee | WriteGuarantee, ...]
    evidence: tuple[Breakage, ...]
    counts: Mapping[Guarantee | WriteGuarantee, int]
    lost: tuple[TraceEvent, ...]
    open_tail: int
    trace: Trace
    log: tuple[Revision, ...]
    writes: tuple[WriteBreakage, ...] = ()
    inconclusive: str | None = None

    @property
    def verdict(self) -> VerdictName:
        """``"broken"`` if anything is; ``"inconclusive"`` with an open tail or another reason; else ``"kept"``."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.open_tail or self.inconclusive is not None else "kept"

    def to_json(self) -> dict[str, Any]:
        """``verdict``, and the names of the broken guarantees."""
        return {"verdict": self.verdict, "broken": list(self.broken)}

    def lines(self) -> list[str]:
        """The verdict, and the first breakage of each guarantee with the number of the others."""
        if self.verdict == "kept":
            return ["kept"]
        if self.verdict == "inconclusive":
            reason = f"stopped before all was quiet, with {counted(self.open_tail, 'change')} to come"
            return [f"inconclusive: {self.inconclusive or reason}"]
        return [f"broken: {', '.join(self.broken)}", *map(self._first_breakage, self.broken)]

    def _first_breakage(self, guarantee: Guarantee | WriteGuarantee) -> str:
        breakages: tuple[Breakage | WriteBreakage, ...] = (*self.evidence, *self.writes)
        first = next(one for one in breakages if one.guarantee == guarantee)
        more = self.counts[guarantee] - 1
        return f"    {first}" + (f"; and {more:,} more" if more else "")
