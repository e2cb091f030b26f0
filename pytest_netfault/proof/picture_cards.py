"""The words of a picture: its headline, the three cards above it, and which part of it is looked at first.

A stranger reads three things from left to right: what was written, where the network broke, what never arrived.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from pytest_netfault.checks.guarantees import Breakage
from pytest_netfault.checks.trace import Delivered, Failed, Resynced
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.proof.commit_times import Commit, makers_of
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.report.timeline import Card, Mark
from pytest_netfault.report.timeline_axis import milliseconds
from pytest_netfault.report.timeline_faults import FaultSpan, broke_card

__all__ = [
    "LOSSES",
    "WRONG",
    "cards",
    "culprit",
    "focus",
    "forgotten",
    "headline",
    "outcome_of",
    "plainly",
    "words_for_lost",
]

# A picture of so many marks is readable as a whole.
_WHOLE = 80
# Of a larger one, this many marks around the loss are in view first.
_AROUND = 40

# The guarantees that break where an update is missing.
LOSSES = ("reliable", "complete")

# The guarantees, for a reader who has never heard of them: what happened if one is broken.
WRONG = {
    "reliable": "an update was lost",
    "complete": "an update was lost",
    "unique": "an update was delivered twice",
    "ordered": "updates were delivered out of order",
    "atomic": "one transaction was delivered in parts",
    "bookmarkable": "a bookmark said more than had arrived",
    "resync": "a snapshot was not the state of the store",
    "filter": "an update outside the subscription was delivered",
    "phantom": "an update was delivered that nobody made",
    "before_start": "an update from before the subscription was delivered",
    "writes.lost": "an acknowledged write is not in the store",
    "writes.phantom": "a rejected write is in the store",
    "writes.duplicate": "a write was made more often than it was asked for",
}


def headline(run: Run, missing: Mapping[int, str]) -> str:
    """The outcome in one sentence."""
    begin = words_for_lost(run)
    if missing and begin != "An update was lost":
        more = "" if len(missing) == 1 else f" and {len(missing) - 1} more"
        return f"{begin}: {run.naming.name_of(min(missing))}{more} {missing[min(missing)]}"
    if len(missing) > 1:
        return f"{len(missing)} updates were lost: {run.naming.called}s {_listed(run, missing)} {missing[min(missing)]}"
    if missing:
        (first,) = missing
        return f"An update was lost: {run.naming.name_of(first)} {missing[first]}"
    if run.broken:
        said = [WRONG.get(name, f"{name} is broken") for name in run.broken]
        revision = _revision_of_evidence(run)
        which = f": {run.naming.name_of(revision)}" if revision is not None and len(said) == 1 else ""
        return f"{said[0][0].upper()}{'; '.join(said)[1:]}{which}"
    return "Nothing was lost" if run.conclusive else "The run proves nothing"


def words_for_lost(run: Run) -> str:
    """What it means, under the promise of a run, that an update never arrived."""
    trace = run.naming
    if trace.promise == "latest-per-key":
        return "The subscriber was left with an old state of a key"
    if trace.promise == "comes-back" and trace.disturbances:
        if len(trace.stream) <= max(one.after_item for one in trace.disturbances):
            return "The subscriber did not come back after an outage"
        return "An update was lost although the subscriber had come back"
    return "An update was lost"


def plainly(run: Run, breakage: Breakage | WriteBreakage) -> str:
    """The sentence of a breakage for people: keys as the schedule has them, and when the items that it names came."""
    items = breakage.items if isinstance(breakage, Breakage) else ()
    times = [
        (f"item {item} is " if len(items) > 1 else "")
        + f"the delivery at {milliseconds(run.delivered_at[item] - run.began)}"
        for item in items
        if item < len(run.delivered_at)
    ]
    sentence = breakage.sentence.replace(run.trace.filter.key, "")
    return f"{sentence} ({', '.join(times)})" if times else sentence


def culprit(outages: Sequence[FaultSpan], commit: Commit | None, *, wrong: float | None) -> FaultSpan | None:
    """The fault to blame for a loss, or for a wrong delivery at ``wrong``; None if there is none.

    It is the last one that held while the update may have been committed; if none did, the last one before, whose
    traces the client may still have been clearing away; else the first one after.

    >>> first, later = FaultSpan("a", "", 1, 2, until=9), FaultSpan("b", "", 4, 5, until=9)
    >>> [culprit([first, later], Commit(at, at, at), wrong=None).id for at in (0.5, 1.5, 3.0, 4.5)]
    ['a', 'a', 'a', 'b']
    """
    earliest = latest = wrong or 0.0
    if commit is not None:
        # Every later fault would be within a time that has no end.
        earliest, latest = commit.earliest, commit.latest if math.isfinite(commit.latest) else commit.at
    acted = [
        (span, shade) for span in outages if span.compacted is None and (shade := span.shade) is not None
    ]
    during = [span for span, (start, end) in acted if start <= latest and end >= earliest]
    before = [span for span, (_, end) in acted if end < earliest]
    for group in (during, before):
        if group:
            return group[-1]
    return acted[0][0] if acted else None


def forgotten(
    outages: Sequence[FaultSpan], missing: Mapping[int, str], commits: Mapping[int, Commit]
) -> FaultSpan | None:
    """The compaction to blame for a loss; None if there is none.

    It took from the store all that is missing, before the subscriber had it. Where something is missing that the store
    still had, the client loses without a compaction too.

    >>> done = FaultSpan("c", "Compact()", 3.0, 3.0, until=9, compacted=5)
    >>> commits = {revision: Commit(at, at, at) for revision, at in ((4, 2.0), (5, 4.0), (6, 5.0))}
    >>> [forgotten([done], dict.fromkeys(lost, ""), commits) is done for lost in ([4], [5], [4, 6], [])]
    [True, False, False, False]
    """
    if not missing:
        return None
    return next(
        (
            span
            for span in outages
            if span.compacted is not None
            and all(one <= span.compacted and commits[one].earliest <= span.start for one in missing)
        ),
        None,
    )


def cards(
    run: Run,
    marks: Mapping[str, Mark],
    *,
    missing: Mapping[int, str],
    guilty: FaultSpan | None,
    outage: FaultSpan | None = None,
) -> list[Card]:
    """What was written, where the network broke, what never arrived (or what is wrong)."""
    if not run.broken:
        return []
    found: list[Card] = []
    main = min(missing, default=_revision_of_evidence(run))
    number = None if main is None else makers_of(run).get(main)
    if number is None and run.write_breakages:
        change = (run.write_breakages[0].key, run.write_breakages[0].value)
        number = next((n for n, one in enumerate(run.writes) if change in one.changes), None)
    if number is not None:
        found.append(_written(run, run.writes[number], marks[f"write{number}"], main))
    if guilty is not None:
        found.append(_broke(guilty, outage, missing))
    found.append(_missing_card(run, min(missing), missing) if missing else _wrong(run, marks))
    return found


def _broke(guilty: FaultSpan, outage: FaultSpan | None, missing: Mapping[int, str]) -> Card:
    card = broke_card(guilty)
    if guilty.compacted is None:
        return card
    had = f"Revision {min(missing)} was in it, and the subscriber did not have it yet"
    if outage is not None and outage.shade is not None:
        start, end = outage.shade
        when = (
            f"from {milliseconds(start)} to {milliseconds(end)}"
            if end > start
            else f"at {milliseconds(start)}"
        )
        had += f": {outage.label} had come between, {when}"
    return replace(card, text=f"{card.text} {had}.")


def outcome_of(write: WriteRecord) -> str:
    """What the caller of a write knows of it, in words."""
    if write.begun is None:
        return "never made: an earlier call of this client had not returned"
    return {
        "ok": "acknowledged",
        "fail": "rejected",
        "info": "the outcome is unknown: it may have happened or not",
    }[write.outcome]


def _revision_of_evidence(run: Run) -> int | None:
    return next((one.revision for one in run.verdict.evidence if one.revision is not None), None)


def _written(run: Run, write: WriteRecord, mark: Mark, revision: int | None) -> Card:
    by = {
        "direct": "by another service, over a connection of its own",
        "link": "by the client itself",
    }[write.via]
    known = revision is not None and run.naming.log_from == "server"
    stored = f" The store committed it as revision {revision}." if known else ""
    outcome = ", and acknowledged" if write.outcome == "ok" else f"; {outcome_of(write)}"
    return Card("written", mark.label, f"At {milliseconds(mark.start)}, {by}{outcome}.{stored}", mark.id)


def _missing_card(run: Run, main: int, missing: Mapping[int, str]) -> Card:
    before = after = None
    for item in run.trace.stream:
        revisions = (
            [event.revision for event in item.events]
            if isinstance(item, Delivered)
            else [item.revision]
            if isinstance(item, Resynced)
            else []
        )
        for revision in revisions:
            if revision < main and after is None:
                before = revision
            elif revision > main and after is None:
                after = revision
    got = "nothing before it" if before is None else run.naming.name_of(before)
    then = (
        f"and then nothing until the end at {milliseconds(run.ended - run.began)}"
        if after is None
        else f"and next {run.naming.name_of(after)}"
    )
    more = "" if len(missing) == 1 else f" Missing in all: {_listed(run, missing)}."
    error = next((item.error for item in run.trace.stream if isinstance(item, Failed)), "")
    loudly = f" It was reported to it: {error}." if error else " No error was reported to it."
    text = f"The subscriber got {got}, {then}.{more}{loudly}"
    return Card("missing", f"{run.naming.name_of(main)} {missing[main]}", text, f"never{main}")


def _listed(run: Run, missing: Iterable[int]) -> str:
    revisions = sorted(map(run.naming.number_of, missing))
    shown = ", ".join(map(str, revisions[:8]))
    return shown if len(revisions) <= 8 else f"{shown} and {len(revisions) - 8} more"


def _wrong(run: Run, marks: Mapping[str, Mark]) -> Card:
    breakages: list[Breakage | WriteBreakage] = [*run.verdict.evidence, *run.write_breakages]
    first = breakages[0]
    at = f"delivery{first.item}" if isinstance(first, Breakage) else ""
    sentence = plainly(run, first)
    title = WRONG.get(first.guarantee, f"{first.guarantee} is broken")
    text = f"{sentence[0].upper()}{sentence[1:]}. The guarantee {first.guarantee!r} is broken."
    return Card("missing", title, text, at if at in marks else "")


def focus(marks: Sequence[Mark], important: Sequence[str]) -> tuple[float, float] | None:
    """The part of a large picture in which the important marks are, with some of what is around them."""
    if len(marks) <= _WHOLE or not important:
        return None
    places = [place for place, mark in enumerate(marks) if mark.id in set(important)]
    first, last = min(places), max(places)
    if last - first > _AROUND:  # far apart: the loss itself is in view, the others are a click away
        first = last = max(places)
    spare = (_AROUND - (last - first)) // 2
    start = marks[max(first - spare, 0)].start
    end = marks[min(last + spare, len(marks) - 1)].start
    return None if end <= start else (start, end)
