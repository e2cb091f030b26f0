"""A timeline in plain characters, for a terminal, a log, or a JUnit file.

The same lanes as in the page, squeezed into a few lines; what the page shows and this cannot (details, thousands of
events) is left to the page.

The text is ASCII without colours, because it goes wherever pytest's output goes, and takes at most ``LINES`` lines. A
mark that was lost is drawn last, so that nothing covers it.
"""

from __future__ import annotations

import textwrap
from bisect import bisect_right
from collections.abc import Callable, Sequence

from pytest_netfault.report.timeline import Lane, Mark, Timeline
from pytest_netfault.report.timeline_axis import Knot, milliseconds, squeezed

__all__ = ["COLUMNS", "LINES", "drawn"]

COLUMNS = 100
LINES = 20
_ROWS = 3  # of one lane; the page has the rest
_LABEL = 24
_FIRST = ("lost", "bad", "culprit")  # what is labelled where there is no room for all
_RANK = {"culprit": 1, "bad": 2, "lost": 3}  # what covers the others where they share a place
_LEGEND = {
    "o": "arrived",
    "X": "never arrived",
    "!": "wrong",
    "?": "outcome unknown",
    "#": "a fault holds",
    "x": "cut",
}


def drawn(timeline: Timeline, *, columns: int = COLUMNS) -> str:
    """The picture as lines of at most ``columns`` columns, or an empty text if nothing happened.

    The part that the page shows first is drawn; pauses are squeezed as there.

    >>> marks = (
    ...     Mark("e1", "faults", 0.0, 0.5, "Sever()", tone="culprit", shade=(0.0, 0.5)),
    ...     Mark("e2", "arrived", 0.25, 0.25, "3 never arrived", "3", tone="lost", shape="cross"),
    ...     Mark("e3", "arrived", 1.0, 1.0, "4: put b = v2", "4", tone="good", shape="dot"),
    ... )
    >>> lanes = (Lane("faults", "Faults", "faults"), Lane("arrived", "Arrived", "deliveries"))
    >>> print(drawn(Timeline("A loss", lanes, marks), columns=60))
             0.0 ms      250 ms       500 ms              1.00 s
    Faults   Sever()###################
    Arrived  ::::::::::::X 3 never arrived       4: put b = v2 o
             o arrived, X never arrived, # a fault holds
    """
    lanes = [lane for lane in timeline.lanes if lane.kind != "steps"]
    quiet = {lane.id for lane in lanes if lane.kind == "connections"}  # where only cuts and resets are drawn
    start, end = timeline.focus or (0.0, timeline.ends)
    shown = [
        mark
        for mark in timeline.marks
        if mark.lane in {lane.id for lane in lanes}
        and not (mark.lane in quiet and mark.shape == "flag")
        and mark.start <= end
        and _last(mark, end) >= start
    ]
    if not shown:
        return ""
    gutter = max(len(lane.name) for lane in lanes) + 2
    cells = max(columns - gutter, 20)
    at = _scale(shown, start, end, cells)
    culprit = next((mark for mark in shown if mark.tone == "culprit"), None)
    shade = None if culprit is None or culprit.shade is None else (at(culprit.shade[0]), at(culprit.shade[1]))
    lines = [" " * gutter + _axis(shown, culprit, start, end, at, cells)]
    for lane in lanes:
        for row in range(min(lane.rows, _ROWS)):
            mine = [mark for mark in shown if mark.lane == lane.id and mark.row == row]
            if mine or not row:
                drawn_row = _row(lane, mine, shade, at, cells)
                # A line may not begin with two colons, which a CI system would take for a command.
                more = "..."[: gutter - 2] if drawn_row.lstrip().startswith("::") else ""
                lines.append(f"{more if row else lane.name:<{gutter}}{drawn_row}".rstrip())
    used = {
        sign for lane in lanes for mark in shown if mark.lane == lane.id for sign in _signs(lane, mark, 2)
    }
    legend = ", ".join(f"{sign} {words}" for sign, words in _LEGEND.items() if sign in used)
    words = textwrap.wrap(legend, cells)
    return "\n".join([*lines[: LINES - len(words)], *(" " * gutter + line for line in words)])


def _last(mark: Mark, otherwise: float) -> float:
    if mark.end is not None:
        return mark.end
    return otherwise if mark.known is None else max(mark.known, mark.start)


