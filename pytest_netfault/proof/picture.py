"""A run as a picture: what was written, what the store committed, what the network did, and what arrived.

From top to bottom the lanes follow the way of an update: a writer, the store, the network, the subscriber. An update
that was lost is a line that ends on the way.

Rules of this file: pure functions from a :class:`Run` to a :class:`Timeline`. A log has no clock: when a revision was
committed is known within bounds, those of its write, of its delivery and of the revisions around it. It is drawn at
the end of that time if its own write or delivery proves that it was committed by then, and otherwise at the beginning.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_netfault.checks.guarantees import Breakage
from pytest_netfault.checks.trace import Bookmarked, Delivered, Failed, Resynced, Revision, Trace
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.proof.captions import Commit, cards, culprit, focus, headline, plainly
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.recording import PAUSED, RESUMED, WriteRecord
from pytest_netfault.proof.shortening import count_hidden, shortened, shown_items
from pytest_netfault.report.timeline import Flow, Lane, Mark, Timeline, number_marks, packed
from pytest_netfault.report.timeline_axis import milliseconds
from pytest_netfault.report.timeline_network import connection_marks, fault_marks
from pytest_netfault.schedules.schedule import wrapped
from pytest_netfault.schedules.steps import Step

__all__ = ["picture"]

LANES = {
    "steps": "Steps",
    "direct": "Another service writes",
    "link": "The client writes",
    "store": "The store commits",
    "faults": "Faults",
    "connections": "Connections",
    "arrived": "The subscriber gets",
}
_OUTCOMES = {
    "ok": "acknowledged",
    "fail": "rejected",
    "info": "the outcome is unknown: it may have happened or not",
}


def picture(run: Run, *, seed: int | None = None, facts: Sequence[tuple[str, str]] = ()) -> Timeline:
    """The picture of a run.

    Args:
        run: what happened.
        seed: the seed of the proof, if there is one.
        facts: what else is worth telling, as pairs of a name and a text.
    """
    until = max([run.ended, *(event.time for event in run.events)])
    commits = _commits(run)
    missing = _missing(run)
    network = _faults(run, until)
    written = [_write(run, number, write) for number, write in enumerate(run.writes)]
    committed = [_revision(run, entry, commits[entry.revision], missing) for entry in run.log]
    shown = shown_items(run)
    arrived = [
        *_handed(run, shown),
        *(_never(run, revision, commits[revision]) for revision in sorted(missing)),
    ]
    main = min(missing, default=None)
    guilty = culprit(network, None if main is None else commits[main], wrong=_first_wrong(arrived))
    network = [replace(mark, tone="culprit") if mark.id == guilty else mark for mark in network]
    connections, rows = connection_marks(run.events, lane="connections", since=run.began, until=until)
    lanes, marks = _arranged(
        {
            "steps": _steps(run),
            "direct": [mark for mark in written if mark.lane == "direct"],
            "link": [mark for mark in written if mark.lane == "link"],
            "store": committed,
            "faults": network,
            "arrived": arrived,
        },
        (shortened(connections, "events of connections"), rows),
    )
    names, numbered = number_marks(marks)
    flows = [
        replace(flow, marks=tuple(names[one] for one in flow.marks)) for flow in _flows(run, missing, shown)
    ]
    by_name = {mark.id: mark for mark in marks}
    told = cards(run, by_name, missing=missing, guilty=guilty, flows=_flows(run, missing, shown))
    return Timeline(
        headline=headline(run, missing),
        lanes=lanes,
        marks=numbered,
        flows=tuple(flows),
        cards=tuple(replace(card, mark=names.get(card.mark, "")) for card in told),
        focus=focus(numbered, [names[card.mark] for card in told if card.mark]),
        facts=(
            *(("broken", plainly(run, one)) for one in _evidence(run)),
            ("promise", run.trace.promise),
            *([] if seed is None else [("seed", str(seed))]),
            *facts,
        ),
        paste=wrapped(run.schedule),
    )


def _evidence(run: Run) -> list[str]:
    """The first breakage of each guarantee."""
    first: dict[str, str] = {}
    breakages: list[Breakage | WriteBreakage] = [*run.verdict.evidence, *run.write_breakages]
    for one in breakages:
        first.setdefault(one.guarantee, str(one))
    return list(first.values())


def _missing(run: Run) -> dict[int, str]:
    """The revisions that did not reach the subscriber, or not in time, and which of the two."""
    gone = {event.revision: "never arrived" for event in run.verdict.lost}
    late = {
        one.revision: "did not arrive in time"
        for one in run.verdict.evidence
        if one.guarantee in ("reliable", "complete") and one.revision is not None
    }
    known = {entry.revision for entry in run.log}
    return {revision: words for revision, words in {**late, **gone}.items() if revision in known}


# -- when a revision was committed ----------------------------------------------------------------------------


def _commits(run: Run) -> dict[int, Commit]:
    """When each revision was committed."""
    makers = _makers(run)
    arrivals = _arrivals(run)
    low, lows = run.began, []
    for entry in run.log:
        write = makers.get(entry.revision)
        if write is not None and write.begun is not None:
            low = max(low, write.begun)
        lows.append(low)
    high, found = math.inf, {}
    for entry, earliest in zip(reversed(run.log), reversed(lows), strict=True):
        write = makers.get(entry.revision)
        proofs = [arrivals.get(entry.revision, math.inf)]
        if write is not None and write.outcome == "ok" and write.ended is not None:
            proofs.append(write.ended)
        high = max(min(high, *proofs), earliest)
        at = high if math.isfinite(min(proofs)) else earliest
        found[entry.revision] = Commit(earliest - run.began, high - run.began, at - run.began)
    return found


def _makers(run: Run) -> dict[int, WriteRecord]:
    """The write that made each revision, as far as the log tells: each write takes the first that says the same."""
    by_change: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for entry in run.log:
        for event in entry.events:
            by_change[event.key, event.value if event.type == "put" else None].append(entry.revision)
    made: dict[int, WriteRecord] = {}
    for write in run.writes:
        if write.outcome == "fail":
            continue
        for change in write.changes:
            revision = next((one for one in by_change.get(change, ()) if made.get(one, write) is write), None)
            if revision is not None:
                made[revision] = write
    return made


def _arrivals(run: Run) -> dict[int, float]:
    """When each revision was first handed over."""
    first: dict[int, float] = {}
    for item, at in zip(run.trace.stream, run.delivered_at, strict=False):
        if isinstance(item, Delivered):
            for event in item.events:
                first.setdefault(event.revision, at)
    return first


# -- marks ------------------------------------------------------------------------------------------------------


def _write(run: Run, number: int, write: WriteRecord) -> Mark:
    prefix = run.trace.filter.key
    last = max((one.begun for one in run.writes[: number + 1] if one.begun is not None), default=run.began)
    start = (last if write.begun is None else write.begun) - run.began
    unknown = write.outcome == "info" and write.begun is not None
    ended = None if write.ended is None else max(write.ended - run.began, start)
    outcome = _OUTCOMES[write.outcome]
    if write.begun is None:
        outcome = "never made: an earlier call of this client had not returned"
    details = [("outcome", outcome)]
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


def _revision(run: Run, entry: Revision, commit: Commit, missing: Mapping[int, str]) -> Mark:
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


def _never(run: Run, revision: int, commit: Commit) -> Mark:
    at = commit.at
    missing = _missing(run)[revision]
    return Mark(
        id=f"never{revision}",
        lane="arrived",
        start=at,
        end=at,
        label=f"{run.naming.number_of(revision)} {missing}",
        short=str(run.naming.number_of(revision)),
        tone="lost",
        shape="cross",
        details=(("waited for", milliseconds(run.ended - run.began - at)),),
    )


def _handed(run: Run, shown: Sequence[int]) -> list[Mark]:
    wrong = {one.item: str(one) for one in reversed(run.verdict.evidence) if one.item is not None}
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
        mark = Mark(f"handed{number}", "arrived", at, at, "", shape="dot", tone="good")
        sentence = plainly(run, wrong.get(number, ""))
        marks.append(_described(mark, item, run.naming, sentence))
    return marks


def _described(mark: Mark, item: Any, trace: Trace, sentence: str) -> Mark:
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
            label="told: not served any more",
            tone="bad",
            shape="flag",
            details=(("error", item.error),),
        )
    else:
        mark = replace(mark, label="told: disconnected", tone="plain", shape="flag")
    # What is missing is no fault of what came after it; what is wrong with a delivery itself is.
    blamed = sentence and not sentence.startswith(("reliable", "complete"))
    if blamed:
        mark = replace(mark, tone="bad", details=(*mark.details, ("wrong", sentence)))
    return mark


def _first_wrong(arrived: Iterable[Mark]) -> float | None:
    return min(
        (one.start for one in arrived if any(name == "wrong" for name, _ in one.details)), default=None
    )


def _faults(run: Run, until: float) -> list[Mark]:
    """The faults of the schedule, and what was done to the server, which breaks connections too."""
    marks: list[Mark] = []
    ours = [repr(fault.fault) for fault in run.faults]
    for mark in fault_marks(run.events, lane="faults", since=run.began, until=until):
        if ours and mark.label == ours[0]:
            ours.pop(0)
            marks.append(mark)
        else:  # the runner holds back what comes up the link while it restarts the server
            details = (("what it does", "the server is killed and started again"),)
            marks.append(replace(mark, label="Restart()", details=details))
    paused: float | None = None
    for remark in run.remarks:
        at = remark.time - run.began
        if remark.text == PAUSED:
            paused = at
        elif remark.text == RESUMED and paused is not None:
            marks.append(_pause(len(marks), paused, at))
            paused = None
    if paused is not None:
        marks.append(_pause(len(marks), paused, run.ended - run.began))
    return marks


def _pause(number: int, start: float, end: float) -> Mark:
    details = (("what it does", "the server stands still, and answers nobody"),)
    return Mark(
        f"pause{number}", "faults", start, end, "Pause()", tone="fault", shade=(start, end), details=details
    )


def _steps(run: Run) -> list[Mark]:
    marks = []
    steps: tuple[Step, ...] = tuple(run.schedule)
    for number, remark in enumerate(run.remarks):
        at = remark.time - run.began
        name = "the end" if remark.place is None else f"{steps[remark.place - 1]!r}"
        name = remark.speaker or name
        label = f"{name}: {remark.text}"
        marks.append(Mark(f"step{number}", "steps", at, at, label, shape="flag"))
    at = run.ended - run.began
    marks.append(Mark("ended", "steps", at, at, "no longer waited", shape="flag"))
    return marks


def _arranged(
    lanes: Mapping[str, Sequence[Mark]], connections: tuple[Sequence[Mark], int]
) -> tuple[tuple[Lane, ...], list[Mark]]:
    """The lanes that have something to show, and all marks in their rows."""
    kinds: dict[str, Any] = {"steps": "steps", "direct": "calls", "link": "calls", "store": "revisions"}
    kinds |= {"faults": "faults", "connections": "connections", "arrived": "deliveries"}
    rows: dict[str, int] = {"connections": connections[1]}
    marks = list(connections[0])
    for lane, found in lanes.items():
        placed: Sequence[Mark] = found
        if lane in ("direct", "link", "faults"):
            placed, rows[lane] = packed(found, at_most=4)
        marks += placed
    used = {mark.lane for mark in marks} | {"store", "connections", "arrived"}
    shown = (Lane(one, LANES[one], kinds[one], rows.get(one, 1)) for one in LANES if one in used)
    return tuple(shown), marks


def _flows(run: Run, missing: Mapping[int, str], shown: Sequence[int]) -> list[Flow]:
    """The way of each update, by the names that the marks have before they are numbered."""
    makers = {id(write): number for number, write in enumerate(run.writes)}
    made = _makers(run)
    known = {entry.revision for entry in run.log}
    arrived: dict[int, str] = {}
    again: list[Flow] = []
    newest = run.trace.start_revision_exclusive
    for number in shown:
        item = run.trace.stream[number]
        if isinstance(item, Delivered):
            for event in item.events:
                first = arrived.setdefault(event.revision, f"handed{number}")
                if first != f"handed{number}" and event.revision in known:
                    again.append(Flow((f"revision{event.revision}", f"handed{number}"), wrong=True))
                newest = max(newest, event.revision)
        elif isinstance(item, Resynced):
            for entry in run.log:
                if newest < entry.revision <= item.revision and _matches(run, entry):
                    arrived.setdefault(entry.revision, f"handed{number}")
            newest = max(newest, item.revision)
    flows = []
    for entry in run.log:
        write = made.get(entry.revision)
        way = [] if write is None else [f"write{makers[id(write)]}"]
        way.append(f"revision{entry.revision}")
        if entry.revision in missing:
            way.append(f"never{entry.revision}")
        elif entry.revision in arrived:
            way.append(arrived[entry.revision])
        if len(way) > 1:
            flows.append(Flow(tuple(way), lost=entry.revision in missing))
    return flows + list(dict.fromkeys(again))


def _matches(run: Run, entry: Revision) -> bool:
    return any(run.trace.filter.matches(event.key) for event in entry.events)
