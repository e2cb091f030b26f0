"""The story of a loss, in one screen: what was written, where the cut was, what never arrived, how to repeat it.

Pure functions from a :class:`Run` to text. At most ``LINES`` lines of at most ``COLUMNS`` columns,
but for a schedule that does not fit: what can be pasted is never shortened.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import NamedTuple

from pytest_netfault.checks.guarantees import Breakage
from pytest_netfault.checks.promises import DECLARED
from pytest_netfault.checks.trace import Delivered, Resynced, TraceEvent
from pytest_netfault.checks.writes import WriteBreakage
from pytest_netfault.common.printable import printable, printable_lines
from pytest_netfault.common.wording import counted
from pytest_netfault.events import LinkEvent
from pytest_netfault.proof.commit_times import makers_of
from pytest_netfault.proof.contract import Run
from pytest_netfault.proof.picture_cards import LOSSES, words_for_lost
from pytest_netfault.proof.recording import WriteRecord
from pytest_netfault.proof.replaying import replay_lines
from pytest_netfault.proof.shortening import count_hidden
from pytest_netfault.proof.unnoticed import dead_flow_of, in_words, never_noticed
from pytest_netfault.schedules.dead_flows import NOTICE_SECONDS, has_dead_flow
from pytest_netfault.schedules.steps import Break, Subscribe

__all__ = ["COLUMNS", "LINES", "tell"]

LINES = 24
COLUMNS = 100
_STEP_COLUMNS = 34


def tell(
    run: Run,
    *,
    found: str,
    repeated: tuple[int, int],
    seed: int | None,
    promise: str,
    settle: float,
    notice: float | None = NOTICE_SECONDS,
    trace_path: Path | None,
    page: str | None = None,
) -> str:
    """The message of an ``UpdateLost``.

    Args:
        run: the failing run of the smallest schedule.
        found: in which example, and how it was shrunk.
        repeated: how often the schedule failed, and out of how many plays.
        seed: the seed of the proof.
        promise: what was promised.
        settle: how long the subscriber was waited for.
        notice: the same where a flow died without a word; None if ``settle`` holds there too.
        trace_path: where the trace was written, if it was.
        page: the name of the picture beside it, if it was drawn. It is named where there is room.
    """
    broken = [f"Broken: {_cut(printable(one), COLUMNS - 8)}" for one in _evidence(run)]
    again = replay_lines(
        run.schedule, promise=promise, settle=settle, notice=notice, seed=seed, width=COLUMNS - 4
    )
    hidden = count_hidden(run)
    last = [
        *([f"       ... and {hidden:,} more deliveries: too many to show"] if hidden else []),
        *broken[:4],
        *textwrap.wrap(f"{found} It failed in {repeated[0]} of {counted(repeated[1], 'play')}.", COLUMNS),
        "To play it again:",
        *(f"    {line}" for line in again),
        *([f"Trace: {printable(str(trace_path))}"] if trace_path is not None else []),
    ]
    first = textwrap.wrap(printable(_headline(run, notice)), COLUMNS)
    story = _rows(run)
    if page is not None and len(page) <= COLUMNS - 9 and len(first) + len(story) + len(last) < LINES:
        last.append(f"Picture: {page}")
    rows = _elide(story, LINES - len(first) - len(last))
    return printable_lines("\n".join([*first, *rows, *last]))


def _headline(run: Run, notice: float | None) -> str:
    unnoticed = never_noticed(run)
    if unnoticed is not None:
        return in_words(unnoticed, notice)
    lost = run.verdict.lost
    if lost:
        what = f"{run.naming.name_of(lost[0].revision)} ({_said(run, lost[0])})"
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        return f"{words_for_lost(run)}: {what}{more} never reached the subscriber."
    missing = next((one for one in run.verdict.evidence if one.guarantee in LOSSES), None)
    if missing is not None and missing.revision is not None:
        return f"An update was lost: {run.naming.name_of(missing.revision)} did not reach the subscriber in time."
    wrong = dict.fromkeys(one.guarantee for one in run.verdict.evidence)
    if wrong:
        return f"What the subscriber got is wrong: {', '.join(wrong)} is broken."
    return f"What a writer was answered is wrong: {', '.join(run.broken)} is broken."


def _evidence(run: Run) -> list[str]:
    shown: dict[str, str] = {}
    breakages: list[Breakage | WriteBreakage] = [*run.verdict.evidence, *run.write_breakages]
    for breakage in breakages:
        shown.setdefault(breakage.guarantee, str(breakage).replace(_prefix(run), ""))
    return list(shown.values())


def _prefix(run: Run) -> str:
    return run.trace.filter.key


def _said(run: Run, event: TraceEvent) -> str:
    key = event.key.removeprefix(_prefix(run))
    return f"delete {key!r}" if event.type == "delete" else f"put {key!r} = {event.value!r}"


# -- what was done, and what came of it ---------------------------------------------------------------------


class _Row(NamedTuple):
    """A line of the story; one that matters tells of a cut or of a loss, and is left out last."""

    text: str
    matters: bool


def _rows(run: Run) -> list[_Row]:
    rows = []
    for place, step in enumerate(run.schedule, start=1):
        writes = [write for write in run.writes if write.place == place]
        matters = isinstance(step, (Break, Subscribe)) or any(_went_wrong(run, one) for one in writes)
        came = [
            *(_fate(run, write) for write in writes),
            *(one.text for one in run.remarks if one.place == place),
        ]
        more = [_came_of_fault(run, place, short=short) for short in (False, True)]
        shown, shorter = (_row(str(place), repr(step), *came, *one) for one in more)
        if len(shorter) > COLUMNS and (came or more[1]):  # a long step: what came of it stands below
            below = _row("", "; ".join([*came, *more[1]]))
            rows += [
                _Row(_cut(_row(str(place), repr(step)), COLUMNS), matters),
                _Row(_cut(below, COLUMNS), matters),
            ]
        else:
            rows.append(_Row(shown if len(shown) <= COLUMNS else shorter, matters))
    flow = " but the dead flow" if has_dead_flow(run.schedule) else ""
    rows.append(_Row(_row("end", f"everything is healed{flow}"), matters=False))
    for write in run.writes:
        if write.place is None:
            what = f"put {_key(run, write)} = {write.changes[0][1]!r}"
            rows.append(_Row(_cut(_row("end", what, _fate(run, write)), COLUMNS), _went_wrong(run, write)))
    return rows


def _row(place: str, what: str, *came: str) -> str:
    return printable(f"{place:>5}  {what:<{_STEP_COLUMNS}} {'; '.join(came)}".rstrip())


def _cut(text: str, columns: int) -> str:
    return text if len(text) <= columns else f"{text[: columns - 3]}..."


def _key(run: Run, write: WriteRecord) -> str:
    return repr(write.changes[0][0].removeprefix(_prefix(run)))


def _fate(run: Run, write: WriteRecord) -> str:
    outcome = {"ok": "", "fail": "rejected, ", "info": "outcome unknown, "}[write.outcome]
    fates = []
    for key, value in write.changes:
        revision = _revision_of(run, write, key, value)
        if revision is not None:
            fates.append(f"{run.naming.name_of(revision)}, {_arrival(run, key, value, revision)}")
        elif value is not None or write.outcome == "info":
            fates.append("not in the log")
        else:
            fates.append("changed nothing" if write.outcome == "ok" else "")
    return (outcome + ", ".join(dict.fromkeys(fates))).removesuffix(", ")


def _revision_of(run: Run, write: WriteRecord, key: str, value: str | None) -> int | None:
    """The last revision that made this change of this write."""
    found = [
        entry.revision
        for entry in run.log
        for event in entry.events
        if event.key == key and (event.value if event.type == "put" else None) == value
    ]
    if value is None:  # each value is put once; the same delete may be the change of several writes
        made = makers_of(run)
        found = [one for one in found if one in made and run.writes[made[one]] is write]
    return found[-1] if found else None


def _arrival(run: Run, key: str, value: str | None, revision: int) -> str:
    if not key.startswith(_prefix(run)):
        return "outside the subscription"
    if revision <= run.trace.start_revision_exclusive:
        return "before the subscription"
    times = _times_delivered(run, key, value, revision)
    if times is None:
        return "in a snapshot"
    if not times:
        may_miss = not DECLARED[run.trace.promise].all_arrive
        return (
            "did not arrive, which is allowed"
            if may_miss and not _is_lost(run, key, revision)
            else "NEVER ARRIVED"
        )
    return "arrived" if times == 1 else f"arrived {times} times"


def _is_lost(run: Run, key: str, revision: int) -> bool:
    return any((one.key, one.revision) == (key, revision) for one in run.verdict.lost)


def _times_delivered(run: Run, key: str, value: str | None, revision: int) -> int | None:
    """How often a change was delivered; None if a snapshot came first that has it."""
    times = 0
    for item in run.trace.stream:
        if isinstance(item, Delivered):
            times += sum((one.key, one.value, one.revision) == (key, value, revision) for one in item.events)
        elif isinstance(item, Resynced) and item.revision >= revision and not times:
            return None
    return times


def _went_wrong(run: Run, write: WriteRecord) -> bool:
    """Whether a change of this write did not arrive as it was promised: exactly once, or at all."""
    for key, value in write.changes:
        revision = _revision_of(run, write, key, value)
        within = revision is not None and revision > run.trace.start_revision_exclusive
        if within and key.startswith(_prefix(run)):
            assert revision is not None
            if not DECLARED[run.trace.promise].all_arrive:
                if _is_lost(run, key, revision):
                    return True
            elif _times_delivered(run, key, value, revision) not in (None, 1):
                return True
    return False


def _came_of_fault(run: Run, place: int, *, short: bool) -> list[str]:
    fault = next((fault for fault in run.faults if fault.place == place), None)
    if fault is None:
        return []
    flow = dead_flow_of(run)
    if flow is not None and flow.place == place:
        return [f"{flow.name} died without a word"]
    alone = [
        f"over {event.detail}"
        for event in run.events
        if event.kind == "heal" and event.fault_id == fault.fault_id and event.detail
    ]
    ended = [
        _where_cut(event, short=short)
        for event in run.events
        if event.fault_id == fault.fault_id and event.kind in ("fin", "rst") and event.connection is not None
    ]
    if ended:
        more = f" and {len(ended) - 1} more" if len(ended) > 1 else ""
        return [f"cut {'' if short else 'connection '}{ended[0]}{more}", *alone]
    return ["met traffic" if fault.met_traffic else "met no traffic", *alone]


def _where_cut(event: LinkEvent, *, short: bool) -> str:
    """A connection that a fault has ended, and where: behind how many bytes, and of a cut in which frame."""
    if not event.frames or event.fault is None or not event.fault.has_a_place():
        return f"#{event.connection} at {event.bytes_up} B up, {event.bytes_down} B down"
    spot = event.frames[0]
    passed = event.bytes_up if spot.direction == "up" else event.bytes_down
    behind = "" if short else f" ({passed} B {spot.direction})"
    return f"#{event.connection} {spot}{behind}"


def _elide(rows: list[_Row], room: int) -> list[str]:
    """As many rows as there is room for."""
    if len(rows) <= room:
        return [row.text for row in rows]
    room = max(room - 1, 3)
    ranked = sorted(range(len(rows)), key=lambda n: (not rows[n].matters, n))
    kept = sorted(ranked[:room])
    return [
        *(rows[n].text for n in kept),
        f"       ... and {counted(len(rows) - room, 'more step')}: see the schedule below",
    ]
