"""What happened in a run, as marks on a time axis: calls, revisions, deliveries, and outages.

Pure functions. Marks are named by what they stand for (``write0``, ``revision3``, ``never3``, ``delivery2``) until the
picture numbers them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_netfault.checks.guarantees import Breakage
from pytest_netfault.checks.trace import Bookmarked, Delivered, Failed, Resynced, Revision, Trace
from pytest_netfault.proof.commit_times import Commit
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture_cards import outcome_of, plainly
from pytest_netfault.proof.shortening import count_hidden
from pytest_netfault.report.timeline import Mark
from pytest_netfault.report.timeline_axis import milliseconds
from pytest_netfault.report.timeline_faults import FaultSpan, fault_spans

__all__ = [
    "delivery_marks",
    "missing_mark",
    "outage_spans",
    "revision_mark",
    "step_marks",
    "write_mark",
]


def write_mark(run: Run, number: int) -> Mark:
    """A call of a writer, by its number among the writes of the run."""
    write = run.writes[number]
    prefix = run.trace.filter.key
    last = max((one.begun for one in run.writes[: number + 1] if one.begun is not None), default=run.began)
    start = (last if write.begun is None else write.begun) - run.began
    unknown = write.outcome == "info" and write.begun is not None
    ended = None if write.ended is None else max(write.ended - run.began, start)
    details = [("outcome", outcome_of(write))]
    if ended is not None:
        details.append(("returned after", milliseconds(ended - start)))
    elif unknown:
        details.append(("returned", "not before the end"))
    if write.error:
        details.append(("raised", write.error))
    details.append(("step", "after the last" if write.place is None else str(write.place)))
    return Mark(
        id=f"write{number}",
        lane=write.via,
        start=start,
        end=None if unknown else start if ended is None else ended,
        known=ended if unknown else None,
        label=_said(write.changes, prefix),
        tone={"ok": "good", "fail": "bad", "info": "unknown"}[write.outcome],  # type: ignore[arg-type]
        details=tuple(details),
    )


def _said(changes: Iterable[tuple[str, str | None]], prefix: str) -> str:
    words = []
    for key, value in changes:
        name = key.removeprefix(prefix)
        words.append(f"delete {name}" if value is None else f"put {name} = {value}")
    return ", ".join(words)


def revision_mark(run: Run, entry: Revision, commit: Commit, missing: Mapping[int, str]) -> Mark:
    """A revision of the store's log, where it was committed."""
    at = commit.at
    said = _said(
        ((one.key, one.value if one.type == "put" else None) for one in entry.events), run.trace.filter.key
    )
    ours = any(run.trace.filter.matches(one.key) for one in entry.events)
    between = f"after {milliseconds(commit.earliest)}"
    if math.isfinite(commit.latest):
        between = f"between {milliseconds(commit.earliest)} and {milliseconds(commit.latest)}"
    details = [("change", said), ("committed", between)]
    if entry.revision in missing:
        details.append(("delivery", missing[entry.revision]))
    elif not ours:
        details.append(("delivery", "outside the subscription"))
    elif entry.revision <= run.trace.start_revision_exclusive:
        details.append(("delivery", "before the subscription"))
    return Mark(
        id=f"revision{entry.revision}",
        lane="store",
        start=at,
        end=at,
        label=run.naming.name_of(entry.revision),
        short=str(run.naming.number_of(entry.revision)),
        tone="lost" if entry.revision in missing else "good" if ours else "plain",
        shape="diamond",
        details=tuple(details),
    )


def missing_mark(run: Run, revision: int, commit: Commit, words: str) -> Mark:
    """A revision that the subscriber did not get, where it could have arrived."""
    at = commit.at
    return Mark(
        id=f"never{revision}",
        lane="arrived",
        start=at,
        end=at,
        label=f"{run.naming.number_of(revision)} {words}",
        short=str(run.naming.number_of(revision)),
        tone="lost",
        shape="cross",
        details=(("waited for", milliseconds(run.ended - run.began - at)),),
    )