def _scale(shown: Sequence[Mark], start: float, end: float, cells: int) -> Callable[[float], int]:
    """Which cell a time belongs to; times outside belong to the first or the last one."""
    times = [start, end, *(mark.start for mark in shown), *(_last(mark, end) for mark in shown)]
    knots: Sequence[Knot] = squeezed(min(max(time, start), end) for time in times)
    starts = [time for time, _ in knots]
    whole = knots[-1][1] - knots[0][1]

    def at(time: float) -> int:
        time = min(max(time, knots[0][0]), knots[-1][0])
        n = min(bisect_right(starts, time), len(knots) - 1)
        (early, near), (late, far) = knots[n - 1], knots[n]
        place = near + (time - early) / (late - early) * (far - near)
        return round((place - knots[0][1]) / whole * (cells - 1))

    return at


def _axis(
    shown: Sequence[Mark],
    culprit: Mark | None,
    start: float,
    end: float,
    at: Callable[[float], int],
    cells: int,
) -> str:
    """The times that matter, where there is room for them: the ends, the fault, the loss."""
    line = [" "] * cells
    lost = [mark.start for mark in shown if mark.tone == "lost"]
    for time in (start, end, *((culprit.shade or ()) if culprit else ()), *lost):
        text = milliseconds(time)
        place = min(at(time), cells - len(text))
        if all(cell == " " for cell in line[max(place - 2, 0) : place + len(text) + 2]):
            line[place : place + len(text)] = text
    return "".join(line).rstrip()


def _row(
    lane: Lane, marks: Sequence[Mark], shade: tuple[int, int] | None, at: Callable[[float], int], cells: int
) -> str:
    line = [" "] * cells
    if shade is not None and lane.kind != "faults":
        for place in range(shade[0], shade[1] + 1):
            line[place] = ":"
    ranked = sorted(marks, key=lambda mark: (mark.shape != "bar", _RANK.get(mark.tone, 0)))
    spans = []
    for mark in ranked:
        first, last = at(mark.start), at(_last(mark, float("inf")))
        signs = _signs(lane, mark, last - first + 1)
        first = min(first, cells - len(signs))
        line[first : first + len(signs)] = signs
        spans.append((mark, first, first + len(signs)))
    for mark, first, beyond in sorted(spans, key=lambda span: (span[0].tone not in _FIRST, span[1])):
        _label(line, lane, mark, first, beyond)
    return "".join(line)


def _signs(lane: Lane, mark: Mark, length: int) -> str:
    """The characters of a mark itself."""
    if mark.shape != "bar":
        if mark.tone == "lost":
            return "*" if lane.kind == "revisions" else "X"
        if mark.tone == "bad":
            return "!"
        if mark.shape in ("cut", "cross"):
            return "x"
        return {"dot": "o", "diamond": "*"}.get(mark.shape, "'")
    if lane.kind == "faults":
        return "#" * length
    inner = "-" if lane.kind == "connections" else "="
    ends = ("|", "|") if lane.kind == "connections" else ("[", "?" if mark.end is None else "]")
    return (ends[0] + inner * length)[: max(length - 1, 1)] + ends[1] if length > 1 else ends[0] + ends[1]


def _label(line: list[str], lane: Lane, mark: Mark, first: int, beyond: int) -> None:
    """Write what a mark is, where nothing else stands: in its bar, behind it, or before it."""
    if lane.kind == "connections" and mark.shape != "bar":
        return
    texts = [mark.short] if lane.kind == "connections" else [mark.label, mark.short]
    for text in filter(None, map(_plain, texts)):
        room = len(text)
        if mark.shape == "bar" and beyond - first >= room + 2 and lane.kind != "faults":
            if _alone(line, first + 1, first + 1 + room, "=-"):
                line[first + 1 : first + 1 + room] = text
                return
        elif mark.shape == "bar" and beyond - first > room and lane.kind == "faults":
            line[first : first + room] = text
            return
        if _alone(line, beyond, beyond + room + 2, " :"):
            line[beyond : beyond + 1 + room] = f" {text}"
            return
        if first > room + 1 and _alone(line, first - room - 2, first, " :"):
            line[first - room - 1 : first] = f"{text} "
            return


def _alone(line: Sequence[str], start: int, end: int, over: str) -> bool:
    return start >= 0 and end <= len(line) and all(cell in over for cell in line[start:end])


def _plain(text: str) -> str:
    """A label as one short piece of ASCII.

    >>> _plain("put a = caf\u00e9")
    'put a = caf?'
    """
    text = " ".join(text.encode("ascii", "replace").decode("ascii").split())
    text = "".join(one if one.isprintable() else "?" for one in text)
    return text if len(text) <= _LABEL else f"{text[: _LABEL - 3]}..."
