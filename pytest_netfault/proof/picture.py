"""A run as a picture: what was written, what the store committed, what the network did, and what arrived.

From top to bottom the lanes follow the way of an update: a writer, the store, the network, the subscriber. An update
that was lost is a line that ends on the way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from pytest_netfault.checks.guarantees import Breakage
from pytest_netfault.checks.trace import Delivered, Resynced, Revision
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.proof.commit_times import commit_times, makers_of
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture_cards import LOSSES, cards, culprit, focus, forgotten, headline, plainly
from pytest_netfault.proof.picture_marks import (
    delivery_marks,
    missing_mark,
    outage_spans,
    revision_mark,
    step_marks,
    write_mark,
)
from pytest_netfault.proof.replaying import replay_lines
from pytest_netfault.proof.shortening import shortened, shown_items
from pytest_netfault.report.timeline import Flow, Lane, LaneKind, Mark, Timeline, number_marks, packed
from pytest_netfault.report.timeline_connections import connection_marks
from pytest_netfault.report.timeline_log import LogLine, log_marks
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS

__all__ = ["picture"]

_LANES: dict[str, tuple[str, LaneKind]] = {
    "steps": ("Steps", "steps"),
    "log": ("Log of the process", "steps"),
    "direct": ("Another service writes", "calls"),
    "link": ("The client writes", "calls"),
    "store": ("The store commits", "revisions"),
    "faults": ("Faults", "faults"),
    "connections": ("Connections", "connections"),
    "arrived": ("The subscriber gets", "deliveries"),
}


def picture(
    run: Run,
    *,
    seed: int | None = None,
    settle: float = 5.0,
    notice: float | None = NOTICE_SECONDS,
    facts: Sequence[tuple[str, str]] = (),
    command: str = "",
    log: Sequence[LogLine] = (),
) -> Timeline:
    """The picture of a run.

    Args:
        run: what happened.
        seed: the seed of the proof, if there is one.
        settle: how long the subscriber was waited for.
        notice: the same where a flow died without a word.
        facts: what else is worth telling, as pairs of a name and a text.
        command: what plays the trace again.
        log: what the process has logged; what was logged while the run lasted is shown.
    """
    until = max([run.ended, *(event.time for event in run.events)])
    commits = commit_times(run)
    missing = _missing(run)
    shown = shown_items(run)
    wrong = _wrong_deliveries(run, shown)
    outages = outage_spans(run, until)
    outage = culprit(
        outages,
        commits[min(missing)] if missing else None,
        wrong=min((run.delivered_at[number] - run.began for number in wrong), default=None),
    )
    compaction = forgotten(outages, missing, commits) if run.naming.log_from == "server" else None
    guilty = compaction or outage
    drawn = [span.mark("faults") for span in outages]
    connections, rows = connection_marks(run.events, lane="connections", since=run.began, until=until)
    written = [write_mark(run, number) for number in range(len(run.writes))]
    lanes, marks = _arranged(
        {
            "steps": step_marks(run),
            "log": log_marks(log, since=run.began, until=run.ended, lane="log"),
            "direct": [mark for mark in written if mark.lane == "direct"],
            "link": [mark for mark in written if mark.lane == "link"],
            "store": [revision_mark(run, entry, commits[entry.revision], missing) for entry in run.log],
            "faults": [
                replace(mark, tone="culprit") if guilty and mark.id == guilty.id else mark for mark in drawn
            ],
            "arrived": [
                *delivery_marks(run, shown, wrong),
                *(missing_mark(run, one, commits[one], missing[one]) for one in sorted(missing)),
            ],
        },
        (shortened(connections, "events of connections"), rows),
    )
    names, numbered = number_marks(marks)
    sentences = cards(run, {mark.id: mark for mark in marks}, missing=missing, guilty=guilty, outage=outage)
    return Timeline(
        headline=headline(run, missing),
        lanes=lanes,
        marks=numbered,
        flows=tuple(
            replace(flow, marks=tuple(names[one] for one in flow.marks))
            for flow in _flows(run, missing, shown)
        ),
        cards=tuple(replace(card, mark=names.get(card.mark, "")) for card in sentences),
        focus=focus(numbered, [names[card.mark] for card in sentences if card.mark]),
        facts=(
            *(("broken", f"{one.guarantee}: {plainly(run, one)}") for one in _evidence(run)),
            ("promise", run.trace.promise),
            *([] if seed is None else [("seed", str(seed))]),
            *facts,
        ),
        paste="\n".join(
            replay_lines(run.schedule, promise=run.trace.promise, settle=settle, notice=notice, seed=seed)
        ),
        command=command,
    )


def _evidence(run: Run) -> list[Breakage | WriteBreakage]:
    """The first breakage of each guarantee."""
    first: dict[str, Breakage | WriteBreakage] = {}
    breakages: list[Breakage | WriteBreakage] = [*run.verdict.evidence, *run.write_breakages]
    for one in breakages:
        first.setdefault(one.guarantee, one)
    return list(first.values())


def _missing(run: Run) -> dict[int, str]:
    """The revisions that did not reach the subscriber, or not in time, and which of the two."""
    gone = {event.revision: "never arrived" for event in run.verdict.lost}
    late = {
        one.revision: "did not arrive in time"
        for one in run.verdict.evidence
        if one.guarantee in LOSSES and one.revision is not None
    }
    known = {entry.revision for entry in run.log}
    return {revision: words for revision, words in {**late, **gone}.items() if revision in known}


def _wrong_deliveries(run: Run, shown: Sequence[int]) -> dict[int, Breakage]:
    """What is wrong with each delivery itself; what is missing is not wrong with whatever came after it."""
    wrong: dict[int, Breakage] = {}
    for one in run.verdict.evidence:
        if one.item is not None and one.item in shown and one.guarantee not in LOSSES:
            wrong.setdefault(one.item, one)
    return wrong


def _arranged(
    lanes: Mapping[str, Sequence[Mark]], connections: tuple[Sequence[Mark], int]
) -> tuple[tuple[Lane, ...], list[Mark]]:
    """The lanes that have something to show, and all marks in their rows."""
    rows: dict[str, int] = {"connections": connections[1]}
    marks = list(connections[0])
    for lane, found in lanes.items():
        placed: Sequence[Mark] = found
        if lane in ("direct", "link", "faults"):
            placed, rows[lane] = packed(found, at_most=4)
        marks += placed
    used = {mark.lane for mark in marks} | {"store", "connections", "arrived"}
    shown = (Lane(one, *_LANES[one], rows.get(one, 1)) for one in _LANES if one in used)
    return tuple(shown), marks


def _flows(run: Run, missing: Mapping[int, str], shown: Sequence[int]) -> list[Flow]:
    """The way of each update, by the names that the marks have before they are numbered."""
    makers = makers_of(run)
    known = {entry.revision for entry in run.log}
    arrived: dict[int, str] = {}
    again: list[Flow] = []
    newest = run.trace.start_revision_exclusive
    for number in shown:
        item = run.trace.stream[number]
        if isinstance(item, Delivered):
            for event in item.events:
                first = arrived.setdefault(event.revision, f"delivery{number}")
                if first != f"delivery{number}" and event.revision in known:
                    again.append(Flow((f"revision{event.revision}", f"delivery{number}"), wrong=True))
                newest = max(newest, event.revision)
        elif isinstance(item, Resynced):
            for entry in run.log:
                if newest < entry.revision <= item.revision and _matches(run, entry):
                    arrived.setdefault(entry.revision, f"delivery{number}")
            newest = max(newest, item.revision)
    flows = []
    for entry in run.log:
        maker = makers.get(entry.revision)
        way = [] if maker is None else [f"write{maker}"]
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
