"""Which guarantees of a subscription a trace breaks.

    verdict = judge_trace(trace)
    verdict.verdict     # "kept", "broken" or "inconclusive"
    verdict.broken      # ("reliable", "complete")
    verdict.evidence    # for each: which item of the stream, which revision, which key, one sentence
    verdict.lost        # the changes that never arrived

The names of most guarantees, and the idea that each is judged on its own, come from etcd's promise for watches
(etcd.io, "KV API guarantees"). Each delivered change is looked up in the log by revision, key, type and
value. From there on a guarantee asks only its own question, so that one mistake may break several of them.

The rules, and the reasons where a choice was made
--------------------------------------------------
phantom       The log has no such change. It counts for nothing else: the true change stays outstanding, and the
              cursor does not move. That holds also below the start: what the log does not have cannot be
              distinguished from an invention.
filter        The change is real and outside the subscription. It was delivered nevertheless, so that it can also go
              back, or come twice. Such a key in a snapshot is ``resync``: a snapshot is judged as a whole.
before_start  The change is real and at or below the start. A snapshot is not: older state may come first, as one.
unique        The same change was delivered again. A snapshot starts over: what lies above it may come again,
              once. A revision that repeats a change has as many of it as the log says.
ordered       Its revision is below one that was delivered before (also if it is a repeat: replaying an old value is
              going back), or is at or below the last snapshot; or it is delivered for the first time after a
              later change of its own revision. A repeat inside the newest revision is ``unique``
              only: the subscriber did not leave the revision. A snapshot goes back if its revision is below
              that of a change or a snapshot before it, or below the start.
atomic        Changes of one revision first arrived in different deliveries. Repeats do not count.
reliable      After a delivery something is outstanding below a change that was in it. This is checked at the end of
              the delivery, because order inside it is ``ordered``. Arriving late does not repair it.
complete      Quiet at the end, and something is outstanding: the tail, or a gap that never closed. A gap is
              therefore both ``reliable`` and ``complete``, and one that closed too late ``reliable`` alone.
bookmarkable  A bookmark below an earlier bookmark, below a delivered change or a snapshot; a bookmark with something
              outstanding at or below it; a change at or below an earlier bookmark, also if it is a repeat.
resync        A snapshot is not the state of the log at its revision, limited to the subscription. If the log
              begins after the store had had a life of its own (its first revision lies above a start that is
              itself above 1, the revision of an empty etcd) and the trace does not say what was there
              (``initial``), then a key that the log has not mentioned yet may have any value.

What a snapshot skips is everything outstanding between the *cursor* (the newest delivered change or snapshot, or the
start) and its revision. It is excused if nothing but disconnects (and empty deliveries) came before; if a compaction
at or above the cursor had happened by then (after ``after_item`` or fewer items of the stream); or if the store had
been replaced. A gap from before the cursor is never excused later. A bookmark does not move the cursor: a client that
resumes from its last change is right to do so.

A replaced store is a ``Replacement`` in the trace: the subscriber is judged by the old store until its first snapshot
after it, and from then on by the new one, with a fresh state.

Failed ends the obligation to deliver (``reliable``, ``complete``) and nothing else: what is delivered afterwards must
still be true.

latest-value differs in what is outstanding only (``obligations.py``): nothing is ``reliable``; ``complete`` means that
the last state of each key that was delivered, by a change or a snapshot, is its last committed state; and a bookmark is
true if that holds at its revision. A snapshot needs no excuse.

latest-per-key and comes-back are judged by fewer guarantees, and by rules of their own: ``per_key.py``,
``coming_back.py``. Which promise is judged by which guarantees is declared in ``promises.py``.

A trace is inconclusive if it breaks nothing, was stopped before things were quiet, and something is outstanding.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_netfault.checks.placing import place
from pytest_netfault.checks.trace import Trace
from pytest_netfault.checks.trace_verdict import GUARANTEES, MAX_EVIDENCE, Breakage, Guarantee, TraceVerdict
from pytest_netfault.checks.verdict import VerdictName
from pytest_netfault.checks.walk import judge_placed
from pytest_netfault.checks.writes import WRITE_GUARANTEES, WriteBreakage, judge_held, judge_writes
from pytest_netfault.common.renamed import renamed

__all__ = [
    "GUARANTEES",
    "MAX_EVIDENCE",
    "Breakage",
    "Guarantee",
    "TraceVerdict",
    "VerdictName",
    "judge_trace",
]

if not TYPE_CHECKING:
    __getattr__ = renamed(__name__, Verdict="VerdictName")


def judge_trace(trace: Trace) -> TraceVerdict:
    """Judge a trace, in time proportional to its length: the subscription, and the outcomes of writes.

    >>> from pytest_netfault.checks.trace import Delivered, Filter, LogEvent, Revision, TraceEvent
    >>> log = tuple(Revision(n, (LogEvent("put", "k", str(n)),)) for n in (2, 3, 4))
    >>> seen = tuple(Delivered((TraceEvent("put", "k", str(n), n),)) for n in (2, 4))
    >>> verdict = judge_trace(Trace("every-event", Filter(), 1, log, seen, quiet_at_end=True))
    >>> verdict.broken
    ('reliable', 'complete')
    >>> print(verdict.evidence[0])
    reliable: revision 3 (put 'k') had not arrived when revision 4 was delivered in item 1
    """
    placed = place(trace)
    if trace.client_failed is not None:
        return TraceVerdict(
            trace.id, (), (), {}, (), 0, placed.trace, placed.log, inconclusive=trace.client_failed
        )
    verdict = judge_placed(placed)
    writes = _judge_writers(trace)
    names = [name for name in WRITE_GUARANTEES if any(one.guarantee == name for one in writes)]
    return replace(
        verdict,
        broken=(*verdict.broken, *names),
        counts={**verdict.counts, **{name: sum(one.guarantee == name for one in writes) for name in names}},
        writes=writes,
    )


def _judge_writers(trace: Trace) -> tuple[WriteBreakage, ...]:
    """A server's log may contradict the outcomes of writes; a log inferred from them cannot, but the store can."""
    if trace.writes is None:
        return ()
    if trace.log_from == "server":
        return judge_writes(trace.writes, trace.log)
    return () if trace.held is None else judge_held(trace.writes, trace.held)
