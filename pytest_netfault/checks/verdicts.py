"""What a judgement of a trace comes to: which guarantees are broken, where, and what was lost.

Rules of this file: frozen data. The rules of each guarantee, and the reasons for them, stand in ``guarantees.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_netfault.checks.trace import Revision, Trace, TraceEvent
from pytest_netfault.checks.writes import WriteBreakage, WriteGuarantee

__all__ = ["GUARANTEES", "MAX_EVIDENCE", "Breakage", "Guarantee", "TraceVerdict", "Verdict"]

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

Verdict = Literal["kept", "broken", "inconclusive"]

# Evidence is for people. Beyond this many of one kind only the count goes on, so that a subscriber that replays a
# million changes does not turn into a million sentences.
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
    """

    guarantee: Guarantee
    item: int | None
    revision: int | None
    key: str | None
    sentence: str

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.sentence}"


@dataclass(frozen=True)
class TraceVerdict:
    """What became of the guarantees.

    Attributes:
        id: that of the trace.
        broken: the broken guarantees, those of the subscription in the order of ``GUARANTEES``, then those of the
            writes; empty when all hold.
        evidence: one for each breakage of the subscription, in the order of the stream, at most ``MAX_EVIDENCE`` of a
            kind.
        counts: how often each broken guarantee was broken.
        lost: what was owed and never arrived.
        open_tail: how much had not arrived when the run was stopped before things were quiet.
        writes: where what a writer was told is not what the store did.
        trace: what was judged: the trace with a revision for everything, and the log that was owed.
        log: the whole log, also what was not owed; inferred where the store keeps none.
        inconclusive: why nothing that is kept was put to the test; None if it was.
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
    def verdict(self) -> Verdict:
        """``"broken"`` if anything is; ``"inconclusive"`` with an open tail or another reason; else ``"kept"``."""
        if self.broken:
            return "broken"
        return "inconclusive" if self.open_tail or self.inconclusive is not None else "kept"
