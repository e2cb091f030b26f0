"""A timeline as Chrome trace events, which Perfetto (https://ui.perfetto.dev) and ``chrome://tracing`` show.

A lane is a thread there: a mark that lasts is a slice, a moment an instant, and the way of an update a chain of arrows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pytest_netfault.report.timeline import Mark, Timeline

__all__ = ["trace_events"]

_PROCESS = 1


def trace_events(timeline: Timeline) -> dict[str, Any]:
    """The picture as a JSON object of the format; times are microseconds.

    >>> from pytest_netfault.report.timeline import Lane
    >>> marks = (Mark("e1", "faults", 0.5, 1.5, "Sever()"),)
    >>> made = trace_events(Timeline("A loss", (Lane("faults", "Faults", "faults"),), marks))
    >>> {name: made["traceEvents"][-1][name] for name in ("ph", "name", "ts", "dur")}
    {'ph': 'X', 'name': 'Sever()', 'ts': 500000.0, 'dur': 1000000.0}
    """
    rows = _rows(timeline)
    events = [_named("process_name", 0, timeline.headline)]
    for lane in timeline.lanes:
        for row in range(lane.rows):
            number = rows[lane.id, row]
            more = f" ({row + 1})" if lane.rows > 1 else ""
            events += [
                _named("thread_name", number, f"{lane.name}{more}"),
                {**_named("thread_sort_index", number, ""), "args": {"sort_index": number}},
            ]
    events += [_event(mark, rows, timeline.ends) for mark in timeline.marks]
    return {
        "traceEvents": [*events, *_arrows(timeline, rows)],
        "displayTimeUnit": "ms",
        "otherData": dict(timeline.facts),
    }


def _rows(timeline: Timeline) -> dict[tuple[str, int], int]:
    """A number for each row of each lane, from 1, from top to bottom."""
    rows = [(lane.id, row) for lane in timeline.lanes for row in range(lane.rows)]
    return {row: number for number, row in enumerate(rows, start=1)}


def _named(what: str, thread: int, name: str) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": _PROCESS, "tid": thread, "args": {"name": name}}


def _thread(mark: Mark, rows: dict[tuple[str, int], int]) -> int:
    return rows.get((mark.lane, mark.row), rows[mark.lane, 0])


def _event(mark: Mark, rows: dict[tuple[str, int], int], ends: float) -> dict[str, Any]:
    event: dict[str, Any] = {
        "name": mark.label or mark.short or mark.id,
        "cat": mark.tone,
        "pid": _PROCESS,
        "tid": _thread(mark, rows),
        "ts": round(mark.start * 1e6, 3),
        "args": {"event": mark.id, **dict(mark.details)},
    }
    if mark.end == mark.start:
        return {**event, "ph": "i", "s": "t"}
    last = ends if mark.end is None else mark.end
    if mark.end is None:
        event["args"]["end"] = "left open"
    return {**event, "ph": "X", "dur": round(max(last - mark.start, 0.0) * 1e6, 3)}


def _arrows(timeline: Timeline, rows: dict[tuple[str, int], int]) -> Iterator[dict[str, Any]]:
    """The way of each update; an arrow begins and ends in a slice, so that a moment of it has one of no length."""
    marks = {mark.id: mark for mark in timeline.marks}
    drawn = set()
    for number, flow in enumerate(timeline.flows, start=1):
        for place, name in enumerate(flow.marks):
            mark = marks[name]
            common = {"pid": _PROCESS, "tid": _thread(mark, rows), "ts": round(mark.start * 1e6, 3)}
            if mark.end == mark.start and name not in drawn:
                drawn.add(name)
                yield {**common, "ph": "X", "dur": 0, "name": mark.label, "cat": mark.tone, "args": {}}
            kind = "s" if place == 0 else "f" if place == len(flow.marks) - 1 else "t"
            binding = {"bp": "e"} if kind == "f" else {}
            words = "lost" if flow.lost else "update"
            yield {**common, **binding, "ph": kind, "id": number, "name": words, "cat": "update"}
