"""A failing test as a picture: what its links did, on one time axis, and where the test failed.

A test that was written by hand says nothing of its calls, so this shows less than the picture of a proof: faults,
connections with their bytes, and when the test began and ended.

Rules of this file: pure functions from the records of links to a :class:`Timeline`; nothing is blamed that was not
seen: the fault that is pointed at is the last one that met traffic, and it is called that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_netfault.report.terminal import LinkStory
from pytest_netfault.report.timeline import Card, Lane, Mark, Timeline, number_marks, packed
from pytest_netfault.report.timeline_axis import milliseconds
from pytest_netfault.report.timeline_network import connection_marks, fault_marks

__all__ = ["link_picture"]

# More lanes than these are not read; those of the other links are in the events beside the page.
_LINKS = 6
_TITLE = 120


def link_picture(
    links: Sequence[LinkStory],
    *,
    headline: str,
    wrong: str,
    began: float,
    until: float,
    facts: Sequence[tuple[str, str]] = (),
    command: str = "",
) -> Timeline:
    """The picture of a test.

    Args:
        links: those that it used.
        headline: what became of it, in one sentence.
        wrong: what it said when it failed; empty if it did not say anything.
        began: when it began, ``time.monotonic()`` in seconds.
        until: when it was over.
        facts: what else is worth telling.
        command: what runs it again.
    """
    shown = [link for link in links if link.events][:_LINKS]
    lanes = [Lane("test", "The test", "steps")]
    marks = [
        Mark("began", "test", 0.0, 0.0, "begins", shape="flag"),
        Mark(
            "ended",
            "test",
            until - began,
            until - began,
            _short(wrong) or "over",
            tone="bad" if wrong else "plain",
            shape="flag",
        ),
    ]
    for number, link in enumerate(shown):
        named = (
            [f"{link.name}: faults", f"{link.name}: connections"]
            if len(shown) > 1
            else ["Faults", "Connections"]
        )
        faults = fault_marks(
            link.events, lane=f"faults{number}", since=began, until=until, prefix=f"fault{number}-"
        )
        if faults:
            placed, rows = packed(faults, at_most=4)
            lanes.append(Lane(f"faults{number}", named[0], "faults", rows))
            marks += placed
        bars, rows = connection_marks(
            link.events, lane=f"connections{number}", since=began, until=until, prefix=f"connection{number}"
        )
        lanes.append(Lane(f"connections{number}", named[1], "connections", rows))
        marks += bars
    guilty = _last_that_met(marks)
    marks = [replace(mark, tone="culprit") if mark.id == guilty else mark for mark in marks]
    names, numbered = number_marks(marks)
    by_name = {mark.id: mark for mark in marks}
    cards = [_broke(by_name[guilty], names[guilty])] if guilty else []
    if wrong:
        cards.append(Card("missing", _short(wrong), f"At {milliseconds(until - began)}.", names["ended"]))
    return Timeline(
        headline=headline,
        lanes=tuple(lanes),
        marks=numbered,
        cards=tuple(cards),
        facts=tuple(facts),
        paste=command,
    )


def _last_that_met(marks: Sequence[Mark]) -> str:
    met = [
        mark
        for mark in marks
        if mark.tone == "fault"
        and mark.shade is not None
        and not dict(mark.details).get("what it did", "met no").startswith("met no")
    ]
    return max(met, key=lambda mark: mark.start).id if met else ""


def _broke(fault: Mark, name: str) -> Card:
    details = dict(fault.details)
    start, end = fault.shade or (fault.start, fault.end or fault.start)
    when = (
        f"at {milliseconds(start)}" if start == end else f"from {milliseconds(start)} to {milliseconds(end)}"
    )
    does = details.get("what it does", "a fault")
    text = f"{does[0].upper()}{does[1:]}, {when}. It {details['what it did']}."
    return Card("broke", fault.label, f"The last fault that met traffic. {text}", name)


def _short(text: str) -> str:
    """The first line of what a test said, short enough for a title.

    >>> _short("TimeoutError: nothing came\\nafter 5 s")
    'TimeoutError: nothing came'
    """
    line = text.strip().partition("\n")[0].rstrip()
    return line if len(line) <= _TITLE else f"{line[: _TITLE - 3]}..."