def delivery_marks(run: Run, shown: Sequence[int], wrong: Mapping[int, Breakage]) -> list[Mark]:
    """What the subscriber got: these deliveries, and what is wrong with each."""
    marks = []
    hidden = count_hidden(run)
    before = -1
    for number in shown:
        item, at = run.trace.stream[number], run.delivered_at[number] - run.began
        if hidden and (number > before + 1 or number == shown[-1]):
            label = f"... and {hidden:,} more deliveries"
            details = (("not shown", "they repeat what came before, or there were too many"),)
            marks.append(Mark("hidden", "arrived", at, at, label, shape="flag", details=details))
            hidden = 0
        before = number
        mark = Mark(f"delivery{number}", "arrived", at, at, "", shape="dot", tone="good")
        mark = _described(mark, item, run.naming)
        if number in wrong:
            why = ("wrong", f"{wrong[number].guarantee}: {plainly(run, wrong[number])}")
            mark = replace(mark, tone="bad", details=(*mark.details, why))
        marks.append(mark)
    return marks


def _described(mark: Mark, item: Any, trace: Trace) -> Mark:
    prefix = trace.filter.key
    if isinstance(item, Delivered):
        revisions = sorted({one.revision for one in item.events})
        said = _said(((one.key, one.value) for one in item.events), prefix)
        short = ", ".join(str(trace.number_of(revision)) for revision in revisions)
        mark = replace(mark, label=f"{short}: {said}" if item.events else "nothing", short=short)
    elif isinstance(item, Resynced):
        keys = ", ".join(f"{key.removeprefix(prefix)} = {value}" for key, value in item.kvs.items())
        label = f"snapshot at {trace.number_of(item.revision)}"
        mark = replace(mark, label=label, short=label, shape="diamond", details=(("state", keys or "empty"),))
    elif isinstance(item, Bookmarked):
        newest = trace.number_of(item.revision)
        mark = replace(mark, label=f"all up to {newest}", short=f"\u2264{newest}", shape="flag")
    elif isinstance(item, Failed):
        mark = replace(
            mark,
            label="error: not served any more",
            tone="bad",
            shape="flag",
            details=(("error", item.error),),
        )
    else:
        mark = replace(mark, label="disconnected", tone="plain", shape="flag")
    return mark


def outage_spans(run: Run, until: float) -> list[FaultSpan]:
    """The faults of the schedule, and what was done to the server, which breaks connections too."""
    spans = []
    ours = {fault.fault_id for fault in run.faults}
    for span in fault_spans(run.events, since=run.began, until=until):
        if (
            span.fault_id not in ours
        ):  # the runner holds back what comes up the link while it restarts the server
            does = "the server is killed and started again"
            span = FaultSpan(span.id, "Restart()", span.start, span.end, span.until, does)
        spans.append(span)
    return [*spans, *_compactions(run, until), *_pauses(run, until)]


def _compactions(run: Run, until: float) -> list[FaultSpan]:
    """What the store has forgotten of its history, and when."""
    times = [remark.time - run.began for remark in run.remarks if remark.server == "compacted"]
    return [
        FaultSpan(
            f"compaction{number}",
            "Compact()",
            at,
            at,
            until - run.began,
            f"the store forgets its history up to revision {done.revision}",
            compacted=done.revision,
        )
        for number, (at, done) in enumerate(zip(times, run.trace.compactions, strict=False))
    ]


def _pauses(run: Run, until: float) -> list[FaultSpan]:
    spans: list[FaultSpan] = []
    paused: float | None = None
    for remark in (*run.remarks, None):
        at = run.ended - run.began if remark is None else remark.time - run.began
        if paused is None and remark is not None and remark.server == "paused":
            paused = at
        elif paused is not None and (remark is None or remark.server == "resumed"):
            does = "the server stands still, and answers nobody"
            spans.append(FaultSpan(f"pause{len(spans)}", "Pause()", paused, at, until - run.began, does))
            paused = None
    return spans


def step_marks(run: Run) -> list[Mark]:
    """What became of the steps, where that is worth a word."""
    marks = []
    steps = tuple(run.schedule)
    for number, remark in enumerate(run.remarks):
        at = remark.time - run.began
        name = "the end" if remark.place is None else f"{steps[remark.place - 1]!r}"
        label = f"{remark.speaker or name}: {remark.text}"
        marks.append(Mark(f"step{number}", "steps", at, at, label, shape="flag"))
    at = run.ended - run.began
    marks.append(Mark("ended", "steps", at, at, "no longer waited", shape="flag"))
    return marks
