"""A failing test as a picture: what its links did, on one time axis, and where the test failed.

A test that was written by hand says nothing of its calls, so this shows less than the picture of a proof: faults,
connections with their bytes, and when the test began and ended. The fault that it points at is the last one that was
seen to meet traffic, and it is called that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_netfault.report.network_story import NetworkStory
from pytest_netfault.report.timeline import Card, Lane, Mark, Timeline, number_marks, packed
from pytest_netfault.report.timeline_axis import milliseconds
from pytest_netfault.report.timeline_connections import connection_marks
from pytest_netfault.report.timeline_faults import FaultSpan, broke_card, fault_spans
from pytest_netfault.report.timeline_log import log_marks

__all__ = ["link_picture"]

# More lanes than these are not read; those of the other links are in the events beside the page.
_LINKS = 6
_TITLE = 120


def link_picture(story: NetworkStory) -> Timeline:
    """The picture of a test."""
    over = story.ended - story.began
    shown = [link for link in story.links if link.events][:_LINKS]
    lanes = [Lane("test", "The test", "steps")]
    marks = [
        Mark("began", "test", 0.0, 0.0, "begins", shape="flag"),
        Mark(
            "ended",
            "test",
            over,
            over,
            _short(story.wrong) or "over",
            tone="bad" if story.wrong else "plain",
            shape="flag",
            details=(("failed at", f"{story.failed_at}: {story.source}"),) if story.failed_at else (),
        ),
    ]
    marks[1:1] = _notes(story)
    logged = log_marks(story.log, since=story.began, until=story.ended, lane="log")
    if logged:
        lanes.append(Lane("log", "Log", "steps"))
        marks += logged
    spans: list[FaultSpan] = []
    for number, link in enumerate(shown):
        owner = f"{link.name}: " if len(shown) > 1 else ""
        of_link = fault_spans(link.events, since=story.began, until=story.ended, prefix=f"fault{number}-")
        spans += of_link
        if of_link:
            lane = f"faults{number}"
            placed, rows = packed((span.mark(lane) for span in of_link), at_most=4)
            lanes.append(Lane(lane, f"{owner}faults" if owner else "Faults", "faults", rows))
            marks += placed
        lane = f"connections{number}"
        bars, rows = connection_marks(
            link.events, lane=lane, since=story.began, until=story.ended, prefix=f"connection{number}"
        )
        lanes.append(Lane(lane, f"{owner}connections" if owner else "Connections", "connections", rows))
        marks += bars
    guilty = _last_that_met(spans)
    marks = [replace(mark, tone="culprit") if guilty and mark.id == guilty.id else mark for mark in marks]
    names, numbered = number_marks(marks)
    cards = []
    if guilty is not None:
        card = broke_card(guilty, names[guilty.id], opening="The last fault that met traffic.")
        applied = f" Applied at {guilty.source}." if guilty.source else ""
        cards.append(replace(card, text=card.text + applied))
    if story.wrong:
        where = f" at {story.failed_at}" if story.failed_at else ""
        text = f"After {milliseconds(over)}{where}."
        cards.append(Card("missing", _short(story.wrong), text, names["ended"], story.source))
    return Timeline(
        headline=story.headline,
        lanes=tuple(lanes),
        marks=numbered,
        cards=tuple(cards),
        facts=(("test", story.nodeid), *story.facts, ("seed", str(story.seed))),
        command=story.command,
    )


def _notes(story: NetworkStory) -> list[Mark]:
    """What the test has noted; each link that was open then has recorded it."""
    noted = {
        (event.detail, event.source, event.time): event
        for link in story.links
        for event in link.events
        if event.kind == "note"
    }
    return [
        Mark(
            f"note{number}",
            "test",
            event.time - story.began,
            event.time - story.began,
            _short(event.detail),
            shape="flag",
            details=(("noted at", event.source),) if event.source else (),
        )
        for number, event in enumerate(sorted(noted.values(), key=lambda one: one.time), start=1)
    ]


def _last_that_met(spans: Sequence[FaultSpan]) -> FaultSpan | None:
    met = [span for span in spans if span.met and span.shade is not None]
    return max(met, key=lambda span: span.start, default=None)


def _short(text: str) -> str:
    """The first line of what a test said, short enough for a title.

    >>> _short("TimeoutError: nothing came\\nafter 5 s")
    'TimeoutError: nothing came'
    """
    line = text.strip().partition("\n")[0].rstrip()
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 3]}..."
